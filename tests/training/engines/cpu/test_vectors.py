"""The operations on vectors that stand for plainer ones."""

import numpy as np
from numba import njit

from src.training.engines.cpu.vectors import LANES, fractions, store


@njit
def _all_fractions(numbers: np.ndarray, out: np.ndarray) -> None:
    for at in range(0, len(numbers), LANES):
        store(out, at, fractions(numbers, at))


def test_a_byte_becomes_its_quotient_by_255_to_the_last_bit() -> None:
    bytes_, out = np.arange(256, dtype=np.uint8), np.empty(256, np.float32)
    _all_fractions(bytes_, out)
    assert out.tolist() == (bytes_ / np.float32(255)).tolist()


def test_floats_stay_as_they_are() -> None:
    floats, out = np.array([0.1, np.inf, np.nan, -0.0] * LANES, np.float32), np.empty(4 * LANES, np.float32)
    _all_fractions(floats, out)
    assert out.tobytes() == floats.tobytes()
