"""Images and labels as the training code uses them.

Legend: N images, C channels (1: grey, 3: red, green, blue), H × W pixels.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from src.data.scaling import Scaling


@dataclass(frozen=True)
class Split:
    """images (N, C, H, W) uint8 or float32, of which a network sees what src/data/scaling.py says; labels (N,)."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Split":
        """The same split on `device`."""
        return Split(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Dataset:
    """Three splits of one data set."""

    name: str  # in names, tags and tables: mnist, mnist-expanded, digits, digits-expanded, or a folder's name
    source: str  # one line: where the images came from
    train: Split
    validation: Split
    test: Split
    classes: int
    scaling: Scaling | None = None  # of what a network sees, fitted on the training images before they are expanded
    warning: str | None = None  # what the user must not miss, such as digits standing in for MNIST

    @property
    def is_mnist(self) -> bool:
        """Whether the chapter's accuracies may stand beside results on this data."""
        return self.name in ("mnist", "mnist-expanded")

    def to(self, device: torch.device) -> "Dataset":
        """All three splits on `device`."""
        splits = {name: getattr(self, name).to(device) for name in ("train", "validation", "test")}
        return replace(self, **splits)
