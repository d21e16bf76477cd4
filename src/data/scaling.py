"""What a network sees of stored inputs: bytes as value / 255, float32 values as they are; then, with a scaling,

    (value − mean) / sd        mean and sd of each channel over the training split, as float32                      (1)
    (x − mean) · matrix        of an example's D numbers x as a row: whitened, by src/data/whitening.py              (2)

Zero-centring is (1) with sd 1: the mean of each channel, such as red, is subtracted from all of its pixels; of rows of
numbers, whose columns are channels, each column's. Source: A. Karpathy et al., CS231n, notes, "Neural Networks Part 2".
Legend: N images, C channels, H × W pixels, D = C·H·W.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

BYTE = 255  # the largest value of a byte
PART = 1_000  # images that are converted to other numbers at a time
MATRIX = 2  # dimensions of a whitening's mean and matrix


@dataclass(frozen=True)
class Scaling:
    """The mean and the standard deviation of each channel, before scaling, of what a network sees; float32 values."""

    mean: Sequence[float]
    sd: Sequence[float]

    def on(self, device: torch.device) -> Tensor:
        """The means and the standard deviations as one tensor on `device`, (2, C, 1, 1) float32."""
        return torch.tensor([self.mean, self.sd], device=device)[..., None, None]

    def as_json(self) -> dict[str, list[float]]:
        """The scaling as result.json holds it."""
        return {"mean": list(self.mean), "sd": list(self.sd)}


def as_seen(inputs: Tensor, scaling: Tensor | None) -> Tensor:
    """What a network sees of inputs (…, C, H, W) uint8 or float32, as float32.

    scaling: means and standard deviations (2, C, 1, 1) for equation (1), mean and matrix (1 + D, D) for (2), or None.
    """
    x = inputs.float() / BYTE if inputs.dtype == torch.uint8 else inputs
    if scaling is None:
        return x
    if scaling.dim() == MATRIX:
        whitened: Tensor = ((x.flatten(-3) - scaling[0]) @ scaling[1:]).unflatten(-1, x.shape[-3:])
        return whitened
    return (x - scaling[0]) / scaling[1]


def fitted(images: Tensor, centre_only: bool = False) -> Scaling:
    """The scaling that training images (N, C, H, W) need, computed in float64.

    sd divides by the number of pixels, not by one less; a channel with the same value everywhere gets sd 1, with
    centre_only all do.
    """
    count = images[:, 0].numel()

    def average(of: Tensor, power: int) -> Tensor:
        """(C,): the mean over all pixels of (value − of) to this power."""
        parts = [(as_seen(part, None).double() - of[:, None, None]) ** power for part in images.split(PART)]
        return torch.stack([part.sum((0, 2, 3)) for part in parts]).sum(0) / count

    mean = average(torch.zeros(images.shape[1], dtype=torch.float64), 1)
    sd = torch.zeros_like(mean) if centre_only else average(mean, 2).sqrt().float()
    return Scaling(mean.float().tolist(), torch.where(sd > 0, sd, 1.0).tolist())
