"""Inputs and targets as the training code uses them, whatever they were: images, rows of a table, sequences.

Legend: N examples, C channels (1: grey, 3: red, green, blue), H × W pixels, T numbers to predict.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from src.data.one_thread import one_thread
from src.data.preprocessing import Preprocessing
from src.data.sampling import Sampling
from src.data.scaling import PART, Scaling, as_seen, fitted

BY_MEMBER = 5  # dimensions of inputs that have an axis of members


@dataclass(frozen=True)
class Split:
    """The inputs and targets of one split; inputs may differ by member of a stack, as codes of a lower layer do.

    Inputs always have four dimensions: F numbers, such as a row of a table, are F channels of 1 × 1 pixel.
    """

    inputs: Tensor  # (N, C, H, W) uint8 or float32; src/data/scaling.py says what a network sees of them. By member:
    # (K, N, C, H, W) float32
    targets: Tensor  # classes (N,) int64, or what else the task compares with: (N, T) float32
    weights: Tensor | None = None  # of each example in the cost of training, (N,) float32; None: all count the same

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def by_member(self) -> bool:
        """Whether each member of a stack has inputs of its own."""
        return self.inputs.dim() == BY_MEMBER

    @cached_property
    def trained_on(self) -> Tensor:
        """The targets as `Engine.train` takes them: with weights, these behind them, (N, 2) or (N, T + 1) float32."""
        if self.weights is None:
            return self.targets
        columns = self.targets[:, None] if self.targets.dim() == 1 else self.targets
        return torch.cat([columns.float(), self.weights[:, None]], dim=1)

    def first(self, count: int) -> "Split":
        """The first `count` examples."""
        weights = None if self.weights is None else self.weights[:count]
        return Split(self.inputs[..., :count, :, :, :], self.targets[:count], weights)

    def of(self, members: list[int]) -> "Split":
        """The split of the members at these positions, in this order: the same one where inputs are shared."""
        if not self.by_member or members == list(range(len(self.inputs))):
            return self
        return replace(self, inputs=self.inputs[members])

    def to(self, device: torch.device) -> "Split":
        """The same split on `device`."""
        weights = None if self.weights is None else self.weights.to(device)
        return Split(self.inputs.to(device), self.targets.to(device), weights)


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
    applied: Scaling | None = None  # that of inputs which are scaled already, as those of folds are
    whitening: Tensor | None = None  # (1 + D, D), that of inputs which are whitened already
    stored_test: Tensor | None = None  # the test inputs as stored, where those of `test` are scaled or whitened
    warning: str | None = None  # a text that the user must not miss, such as that digits stand in for MNIST
    class_names: tuple[str, ...] = ()  # of own data whose classes are texts or other values than 0, 1, …
    preprocessing: Preprocessing | None = None  # of the columns of a table, fitted on its training rows
    sampling: Literal["none", "over", "under"] = "none"  # how often examples of a class are seen in an epoch
    unit: str = "images"  # what an example is, in the plural: images, rows or examples
    # Of a cross-validation: each fold's own splits. `train` then holds the folds' training examples one fold behind the
    # other, `validation` and `test` are those of the first fold.
    folds: tuple["Dataset", ...] = ()

    @property
    def is_mnist(self) -> bool:
        """Whether the chapter's accuracies may stand beside results on this data."""
        return self.name in ("mnist", "mnist-expanded")

    @property
    def member_examples(self) -> int:
        """The training examples that a member has: all, or those of its fold."""
        return len(self.train) // max(1, len(self.folds))

    @property
    def epoch_examples(self) -> int:
        """How many training examples a member sees in an epoch: each of its own once, unless they are sampled."""
        return self.sampled.examples if self.sampled else self.member_examples

    @cached_property
    def sampled(self) -> Sampling | None:
        """Which training examples a member sees in an epoch; None: each of its own once."""
        if self.sampling == "none":
            return None
        return Sampling(self.sampling, [own.numpy() for own in self.train.targets.cpu().split(self.member_examples)])

    @property
    def pictures(self) -> Tensor:
        """The test inputs as stored, to be drawn."""
        return self.test.inputs if self.stored_test is None else self.stored_test

    def of_fold(self, fold: int) -> "Dataset":
        """The data of the members of this fold, counted from 0; without a cross-validation all of it."""
        return self.folds[fold] if self.folds else self

    def to(self, device: torch.device) -> "Dataset":
        """All three splits on `device`."""
        return self._changed(lambda split: split.to(device))

    @property
    def refitted(self) -> "Dataset":
        """The data of which the validation examples are trained on, too, behind the others; none has a weight."""
        parts = self.train, self.validation
        inputs, targets = torch.cat([one.inputs for one in parts]), torch.cat([one.targets for one in parts])
        return replace(self, train=Split(inputs, targets))

    def first(self, count: int) -> "Dataset":
        """The first `count` examples of each split, or all where it has less."""
        return self._changed(lambda split: split.first(count))

    def of(self, members: list[int]) -> "Dataset":
        """The data of the members at these positions, in this order."""
        if not self.train.by_member:
            return self
        return self._changed(lambda split: split.of(members))

    def _changed(self, change: Callable[[Split], Split]) -> "Dataset":
        if self.folds:
            return crossed([fold._changed(change) for fold in self.folds])
        return replace(self, train=change(self.train), validation=change(self.validation), test=change(self.test))


def scaled(data: Dataset, centre_only: bool = False) -> Dataset:
    """The data with inputs as a network sees them after a scaling that is fitted on the training split, float32.

    centre_only: the mean of each channel is subtracted, and nothing is divided.
    """
    applied = fitted(data.train.inputs, centre_only)
    return replace(_seen(data, applied.on(torch.device("cpu"))), applied=applied)


def whitened(data: Dataset, whitening: Tensor) -> Dataset:
    """The data with whitened inputs, float32; whitening: (1 + D, D), as src/data/whitening.py gives it."""
    with one_thread():  # so that a run that goes on finds the same
        return replace(_seen(data, whitening), whitening=whitening)


def _seen(data: Dataset, scaling: Tensor) -> Dataset:
    """The data with the inputs of all splits as a network sees them with this scaling, as `as_seen` takes it."""

    def seen(split: Split) -> Split:
        inputs = torch.empty(split.inputs.shape)
        for part, out in zip(split.inputs.split(PART), inputs.split(PART), strict=True):
            out.copy_(as_seen(part, scaling))
        return replace(split, inputs=inputs)

    train, validation, test = map(seen, (data.train, data.validation, data.test))
    return replace(data, train=train, validation=validation, test=test, stored_test=data.pictures)


def crossed(folds: list[Dataset]) -> Dataset:
    """The data of a cross-validation; each fold has as many training examples as the smallest, the last left out.

    Inputs and targets of the folds must have the same shapes and types; what a network sees of them may differ, where a
    fold's inputs are scaled already.
    """
    size = min(len(fold.train) for fold in folds)
    parts = [fold.train.first(size) for fold in folds]
    weights = [part.weights for part in parts if part.weights is not None]  # of all folds, or of none
    train = Split(
        torch.cat([part.inputs for part in parts]),
        torch.cat([part.targets for part in parts]),
        torch.cat(weights) if weights else None,
    )
    return replace(folds[0], train=train, folds=tuple(replace(fold, folds=()) for fold in folds))
