"""The score of a trial over its R repeats: the chapter's figure, and beside it mean and spread, the honest ones.

(1) chapter's rule: the repeat with the best validation score gives the test score [N6: three runs of
    each network]; of several equally good ones the first counts.
(2) mean and sample standard deviation (divided by n - 1) of the test scores.
(3) 95 % interval of the mean: mean ± t(0.975, n - 1) · sd / sqrt(n) [Student 1908]; of parts of 1 cut at 0 and 1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from src.config.metric import ACCURACY, Metric
from src.config.wording import number_of

TWO_SIDED_95 = 0.975
COINCIDENCE = "all repeats are equal, by chance: an interval of no width says nothing"


@dataclass(frozen=True)
class Summary:
    """Scores; None where n does not allow the figure (sd and interval need two repeats)."""

    n: int  # repeats that count
    left_out: int  # repeats without finite scores
    chapter_rule: float | None
    mean: float | None
    sd: float | None
    low: float | None
    high: float | None
    score: Metric = ACCURACY  # what they are

    @property
    def coincides(self) -> bool:
        """Whether several repeats came out equal, to the image: then the interval has no width, and says nothing."""
        return self.n > 1 and self.sd == 0

    def metrics(self) -> dict[str, float]:
        """What exists of the figures, under test/…, for tracking: scores, and the two counts."""
        figures = {name: value for name, value in vars(self).items() if name != "score" and value is not None}
        return {f"test/{name}": float(value) for name, value in figures.items()}

    def sentence(self) -> str:
        """All figures in the score's unit, and what is missing from them."""
        score = self.score
        if self.mean is None:
            return f"none; {number_of(self.left_out, 'run')} without finite {score.plural}"
        parts = [score.written(self.chapter_rule or 0)]
        if self.low is None or self.high is None:
            parts.append("n = 1, so neither spread nor interval")
        else:
            parts[0] += f" by the chapter's rule (the repeat with the best {score.words('validation')})"
            parts.append(
                f"mean {score.figure(self.mean)} ± {score.figure(self.sd or 0)} sd, "
                f"95 % interval {score.figure(self.low)}–{score.figure(self.high)}, n = {self.n}"
            )
        if self.coincides:
            parts.append(COINCIDENCE)
        if self.left_out:
            parts.append(f"{self.left_out} of {self.n + self.left_out} left out: no finite {score.name}")
        return "; ".join(parts)


def summarise(*, validation: Sequence[float | None], test: Sequence[float | None], score: Metric = ACCURACY) -> Summary:
    """Figures (1) to (3) of a trial's repeats, a value of `score` each and the same order in both arguments.

    A repeat is one network, or for an ensemble one vote: its `test` is then the vote's accuracy, its `validation` what
    the caller ranks ensembles by, such as the mean of their members. A repeat that has None, NaN or infinity in either
    is left out and counted. Raises ValueError for unequal lengths.
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
