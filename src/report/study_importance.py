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
    """Trials that are compared with each other, the best first."""

    words: str  # which trials they are, for the reader
    points: list[Point]


@dataclass(frozen=True)
class Importance:
    """How much one parameter mattered: its share (0…1) of the variation in each sample.

    A share is None where nothing can be said: fewer than FEWEST trials, equal values, or no other parameter varied.
    """

    dimension: Dimension
    trials: int  # how many trials of the first sample have it
    shares: list[float | None]


def samples(study: Study) -> tuple[Sample, Sample]:
    """Two samples: all trials that can be compared, and only good ones, among which other parameters may matter.

    With pruned trials these are all at an early epoch, and the complete ones at their end; else all complete trials,
    and their better half.
    """
    complete = [(trial, trial.value) for trial in study.ranked if trial.value is not None]
    early = _early(study)
    if early is not None:
        return early, Sample("at the end, complete trials", complete)
    return Sample("complete trials", complete), Sample("their better half", complete[: (len(complete) + 1) // 2])


def _early(study: Study) -> Sample | None:
    """The complete and pruned trials, compared at the last epoch that all of them have reported.

    None where no trial was pruned, or where trials do not report the value epoch by epoch.
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
    """The importance of every parameter that varied in each sample, the most important in the first sample first."""
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
    """A dimension's label -> its share.

    Dimensions that all trials have are assessed together; each other one beside these, among the trials that have it.
    """
    always = [one for one in varied if all(one.within(trial) for trial, _ in points)]
    shares = _shares(always, points)
    for one in (dimension for dimension in varied if dimension not in always):
        own = _shares([*always, one], [point for point in points if one.within(point[0])])
        shares |= {label: share for label, share in own.items() if label == one.label}
    return shares


def _shares(dimensions: Sequence[Dimension], points: Sequence[Point]) -> dict[str, float]:
    """Label -> share of each dimension that varies, from trials that have all of the dimensions.

    Empty where there are fewer than FEWEST trials, where all have the same value, or where fewer than two dimensions
    vary: a single one would have it all.
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
    """All points, or MOST of them, evenly spaced in rank."""
    if len(points) <= MOST:
        return list(points)
    return [points[place] for place in np.linspace(0, len(points) - 1, MOST).round().astype(int)]


def _plain(dimensions: Sequence[Dimension], trial: Trial, value: float) -> Any:
    """The trial as Optuna's evaluator takes it, with numbers in log scale as logarithms and choices as texts."""
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
    from optuna.trial import create_trial

    params, space = dict[str, Any](), dict[str, BaseDistribution]()
    for one in dimensions:
        place = one.number(trial)
        params[one.label] = place if one.choices is None else one.choices[int(place)]
        space[one.label] = FloatDistribution(*one.ends) if one.choices is None else CategoricalDistribution(one.choices)
    return create_trial(params=params, distributions=space, value=value)


def explained(study: Study, sample: Sample) -> float | None:
    """How well a random forest predicts trials that it was not fitted to: R² over FOLDS folds, at most 1.

    None with fewer than 2 · FOLDS trials. At or below 0 the shares mean nothing.
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
    """The trial's row for a forest: numbers as fractions of their range, choices as one column (0 or 1) an element.

    Where the trial lacks a dimension, its number is MISSING and all its columns are 0.
    """
    row = list[float]()
    for one in dimensions:
        place = one.number(trial) if one.within(trial) else None
        if one.choices is not None:
            row += [float(place == index) for index in range(len(one.choices))]
        else:
            row.append(MISSING if place is None else one.fraction(place))
    return row
