"""The learning rate of one member by epoch e (from 0, of E in all) or by mini-batch t (from 0, of T in all).

By epoch:

    constant      η
    inverse       η / (1 + decay · e)                               [DLT]
    exponential   from η in the first epoch to eta_end in the last  Cireşan et al. (2010)
    halve         halved after plateau_epochs epochs without a better validation score, down to
                  min_eta_factor · η                                [N6, ch. 3, a problem]

By mini-batch:

    cosine        eta_end + (η − eta_end) · (1 + cos(π u)) / 2, u the fractional part of cycles · t / T
                                                                    I. Loshchilov, F. Hutter (2017)
    one_cycle     up from η / 25 to η in 3 T / 10 mini-batches, then down to η / 250,000, both along half a cosine
                                                                    L. Smith, N. Topin (2019); torch's OneCycleLR
    steps         η · step_factor for each of `steps` that is over

Of any of these, the first `warmup_steps` mini-batches take the part (t + 1) / warmup_steps [P. Goyal et al., 2017].
"""

import numpy as np

from src.config.metric import Metric
from src.config.schema import BY_STEP, OptimConfig

RISE = 0.3  # one_cycle: the part of all mini-batches in which eta rises [torch]
FIRST, LAST = 1 / 25, 1 / 25e4  # one_cycle: the parts of eta with which it begins and ends [torch]


class Schedule:
    """One member's learning rate: `eta` and `etas` give it, `epoch_ended` takes in the score of each epoch."""

    def __init__(self, config: OptimConfig, max_epochs: int, score: Metric, batches: int = 1) -> None:
        """batches: mini-batches of an epoch."""
        self.config, self.max_epochs, self.score, self.batches = config, max_epochs, score, batches
        self.factor, self.best, self.waited = 1.0, score.worst, 0

    @property
    def by_step(self) -> bool:
        """Whether the rate moves within an epoch."""
        return self.config.by_step

    def eta(self, epoch: int) -> float:
        """The rate in `epoch` (from 0) of a schedule by epoch, before the warm-up reduces it."""
        config = self.config
        if config.schedule == "inverse":
            return config.eta / (1 + config.decay * epoch)
        if config.schedule == "exponential":
            assert config.eta_end is not None
            return config.eta * float((config.eta_end / config.eta) ** (epoch / max(1, self.max_epochs - 1)))
        return config.eta * self.factor

    def etas(self, epoch: int, first: int, count: int) -> np.ndarray:
        """The rates of `count` mini-batches of `epoch`, warm-up included: (count,) float64.

        first: the number of the first of them, counted from 0 at the member's first mini-batch.
        """
        step = np.arange(first, first + count)
        rates = self._by_step(step) if self.config.schedule in BY_STEP else np.full(count, self.eta(epoch))
        if self.config.warmup_steps:
            rates *= np.minimum(1, (step + 1) / self.config.warmup_steps)
        return rates

    def _by_step(self, step: np.ndarray) -> np.ndarray:
        config, total = self.config, self.max_epochs * self.batches
        if config.schedule == "cosine":
            return _half_cosine(config.eta, config.eta_end or 0.0, step * config.cycles / total % 1)
        if config.schedule == "one_cycle":
            top = RISE * total - 1
            up = _half_cosine(config.eta * FIRST, config.eta, step / top if top > 0 else np.ones(len(step)))
            down = _half_cosine(config.eta, config.eta * LAST, (step - top) / (total - 1 - top))
            return np.where(step <= top, up, down)
        falls = np.array([one * (total if one < 1 else self.batches) for one in config.steps])
        over = (step[:, None] >= falls - 1e-6).sum(1)  # 1e-6: so that rounding of 1/3 · 30 delays no fall past step 10
        return np.asarray(config.eta * config.step_factor**over)

    def epoch_ended(self, score: float) -> None:
        """Takes in the epoch's validation score; a NaN is no improvement."""
        if self.score.is_better(score, self.best):
            self.best, self.waited = score, 0
            return
        self.waited += 1
        config = self.config
        if config.schedule == "halve" and self.waited >= config.plateau_epochs:
            self.factor, self.waited = max(self.factor / 2, config.min_eta_factor), 0


def _half_cosine(start: float, end: float, part: np.ndarray) -> np.ndarray:
    """Half a cosine from `start`, where `part` is 0, to `end`, where it is 1."""
    return np.asarray(end + (start - end) * (1 + np.cos(np.pi * part)) / 2)
