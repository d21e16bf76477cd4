"""What a study's numbers allow one to say: intervals, paired differences, luck, and what pruning saved.

(1) interval of a mean of n members: mean ± t(0.975, n - 1) · s / sqrt(n), s the sample standard deviation
    [Student 1908].
(2) paired test of two trials: the differences d_i of the members with common seeds, their interval by (1), and
    t = mean(d) / (s_d / sqrt(n)) with the two-sided p of n - 1 degrees of freedom.
(3) luck: of k equally good trials the best looks better than they are by about Φ⁻¹((k - 0.375) / (k + 0.25)) · σ, the
    expected largest of k normal deviates [Blom 1958]; σ is the standard error of one trial's mean.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev, variance

from src.sweep.studies.study_record import Study, Trial

TWO_SIDED_95 = 0.975
BLOM = 0.375


@dataclass(frozen=True)
class Interval:
    """A mean of n values with half the width of its 95 % interval; None where n is too small for the figure."""

    n: int
    mean: float | None
    half: float | None


def interval(values: Sequence[float | None]) -> Interval:
    """The mean of the values and its interval by (1); None, NaN and infinity are left out."""
    known = [value for value in values if value is not None and math.isfinite(value)]
    n = len(known)
    if n < 2:
        return Interval(n, fmean(known) if known else None, None)
    from scipy.special import stdtrit  # Student's t quantile; scipy takes 0.3 s to import

    return Interval(n, fmean(known), float(stdtrit(n - 1, TWO_SIDED_95)) * stdev(known) / math.sqrt(n))


@dataclass(frozen=True)
class Paired:
    """The test (2) of a against b: the mean of a - b over their common seeds, and p.

    p is None with fewer than two common seeds, or where all differences are the same.
    """

    difference: Interval
    p: float | None


def paired(a: Mapping[int, float | None], b: Mapping[int, float | None]) -> Paired:
    """The test (2) of two trials, each as seed -> value.

    A seed is left out where one of them lacks it, or its difference is not finite.
    """
    pairs = [(a[seed], b[seed]) for seed in a if seed in b]
    differences = [x - y for x, y in pairs if x is not None and y is not None and math.isfinite(x - y)]
    found = interval(differences)
    # Sums of equal differences leave rounding errors, no spread.
    if found.n < 2 or found.mean is None or stdev(differences) <= 1e-12:
        return Paired(found, None)
    from scipy.special import stdtr

    t = found.mean / (stdev(differences) / math.sqrt(found.n))
    return Paired(found, 2 * float(stdtr(found.n - 1, -abs(t))))


def luck(study: Study) -> float | None:
    """By how much the best trial looks better than it is, by (3) over the complete trials, in the objective's unit.

    None with fewer than two trials, or without repeats. σ is pooled over the better half of the trials, without
    networks that diverged: the others scatter more than the trials in question.
    """
    k = len(study.ranked)
    half = study.ranked[: max(2, (k + 1) // 2)]
    groups = [values for trial in half if len(values := _trained(study, trial)) > 1]
    if k < 2 or not groups:
        return None
    from scipy.special import ndtri

    freedom = sum(len(values) - 1 for values in groups)
    pooled = sum((len(values) - 1) * variance(values) for values in groups) / freedom
    members = fmean(len(values) for values in groups)
    return float(ndtri((k - BLOM) / (k + 1 - 2 * BLOM))) * math.sqrt(pooled / members)


def _trained(study: Study, trial: Trial) -> list[float]:
    values = [member.validation_score for member in trial.members]
    return [value for value in values if value is not None and value != study.score.lost]


@dataclass(frozen=True)
class Saved:
    """Epochs, added up over networks, of the complete and pruned trials: planned ones, and those not trained."""

    planned: int
    pruned: int  # not trained because the trial was pruned
    stopped: int  # not trained in complete trials, whose members stopped early


def saved(study: Study) -> Saved | None:
    """The epochs that pruning and early stopping saved; None where no trial has noted how many it was to train.

    A trial was to train `max_networks` networks for `max_epochs`; older studies do not note the first, so there the
    largest number of networks in any trial is taken.
    """
    ended = [trial for trial in study.places if trial.kind in ("COMPLETE", "PRUNED")]
    most = max((len(trial.members) for trial in ended), default=1) or 1
    left = {"COMPLETE": 0, "PRUNED": 0}
    planned = 0
    for trial in ended:
        if trial.max_epochs is not None and trial.epochs is not None:
            plan = trial.max_epochs * (trial.max_networks or most)
            planned += plan
            left[trial.kind] += max(0, plan - trial.epochs)
    return Saved(planned, left["PRUNED"], left["COMPLETE"]) if planned else None


def busy_seconds(trials: Sequence[Trial]) -> float:
    """Seconds by the clock during which at least one of the trials trained; a trial without an end is left out."""
    spans = sorted((trial.started, trial.ended) for trial in trials if trial.started and trial.ended)
    total, until = 0.0, None
    for start, end in spans:
        begin = start if until is None else max(start, until)
        total += max(0.0, (end - begin).total_seconds())
        until = end if until is None else max(until, end)
    return total
