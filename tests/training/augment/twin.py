"""The slow twin of the kernels that change images: numpy and scipy, one image at a time, in float64."""

import math

import numpy as np
import torch
from scipy.ndimage import gaussian_filter, map_coordinates

from src.config.augment import AugmentConfig, ends
from src.models.dropout import AUGMENTATION, step_key, uniform

ROWS = ["shift", "rotate", "shear", "scale", "alpha", "sigma", "brightness", "contrast", "saturation", "colour_pca"]


class Draws:
    """An image's random numbers, by their index."""

    def __init__(self, seed: int, step: int, index: int, count: int) -> None:
        key = step_key(torch.tensor(seed), torch.tensor(step))
        self.values = uniform(torch.Size([count]), key, AUGMENTATION + index).double().numpy()

    def signed(self, index: int) -> float:
        return 2 * self.values[index] - 1

    def strength(self, config: AugmentConfig, name: str) -> float:
        low, high = ends(getattr(config, name))
        return low + (high - low) * self.values[ROWS.index(name)]


def field(draws: Draws, sigma: float, height: int, width: int) -> np.ndarray:
    """u and v, (2, H, W), before they are multiplied by alpha."""
    noise = 2 * draws.values[64 : 64 + 2 * height * width].reshape(2, height, width) - 1
    return np.stack([gaussian_filter(one, sigma, mode="constant", truncate=3) for one in noise])


def moved(image: np.ndarray, config: AugmentConfig, draws: Draws, turn: float) -> np.ndarray:
    _, height, width = image.shape
    angle = turn * draws.strength(config, "rotate") * draws.signed(18)
    slant = turn * draws.strength(config, "shear") * draws.signed(19)
    if config.rotate_or_shear:
        angle, slant = (0.0, slant) if draws.values[25] < 0.5 else (angle, 0.0)
    a, b = math.radians(angle), math.tan(math.radians(slant))
    scale = draws.strength(config, "scale")
    mirror = np.diag([-1.0 if draws.values[22] < config.flip else 1.0, 1.0])
    rotation = np.array([[math.cos(a), -math.sin(a)], [math.sin(a), math.cos(a)]])
    shear, size = np.array([[1, b], [0, 1]]), np.diag([1 + scale * draws.signed(21), 1 + scale * draws.signed(20)])
    whole = np.linalg.inv(size) @ shear @ rotation @ mirror
    shift = draws.strength(config, "shift") * np.array([draws.signed(17), draws.signed(16)])
    crop = np.floor((2 * config.crop + 1) * np.array([draws.values[24], draws.values[23]])) - config.crop
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    y, x = np.mgrid[:height, :width]
    places = np.einsum("ij,jyx->iyx", whole, np.stack([x, y]) - centre[:, None, None])
    places += (centre + shift + crop)[:, None, None]
    if ends(config.alpha)[1]:
        places += draws.strength(config, "alpha") * field(draws, draws.strength(config, "sigma"), height, width)
    return np.stack([map_coordinates(one, places[::-1], order=1, mode="grid-constant") for one in image])


def coloured(image: np.ndarray, config: AugmentConfig, draws: Draws, components: np.ndarray) -> np.ndarray:
    """Before it is clipped."""
    mean = image.mean()
    image = mean + (1 + draws.strength(config, "contrast") * draws.signed(27)) * (image - mean)
    image = image + draws.strength(config, "brightness") * draws.signed(26)
    grey = image.mean(0)
    image = grey + (1 + draws.strength(config, "saturation") * draws.signed(28)) * (image - grey)
    sd = draws.strength(config, "colour_pca")
    for k in range(len(image) if sd else 0):
        first, second = draws.values[32 + 2 * k : 34 + 2 * k]
        normal = math.sqrt(-2 * math.log(1 - first)) * math.cos(2 * math.pi * second)
        image = image + (sd * normal * components[:, k])[:, None, None]
    return image


def changed(image, config, seed, step, index, turn, colours) -> np.ndarray:
    """The image (C, H, W), as a network sees it, changed: (C, H, W) float64. colours: components, lowest, highest."""
    _, height, width = image.shape
    draws = Draws(seed, step, index, 64 + 2 * height * width)
    image = moved(image.astype(float), config, draws, turn)
    if any(ends(getattr(config, name))[1] for name in ROWS[6:]):
        image = coloured(image, config, draws, colours[0].astype(float)).clip(colours[1], colours[2])
    if config.cutout:
        top, left = (int(draws.values[at] * side) - config.cutout // 2 for at, side in ((29, height), (30, width)))
        image[:, max(top, 0) : max(top + config.cutout, 0), max(left, 0) : max(left + config.cutout, 0)] = 0
    return image
