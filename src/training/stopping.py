"""When one member stops before `max_epochs`, and the weights of which epoch are kept of it.

A member stops never (stop.rule=none), on a plateau, or by the tutorial's patience. t numbers mini-batches from 0 at
the member's own start, over all of its epochs; a look is an evaluation of the validation set.

patience_epochs    a look after each epoch; the member ends after patience_epochs epochs without a better
                   validation score                                                          [N6, ch. 3]
patience_batches   a look whenever t + 1 is a multiple of min(batches, patience_batches / 2); where the validation
                   error falls below improvement_threshold · best, patience = max(patience, patience_increase · t);
                   the member ends at the first t with patience ≤ t                          [DLT, mlp.py]

What is kept with stop.keep=best are the weights of the best look: of equally good ones the latest [N6, network3.py],
or under patience_batches the first, as it asks for a lower error [DLT]. With stop.keep=last they are those of the last
look or end of an epoch that had a finite cost.

Where patience ends between two looks, the stack trains the member on to the next one, without effect on its result.
"""

import math

from src.config.metric import Metric
from src.config.schema import StopConfig


def check_every(config: StopConfig, batches: int) -> int:
    """The number of mini-batches between two looks at the validation set; batches: those of an epoch."""
    if config.rule == "patience_batches":
        return max(1, min(batches, config.patience_batches // 2))
    return batches


class Stopping:
    """The stopping rule of one member; `checked` says after each look at the validation set whether it is done.

    batches: mini-batches of an epoch. Arguments `done` are mini-batches since the member's start.
    """

    def __init__(self, config: StopConfig, score: Metric, batches: int) -> None:
        self.config, self.score, self.batches = config, score, batches
        self.best_score, self.waited = score.worst, 0
        self.best_error, self.patience = float("inf"), float(config.patience_batches)

    def is_due(self, done: int) -> bool:
        """Whether the member looks at the validation set after `done` mini-batches."""
        return done % check_every(self.config, self.batches) == 0

    def had_ended(self, done: int) -> bool:
        """Whether the member has ended before the last of its `done` mini-batches; what it shows now is then void."""
        return self.config.rule == "patience_batches" and self.patience <= done - 2

    def keeps(self, score: float, best: float | None) -> bool:
        """Whether the weights that reached `score` replace those of the `best` score so far (None: there is none)."""
        if self.config.keep == "last":
            return True
        if best is None:
            return not math.isnan(score)
        strict = self.config.rule == "patience_batches"
        return self.score.is_better(score, best) if strict else self.score.is_as_good(score, best)

    def checked(self, score: float, done: int) -> bool:
        """Takes in a look that is due; returns whether the member is done. A NaN `score` is never an improvement."""
        if self.config.rule == "patience_epochs":
            return self._plateau(score)
        if self.config.rule == "patience_batches":
            return self._out_of_patience(self.score.error(score), done - 1)
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
