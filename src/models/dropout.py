"""Random numbers in a network that are a pure function of the member, the step, the layer and the unit; dropout.

A counter-based hash needs no generator state, so a member draws the same masks alone and in any stack, eager and
compiled. The definition stands in src/training/engines/engine.py, equation (4). Legend: B images, U units.
"""

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF
_GOLDEN = 0x9E3779B9  # 2^32 / golden ratio: spreads consecutive indices
# Each use draws from a stream of its own: the inputs of dense layer d (counted among dense layers, from 0) from stream
# d, other uses from one of these constants plus the layer's number (counted among all layers of the network, from 0).
CONVOLUTIONS = 0x10000  # for the inputs of a convolution
SLOPES = 0x20000  # for a layer's random slopes
CORRUPTION = 0x30000  # for the inputs of an autoencoder
AUGMENTATION = 0x50000  # plus the image's index in its mini-batch: for how it is changed (src/training/augment)
GIBBS = 0x40000  # for a Boltzmann machine's units: first hidden ones, then visible and hidden ones in turn


def mix(x: Tensor) -> Tensor:
    """The hash lowbias32 (C. Wellons, "hash prospector", 2018) of each element of x: int64 values from 0 below 2^32."""
    x = x ^ (x >> 16)
    x = (x * 0x7FEB352D) & _MASK
    x = x ^ (x >> 15)
    x = (x * 0x846CA68B) & _MASK
    return x ^ (x >> 16)


def step_key(seed: Tensor, step: Tensor) -> Tensor:
    """The hash of a member's seed and the number of its training step, int64 each; both are broadcast."""
    return mix(mix(seed) ^ step)


def uniform(shape: torch.Size, key: Tensor, stream: int) -> Tensor:
    """Random float32 numbers of this shape, uniform in [0, 1) in multiples of 2^-24.

    They depend only on `key` (from `step_key`, a scalar), `stream` and an element's index, the last axis fastest.
    """
    index = torch.arange(shape.numel(), device=key.device).view(shape)  # b·U + u
    bits = mix((mix(key ^ stream) + _GOLDEN * index) & _MASK)
    return (bits >> 8).to(torch.float32) * 2.0**-24


def drop(x: Tensor, p: Tensor | float, key: Tensor, stream: int, inverted: bool) -> Tensor:
    """x (B, …) with each value zeroed with probability p (a scalar); inverted: the others are divided by 1 − p.

    Which values are zeroed follows from the step's `key` and the `stream`.
    """
    kept = torch.where(uniform(x.shape, key, stream) < p, torch.zeros_like(x), x)
    return kept / (1 - p) if inverted else kept


def scaled_down(weights: dict[str, Tensor], dropouts: list[float]) -> dict[str, Tensor]:
    """A network's state dict with each layer's weights multiplied by 1 − p, where p is its entry in `dropouts`.

    Layers without dropout that load it give what the network gives in evaluation by the chapter's convention.
    """
    kept = {f"layers.{number}.weight": 1 - p for number, p in enumerate(dropouts)}
    return {name: value * kept[name] if name in kept else value for name, value in weights.items()}
