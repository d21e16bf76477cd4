"""The cpu engine: kernels that train a stack on a CPU, one thread a member; equal to the torch engine up to rounding,
and 6–10 times faster."""

from src.training.engines.cpu.engine import CpuEngine, unsupported

__all__ = ["CpuEngine", "unsupported"]
