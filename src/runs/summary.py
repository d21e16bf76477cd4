"""The score of a trial over its n repeats: by the chapter's rule, which picks one, and as mean and spread over all.

(1) chapter's rule: the repeat with the best validation score gives the test score [N6: three runs of
    each network]; of several equally good ones the first counts.
(2) mean and sample standard deviation (divided by n - 1) of the test scores.
(3) 95 % interval of the mean: mean ± t(0.975, n - 1) · sd / sqrt(n) [Student 1908]; of parts of 1 cut at 0 and 1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from src.config.metric import ACCURACY, Metric
from src.config.wording import number_of
from src.training.result import Result

TWO_SIDED_95 = 0.975
COINCIDENCE = "all repeats are equal, by chance: an interval of no width says nothing"


@dataclass(frozen=True)
class Summary:
    """The figures of a trial's repeats, as scores; None where n is too small (sd and interval need two repeats)."""

    n: int  # repeats that count
    left_out: int  # repeats without finite scores
    chapter_rule: float | None  # None also where the validation scores choose nothing
    mean: float | None
    sd: float | None
    low: float | None
    high: float | None
    score: Metric = ACCURACY  # which score the figures are

    @property
    def coincides(self) -> bool:
        """Whether several repeats have exactly the same score, so that an interval without width would mean nothing."""
        return self.n > 1 and self.sd == 0

    def metrics(self, split: str = "test") -> dict[str, float]:
        """The figures that exist, scores and the two counts, by their names SPLIT/… in the tracking store."""
        figures = {name: value for name, value in vars(self).items() if name != "score" and value is not None}
        return {f"{split}/{name}": float(value) for name, value in figures.items()}

    def spread(self) -> str:
        """Mean, spread, interval and number in words, where there are two repeats or more; else the only score."""
        score = self.score
        if self.low is None or self.high is None:
            return score.written(self.mean)
        return (
            f"mean {score.figure(self.mean)} ± {score.figure(self.sd or 0)} sd, "
            f"95 % interval {score.figure(self.low)}–{score.figure(self.high)}, n = {self.n}"
        )

    def sentence(self) -> str:
        """A sentence with all figures in the score's unit, and with those that are missing."""
        score = self.score
        if self.mean is None:
            return f"none; {number_of(self.left_out, 'run')} without finite {score.plural}"
        if self.low is None or self.high is None:
            parts = [score.written(self.mean), "n = 1, so neither spread nor interval"]
        else:
            rule = f" by the chapter's rule (the repeat with the best {score.words('validation')})"
            parts = [] if self.chapter_rule is None else [score.written(self.chapter_rule) + rule]
            parts.append(self.spread())
        if self.coincides:
            parts.append(COINCIDENCE)
        if self.left_out:
            parts.append(f"{self.left_out} of {self.n + self.left_out} left out: no finite {score.name}")
        return "; ".join(parts)


def of_folds(results: Sequence[Result], score: Metric) -> Summary:
    """The figures of a cross-validation: each network's validation score, on the examples of its fold."""
    own = [result.validation_score for result in results]
    return replace(summarise(validation=own, test=own, score=score), chapter_rule=None)


def of_snapshots(results: Sequence[Result], score: Metric) -> Summary | None:
    """The figures of the votes of the networks' snapshots, a vote a network; None where none has voted."""
    if all(result.snapshots_test_score is None for result in results):
        return None
    validation = [result.snapshots_validation_score for result in results]
    found = summarise(validation=validation, test=[result.snapshots_test_score for result in results], score=score)
    return replace(found, chapter_rule=None) if any(result.refit for result in results) else found


def summarise(*, validation: Sequence[float | None], test: Sequence[float | None], score: Metric = ACCURACY) -> Summary:
    """Figures (1) to (3) of a trial's repeats; validation, test: a value of `score` for each repeat, in the same order.

    A repeat is one network, or one ensemble: `test` is then the accuracy of its vote, and `validation` the figure by
    which the caller ranks ensembles, such as the mean of their members. A repeat with None, NaN or infinity in either
    is left out, and counted in `left_out`. Raises ValueError for unequal lengths.
    """
    pairs = [
        (v, t)
        for v, t in zip(validation, test, strict=True)
        if v is not None and t is not None and math.isfinite(v) and math.isfinite(t)
    ]
    n, left_out = len(pairs), len(test) - len(pairs)
    if n == 0:
        return Summary(n, left_out, None, None, None, None, None, score)
    chapter_rule = max(pairs, key=lambda pair: score.merit(pair[0]))[1]  # max keeps the first of equals
    mean = fmean(t for _, t in pairs)
    if n == 1:
        return Summary(n, left_out, chapter_rule, mean, None, None, None, score)
    # Student's t quantile, imported here because it takes 0.3 s (and scipy.stats, whose t.ppf it is, a second).
    from scipy.special import stdtrit

    sd = stdev(t for _, t in pairs)
    half = float(stdtrit(n - 1, TWO_SIDED_95)) * sd / math.sqrt(n)
    low, high = mean - half, mean + half
    if score.percent:
        low, high = max(0.0, low), min(1.0, high)
    return Summary(n, left_out, chapter_rule, mean, sd, low, high, score)
