"""The digits that need no network have MNIST's shape, and the same splits in every run."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from src.data.digits import digits

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def dataset():
    return digits()


def test_the_splits_have_their_sizes_and_the_shape_of_mnist(dataset):
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [1197, 300, 300]
    for split in (dataset.train, dataset.validation, dataset.test):
        assert split.inputs.shape == (len(split), 1, 28, 28)
        assert split.inputs.dtype == torch.uint8
        assert split.targets.dtype == torch.int64
        assert set(split.targets.tolist()) == set(range(10))
    assert (dataset.name, dataset.classes, dataset.is_mnist) == ("digits", 10, False)


def test_every_digit_is_in_one_split_once(dataset):
    together = torch.cat([dataset.train.targets, dataset.validation.targets, dataset.test.targets])
    assert together.bincount().tolist() == np.bincount(load_digits().target).tolist()
    images = torch.cat([dataset.train.inputs, dataset.validation.inputs, dataset.test.inputs])
    assert len(images.flatten(1).unique(dim=0)) == len(np.unique(load_digits().images, axis=0))


def test_pixels_fill_the_range_of_a_byte(dataset):
    assert (int(dataset.train.inputs.min()), int(dataset.train.inputs.max())) == (0, 255)


def test_an_image_is_interpolated_between_its_pixels(dataset):
    """Slow twin: pixel i of 28 lies at (i + 1/2) · 8/28 − 1/2 of 8, clamped to the border."""
    grid = ((np.arange(28) + 0.5) * 8 / 28 - 0.5).clip(0, 7)
    expected = []
    for small in load_digits().images * 255 / 16:
        rows = np.stack([np.interp(grid, np.arange(8), row) for row in small])
        expected.append(np.stack([np.interp(grid, np.arange(8), column) for column in rows.T]).T)
    candidates = np.stack(expected).reshape(-1, 784)  # (1797, 784)
    for image in dataset.test.inputs[:5].reshape(5, 784).numpy():
        assert np.abs(candidates - image).max(axis=1).min() <= 0.501  # rounding; 0.001 for float32


def test_two_calls_give_the_same_splits(dataset):
    again = digits()
    assert again.train.inputs.equal(dataset.train.inputs)
    assert again.test.targets.equal(dataset.test.targets)


def test_limits_take_the_first_images_and_never_more_than_there_are(dataset):
    limited = digits(train=100, validation=50)
    assert limited.train.inputs.equal(dataset.train.inputs[:100])
    assert limited.validation.inputs.equal(dataset.validation.inputs[:50])
    assert limited.test.inputs.equal(dataset.test.inputs)
    wide = digits(train=50_000, validation=10_000)
    assert (len(wide.train), len(wide.validation)) == (1197, 300)


def test_scikit_learn_is_never_imported():
    command = "import sys; from src.data.digits import digits; digits(); sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], cwd=ROOT, check=False).returncode == 0
