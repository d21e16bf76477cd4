"""The cpu engines: kernels that train a stack on a CPU, one thread a member; equal to the torch engine up to rounding,
and several times faster."""

from src.tasks.contrast import Contrast
from src.tasks.reconstruct import Reconstruct
from src.training.engines.cpu.engine import CpuEngine, unsupported
from src.training.engines.cpu.tied_engine import TiedEngine
from src.training.spec import StackSpec

__all__ = ["CpuEngine", "TiedEngine", "engine_for", "unsupported"]


def engine_for(spec: StackSpec) -> type[CpuEngine] | type[TiedEngine]:
    """The engine for the spec's task, which may refuse the spec all the same."""
    return TiedEngine if isinstance(spec.task, Reconstruct | Contrast) else CpuEngine
