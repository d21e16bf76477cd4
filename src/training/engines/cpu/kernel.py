"""The decorator that compiles the kernels, and the rules of their arithmetic."""

from numba import njit

# contract: x·y + z may be rounded once. Nothing else is relaxed: NaN and infinity behave as in IEEE arithmetic, and
# sums keep their order.
# error_model numpy: x / 0 is infinity, not an exception.
ARITHMETIC = {"fastmath": {"contract"}, "error_model": "numpy"}

# Kernels are called by kernels only; without wrappers for calls from Python they compile in a fifth less time.
kernel = njit(**ARITHMETIC, no_cpython_wrapper=True, no_cfunc_wrapper=True)
