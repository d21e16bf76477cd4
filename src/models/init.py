"""Initial weights of one member, from its seed alone.

    chapter   weights normal, sd sqrt(1/n_out); n_out = units, or maps · field² / pool² [N6, network3.py]
    fan_in    weights normal, sd sqrt(1/n_in)          [N6, the note of November 2016]
    he        weights normal, sd sqrt(2/n_in)          K. He et al. (2015), for ReLU
    glorot    weights uniform ± sqrt(6/(n_in+n_out)), four times that for sigmoid, biases 0   [DLT]

Biases are normal (0, 1) in `chapter` and `fan_in`, as the chapter has them, and 0 in `he` and `glorot`. The softmax
layer starts at zero throughout [N6, DLT].
"""

import math

import torch
from torch import Tensor

from src.config.shapes import ConvPool, LayerShape
from src.models.network import Network


def initial_weights(layers: list[LayerShape], init: str, seed: int) -> dict[str, Tensor]:
    """State dict of one network, float32 on the CPU; the same seed gives the same weights everywhere.

    What a layer's parts hold besides, such as the scale of a norm, begins as the part's file in src/models/layers says.
    """
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = Network(layers).state_dict()
    for number, layer in enumerate(layers):
        if layer.activation == "none":  # the softmax
            continue
        _fill(state[f"layers.{number}.weight"], state.get(f"layers.{number}.bias"), layer, init, generator)
    return state


def _fill(weight: Tensor, bias: Tensor | None, layer: LayerShape, init: str, generator: torch.Generator) -> None:
    fan_in = math.prod(layer.weight_shape[1:])
    fan_out: float = layer.weight_shape[0]
    if isinstance(layer, ConvPool):
        fan_out = layer.maps * layer.field**2 / layer.pool_size**2
    if init == "glorot":
        limit = math.sqrt(6 / (fan_in + fan_out)) * (4 if layer.activation == "sigmoid" else 1)
        weight.uniform_(-limit, limit, generator=generator)
        return
    variance = {"chapter": 1 / fan_out, "fan_in": 1 / fan_in, "he": 2 / fan_in}[init]
    weight.normal_(0, math.sqrt(variance), generator=generator)
    if init != "he" and bias is not None:
        bias.normal_(0, 1, generator=generator)
