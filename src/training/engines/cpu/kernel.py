"""The decorators that compile the kernels, and the rules of their arithmetic."""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit

# contract: x·y + z may be rounded once. Nothing else is relaxed: NaN and infinity behave as in IEEE arithmetic, and
# sums keep their order.
# error_model numpy: x / 0 is infinity, not an exception.
ARITHMETIC = {"fastmath": {"contract"}, "error_model": "numpy"}

# Kernels are called by kernels only; without wrappers for calls from Python they compile in a fifth less time.
kernel = njit(**ARITHMETIC, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def _sources() -> int:
    """A checksum of this package's files: Numba's cache on disk notices only edits of a function's own file."""
    return zlib.crc32(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))))


def compiled(kernel_of: Callable[[int], Any]) -> Any:
    """A kernel that Python calls, compiled without Python's lock and kept on disk.

    kernel_of: gives the function, which must read its argument: as a closure it has it in its key in the cache.
    """
    function = kernel_of(_sources())
    try:
        return njit(nogil=True, cache=True, **ARITHMETIC)(function)
    except RuntimeError:  # no folder for a cache can be written: compiled anew in every process
        return njit(nogil=True, **ARITHMETIC)(function)
