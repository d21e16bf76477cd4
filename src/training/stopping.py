"""When one member stops before `max_epochs`: never (stop.rule=none), on a plateau, or by the tutorial's patience.

patience_epochs    after patience_epochs epochs without a better validation score            [N6, ch. 3]
patience_batches   at the first mini-batch t (from 0) with patience ≤ t; whenever the validation error falls
                   below improvement_threshold · best, patience = max(patience, patience_increase · t); the
                   error is looked at every min(batches, patience/2) mini-batches            [DLT, mlp.py]

With the tutorial's own settings the error is looked at once an epoch. Where patience/2 is less than an epoch, looks are
counted anew from the start of each epoch here; a member that runs out of patience between two looks trains on to the
next one, without effect on its result.
"""

from src.config.metric import Metric
from src.config.schema import StopConfig


def check_every(config: StopConfig, batches: int) -> int:
    """The number of mini-batches between two looks at the validation set; batches: those of an epoch."""
    if config.rule == "patience_batches":
        return max(1, min(batches, config.patience_batches // 2))
    return batches


class Stopping:
    """The stopping rule of one member; `checked` says after each look at the validation set whether it is done."""

    def __init__(self, config: StopConfig, score: Metric) -> None:
        self.config, self.score = config, score
        self.best_score, self.waited = score.worst, 0
        self.best_error, self.patience = float("inf"), float(config.patience_batches)

    def was_due(self, batches: int) -> bool:
        """Whether the member was due to stop before its `batches` mini-batches were done; a look now is then void."""
        return self.config.rule == "patience_batches" and self.patience <= batches - 2

    def checked(self, score: float, batches: int, epoch_ended: bool) -> bool:
        """Takes in a look at the validation set; returns whether the member is done.

        score: that of the look, of which NaN is never an improvement; batches: mini-batches since the member's start.
        """
        if self.config.rule == "patience_epochs":
            return epoch_ended and self._plateau(score)
        if self.config.rule == "patience_batches":
            return self._out_of_patience(self.score.error(score), batches - 1)
        return False

    def _plateau(self, score: float) -> bool:
        if self.score.is_better(score, self.best_score):
            self.best_score, self.waited = score, 0
        else:
            self.waited += 1
        return self.waited >= self.config.patience_epochs

    def _out_of_patience(self, error: float, batch: int) -> bool:
        if error < self.best_error:
            if error < self.best_error * self.config.improvement_threshold:
                self.patience = max(self.patience, batch * self.config.patience_increase)
            self.best_error = error
        return batch >= self.patience
