"""Mean and standard deviation of each channel come from the training images alone."""

import numpy as np
import pytest
import torch

from src.config.data import DataConfig
from src.data import scaling
from src.data.digits import digits
from src.data.load import load
from src.runs.run_words import data_words


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_mean_and_deviation_are_those_of_numpy(monkeypatch, kind):
    monkeypatch.setattr(scaling, "PART", 7)
    images = np.random.default_rng(0).integers(0, 256, (40, 3, 5, 6)).astype(kind)
    images[:, 2] = 51  # the same everywhere
    found = scaling.fitted(torch.from_numpy(images))
    x = images / (255 if kind == np.uint8 else 1)
    np.testing.assert_allclose(found.mean, x.mean((0, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(found.sd, [*x[:, :2].std((0, 2, 3)), 1], rtol=1e-6)
    seen = scaling.as_seen(torch.from_numpy(images), found.on(torch.device("cpu")))
    np.testing.assert_allclose(seen.mean((0, 2, 3)), [0, 0, 0], atol=1e-5)
    np.testing.assert_allclose(seen[:, :2].std((0, 2, 3), correction=0), [1, 1], rtol=1e-5)


def test_zero_centring_takes_each_channels_mean_and_divides_by_nothing():
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (40, 3, 5, 6)).astype(np.uint8))
    plain, found = scaling.fitted(images), scaling.fitted(images, centre_only=True)
    assert (found.mean, found.sd) == (plain.mean, [1.0] * 3)
    seen = scaling.as_seen(images, found.on(torch.device("cpu")))
    assert seen.equal(images.float() / 255 - torch.tensor(plain.mean)[:, None, None])
    data = load(DataConfig(name="digits", train=50, validation=20, normalise="centre"))
    assert data.scaling == scaling.fitted(digits(50, 20).train.inputs, centre_only=True)
    assert data.train.inputs.dtype == torch.uint8  # engines centre while they train


def test_the_scaling_is_of_the_training_images_used_before_they_are_expanded():
    plain = load(DataConfig(name="digits", train=50, validation=20))
    dataset = load(DataConfig(name="digits", train=50, validation=20, normalise="channel", expand="shifts"))
    assert plain.scaling is None
    assert dataset.scaling == scaling.fitted(digits(50, 20).train.inputs)
    assert data_words(dataset).endswith("300 test images; normalised from mean 0.307, sd 0.327")
    assert data_words(plain).endswith("300 test images")
