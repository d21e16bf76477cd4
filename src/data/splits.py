"""From a set's training and test images to three splits: validation is the last images of the training part [N6].

Source: [N6] M. Nielsen, Neural Networks and Deep Learning, ch. 6. Legend: N images, H × W pixels.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from src.config.schema import DataConfig
from src.data.dataset import Dataset, Split
from src.data.error import DataError


@dataclass(frozen=True)
class Part:
    """The images (N, H, W) uint8 of a set's training or test part, the labels (N,) uint8, and where they were read."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    images_from: object  # for messages: a path, as a rule
    labels_from: object


def three(name: str, source: str, training: Part, test: Part, config: DataConfig) -> Dataset:
    """The three splits. `name` and `source` as in Dataset.

    Raises DataError that lists everything in which the parts contradict the configuration or one another.
    """
    problems = [*_part_problems(training, config), *_part_problems(test, config), *_limit_problems(training, config)]
    if problems:
        raise DataError(f"{'; '.join(problems)}.")
    known, tested = _split(training), _split(test)
    rest = len(known) - config.validation
    train = Split(known.images[:rest][: config.train], known.labels[:rest][: config.train])
    validation = Split(known.images[rest:], known.labels[rest:])
    return Dataset(name, source, train, validation, tested, config.classes)


def _split(part: Part) -> Split:
    return Split(torch.from_numpy(part.images.copy()).unsqueeze(1), torch.from_numpy(part.labels.astype("int64")))


def _part_problems(part: Part, config: DataConfig) -> list[str]:
    """What in a part contradicts the configuration or itself."""
    problems = []
    count, height, width = part.images.shape
    if count != len(part.labels):
        problems.append(f"{part.images_from} holds {count} images, but {part.labels_from} {len(part.labels)} labels")
    if (height, width) != (config.height, config.width):
        problems.append(
            f"data.height, data.width = {config.height}, {config.width}: {part.images_from} holds images of {height} "
            f"rows and {width} columns; set data.height={height} data.width={width}"
        )
    largest = int(part.labels.max())
    if largest >= config.classes:
        problems.append(
            f"data.classes = {config.classes}: {part.labels_from} holds the label {largest}, must be below "
            f"data.classes; set data.classes={largest + 1} or more"
        )
    return problems


def _limit_problems(training: Part, config: DataConfig) -> list[str]:
    """What in data.validation and data.train the training part is too small for."""
    path, count = training.images_from, len(training.images)
    rest = count - config.validation
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
