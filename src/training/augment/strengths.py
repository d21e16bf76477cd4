"""What the kernels need of a member: its strengths as an array, what its angles are multiplied by, and its colours.

Legend: N images, C channels.
"""

from collections.abc import Collection

import numpy as np
import torch
from torch import Tensor

from src.config.augment import AugmentConfig, ends
from src.data.scaling import as_seen
from src.training.augment.kernels import STRENGTHS

_HALF = 0.5  # of an angle, for the classes in half_angle
_PART = 1_000  # images whose colours are added up at a time

Colours = tuple[np.ndarray, np.float32, np.float32]


def strengths_of(config: AugmentConfig) -> np.ndarray:
    """The lowest and the highest value of each of STRENGTHS: (len(STRENGTHS), 2) float32."""
    return np.array([ends(getattr(config, name)) for name in STRENGTHS], np.float32)


def turns_of(targets: Tensor, classes: Collection[int]) -> np.ndarray:
    """What each image's angles are multiplied by, (N,) float32: a half where its target is one of `classes`, else 1."""
    if not classes:
        return np.ones(len(targets), np.float32)
    return np.where(np.isin(targets.cpu().numpy(), list(classes)), np.float32(_HALF), np.float32(1))


def colours_of(images: Tensor, components: bool) -> Colours:
    """The principal components of the colours of images (N, C, H, W), and the range into which values are clipped.

    The components (C, C) float32 are the eigenvectors of the covariance of the pixels' colours, in columns, times their
    eigenvalues, in ascending order; each points to where its largest part is positive. Zeros where they are not needed
    (`components`). The range is 0 to 1 for bytes, else that of the images.
    """
    low, high = (0.0, 1.0) if images.dtype == torch.uint8 else map(float, images.aminmax())
    channels = images.shape[1]
    if not components:
        return np.zeros((channels, channels), np.float32), np.float32(low), np.float32(high)
    sums, products, count = torch.zeros(channels), torch.zeros(channels, channels), images[:, 0].numel()
    sums, products = sums.double(), products.double()
    for part in images.split(_PART):
        pixels = as_seen(part, None).transpose(0, 1).flatten(1).double().cpu()  # (C, pixels)
        sums, products = sums + pixels.sum(1), products + pixels @ pixels.T
    mean = sums / count
    values, vectors = np.linalg.eigh((products / count - mean[:, None] * mean).numpy())
    signs = np.sign(vectors[np.abs(vectors).argmax(0), range(channels)])
    return (vectors * signs * values).astype(np.float32), np.float32(low), np.float32(high)
