"""Small configurations and data sets for tests."""

from typing import Any

import torch

from src.config.check import parse
from src.config.schema import RunConfig
from src.data.dataset import Dataset, Split

SIDE, CLASSES = 12, 4


def raw(**sections: Any) -> dict[str, Any]:
    """A valid composed configuration of a small network; `model=dict(…)` and so on replace parts of a section."""
    base: dict[str, Any] = {
        "data": {
            "name": "idx",
            "dir": "somewhere",
            "height": SIDE,
            "width": SIDE,
            "classes": CLASSES,
            "validation": 20,
        },
        "augment": {},
        "model": {"maps": [3], "hidden": [6], "field": 3},
        "task": {},
        "pretrain": {},
        "optim": {"eta": 0.1},
        "average": {},
        "stop": {},
        "trainer": {"engine": "torch", "compile": False, "threads": 1, "accelerator": "cpu"},
        "tracking": {"kind": "none"},
        "batch_size": 5,
        "max_epochs": 2,
        "figures": False,
    }
    for name, value in sections.items():
        base[name] = {**base[name], **value} if isinstance(value, dict) else value
    return base


def config(**sections: Any) -> RunConfig:
    """The same, checked."""
    return parse(raw(**sections))


def split(images: int, seed: int) -> Split:
    """Images whose class shows: a brighter quarter, on noise."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, CLASSES, (images,), generator=generator)
    pixels = torch.randint(0, 90, (images, 1, SIDE, SIDE), generator=generator)
    half = SIDE // 2
    for image, label in enumerate(labels.tolist()):
        row, column = divmod(label, 2)
        pixels[image, 0, row * half : (row + 1) * half, column * half : (column + 1) * half] += 150
    return Split(pixels.to(torch.uint8), labels)


COUNT = 2  # numbers or labels to predict


def rows(examples: int, seed: int, kind: str = "numbers", count: int = COUNT) -> Split:
    """Rows of 5 numbers, on which `count` numbers (at a scale of their own) or labels, or 4 unequal classes depend."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(examples, 5, generator=generator)
    y = x[:, :count] + 0.3 * x[:, 2:3].square() + 0.1 * torch.randn(examples, count, generator=generator)
    numbers = 2000 + 50 * y
    targets = {"numbers": numbers, "labels": (y > 0.3).float(), "classes": y[:, :2].argmax(1) + 2 * (y[:, 0] > 1.5)}
    return Split(x[..., None, None], targets[kind])


def table(train: int = 60, kind: str = "numbers", count: int = COUNT) -> Dataset:
    """60 training, 20 validation and 30 test rows for task=regress, or with another kind for other tasks."""
    splits = [rows(examples, seed, kind, count) for seed, examples in ((1, train), (2, 20), (3, 30))]
    return Dataset("table", "made up", *splits, CLASSES)


def table_config(count: int = COUNT, **sections: Any) -> RunConfig:
    """A small network for `table`."""
    data = {"classes": CLASSES, "channels": 5, "height": 1, "width": 1, "target_count": count}
    return config(**{"data": data, "model": {"maps": [], "hidden": [6]}} | sections)


def dataset(train: int = 60) -> Dataset:
    """60 training, 20 validation and 30 test images of 4 classes."""
    return Dataset("example", "made up", split(train, 1), split(20, 2), split(30, 3), CLASSES)
