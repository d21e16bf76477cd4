"""In which order a member sees the training images.

Legend: K members, M mini-batches an epoch, B images in a mini-batch, N training images.
"""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

STREAM = 0x0BDE  # keeps these random numbers apart from others that come from the same seed


def orders(
    order: Literal["fixed", "once", "epoch"], seeds: list[int], images: int, batch_size: int, epochs: list[int]
) -> Tensor:
    """The training images of every mini-batch of an epoch by their index: (K, M, B) int64, or (1, M, B) for all alike.

    seeds and epochs: each member's own.

    fixed: as stored, one row for all members [N6]; once: permuted by the member's seed, the same in every epoch;
    epoch: permuted by its seed and the epoch. A row depends on nothing else, neither on K nor on its place.
    M = images // batch_size; what remains is left out, as in [N6] and [DLT]. Raises ValueError when M would be 0.
    """
    if not 1 <= batch_size <= images:
        raise ValueError(f"batch_size = {batch_size}: must be at least 1 and at most the {images} training images")
    batches = images // batch_size
    if order == "fixed":
        rows = [np.arange(images)]
    else:
        when = epochs if order == "epoch" else [0] * len(seeds)
        rows = [
            np.random.default_rng([STREAM, seed, epoch]).permutation(images)
            for seed, epoch in zip(seeds, when, strict=True)
        ]
    used = np.stack(rows)[:, : batches * batch_size]  # (K, M·B)
    return torch.from_numpy(used.reshape(len(rows), batches, batch_size))
