"""A picture of changed training images: some of them in a row as they are, and a row for each way of changing them."""

from collections.abc import Mapping
from pathlib import Path

import torch

from src.config.augment import AugmentConfig
from src.data.dataset import Split
from src.data.scaling import as_seen
from src.runs.pictures import rows_figure
from src.training.augment.examples import changed_images

IMAGES = 9  # in a row


def augmented_figure(ways: Mapping[str, AugmentConfig], split: Split, path: Path, title: str) -> None:
    """Draws the first images of the split, and below them what each of the ways, by its name, makes of them."""
    count = min(IMAGES, len(split))
    rows = {"as they are": as_seen(split.inputs[:count], None)}
    rows |= {name: changed_images(way, split, torch.arange(count), batch=count) for name, way in ways.items()}
    rows_figure({name: images.clip(0, 1) for name, images in rows.items()}, path, title, "dark is 1, the largest value")
