"""The kernels that change images, against numpy and scipy and against what the formulas say of their spread."""

import numpy as np
import pytest
import torch

from src.config.augment import AugmentConfig
from src.data.dataset import Split
from src.data.scaling import as_seen
from src.training.augment.examples import changed_images
from src.training.augment.strengths import colours_of
from tests.training.augment import twin

SEED, BATCH = 2**32 - 5, 4
BYTES = torch.randint(0, 256, (9, 3, 13, 10), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
FLOATS = 3 * torch.randn(9, 1, 28, 33, generator=torch.Generator().manual_seed(2))
TARGETS = torch.arange(9) % 3


def by_kernel(images, config, count, first_step=0):
    """`count` changed images, those of mini-batches that take the stored ones in turn."""
    targets = TARGETS if len(images) == len(TARGETS) else torch.zeros(len(images))
    order = torch.arange(count) % len(images)
    return changed_images(config, Split(images, targets), order, SEED, first_step, BATCH).numpy()


@pytest.mark.parametrize(
    ("images", "strengths"),
    [
        (BYTES, {"shift": 2.0, "rotate": 20.0, "shear": [5.0, 20.0], "scale": 0.2, "flip": 0.5, "crop": 3}),
        (BYTES, {"brightness": 0.3, "contrast": 0.5, "saturation": [0.2, 0.9], "colour_pca": 0.5, "cutout": 5}),
        (FLOATS, {"alpha": 34.0}),
        (FLOATS, {"alpha": [20.0, 38.0], "sigma": [0.4, 20.0], "contrast": 0.5, "cutout": 4}),
        (
            FLOATS,
            {"rotate": 60.0, "shear": 40.0, "rotate_or_shear": True, "half_angle": [1], "scale": [0.1, 0.9]},
        ),
    ],
    ids=["moves", "colours", "elastic", "ranges", "either"],
)
def test_an_image_is_changed_as_numpy_and_scipy_change_it(images, strengths):
    config = AugmentConfig(**strengths)
    found, seen, colours = by_kernel(images, config, 18, first_step=7), as_seen(images, None), colours_of(images, True)
    for n, image in enumerate(found):
        own = n % len(images)
        turn = 0.5 if int(TARGETS[own]) in config.half_angle else 1.0
        expected = twin.changed(seen[own].numpy(), config, SEED, 7 + n // BATCH, n % BATCH, turn, colours)
        assert np.abs(image - expected).max() < 5e-4, n  # places of float32, a few 1e-5 pixels off, in noise of sd 3


@pytest.mark.parametrize("images", [BYTES, FLOATS], ids=["bytes", "floats"])
def test_without_any_strength_an_image_stays_what_it_is(images):
    config = AugmentConfig(sigma=2.0, half_angle=[1])
    assert np.array_equal(by_kernel(images, config, 9), as_seen(images, None).numpy())


@pytest.mark.parametrize("strengths", [{"flip": 1.0}, {"crop": 2}, {"alpha": 1e-30}], ids=["flip", "crop", "alpha"])
def test_moves_by_whole_pixels_are_exact(strengths):
    seen = as_seen(BYTES, None).numpy()
    padded = np.pad(seen, ((0, 0), (0, 0), (2, 2), (2, 2)))
    for image, found in zip(padded, by_kernel(BYTES, AugmentConfig(**strengths), 9), strict=True):
        image = image[:, :, ::-1] if "flip" in strengths else image
        crops = [image[:, y : y + 13, x : x + 10] for y in range(5) for x in range(5)]
        same = [np.array_equal(found, crop) for crop in crops]
        assert any(same) if "crop" in strengths else same[12]


def test_an_elastic_field_has_the_mean_spread_and_correlation_length_of_the_formula():
    """Of displacements in the middle of images whose values are their pixels' columns or rows."""
    sigma, alpha, side, count, lag = 3.0, 10.0, 32, 4000, 4
    ramps = torch.stack([torch.arange(float(side)).expand(side, side), torch.arange(float(side)).expand(side, side).T])
    both = by_kernel(ramps[None], AugmentConfig(alpha=alpha, sigma=sigma), count)  # (n, 2, H, W)
    middle, row = side // 2, both[:, :, side // 2]
    u, v = (row[:, c, middle] - middle for c in range(2))
    g = np.exp(-(np.arange(-9, 10) ** 2) / (2 * sigma**2))
    g /= g.sum()
    variance = alpha**2 / 3 * (g @ g) ** 2
    error = 4 / np.sqrt(
        count
    )  # four standard errors of a mean, a correlation and, times sqrt(2), of a variance's ratio
    for one in (u, v):
        assert abs(one.mean()) < error * np.sqrt(variance)
        assert abs(one.var() / variance - 1) < error * np.sqrt(2)
    beside = row[:, 0, middle + lag] - middle - lag
    assert abs(np.corrcoef(u, beside)[0, 1] - (g[lag:] @ g[:-lag]) / (g @ g)) < error
    assert abs((g[lag:] @ g[:-lag]) / (g @ g) - np.exp(-(lag**2) / (4 * sigma**2))) < 0.02  # σ·√2, but for the ends
    assert abs(np.corrcoef(u, v)[0, 1]) < error
    assert abs(np.corrcoef(u[:-1], u[1:])[0, 1]) < error  # anew for each image and step


def test_amounts_fill_their_range_evenly():
    columns = torch.arange(41.0).expand(1, 1, 41, 41).clone()
    found = by_kernel(columns, AugmentConfig(shift=[2.0, 4.0]), 3000)[:, 0, 20, 20] - 20
    assert abs(found.mean()) < 0.2
    assert found.min() < -3.8
    assert found.max() > 3.8
    assert abs((np.abs(found) < 2).mean() - np.log(2)) < 0.04  # the mean of 2 / strength over strengths from 2 to 4
