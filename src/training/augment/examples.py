"""What becomes of a few images, for figures and tests.

Legend: N images, n changed ones, C channels, H × W pixels.
"""

import numpy as np
import torch
from torch import Tensor

from src.config.augment import AugmentConfig, high
from src.data.dataset import Split
from src.data.scaling import BYTE
from src.training.augment.kernels import changed
from src.training.augment.strengths import colours_of, strengths_of, turns_of


def changed_images(
    config: AugmentConfig, split: Split, order: Tensor, seed: int = 0, first_step: int = 0, batch: int = 1
) -> Tensor:
    """The images of a split as a member sees them in its steps from `first_step` on, before any scaling.

    split: N training images on the CPU; order (n,) int64: those of the mini-batches of `batch` images, one behind the
    other. Returns (n, C, H, W) float32.
    """
    images = split.inputs
    out = torch.empty(len(order), *images.shape[1:])
    own = strengths_of(config), colours_of(images, high(config.colour_pca) > 0), out.flatten(1).numpy()
    stored, shape = images.flatten(1).numpy(), tuple(images.shape[1:])
    divisor, turns = np.float32(BYTE if images.dtype == torch.uint8 else 1), turns_of(split.targets, config.half_angle)
    changed(stored, divisor, order.numpy(), turns, shape, np.uint32(seed), first_step, batch, *own)
    return out
