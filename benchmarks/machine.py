"""The machine on which a measurement was made, in words."""

import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from src.training.device import cores

_PACKAGES = ("torch", "numba", "pytorch-lightning", "torchmetrics")
_LOOK_SECONDS = 0.5


def header() -> str:
    """Processor, memory, GPU, versions and load, a line each; written as a Markdown list."""
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown"
    rows = {
        "processor": f"{_processor()}, {cores()} cores usable, vectors {_vectors()}",
        "memory": _memory(),
        "GPU": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "versions": f"Python {platform.python_version()}, "
        + ", ".join(f"{package} {_version(package)}" for package in _PACKAGES),
        "system": f"{platform.system()} {platform.machine()}",
        "load average at the start": load,
    }
    return "\n".join(f"* {label}: {text}" for label, text in rows.items())


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def cores_taken() -> float:
    """The cores that other processes use, measured for half a second; 0 where the system does not tell."""
    before = _busy_seconds()
    time.sleep(_LOOK_SECONDS)
    return (_busy_seconds() - before) / _LOOK_SECONDS


def _busy_seconds() -> float:
    """The seconds that all cores together have been busy since the system's start [Linux, proc(5)]."""
    lines = _lines(Path("/proc/stat"))
    if not lines:
        return 0.0
    user, nice, system, _idle, _waiting, *interrupts = map(int, lines[0].split()[1:9])
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK")


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in _lines(path) if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _vectors() -> str:
    """The widest vector instructions that Numba's compiler finds on this machine; unknown without Numba."""
    try:
        from llvmlite.binding import get_host_cpu_features

        features = get_host_cpu_features()
    except ImportError:
        return "unknown"
    known = {"avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX", "sve": "SVE", "neon": "NEON", "sse2": "SSE2"}
    found = [name for feature, name in known.items() if features.get(feature)]
    return found[0] if found else "NEON" if platform.machine() in ("arm64", "aarch64") else "unknown"


def _memory() -> str:
    if sys.platform == "win32":
        return "unknown"
    return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB"
