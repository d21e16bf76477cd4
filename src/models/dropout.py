"""Dropout whose masks are a pure function of the member, the step, the layer and the unit.

A counter-based hash needs no generator state, so a member draws the same masks alone and in any stack, eager and
compiled. The definition stands in src/training/engines/engine.py, equation (4). Legend: B images, U units.
"""

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF
_GOLDEN = 0x9E3779B9  # 2^32 / golden ratio: spreads consecutive indices


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


def drop(x: Tensor, p: Tensor, key: Tensor, layer: int, inverted: bool) -> Tensor:
    """x (B, U) with inputs zeroed with probability p (scalar); inverted: the kept ones divided by 1 − p."""
    index = torch.arange(x.numel(), device=x.device).view(x.shape)  # b·U + u
    bits = mix((mix(key ^ layer) + _GOLDEN * index) & _MASK)
    uniform = (bits >> 8).to(torch.float32) * 2.0**-24
    kept = torch.where(uniform < p, torch.zeros_like(x), x)
    return kept / (1 - p) if inverted else kept


def scaled_down(weights: dict[str, Tensor], dropouts: list[float]) -> dict[str, Tensor]:
    """A network's state dict with the weights of each dense layer multiplied by 1 − p, p of its inputs in `dropouts`.

    With it layers without dropout give what the chapter's convention evaluates.
    """
    dense = [name for name, value in weights.items() if value.dim() == 2]  # (outputs, inputs), in order
    kept = {name: 1 - p for name, p in zip(dense, dropouts, strict=True)}
    return {name: value * kept[name] if name in kept else value for name, value in weights.items()}
