"""Random numbers in a network that are a pure function of the member, the step, the layer and the unit; dropout.

A counter-based hash needs no generator state, so a member draws the same masks alone and in any stack, eager and
compiled. The definition stands in src/training/engines/engine.py, equation (4). Legend: B images, U units.
"""

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF
_GOLDEN = 0x9E3779B9  # 2^32 / golden ratio: spreads consecutive indices
# Each use draws from a stream of its own: d for the inputs of dense layer d (from 0), and, counted from the first layer
# of the network, these plus its number.
CONVOLUTIONS = 0x10000  # for the inputs of a convolution
SLOPES = 0x20000  # for a layer's random slopes


def mix(x: Tensor) -> Tensor:
    """lowbias32 (C. Wellons, "hash prospector", 2018) of int64 values below 2^32; element by element."""
    x = x ^ (x >> 16)
    x = (x * 0x7FEB352D) & _MASK
    x = x ^ (x >> 15)
    x = (x * 0x846CA68B) & _MASK
    return x ^ (x >> 16)


def step_key(seed: Tensor, step: Tensor) -> Tensor:
    """The part of the hash that a member's step fixes; int64, broadcast over both arguments."""
    return mix(mix(seed) ^ step)


def uniform(shape: torch.Size, key: Tensor, stream: int) -> Tensor:
    """Numbers of this shape in 0…1 (without 1), multiples of 2^-24, float32; the last axes count fastest."""
    index = torch.arange(shape.numel(), device=key.device).view(shape)  # b·U + u
    bits = mix((mix(key ^ stream) + _GOLDEN * index) & _MASK)
    return (bits >> 8).to(torch.float32) * 2.0**-24


def drop(x: Tensor, p: Tensor | float, key: Tensor, stream: int, inverted: bool) -> Tensor:
    """x (B, …) with inputs zeroed with probability p (a scalar); inverted: the kept ones divided by 1 − p."""
    kept = torch.where(uniform(x.shape, key, stream) < p, torch.zeros_like(x), x)
    return kept / (1 - p) if inverted else kept


def scaled_down(weights: dict[str, Tensor], dropouts: list[float]) -> dict[str, Tensor]:
    """A network's state dict with the weights of each layer multiplied by 1 − p, p of its inputs in `dropouts`.

    With it layers without dropout give what the chapter's convention evaluates.
    """
    kept = {f"layers.{number}.weight": 1 - p for number, p in enumerate(dropouts)}
    return {name: value * kept[name] if name in kept else value for name, value in weights.items()}
