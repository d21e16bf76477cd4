"""Which parameters mattered: each one's share of the variation of the first objective, by functional ANOVA.

A random forest is fitted to the complete trials; the share of a parameter is the variance of the forest's prediction
over that parameter alone, all others averaged out, divided by the variance over all parameters together [Hutter, Hoos
and Leyton-Brown, ICML 2014; Optuna's evaluator]. What their sum lacks of 1 is due to parameters jointly. Parameters in
log scale enter as logarithms, so that the average is over the space as it was searched. A parameter that only some
trials have is assessed among those, beside the ones that all have.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from src.results.study_dimension import Dimension, dimensions
from src.results.study_record import Study, Trial

TREES = 64
FEWEST = 8  # trials below which a forest says nothing
MOST = 200  # trials of a forest, evenly spaced in rank: its time grows with their square, 2 s here
FOLDS = 5


@dataclass(frozen=True)
class Importance:
    """One parameter; shares in 0…1, None where there are too few trials."""

    dimension: Dimension
    trials: int  # complete ones that have it
    share: float | None
    better: float | None  # its share among the better half of them


def importances(study: Study) -> list[Importance]:
    """Every parameter that varied, the most important one first; empty where too few trials are complete."""
    varied = [dimension for dimension in dimensions(study) if not dimension.single]
    always = [one for one in varied if all(one.within(trial) for trial in study.ranked)]
    shares = zip(always, _shares(always, study.ranked), _shares(always, _better(study.ranked)), strict=True)
    found = [Importance(one, len(study.ranked), share, better) for one, share, better in shares]
    for one in (dimension for dimension in varied if dimension not in always):
        own = [trial for trial in study.ranked if one.within(trial)]
        beside = [*always, one]
        found.append(Importance(one, len(own), _shares(beside, own)[-1], _shares(beside, _better(own))[-1]))
    return sorted(found, key=lambda importance: -(importance.share or 0))


def _better(trials: Sequence[Trial]) -> Sequence[Trial]:
    return trials[: (len(trials) + 1) // 2]


def _shares(dimensions: Sequence[Dimension], trials: Sequence[Trial]) -> list[float | None]:
    """One share a dimension, of trials that have all of them."""
    if not dimensions or len(trials) < FEWEST or len({trial.value for trial in trials}) < 2:
        return [None] * len(dimensions)
    import optuna
    from optuna.importance import FanovaImportanceEvaluator

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study()
    study.add_trials([_plain(dimensions, trial) for trial in _some(trials)])
    found = FanovaImportanceEvaluator(n_trees=TREES, seed=0).evaluate(study)
    return [float(found[dimension.label]) for dimension in dimensions]


def _some(trials: Sequence[Trial]) -> list[Trial]:
    """All of them, or MOST evenly spaced ones."""
    if len(trials) <= MOST:
        return list(trials)
    return [trials[place] for place in np.linspace(0, len(trials) - 1, MOST).round().astype(int)]


def _plain(dimensions: Sequence[Dimension], trial: Trial) -> Any:
    """The trial for Optuna's evaluator: choices by their texts, numbers on their own scale, as one space for all."""
    from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
    from optuna.trial import create_trial

    params, space = dict[str, Any](), dict[str, BaseDistribution]()
    for one in dimensions:
        place = one.number(trial)
        params[one.label] = place if one.choices is None else one.choices[int(place)]
        space[one.label] = FloatDistribution(*one.ends) if one.choices is None else CategoricalDistribution(one.choices)
    return create_trial(params=params, distributions=space, value=trial.value)


def explained(study: Study) -> float | None:
    """How much of the variation such a forest predicts in trials that it was not fitted to: R² over FOLDS folds.

    None below 2 · FOLDS trials. At 0 or below it, shares mean nothing.
    """
    trials = _some(study.ranked)
    always = [one for one in dimensions(study) if all(one.within(trial) for trial in trials)]
    always = [one for one in always if not one.single]
    y = np.array([trial.value for trial in trials], dtype=float)
    if len(trials) < 2 * FOLDS or not always or y.std() == 0:
        return None
    from sklearn.ensemble import RandomForestRegressor

    x = np.array([_encoded(always, trial) for trial in trials])
    folds = np.random.default_rng(0).permutation(len(trials)) % FOLDS
    guessed = np.empty(len(trials))
    for fold in range(FOLDS):
        forest = RandomForestRegressor(n_estimators=TREES, random_state=0).fit(x[folds != fold], y[folds != fold])
        guessed[folds == fold] = forest.predict(x[folds == fold])
    return 1 - fmean((y - guessed) ** 2) / fmean((y - y.mean()) ** 2)


def _encoded(dimensions: Sequence[Dimension], trial: Trial) -> list[float]:
    """Numbers on their own scale, choices as one column an element."""
    row = list[float]()
    for one in dimensions:
        place = one.number(trial)
        row += [place] if one.choices is None else [float(place == index) for index in range(len(one.choices))]
    return row
