"""Random numbers by equation (4) of src/training/engines/engine.py, and what is drawn with them."""

from typing import Any

import numpy as np

from src.training.engines.cpu.kernel import kernel

f32, u32 = np.float32, np.uint32


@kernel
def mix(x: Any) -> Any:
    """The hash lowbias32. Numba widens 32-bit arithmetic to 64 bits, so each product is cut back to its low 32 bits."""
    x = u32(x ^ (x >> u32(16)))
    x = u32(x * u32(0x7FEB352D))
    x = u32(x ^ (x >> u32(15)))
    x = u32(x * u32(0x846CA68B))
    return u32(x ^ (x >> u32(16)))


@kernel
def step_key(seed: Any, step: int) -> Any:
    """The hash of a member's seed, uint32, and the number of its training step."""
    return mix(u32(mix(seed) ^ u32(step)))


@kernel
def uniform(stream: Any, index: Any) -> Any:
    """The float32 number in [0, 1) of index number `index`; stream: the hash before the index is added."""
    hashed = mix(u32(stream + u32(u32(0x9E3779B9) * index)))
    return f32(np.int32(hashed >> u32(8))) * f32(2.0**-24)


@kernel
def corrupt(x, seen, p, stream, first):  # type: ignore[no-untyped-def]
    """Writes x (V,) to `seen`, each value zeroed with probability p; first: the index of the first."""
    for i in range(len(x)):
        seen[i] = f32(0) if uniform(stream, u32(first + u32(i))) < p else x[i]


@kernel
def draw(p, units, stream, first):  # type: ignore[no-untyped-def]
    """Writes 1 to `units` with probability p, else 0, for each of p; first: the index of the first."""
    for i in range(len(p)):
        units[i] = f32(1) if uniform(stream, u32(first + u32(i))) < p[i] else f32(0)
