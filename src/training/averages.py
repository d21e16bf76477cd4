"""Running means of the weights: what is evaluated, kept and voted with in the place of the weights that are trained.

The n-th set of weights w (from n = 0) that enters a member's mean a changes it to

    swa    a + (w − a) / (n + 1)            the plain mean                    P. Izmailov et al. (2018)             (1)
    ema    w for n = 0, then decay · a + (1 − decay) · w                      B. Polyak, A. Juditsky (1992)         (2)

as torch.optim.swa_utils has them. The running statistics of norms enter likewise; other buffers are the latest ones.
Sets enter every `average.every_batches` mini-batches, or at the end of each epoch, once the part `average.start` of the
member's training is over. Legend: K members.
"""

from collections.abc import Callable, Sequence
from functools import cached_property

import torch

from src.config.average import AverageConfig
from src.models.model import Model
from src.training.engines.engine import State

STATISTICS = ("running_mean", "running_var")


class Averages:
    """The means of a stack's members; a member without one, so far, has a count of 0."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.values: State = {}  # (K, …) each; empty as long as no member has a mean
        self.counts: list[int] = []  # the sets of weights in each member's mean

    @cached_property
    def _names(self) -> frozenset[str]:
        """What enters the means, in a State."""
        network = self._model.build()
        statistics = {name for name, _ in network.named_buffers() if name.endswith(STATISTICS)}
        return frozenset({name for name, _ in network.named_parameters()} | statistics)

    def enter(self, k: int, config: AverageConfig, state: State) -> None:
        """Lets the weights of the member at position k enter its mean; state: the stack's, (K, …) each."""
        if not self.values:
            self.values = {name: value.clone() for name, value in state.items()}
        count = self.counts[k]
        part = 1 / (count + 1) if config.rule == "swa" or not count else 1 - config.decay
        for name, mean in self.values.items():
            if name in self._names:
                mean[k].lerp_(state[name][k], part) if part < 1 else mean[k].copy_(state[name][k])
            else:
                mean[k].copy_(state[name][k])
        self.counts[k] += 1

    def over(self, state: State) -> State:
        """The state that counts: each member's mean, or its part of `state`, that of the stack, where it has none."""
        if not any(self.counts):
            return state
        for k, count in enumerate(self.counts):
            if not count:
                for name, value in self.values.items():
                    value[k].copy_(state[name][k])
        return self.values

    def join(self, each: Sequence[tuple[State, int]], state: Callable[[], State]) -> None:
        """Takes in members behind those that are here: their means and counts.

        state: gives the stack's, in which they are already; called where a member has a mean.
        """
        before = len(self.counts)
        self.counts += [count for _, count in each]
        if not any(self.counts):
            return
        whole = {name: value.clone() for name, value in state().items()}
        for name, value in self.values.items():
            whole[name][:before] = value
        for k, (own, _) in enumerate(each, before):
            for name, value in own.items():
                whole[name][k] = value
        self.values = whole

    def select(self, positions: torch.Tensor) -> None:
        """Keeps the members at these positions."""
        self.values = {name: value[positions.to(value.device)] for name, value in self.values.items()}
        self.counts = [self.counts[k] for k in positions.tolist()]

    def of(self, k: int) -> tuple[State, int]:
        """The mean of the member at position k, on the CPU, and its count; empty where it has none."""
        if not self.counts[k]:
            return {}, 0
        return {name: value[k].detach().to("cpu", copy=True) for name, value in self.values.items()}, self.counts[k]
