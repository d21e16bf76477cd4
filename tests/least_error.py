"""A second task, for tests alone. Its score is to be small: the mean of 1 - probability of the right class."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest
from torch import Tensor

from src.config import task
from src.config.metric import Metric
from src.tasks.classify import Classify

MISS = Metric("miss", maximise=False)
CHOSEN = ["task.name=least_error", "trainer.engine=torch", "trainer.compile=false"]


class LeastError(Classify):
    """To classify, judged by the probability that is missing at the right class."""

    def __init__(self) -> None:
        super().__init__()
        self.score = self.running = MISS

    def scores(self, outputs: Tensor, y: Tensor) -> Tensor:
        """(…, B, C), (…, B) -> (…); NaN where an output is."""
        right = outputs.softmax(-1).gather(-1, y.expand(outputs.shape[:-1])[..., None])[..., 0]
        return (1 - right).sum(-1)

    def score_of(self, predictions: Tensor, y: Tensor) -> float:
        """Of probabilities (N, C)."""
        return float((1 - predictions.double().gather(-1, y[:, None])).mean())


@contextmanager
def known() -> Iterator[None]:
    """Within it there is task=least_error."""
    module = ModuleType("src.tasks.least_error")
    vars(module)["task"] = lambda config, targets: LeastError()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, module.__name__, module)
        patch.setitem(task.TASKS, "least_error", MISS)
        yield
