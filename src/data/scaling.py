"""What a network sees of stored inputs: value / 255 of a byte, a float32 as it is; then, where there is a scaling,

    (value − mean) / sd        mean and sd of each channel over the training split, as float32                      (1)

Legend: N images, C channels, H × W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BYTE = 255  # the largest
PART = 1_000  # images that `fitted` looks at in one go


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation of each channel in what a network would see without; float32 values, C of each."""

    mean: Sequence[float]
    sd: Sequence[float]

    def on(self, device: torch.device) -> Tensor:
        """(2, C, 1, 1) float32: the means, the standard deviations."""
        return torch.tensor([self.mean, self.sd], device=device)[..., None, None]

    def as_json(self) -> dict[str, list[float]]:
        """For result.json."""
        return {"mean": list(self.mean), "sd": list(self.sd)}


def as_seen(inputs: Tensor, scaling: Tensor | None) -> Tensor:
    """What a network sees of inputs (…, C, H, W) uint8 or float32: float32, by (1) where `scaling` is (2, C, 1, 1)."""
    x = inputs.float() / BYTE if inputs.dtype == torch.uint8 else inputs
    return x if scaling is None else (x - scaling[0]) / scaling[1]


def fitted(images: Tensor) -> Scaling:
    """The scaling of training images (N, C, H, W), computed in float64; a channel that is the same everywhere has sd 1.

    sd is that of the pixels themselves, divided by their number.
    """
    count = images[:, 0].numel()

    def average(of: Tensor, power: int) -> Tensor:
        """(C,): the mean over all pixels of (value − of) to this power."""
        parts = [(as_seen(part, None).double() - of[:, None, None]) ** power for part in images.split(PART)]
        return torch.stack([part.sum((0, 2, 3)) for part in parts]).sum(0) / count

    mean = average(torch.zeros(images.shape[1], dtype=torch.float64), 1)
    sd = average(mean, 2).sqrt().float()
    return Scaling(mean.float().tolist(), torch.where(sd > 0, sd, 1.0).tolist())
