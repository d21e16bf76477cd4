"""The learning rate of one member as a function of the epoch (e, from 0).

constant      η
inverse       η / (1 + decay · e)                               [DLT]
exponential   from η in the first epoch to eta_end in the last  Cireşan et al. (2010)
halve         halved after plateau_epochs epochs without a better validation score, down to
              min_eta_factor · η                                [N6, ch. 3, a problem]
"""

from src.config.metric import Metric
from src.config.schema import OptimConfig


class Schedule:
    """One member's rate; `eta` before an epoch, `epoch_ended` after it."""

    def __init__(self, config: OptimConfig, max_epochs: int, score: Metric) -> None:
        self.config, self.max_epochs, self.score = config, max_epochs, score
        self.factor, self.best, self.waited = 1.0, score.worst, 0

    def eta(self, epoch: int) -> float:
        """The rate in `epoch`, from 0."""
        config = self.config
        if config.schedule == "inverse":
            return config.eta / (1 + config.decay * epoch)
        if config.schedule == "exponential":
            assert config.eta_end is not None
            return config.eta * float((config.eta_end / config.eta) ** (epoch / max(1, self.max_epochs - 1)))
        return config.eta * self.factor

    def epoch_ended(self, score: float) -> None:
        """Takes in the epoch's validation score; a NaN is no improvement."""
        if self.score.is_better(score, self.best):
            self.best, self.waited = score, 0
            return
        self.waited += 1
        config = self.config
        if config.schedule == "halve" and self.waited >= config.plateau_epochs:
            self.factor, self.waited = max(self.factor / 2, config.min_eta_factor), 0
