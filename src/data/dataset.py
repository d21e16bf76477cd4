"""Images and labels as the training code uses them.

Legend: N images, C channels (1: grey, 3: red, green, blue), H × W pixels.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from src.data.scaling import Scaling


@dataclass(frozen=True)
class Split:
    """The images and labels of one split."""

    images: Tensor  # (N, C, H, W) uint8 or float32; src/data/scaling.py says what a network sees of them
    labels: Tensor  # (N,) int64

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Split":
        """The same split on `device`."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Dataset:
    """The three splits of a data set, with its name and origin."""

    name: str  # in names, tags and tables: mnist, mnist-expanded, digits, digits-expanded, or a folder's name
    source: str  # one line: where the images came from
    train: Split
    validation: Split
    test: Split
    classes: int
    scaling: Scaling | None = None  # of what a network sees; fitted on the training images before their expansion
    warning: str | None = None  # a text that the user must not miss, such as that digits stand in for MNIST

    @property
    def is_mnist(self) -> bool:
        """Whether the chapter's accuracies may stand beside results on this data."""
        return self.name in ("mnist", "mnist-expanded")

    def to(self, device: torch.device) -> "Dataset":
        """All three splits on `device`."""
        splits = {name: getattr(self, name).to(device) for name in ("train", "validation", "test")}
        return replace(self, **splits)
