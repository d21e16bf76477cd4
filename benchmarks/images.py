"""The images of the benchmarks: MNIST if MNIST_DIR names its folder, else the digits that come with scikit-learn.

Both are 28 × 28 pixels, so a step costs the same. Where a benchmark needs more images than the digits are, they repeat.
"""

import os
from dataclasses import replace

import torch

from src.config.data import DataConfig
from src.data.dataset import Dataset, Split
from src.data.load import load

TRAINING, TEST = 50_000, 10_000  # images of MNIST's splits


def dataset() -> Dataset:
    """MNIST or the digits. Raises DataError where MNIST_DIR does not hold MNIST."""
    return load(DataConfig(name="mnist") if os.environ.get("MNIST_DIR") else DataConfig(name="digits", validation=300))


def words(data: Dataset, repeated: bool = True) -> str:
    """One line about the images, for the output; repeated: whether the benchmark uses splits made by `filled`."""
    if data.is_mnist:
        return f"MNIST, {len(data.train):,} training images"
    note = f", repeated to {TRAINING:,}" if repeated else ""
    return (
        f"scikit-learn's digits, {len(data.train):,} training images{note}, upsampled to MNIST's 28x28 "
        "(name MNIST's folder in MNIST_DIR to measure on MNIST)"
    )


def shortened(data: Dataset, images: int | None) -> Dataset:
    """The data set with at most `images` training images; None: with all."""
    return replace(data, train=Split(data.train.inputs[:images], data.train.targets[:images]))


def filled(split: Split, images: int) -> Split:
    """A split of exactly `images` images: the first ones, repeated if there are fewer."""
    rows = torch.arange(images) % len(split)
    return Split(split.inputs[rows], split.targets[rows])
