"""The one way to the images: from a configuration to three checked splits in memory."""

from dataclasses import replace
from pathlib import Path

import torch

from src.config.schema import DataConfig
from src.data import idx, mnist
from src.data.dataset import Dataset, Split
from src.data.digits import TRAIN, VALIDATION, digits
from src.data.error import DataError
from src.data.expansion import shifts
from src.data.idx import IdxFile

__all__ = ["DataError", "load"]

OWN_NAMES = ("mnist", "digits")  # what no folder's set may be called: the chapter's figures belong to MNIST


def load(config: DataConfig) -> Dataset:
    """The data set that `config` names, images (N, 1, H, W) uint8, on the CPU; with its training images expanded if so.

    name=mnist: from data.dir, else MNIST_DIR, else the user's cache, else downloaded there (`src.data.mnist`).
    name=auto: the same, but where no folder is named and no download possible, digits with a `warning`, as many of the
    images asked for as there are.
    name=digits: `src.data.digits`; reads no folder.
    name=idx: the four files in data.dir, of data.height × data.width pixels and data.classes classes.
    Raises DataError, whose text is the whole message, where files or limits do not fit.
    """
    sources = {"auto": _auto, "mnist": _mnist, "digits": _digits_only, "idx": _idx}
    dataset = sources[config.name](config)
    if config.expand == "shifts":
        dataset = replace(dataset, name=f"{dataset.name}-expanded", train=shifts(dataset.train))
    return dataset


def _auto(config: DataConfig) -> Dataset:
    try:
        return _mnist(config)
    except mnist.MnistUnavailableError as error:
        warning = (
            "This is NOT MNIST: scikit-learn's 1,797 small digits (8x8, upsampled to 28x28) stand in for it, so no "
            f"accuracy below compares with the chapter's. {error}"
        )
        return replace(_digits(config), warning=warning)


def _mnist(config: DataConfig) -> Dataset:
    files, source = mnist.read(config.dir)
    return _dataset("mnist", source, files, config)


def _digits(config: DataConfig) -> Dataset:
    return digits(config.train, config.validation)


def _digits_only(config: DataConfig) -> Dataset:
    problems = [
        f"data.{key} = {wanted}: the digits have {count} such images; accepted: 1 to {count}"
        for key, wanted, count in (("train", config.train, TRAIN), ("validation", config.validation, VALIDATION))
        if wanted is not None and wanted > count
    ]
    if problems:
        raise DataError(f"{'; '.join(problems)}.")
    return _digits(config)


def _idx(config: DataConfig) -> Dataset:
    if not config.dir:
        raise DataError("data.dir = null: data=idx needs the folder that holds the four IDX files; accepted: a path")
    folder = Path(config.dir)
    try:
        files = idx.read_folder(folder)
    except DataError as error:
        raise DataError(
            f"data.dir = {config.dir!r}: {error}. data=idx needs a folder with the four files {', '.join(idx.NAMES)}, "
            f"plain or gzipped, of unsigned bytes; correct data.dir or the named files."
        ) from None
    name = folder.expanduser().resolve().name or "idx"
    name = f"idx-{name}" if name.removesuffix("-expanded") in OWN_NAMES else name
    return _dataset(name, f"IDX files from {config.dir}", files, config)


def _dataset(name: str, source: str, files: dict[str, IdxFile], config: DataConfig) -> Dataset:
    """The three splits of four files; validation is the last images of the training file [N6]. Raises DataError."""
    problems = [*_pair_problems(files, config), *_limit_problems(files, config)]
    if problems:
        raise DataError(f"{'; '.join(problems)}.")
    training, test = (
        Split(torch.from_numpy(images.values.copy()).unsqueeze(1), torch.from_numpy(labels.values.astype("int64")))
        for images, labels in _pairs(files)
    )
    rest = len(training) - config.validation
    train = Split(training.images[:rest][: config.train], training.labels[:rest][: config.train])
    validation = Split(training.images[rest:], training.labels[rest:])
    return Dataset(name, source, train, validation, test, config.classes)


def _pairs(files: dict[str, IdxFile]) -> list[tuple[IdxFile, IdxFile]]:
    """Images and labels of the training and of the test files."""
    return [(files[idx.TRAIN_IMAGES], files[idx.TRAIN_LABELS]), (files[idx.TEST_IMAGES], files[idx.TEST_LABELS])]


def _pair_problems(files: dict[str, IdxFile], config: DataConfig) -> list[str]:
    """What in the files contradicts the configuration or one another."""
    problems = []
    for images, labels in _pairs(files):
        count, height, width = images.values.shape
        if count != len(labels.values):
            problems.append(f"{images.path} holds {count} images, but {labels.path} {len(labels.values)} labels")
        if (height, width) != (config.height, config.width):
            problems.append(
                f"data.height, data.width = {config.height}, {config.width}: {images.path} holds images of {height} "
                f"rows and {width} columns; set data.height={height} data.width={width}"
            )
        largest = int(labels.values.max())
        if largest >= config.classes:
            problems.append(
                f"data.classes = {config.classes}: {labels.path} holds the label {largest}, must be below data.classes"
                f"; set data.classes={largest + 1} or more"
            )
    return problems


def _limit_problems(files: dict[str, IdxFile], config: DataConfig) -> list[str]:
    """What in data.validation and data.train the training file is too small for."""
    path, count = files[idx.TRAIN_IMAGES].path, len(files[idx.TRAIN_IMAGES].values)
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
