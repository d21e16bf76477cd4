"""From a set's training and test images to three splits: validation is the last images of the training part [N6].

Source: [N6] M. Nielsen, Neural Networks and Deep Learning, ch. 6. Legend: N images, C channels, H × W pixels.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from src.config.data import DataConfig
from src.data.dataset import Dataset, Split
from src.data.error import DataError


@dataclass(frozen=True)
class Part:
    """The training or the test part of a data set as it was read.

    images: (N, H, W), (N, C, H, W) or (N, H, W, C), uint8 or float32; labels: (N,) whole numbers from 0.
    """

    images: NDArray[Any]
    labels: NDArray[Any]
    images_from: object  # where the images were read, for messages; usually a path
    labels_from: object  # where the labels were read


def three(name: str, source: str, training: Part, test: Part, config: DataConfig) -> Dataset:
    """The data set of these parts, with its three splits; name and source: those of the Dataset.

    Raises one DataError that lists all contradictions between the parts and the configuration or one another.
    """
    problems = [*_part_problems(training, config), *_part_problems(test, config), *_limit_problems(training, config)]
    if training.images.dtype != test.images.dtype:
        types = f"{training.images.dtype} values, but {test.images_from} {test.images.dtype}"
        problems.append(f"{training.images_from} holds {types}")
    if problems:
        raise DataError(f"{'; '.join(problems)}.")
    known, tested = _split(training, config), _split(test, config)
    rest = len(known) - int(config.validation)
    train = Split(known.inputs[:rest][: config.train], known.targets[:rest][: config.train])
    validation = Split(known.inputs[rest:], known.targets[rest:])
    return Dataset(name, source, train, validation, tested, config.classes)


def _split(part: Part, config: DataConfig) -> Split:
    images = _channels_first(part.images, config)
    assert images is not None
    return Split(torch.from_numpy(images.copy()), torch.from_numpy(part.labels.astype("int64")))


def _channels_first(images: NDArray[Any], config: DataConfig) -> NDArray[Any] | None:
    """A view of the images as (N, C, H, W); None where they do not have the configured sizes in an accepted order."""
    wanted = (config.channels, config.height, config.width)
    orders = [images[:, None]] if images.ndim == 3 else [images, np.moveaxis(images, -1, 1)]
    return next((one for one in orders if one.shape[1:] == wanted), None)


def _part_problems(part: Part, config: DataConfig) -> list[str]:
    """The contradictions between a part and the configuration, or between its images and labels."""
    problems = []
    count, path = len(part.images), part.images_from
    if count != len(part.labels):
        problems.append(f"{path} holds {count} images, but {part.labels_from} {len(part.labels)} labels")
    if _channels_first(part.images, config) is None:
        problems.append(_size_problem(part, config))
    if part.images.dtype != np.uint8 and not np.isfinite(part.images).all():
        problems.append(f"{path} holds values that are no finite float32 numbers; accepted: up to 3.4e38, no NaN")
    largest = int(part.labels.max())
    if largest >= config.classes:
        problems.append(
            f"data.classes = {config.classes}: {part.labels_from} holds the label {largest}, must be below "
            f"data.classes; set data.classes={largest + 1} or more"
        )
    return problems


def _size_problem(part: Part, config: DataConfig) -> str:
    """The message that images have other sizes, with the keys that would fit them.

    Of the first and the last of an image's three dimensions, the smaller is taken for the channels.
    """
    sizes = part.images.shape[1:]
    if len(sizes) == 2 and config.channels == 1:
        (height, width), given = sizes, f"data.height, data.width = {config.height}, {config.width}"
        held, keys = f"{height} rows and {width} columns", f"data.height={height} data.width={width}"
        return f"{given}: {part.images_from} holds images of {held}; set {keys}"
    channels, height, width = (1, *sizes) if len(sizes) == 2 else sizes
    if len(sizes) == 3 and sizes[2] < sizes[0]:
        height, width, channels = sizes
    given = f"{config.channels}, {config.height}, {config.width}"
    held = f"{channels} channel{'s' if channels > 1 else ''}, {height} rows and {width} columns"
    return (
        f"data.channels, data.height, data.width = {given}: {part.images_from} holds images of {held}; set "
        f"data.channels={channels} data.height={height} data.width={width}"
    )


def _limit_problems(training: Part, config: DataConfig) -> list[str]:
    """The messages for values of data.validation and data.train that are larger than the training part allows."""
    path, count = training.images_from, len(training.images)
    rest = count - int(config.validation)
    if count < 2:
        return [f"{path} holds one image only, which cannot be both trained on and validated on"]
    if rest < 1:
        return [
            f"data.validation = {config.validation}: must be below the {count} images of {path}; accepted: 1 to "
            f"{count - 1}"
        ]
    if config.train is not None and config.train > rest:
        return [
            f"data.train = {config.train}: {path} holds {count} images, of which data.validation={config.validation} "
            f"are held out; accepted: 1 to {rest}, or null for all of them"
        ]
    return []
