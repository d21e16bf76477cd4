"""The picture of changed training images."""

import torch

from src.config.augment import AugmentConfig
from src.data.dataset import Split
from src.runs.augmented_figure import augmented_figure
from tests import example


def test_grey_and_colour_images_are_drawn_in_a_row_for_each_way(tmp_path):
    grey = example.split(12, 1)
    colour = Split(grey.inputs.expand(-1, 3, -1, -1).contiguous(), torch.zeros(12))
    ways = {"flip": AugmentConfig(flip=1.0), "alpha": AugmentConfig(alpha=9.0)}
    for name, split in {"grey": grey, "colour": colour}.items():
        augmented_figure(ways, split, tmp_path / f"{name}.png", "changed")
        assert (tmp_path / f"{name}.png").stat().st_size > 5_000
