"""The accuracy of a trial over its R repeats: the chapter's figure, and beside it mean and spread, the honest ones.

(1) chapter's rule: the repeat with the best validation accuracy gives the test accuracy [N6: three runs of
    each network]; of several equally good ones the first counts.
(2) mean and sample standard deviation (divided by n - 1) of the test accuracies.
(3) 95 % interval of the mean: mean ± t(0.975, n - 1) · sd / sqrt(n) [Student 1908], cut at 0 and 1.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from src.config.words import number_of

TWO_SIDED_95 = 0.975
COINCIDENCE = "all repeats are equal, by chance: an interval of no width says nothing"


@dataclass(frozen=True)
class Summary:
    """Accuracies in 0…1; None where n does not allow the figure (sd and interval need two repeats)."""

    n: int  # repeats that count
    left_out: int  # repeats without finite accuracies
    chapter_rule: float | None
    mean: float | None
    sd: float | None
    low: float | None
    high: float | None

    @property
    def coincides(self) -> bool:
        """Whether several repeats came out equal, to the image: then the interval has no width, and says nothing."""
        return self.n > 1 and self.sd == 0

    def metrics(self) -> dict[str, float]:
        """What exists of the figures, under test/…, for tracking: accuracies in 0…1, and the two counts."""
        figures = {name: value for name, value in self.__dict__.items() if value is not None}
        return {f"test/{name}": float(value) for name, value in figures.items()}

    def sentence(self) -> str:
        """All figures in per cent, and what is missing from them."""
        if self.mean is None:
            return f"none; {number_of(self.left_out, 'run')} without finite accuracies"
        parts = [f"{100 * (self.chapter_rule or 0):.2f} %"]
        if self.low is None or self.high is None:
            parts.append("n = 1, so neither spread nor interval")
        else:
            parts[0] += " by the chapter's rule (the repeat with the best validation accuracy)"
            parts.append(
                f"mean {100 * self.mean:.2f} ± {100 * (self.sd or 0):.2f} sd, "
                f"95 % interval {100 * self.low:.2f}–{100 * self.high:.2f}, n = {self.n}"
            )
        if self.coincides:
            parts.append(COINCIDENCE)
        if self.left_out:
            parts.append(f"{self.left_out} of {self.n + self.left_out} left out: no finite accuracy")
        return "; ".join(parts)


def summarise(*, validation: Sequence[float | None], test: Sequence[float | None]) -> Summary:
    """Figures (1) to (3) of a trial's repeats, an accuracy in 0…1 each and the same order in both arguments.

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
        return Summary(n, left_out, None, None, None, None, None)
    chapter_rule = max(pairs, key=lambda pair: pair[0])[1]  # max keeps the first of equals
    mean = fmean(t for _, t in pairs)
    if n == 1:
        return Summary(n, left_out, chapter_rule, mean, None, None, None)
    # Student's t quantile, imported here because it takes 0.3 s (and scipy.stats, whose t.ppf it is, a second).
    from scipy.special import stdtrit

    sd = stdev(t for _, t in pairs)
    half = float(stdtrit(n - 1, TWO_SIDED_95)) * sd / math.sqrt(n)
    return Summary(n, left_out, chapter_rule, mean, sd, max(0.0, mean - half), min(1.0, mean + half))
