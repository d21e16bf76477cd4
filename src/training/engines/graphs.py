"""Blocks of mini-batches as CUDA graphs: captured once, replayed in one call, so that no kernel waits for the host.

A graph repeats its kernels at the addresses with which it was captured. So all that changes from block to block (order,
keys of the dropout masks, what the update reads) is copied into tensors that stay, costs and scores are added up in
such tensors, and weights change in place; nothing asks the device for a value before the chunk has ended.
Source: PyTorch's notes "CUDA semantics", section "CUDA Graphs".

Legend: K members, M mini-batches in a chunk, S = BLOCK of them in a block, B images in a mini-batch.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

# Mini-batches in a block: enough that starting one costs nothing beside them, few enough to capture in well under 1 s.
BLOCK = 20


class Steps(NamedTuple):
    """What differs from step to step, of a chunk or of a block."""

    order: Tensor  # (M or up to S, K or 1, B)
    keys: Tensor  # (M or up to S, K), of the dropout masks
    numbers: Tensor  # (M or up to S, H, K): what the update reads, src/training/update/numbers.py

    def part(self, start: int, length: int) -> "Steps":
        """At most `length` steps from `start` on."""
        return Steps(*(value[start : start + length] for value in self))


def no_sums(steps: Steps) -> tuple[Tensor, Tensor]:
    """Zeros (K,) to add the costs and the scores of steps to."""
    zero = torch.zeros(steps.numbers.shape[-1], device=steps.numbers.device)
    return zero, zero.clone()


# Trains on steps (up to S of them); adds to the sums of costs (K,) and of scores (K,).
Block = Callable[[Steps, Tensor, Tensor], None]


class Recorder(Protocol):
    """Turns calls that only start kernels into ones that repeat them."""

    def warm_up(self, call: Callable[[], None]) -> None:
        """Runs `call` as it will be captured: libraries choose their algorithms and take their memory."""

    def capture(self, call: Callable[[], None]) -> Callable[[], None]:
        """Runs `call` without computing anything; the result computes it, as often as it is called."""


class CudaRecorder:
    """CUDA graphs for the current stream; those after one warm-up share memory, so they run one after the other."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)  # of warm-up and capture: some libraries keep their memory by stream

    def warm_up(self, call: Callable[[], None]) -> None:
        """See Recorder."""
        self.pool = torch.cuda.graph_pool_handle()
        here = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(here)
        try:
            with torch.cuda.device(self.device), torch.cuda.stream(self.stream):
                call()
        finally:
            here.wait_stream(self.stream)

    def capture(self, call: Callable[[], None]) -> Callable[[], None]:
        """See Recorder; `torch.cuda.graph` waits for the device before it begins.

        cuBLAS keeps its working memory from call to call, and a graph goes on writing there. So each capture lets it
        take new memory, which lies in the graphs' own pool, and nobody else goes on with that [torch._inductor,
        cudagraph_trees.py]; otherwise whoever empties it, as Lightning does when it starts, takes it from the graph.
        """
        graph, here = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self.device)
        torch._C._cuda_clearCublasWorkspaces()
        with torch.cuda.device(self.device):
            try:
                with torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
                    call()
            finally:
                torch.cuda.set_stream(here)  # which a capture that fails does not do
                torch._C._cuda_clearCublasWorkspaces()
        return graph.replay


class Replay:
    """`block` for whole blocks and, for what remains of a chunk, for single mini-batches.

    Valid for chunks whose order has the same K and B, as long as the tensors that `block` uses stay where they are.
    """

    def __init__(self, block: Block, state: Iterable[Tensor], steps: Steps, recorder: Recorder) -> None:
        """steps: of a first chunk; `state`: what `block` changes, kept here."""
        first = steps.part(0, 1)
        self._steps = Steps(*(value.repeat(BLOCK, *[1] * (value.dim() - 1)) for value in first))
        self._cost, self._score = no_sums(steps)

        def one(length: int) -> None:
            block(self._steps.part(0, length), self._cost, self._score)

        def both() -> None:
            one(BLOCK)
            one(1)

        changed = list(state)
        before = [value.clone() for value in changed]
        try:
            recorder.warm_up(both)
        finally:  # the warm-up has trained
            for value, was in zip(changed, before, strict=True):
                value.copy_(was)
        self._captured = {length: recorder.capture(partial(one, length)) for length in (BLOCK, 1)}

    def run(self, steps: Steps) -> tuple[Tensor, Tensor]:
        """Trains on a chunk's steps -> the sums of costs and of scores (K,)."""
        self._cost.zero_()
        self._score.zero_()
        start, count = 0, len(steps.keys)
        while start < count:
            length = BLOCK if start + BLOCK <= count else 1
            for kept, new in zip(self._steps.part(0, length), steps.part(start, length), strict=True):
                kept.copy_(new)
            self._captured[length]()
            start += length
        return self._cost, self._score
