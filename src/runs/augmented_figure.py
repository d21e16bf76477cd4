"""A picture of changed training images: some of them in a row as they are, and a row for each way of changing them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from src.config.augment import AugmentConfig
from src.data.dataset import Split
from src.data.scaling import as_seen
from src.runs.canvas import page
from src.runs.mosaic import COLOUR, GREYS, PAPER, bare, on_paper
from src.training.augment.examples import changed_images

IMAGES = 9  # in a row
GAP = 2  # pixels between images


def augmented_figure(ways: Mapping[str, AugmentConfig], split: Split, path: Path, title: str) -> None:
    """Draws the first images of the split, and below them what each of the ways, by its name, makes of them.

    Values are shown from 0 to 1, dark is 1; of images with three channels in their colours.
    """
    count = min(IMAGES, len(split))
    rows = {"as they are": as_seen(split.inputs[:count], None)}
    rows |= {name: changed_images(way, split, torch.arange(count), batch=count) for name, way in ways.items()}
    strips = [np.concatenate([_tile(image) for image in images.numpy()], axis=1) for images in rows.values()]
    picture = np.concatenate(strips)
    height, width = picture.shape[:2]
    with page(path, (8.0, 6.2 * height / width + 0.9), title) as figure:
        ax = figure.add_subplot()
        colour = picture.shape[-1] == COLOUR
        ax.imshow(
            on_paper(picture, PAPER) if colour else picture[..., 0], cmap=GREYS, vmin=0, vmax=1, interpolation="nearest"
        )
        bare(ax)
        each = height / len(rows)
        ax.set_yticks([each * (row + 0.5) - 0.5 for row in range(len(rows))], list(rows), fontsize=8)
        ax.tick_params(length=0)


def _tile(image: np.ndarray) -> np.ndarray:
    """(C, H, W) -> (H + GAP, W + GAP, C), within 0 to 1, the gap NaN."""
    return np.pad(image.transpose(1, 2, 0).clip(0, 1), ((0, GAP), (0, GAP), (0, 0)), constant_values=np.nan)
