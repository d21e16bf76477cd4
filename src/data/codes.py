"""The codes of a layer: what it makes of a data set, as the data of the next layer's pretraining.

Legend: K members, N examples, V inputs, H units.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from src.data.dataset import Dataset, Split
from src.data.one_thread import one_thread
from src.data.scaling import as_seen

PART = 2_000  # examples that are coded at a time
ACTIVATIONS = {"sigmoid": torch.sigmoid, "tanh": torch.tanh, "relu": torch.relu}


def coded(data: Dataset, weights: Sequence[dict[str, Tensor]], activation: str) -> Dataset:
    """The codes σ(W x + b) of each member, by member: images (K, N, H, 1, 1) float32.

    data: shared by the members, or by member; weights: each member's `layers.0.weight` (H, V) and `layers.0.bias` (H,).
    """

    def codes(split: Split) -> Split:
        units = len(weights[0]["layers.0.bias"])
        every = torch.empty(len(weights), len(split), units, 1, 1, device=split.inputs.device)
        for k, own in enumerate(weights):
            images = split.inputs[k] if split.by_member else split.inputs
            every[k, ..., 0, 0] = _codes(images, own, activation)
        return replace(split, inputs=every)

    return replace(
        data, train=codes(data.train), validation=codes(data.validation), test=codes(data.test), scaling=None
    )


def _codes(images: Tensor, weights: dict[str, Tensor], activation: str) -> Tensor:
    """(N, C, H, W) -> (N, H), the same whatever number of threads torch uses, so that a run can go on exactly."""
    with one_thread():
        weight, bias = (weights[f"layers.0.{part}"].to(images.device) for part in ("weight", "bias"))
        parts = [F.linear(as_seen(part, None).flatten(1), weight, bias) for part in images.split(PART)]
        return torch.cat([ACTIVATIONS[activation](part) for part in parts])
