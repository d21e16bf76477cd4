"""data=digits: scikit-learn's digits in the shape of MNIST, which need no network.

1,797 real handwritten digits of 8 × 8 pixels with values 0…16 (E. Alpaydin and C. Kaynak, "Optical Recognition of
Handwritten Digits", UCI, 1998), inside scikit-learn's package. Bilinear interpolation makes them 28 × 28, 0…255.
"""

from importlib.metadata import distribution

import numpy as np
import torch
from torch.nn.functional import interpolate

from src.config.data import DataConfig
from src.data.dataset import Dataset, Split
from src.data.error import DataError

FILE = "sklearn/datasets/data/digits.csv.gz"  # in scikit-learn's package
TRAIN, VALIDATION, TEST = 1197, 300, 300  # images: two thirds, a sixth, a sixth of the 1,797
SPLIT_SEED = 1797
LARGEST = 16  # pixel value in the package
SIDE = 28  # pixels, as MNIST's


def load(config: DataConfig) -> Dataset:
    """The digits, cut to data.train and data.validation. Raises DataError where that is more than there are."""
    problems = [
        f"data.{key} = {wanted}: the digits have {count} such images; accepted: 1 to {count}"
        for key, wanted, count in (("train", config.train, TRAIN), ("validation", config.validation, VALIDATION))
        if wanted is not None and wanted > count
    ]
    if problems:
        raise DataError(f"{'; '.join(problems)}.")
    return digits(config.train, int(config.validation))


def digits(train: int | None = None, validation: int = VALIDATION) -> Dataset:
    """The three splits, images (N, 1, 28, 28) uint8, the same in every run.

    train, validation: limits to the images of these splits; one above their numbers (1,197 and 300) takes all, so that
    the digits can stand in for MNIST.
    """
    # The file that scikit-learn's load_digits reads, whose import would take a second.
    rows = np.loadtxt(str(distribution("scikit-learn").locate_file(FILE)), np.int64, delimiter=",")  # (N, 64 + label)
    small = torch.from_numpy(rows[:, :-1]).float().reshape(-1, 1, 8, 8) * (255 / LARGEST)
    images = interpolate(small, size=(SIDE, SIDE), mode="bilinear", align_corners=False).round().to(torch.uint8)
    labels = torch.from_numpy(rows[:, -1])
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(SPLIT_SEED))
    parts = order.split([TRAIN, VALIDATION, TEST])
    limits = (train, validation, None)
    first, second, third = (
        Split(images[part[:limit]], labels[part[:limit]]) for part, limit in zip(parts, limits, strict=True)
    )
    return Dataset("digits", "scikit-learn's load_digits, 8x8 pixels, upsampled to 28x28", first, second, third, 10)
