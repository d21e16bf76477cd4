"""Images and labels as the training code uses them.

Legend: N images, C channels (1: grey, 3: red, green, blue), H × W pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from src.data.scaling import Scaling

BY_MEMBER = 5  # dimensions of images that have an axis of members


@dataclass(frozen=True)
class Split:
    """The images and labels of one split; images may differ by member of a stack, as codes of a lower layer do."""

    images: Tensor  # (N, C, H, W) uint8 or float32; src/data/scaling.py says what a network sees of them. By member:
    # (K, N, C, H, W) float32
    labels: Tensor  # (N,) int64

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def by_member(self) -> bool:
        """Whether each member of a stack has images of its own."""
        return self.images.dim() == BY_MEMBER

    def first(self, count: int) -> "Split":
        """The first `count` examples."""
        return Split(self.images[..., :count, :, :, :], self.labels[:count])

    def of(self, members: list[int]) -> "Split":
        """The split of the members at these positions, in this order: the same one where images are shared."""
        if not self.by_member or members == list(range(len(self.images))):
            return self
        return Split(self.images[members], self.labels)

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
        return self._changed(lambda split: split.to(device))

    def first(self, count: int) -> "Dataset":
        """The first `count` examples of each split, or all where it has less."""
        return self._changed(lambda split: split.first(count))

    def of(self, members: list[int]) -> "Dataset":
        """The data of the members at these positions, in this order."""
        return self._changed(lambda split: split.of(members))

    def _changed(self, change: Callable[[Split], Split]) -> "Dataset":
        return replace(self, train=change(self.train), validation=change(self.validation), test=change(self.test))
