"""Which parameters mattered: each one's share of the variation of the first objective, by functional ANOVA.

A random forest is fitted to a sample of trials; the share of a parameter is the variance of the forest's prediction
over that parameter alone, all others averaged out, divided by the variance over all parameters together [Hutter, Hoos
and Leyton-Brown, ICML 2014; Optuna's evaluator]. What their sum lacks of 1 is due to parameters jointly. Parameters in
log scale enter as logarithms, so that the average is over the space as it was searched. A parameter that only some
trials have is assessed among those, beside the ones that all have.

Pruning leaves no final values of the trials that it ends, and complete trials alone do not show what made others fail.
Where trials were pruned, the first sample therefore compares all at an epoch that all have reached, without those that
diverged.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from src.report.study_dimension import Dimension, dimensions
from src.sweep.studies.study_record import Study, Trial

TREES = 64
FEWEST = 8  # trials below which a forest says nothing
MOST = 200  # trials of a forest, evenly spaced in rank: its time grows with their square, 2 s here
FOLDS = 5
MISSING = -1.0  # below all fractions, so that a tree can tell it apart

Point = tuple[Trial, float]  # a trial and what it reached


@dataclass(frozen=True)
class Sample:
    """Trials that can be compared, the best first."""

    words: str
    points: list[Point]


@dataclass(frozen=True)
class Importance:
    """One parameter; a share in 0…1 for each sample, None where nothing can be said (see `_shares`)."""

    dimension: Dimension
    trials: int  # of the first sample that have it
    shares: list[float | None]


def samples(study: Study) -> tuple[Sample, Sample]:
    """All trials; and again only good ones, where other parameters may matter than those that make a trial fail."""
    complete = [(trial, trial.value) for trial in study.ranked if trial.value is not None]
    early = _early(study)
    if early is not None:
        return early, Sample("at the end, complete trials", complete)
    return Sample("complete trials", complete), Sample("their better half", complete[: (len(complete) + 1) // 2])


def _early(study: Study) -> Sample | None:
    """Complete and pruned trials at the last epoch that all of them have reported; None where none was pruned.

    None as well where what they report is not the value, or not by epoch.
    """
    pruned = [trial for trial in study.places if trial.kind == "PRUNED" and trial.curve]
    if not (pruned and study.reports_value and study.by_epoch):
        return None
    trials = [*pruned, *(trial for trial in study.ranked if trial.curve)]
    epoch = min(max(trial.curve) for trial in trials)
    points = [(trial, trial.curve[epoch]) for trial in trials if epoch in trial.curve]
    points.sort(key=lambda point: point[1], reverse=study.maximised[0])
    return Sample(f"after epoch {epoch}, pruned trials included", points)


def importances(study: Study, compared: Sequence[Sample]) -> list[Importance]:
    """Every parameter that varied, the most important one in the first sample first."""
    varied = [dimension for dimension in dimensions(study) if not dimension.single]
    shares = [_all_shares(varied, sample.points) for sample in compared]
    found = [
        Importance(
            one,
            sum(one.within(trial) for trial, _ in compared[0].points),
            [by_label.get(one.label) for by_label in shares],
        )
        for one in varied
    ]
    return sorted(found, key=lambda importance: -(importance.shares[0] or 0))


def _all_shares(varied: Sequence[Dimension], points: Sequence[Point]) -> dict[str, float]:
    """Label -> share: of the dimensions that all trials have together, of each other one beside those."""
    always = [one for one in varied if all(one.within(trial) for trial, _ in points)]
    shares = _shares(always, points)
    for one in (dimension for dimension in varied if dimension not in always):
        own = _shares([*always, one], [point for point in points if one.within(point[0])])
        shares |= {label: share for label, share in own.items() if label == one.label}
    return shares


def _shares(dimensions: Sequence[Dimension], points: Sequence[Point]) -> dict[str, float]:
    """Label -> share, of trials that have all of the dimensions. Only those that vary among them have one.

    Empty where the trials are too few or all equal, or where fewer than two dimensions vary, for one has all.
    """
    varied = [one for one in dimensions if len({one.number(trial) for trial, _ in points}) > 1]
    if len(varied) < 2 or len(points) < FEWEST or len({value for _, value in points}) < 2:
        return {}
    import optuna
    from optuna.importance import FanovaImportanceEvaluator

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    study.add_trials([_plain(varied, *point) for point in _some(points)])
    found = FanovaImportanceEvaluator(n_trees=TREES, seed=0).evaluate(study)
    return {label: float(share) for label, share in found.items()}


def _some(points: Sequence[Point]) -> list[Point]:
    """All of them, or MOST evenly spaced ones."""
    if len(points) <= MOST:
        return list(points)
    return [points[place] for place in np.linspace(0, len(points) - 1, MOST).round().astype(int)]


def _plain(dimensions: Sequence[Dimension], trial: Trial, value: float) -> Any:
    """The trial for Optuna's evaluator: choices by their texts, numbers on their own scale, as one space for all."""
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
    from optuna.trial import create_trial

    params, space = dict[str, Any](), dict[str, BaseDistribution]()
    for one in dimensions:
        place = one.number(trial)
        params[one.label] = place if one.choices is None else one.choices[int(place)]
        space[one.label] = FloatDistribution(*one.ends) if one.choices is None else CategoricalDistribution(one.choices)
    return create_trial(params=params, distributions=space, value=value)


def explained(study: Study, sample: Sample) -> float | None:
    """How much of the variation such a forest predicts in trials that it was not fitted to: R² over FOLDS folds.

    None below 2 · FOLDS trials. At 0 or below it, shares mean nothing.
    """
    points = _some(sample.points)
    varied = [one for one in dimensions(study) if not one.single]
    y = np.array([value for _, value in points], dtype=float)
    if len(points) < 2 * FOLDS or not varied or y.std() == 0:
        return None
    from sklearn.ensemble import RandomForestRegressor

    x = np.array([_encoded(varied, trial) for trial, _ in points])
    folds = np.random.default_rng(0).permutation(len(points)) % FOLDS
    guessed = np.empty(len(points))
    for fold in range(FOLDS):
        forest = RandomForestRegressor(n_estimators=TREES, random_state=0).fit(x[folds != fold], y[folds != fold])
        guessed[folds == fold] = forest.predict(x[folds == fold])
    return 1 - float(np.mean((y - guessed) ** 2) / y.var())


def _encoded(dimensions: Sequence[Dimension], trial: Trial) -> list[float]:
    """Numbers as fractions of their range, choices as one column an element; -1 where the trial lacks the dimension."""
    row = list[float]()
    for one in dimensions:
        place = one.number(trial) if one.within(trial) else None
        if one.choices is not None:
            row += [float(place == index) for index in range(len(one.choices))]
        else:
            row.append(MISSING if place is None else one.fraction(place))
    return row
