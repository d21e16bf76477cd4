"""How the kernels are compiled."""

from numba import njit

# contract: x·y + z may be rounded once. Nothing else is relaxed: NaN and infinity count, and sums keep their order.
# error_model numpy: x / 0 is infinity, not an exception.
ARITHMETIC = {"fastmath": {"contract"}, "error_model": "numpy"}

# A kernel is called by kernels only; leaving out the entrances from Python saves a fifth of the time to compile.
kernel = njit(**ARITHMETIC, no_cpython_wrapper=True, no_cfunc_wrapper=True)
