"""Blocks of mini-batches as CUDA graphs: captured once, replayed in one call, so that no kernel waits for the host.

A graph repeats its kernels at the memory addresses with which it was captured. So whatever differs from block to block
(order, keys of the dropout masks, numbers of the update) is copied into tensors that stay in their place, costs and
scores are summed in such tensors, and weights change in place; no value is fetched from the device before the chunk
has ended.
Source: PyTorch's notes "CUDA semantics", section "CUDA Graphs".

Legend: K members, M mini-batches in a chunk, S = BLOCK of them in a block, B images in a mini-batch.
"""

import contextlib
import gc
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

# Mini-batches in a block: so many that the start of a block costs next to nothing, so few that capturing one takes well
# under a second.
BLOCK = 20


class Steps(NamedTuple):
    """What differs from step to step: of all M steps of a chunk, or of up to S steps in a block."""

    order: Tensor  # (M or up to S, K or 1, B): the examples of each mini-batch
    keys: Tensor  # (M or up to S, K): those of the dropout masks
    numbers: Tensor  # (M or up to S, H, K): what the update reads, src/training/update/numbers.py

    def part(self, start: int, length: int) -> "Steps":
        """The steps from number `start` on, at most `length` of them."""
        return Steps(*(value[start : start + length] for value in self))


def no_sums(steps: Steps) -> tuple[Tensor, Tensor]:
    """Two tensors of zeros (K,), in which the costs and the scores of steps are summed."""
    zero = torch.zeros(steps.numbers.shape[-1], device=steps.numbers.device)
    return zero, zero.clone()


# Trains on up to S steps, and adds their costs and scores to the two sums (K,).
Block = Callable[[Steps, Tensor, Tensor], None]


class Recorder(Protocol):
    """Records the kernels that a call starts, so that they can be repeated without the call."""

    def warm_up(self, call: Callable[[], None]) -> None:
        """Runs `call` once before it is captured, so that libraries choose their algorithms and take their memory."""

    def capture(self, call: Callable[[], None]) -> Callable[[], None]:
        """Records the kernels of `call` without computing; calling the result computes them, as often as wanted."""


class CudaRecorder:
    """Records CUDA graphs that run on the current stream.

    The graphs captured after one warm-up share their memory, so only one of them may run at a time.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.stream = torch.cuda.Stream(device)  # the same for warm-up and capture: libraries keep memory by stream

    def warm_up(self, call: Callable[[], None]) -> None:
        """Runs `call` once on the stream that captures use, and begins a memory pool for the graphs that follow."""
        gc.collect()  # graphs of stacks that have ended give their memory back first
        self.pool = torch.cuda.graph_pool_handle()
        here = torch.cuda.current_stream(self.device)
        self.stream.wait_stream(here)
        try:
            with torch.cuda.device(self.device), torch.cuda.stream(self.stream):
                call()
        finally:
            here.wait_stream(self.stream)

    def capture(self, call: Callable[[], None]) -> Callable[[], None]:
        """Records the kernels of `call` as a CUDA graph; the result replays it. First waits for the device to be idle.

        cuBLAS keeps its working memory from call to call, and a graph writes to the memory that it had at the capture.
        So each capture makes cuBLAS take new memory, which lies in the graphs' own pool, and release it afterwards
        [torch._inductor, cudagraph_trees.py]. Otherwise code that frees cuBLAS's memory, as Lightning does when it
        starts, would free what the graph still writes to.

        A graph that is destroyed meanwhile ends the capture with an error, and the stack of an earlier run, which
        refers to itself, is destroyed by the garbage collector. So this waits.
        """
        graph, here = torch.cuda.CUDAGraph(), torch.cuda.current_stream(self.device)
        torch._C._cuda_clearCublasWorkspaces()
        with torch.cuda.device(self.device):
            try:
                with _no_collection(), torch.cuda.graph(graph, pool=self.pool, stream=self.stream):
                    call()
            finally:
                torch.cuda.set_stream(here)  # a capture that fails leaves its own stream as the current one
                torch._C._cuda_clearCublasWorkspaces()
        return graph.replay


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """A context in which the garbage collector destroys nothing."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


class Replay:
    """The graphs of `block`: one for BLOCK steps, and one for a single step, for those that remain of a chunk.

    They serve chunks whose order has the same K and B, as long as the tensors that `block` uses stay in their place.
    """

    def __init__(self, block: Block, state: Iterable[Tensor], steps: Steps, recorder: Recorder) -> None:
        """Captures both graphs.

        steps: those of a first chunk, for their shapes; state: the tensors that `block` changes, whose values are put
        back after the warm-up.
        """
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
        """Trains on a chunk's steps; returns the sums of costs and of scores (K,), valid until the next call."""
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
