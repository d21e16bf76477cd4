"""Samples of a restricted Boltzmann machine or a deep belief net, as rows of images: chains side by side.

[DLT]: 20 chains from test images, ten rows, 1,000 Gibbs steps between two of them, and the mean field shown.
Legend: R rows, N chains, C channels, H × W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Generator, Tensor

from src.config.files import whole
from src.config.wording import number_of
from src.data.scaling import as_seen
from src.models.gibbs import samples
from src.models.tied import TiedLayer
from src.runs.pictures import rows_figure

CHAINS, ROWS, STEPS = 20, 10, 1_000  # [DLT]
BRIEF_STEPS = 100  # of the figure that a run draws at its end, which must not take long


@dataclass(frozen=True)
class Samples:
    """What N chains have drawn, `steps` Gibbs steps apart."""

    starts: Tensor  # (N,) int64: the test images with which the chains began, by their index
    images: Tensor  # (N, C, H, W) in 0 … 1: these images
    means: Tensor  # (R, N, C, H, W) in 0 … 1: the mean field
    drawn: Tensor  # (R, N, C, H, W), 0 or 1: what was drawn from it
    steps: int

    def figure(self, path: Path, title: str, hint: str = "") -> Figure:
        """The test images and the mean fields, row by row; hint: a text for the end of the caption."""
        rows = {f"{number_of(place * self.steps, 'step')}": row for place, row in enumerate(self.means, start=1)}
        chains = number_of(len(self.starts), "chain")
        caption = f"mean field of {chains} after so many Gibbs steps from test images; dark = 1{hint}"
        return rows_figure({"test image": self.images} | rows, path, title, caption)

    def write(self, path: Path) -> None:
        """Writes all of it as an npz file, whole or not at all. Raises OSError."""
        with whole(path) as draft, draft.open("wb") as file:
            np.savez_compressed(
                file, starts=self.starts, images=self.images, means=self.means, drawn=self.drawn, steps=self.steps
            )


def sampled(
    machines: Sequence[TiedLayer], test_images: Tensor, chains: int, rows: int, steps: int, seed: int
) -> Samples:
    """Samples of machines, from the bottom to the top, of chains that begin with test images chosen by the seed.

    test_images: (images, C, H, W) uint8 or float32, at least as many as chains. With one seed more rows go on with the
    same chains.
    """
    starts = torch.randperm(len(test_images), generator=Generator().manual_seed(seed))[:chains]
    images = as_seen(test_images[starts].cpu(), None)
    pairs = list(islice(samples(machines, images.flatten(1), steps, seed), rows))
    means, drawn = (torch.stack(part).view(rows, *images.shape) for part in zip(*pairs, strict=True))
    return Samples(starts, images, means, drawn, steps)
