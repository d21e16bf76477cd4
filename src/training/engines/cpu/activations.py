"""Activations and their slopes as loops that Numba vectorises: no branch and no call inside, float32 throughout.

The forward pass writes a = f(z) and the slope f'(z); the backward pass only multiplies by the slope, so it does not
depend on the activation. exp by the Cephes polynomial (S. Moshier, expf); tanh and erf by the rational functions of
Eigen (MathFunctionsImpl.h, generic_fast_tanh_float and erf of unsupported/SpecialFunctions): each within 4e-7 of the
exact value, of which tests/training/engines/cpu/test_activations.py makes sure. NaN stays NaN.
"""

from typing import Any

import numpy as np

from src.training.engines.cpu.kernel import kernel

ACTIVATIONS = (
    "none",
    "sigmoid",
    "tanh",
    "relu",
    "leaky_relu",
    "elu",
    "gelu",
    "silu",
)  # the kernels know an activation by its index here
_SIGMOID, _TANH, RELU, _LEAKY_RELU, _ELU, _GELU, _SILU = range(1, 8)

f32 = np.float32
_ZERO, _HALF, _ONE, _TWO = f32(0), f32(0.5), f32(1), f32(2)
_LEAK = f32(0.01)  # slope of leaky_relu below 0, torch's default

# exp(x) = 2^n · exp(r), |r| <= ln(2)/2; ln(2) in two parts, so that n·ln(2) loses no bits.
_LOG2_E, _LN2_HIGH, _LN2_LOW = f32(1.44269504088896341), f32(0.693359375), f32(-2.12194440e-4)
_EXP_MIN, _EXP_MAX = f32(-87), f32(88)
_E0, _E1, _E2 = f32(1.9875691500e-4), f32(1.3981999507e-3), f32(8.3334519073e-3)
_E3, _E4, _E5 = f32(4.1665795894e-2), f32(1.6666665459e-1), f32(5.0000001201e-1)

_ROOT_TWO, _LN2 = f32(1.41421356237), f32(0.69314718056)
_L0, _L1, _L2 = f32(7.0376836292e-2), f32(-1.1514610310e-1), f32(1.1676998740e-1)
_L3, _L4, _L5 = f32(-1.2420140846e-1), f32(1.4249322787e-1), f32(-1.6668057665e-1)
_L6, _L7, _L8 = f32(2.0000714765e-1), f32(-2.4999993993e-1), f32(3.3333331174e-1)

_TANH_MAX = f32(7.90531110763549805)  # beyond it tanh is 1 in float32
_T13, _T11, _T9 = f32(-2.76076847742355e-16), f32(2.00018790482477e-13), f32(-8.60467152213735e-11)
_T7, _T5, _T3, _T1 = (
    f32(5.12229709037114e-08),
    f32(1.48572235717979e-05),
    f32(6.37261928875436e-04),
    f32(4.89352455891786e-03),
)
_U6, _U4, _U2, _U0 = (
    f32(1.19825839466702e-06),
    f32(1.18534705686654e-04),
    f32(2.26843463243900e-03),
    f32(4.89352518554385e-03),
)

_ERF_MAX = f32(4)  # beyond it erf is 1 in float32
_F13, _F11, _F9 = f32(-2.72614225801306e-10), f32(2.77068142495902e-08), f32(-2.10102402082508e-06)
_F7, _F5, _F3, _F1 = (
    f32(-5.69250639462346e-05),
    f32(-7.34990630326855e-04),
    f32(-2.95459980854025e-03),
    f32(-1.60960333262415e-02),
)
_G8, _G6, _G4 = f32(-1.45660718464996e-05), f32(-2.13374055278905e-04), f32(-1.68282697438203e-03)
_G2, _G0 = f32(-7.37332916720468e-03), f32(-1.42647390514189e-02)

_ROOT_HALF, _DENSITY = f32(0.70710678118654752), f32(0.39894228040143268)  # 1/√2 and 1/√(2π), for gelu


@kernel
def exp(x: Any) -> Any:
    """e^x in float32, with x clamped to -87 … 88; NaN for NaN."""
    x = _EXP_MAX if x > _EXP_MAX else x
    x = _EXP_MIN if x < _EXP_MIN else x
    n = np.floor(x * _LOG2_E + _HALF)
    r = x - n * _LN2_HIGH - n * _LN2_LOW
    p = ((((_E0 * r + _E1) * r + _E2) * r + _E3) * r + _E4) * r + _E5
    whole = np.int32(n if n == n else _ZERO)  # a NaN has no integer; the result is NaN by p
    return (p * r * r + r + _ONE) * np.int32((whole + np.int32(127)) << np.int32(23)).view(np.float32)


@kernel
def log1p(x: Any) -> Any:
    """ln(1 + x) in float32 for x in 0 … 1, to within 1e-7 (Cephes, logf); NaN for NaN."""
    y = _ONE + x
    large = y > _ROOT_TWO
    r = (_HALF * y if large else y) - _ONE
    p = (((((((_L0 * r + _L1) * r + _L2) * r + _L3) * r + _L4) * r + _L5) * r + _L6) * r + _L7) * r + _L8
    s = r * r
    return r + (r * s * p - _HALF * s) + (_LN2 if large else _ZERO)


@kernel
def softplus(x: Any) -> Any:
    """ln(1 + e^x) in float32."""
    return (x if x > _ZERO else _ZERO) + log1p(exp(-abs(x)))


@kernel
def sigmoid(x: Any) -> Any:
    return _ONE / (_ONE + exp(-x))


@kernel
def _tanh(x: Any) -> Any:
    x = _TANH_MAX if x > _TANH_MAX else x
    x = -_TANH_MAX if x < -_TANH_MAX else x
    s = x * x
    p = x * ((((((_T13 * s + _T11) * s + _T9) * s + _T7) * s + _T5) * s + _T3) * s + _T1)
    return p / (((_U6 * s + _U4) * s + _U2) * s + _U0)


@kernel
def _erf(x: Any) -> Any:
    x = _ERF_MAX if x > _ERF_MAX else x
    x = -_ERF_MAX if x < -_ERF_MAX else x
    s = x * x
    p = x * ((((((_F13 * s + _F11) * s + _F9) * s + _F7) * s + _F5) * s + _F3) * s + _F1)
    return p / ((((_G8 * s + _G6) * s + _G4) * s + _G2) * s + _G0)


@kernel
def activate(activation: int, values: np.ndarray, slopes: np.ndarray) -> None:
    """Replaces weighted inputs z in `values` by f(z), and writes f'(z) to `slopes`; f is number `activation`."""
    count = len(values)
    if activation == _SIGMOID:
        for i in range(count):
            a = sigmoid(values[i])
            values[i] = a
            slopes[i] = a * (_ONE - a)
    elif activation == _TANH:
        for i in range(count):
            a = _tanh(values[i])
            values[i] = a
            slopes[i] = _ONE - a * a
    elif activation == RELU:
        for i in range(count):
            z = values[i]
            values[i] = _ZERO if z <= _ZERO else z
            slopes[i] = _ZERO if z <= _ZERO else _ONE
    elif activation == _LEAKY_RELU:
        for i in range(count):
            z = values[i]
            values[i] = z if z > _ZERO else z * _LEAK
            slopes[i] = _ONE if z > _ZERO else _LEAK
    elif activation == _ELU:
        for i in range(count):
            z = values[i]
            e = exp(z)
            values[i] = z if z > _ZERO else e - _ONE
            slopes[i] = _ONE if z > _ZERO else e
    elif activation == _GELU:
        for i in range(count):
            z = values[i]
            share = _HALF * (_ONE + _erf(z * _ROOT_HALF))
            values[i] = z * share
            slopes[i] = share + z * _DENSITY * exp(-_HALF * z * z)
    elif activation == _SILU:
        for i in range(count):
            z = values[i]
            share = sigmoid(z)
            values[i] = z * share
            slopes[i] = share * (_ONE + z * (_ONE - share))
    else:
        for i in range(count):
            slopes[i] = _ONE
