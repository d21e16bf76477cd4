"""The order in which a member sees the training images.

Legend: K members, M mini-batches an epoch, B images in a mini-batch, N training images.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

STREAM = 0x0BDE  # keeps these random numbers apart from others that come from the same seed


def orders(
    order: Literal["fixed", "once", "epoch"],
    seeds: list[int],
    images: int,
    batch_size: int,
    epochs: list[int],
    drawn: Sequence[NDArray[np.int64]] | None = None,
) -> Tensor:
    """The indices of the training images in every mini-batch of an epoch: (K, M, B) int64; for `fixed`, (1, M, B).

    seeds, epochs: each member's seed and its own epoch, from 0.
    order: fixed: as stored, the same for all members [N6]; once: permuted by the member's seed, the same in every
    epoch; epoch: permuted by the member's seed and epoch. A member's order depends on nothing else.
    drawn: with over- or under-sampling the indices that each member sees in its epoch, (images,), which are permuted;
    None: all from 0 to images − 1.
    M = images // batch_size; images that remain are left out, as in [N6] and [DLT]. Raises ValueError if M would be 0.
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
    if drawn is not None:
        rows = [own[row] for own, row in zip(drawn, rows, strict=True)]
    used = np.stack(rows)[:, : batches * batch_size]  # (K, M·B)
    return torch.from_numpy(used.reshape(len(rows), batches, batch_size))
