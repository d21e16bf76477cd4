"""When a torch step is worth compiling, how that is done, and how a step's time is measured."""

import time
from collections.abc import Callable

import torch
from torch import Tensor

# Shapes for which one process may compile a step. Dynamo's own limit is 8 for all stacks of a process together; beyond
# it, steps would silently run without compilation.
COMPILATIONS = 256
# Seconds that a compilation takes on a CPU, and the part by which it shortens a step at least (docs/log.md).
COMPILE_SECONDS = 25.0
COMPILE_GAIN = 0.4


def compiled_step(step: Callable[..., tuple[Tensor, Tensor]]) -> Callable[..., tuple[Tensor, Tensor]]:
    """The step through torch.compile; the first call of a shape compiles it, or raises."""
    import torch._dynamo

    torch._dynamo.config.recompile_limit = COMPILATIONS
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    return torch.compile(step, dynamic=False)


def first_error(error: BaseException) -> BaseException:
    """The first of a chain of errors: the end of a capture, for one, fails because of an error inside the capture."""
    while error.__context__ is not None:
        error = error.__context__
    return error


def first_line(error: Exception) -> str:
    """The first line of the first error's text, at most 120 characters."""
    first = first_error(error)
    return (str(first) or type(first).__name__).splitlines()[0][:120]


def fastest_threads(seconds: Callable[[], float], cores: int) -> int:
    """The number of torch's threads, of 1, 2, 4 … `cores`, with which `seconds()` is smallest; torch is set to it.

    More threads are not always better: with small tensors they mostly wait for each other.
    """
    counts = sorted({min(2**power, cores) for power in range(cores.bit_length() + 1)})
    measured = dict[int, float]()
    for count in counts:
        torch.set_num_threads(count)
        measured[count] = min(seconds(), seconds())
    best = min(measured, key=lambda count: measured[count])
    torch.set_num_threads(best)
    return best


def compilation_pays(step_seconds: float, steps: int) -> bool:
    """Whether a compilation of the step saves more time in `steps` steps of `step_seconds` each than it takes."""
    return steps * step_seconds * COMPILE_GAIN > COMPILE_SECONDS


def timed(call: Callable[[], object]) -> float:
    """Seconds that `call` takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
