"""The vectorised activations are as close to the exact ones as float32 needs."""

import numpy as np
import pytest
import torch
from numba import njit

from src.training.engines.cpu.activations import ACTIVATIONS, activate
from tests.training.twin import PLAIN as ACTIVATION


@njit
def enter(activation: int, values: np.ndarray, slopes: np.ndarray) -> None:
    """Kernels have no entrance from Python."""
    activate(activation, values, slopes)


def run(name: str, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, slopes = z.copy(), np.empty_like(z)
    enter(ACTIVATIONS.index(name), values, slopes)
    return values, slopes


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_and_slopes_equal_torchs_in_float64(name: str) -> None:
    z = np.concatenate([np.linspace(-30, 30, 60_001), np.linspace(-1e-3, 1e-3, 999)]).astype(np.float32)
    exact = torch.tensor(z, dtype=torch.float64, requires_grad=True)
    expected = ACTIVATION[name](exact)
    (slope,) = torch.autograd.grad(expected.sum(), exact)
    values, slopes = run(name, z)
    # 1 + erf loses its last bits near -1, and gelu multiplies what is left by z: so does torch in float32.
    np.testing.assert_allclose(values, expected.detach().numpy(), rtol=3e-7, atol=1e-6)
    np.testing.assert_allclose(slopes, slope.numpy(), rtol=3e-7, atol=1e-6)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_a_nan_stays_a_nan_and_large_inputs_stay_finite(name: str) -> None:
    values, slopes = run(name, np.array([np.nan, 1e30, -1e30], np.float32))
    assert np.isnan(values[0])
    assert np.isfinite(values[1:]).all()
    assert np.isfinite(slopes[1:]).all()
