"""Training images as a run with augment changes them, each time anew: for a picture.

Legend: E images, T times that each is seen.
"""

import torch
from torch import Tensor

from src.config.schema import RunConfig
from src.data.dataset import Dataset
from src.training.augment.augmenter import Augmenter
from src.training.engines.engine import Sums
from src.training.stack import Member


class _Recorder:
    """In the place of an engine: keeps the images that it is given to train on."""

    def __init__(self) -> None:
        self.images: list[Tensor] = []

    def train(self, inputs: Tensor, targets: Tensor, order: Tensor, first_step: Tensor, eta: Tensor) -> Sums:
        """Trains nothing."""
        self.images.append(inputs[: order.numel()].clone())
        return Sums(*torch.zeros(2, 1, dtype=torch.float64))


def changed_images(config: RunConfig, seed: int, dataset: Dataset, images: int, times: int) -> Tensor:
    """The first training images as the member with this seed would see them in its first steps: (T, E, C, H, W).

    Before any scaling. The i-th row is what a mini-batch of these images is in step i.
    """
    augmenter, recorder = Augmenter(dataset, 1), _Recorder()
    augmenter.set_members([Member(config, seed, 0, 0)])
    order = torch.arange(images).expand(1, times, images)
    step, eta = torch.zeros(1, dtype=torch.int64), torch.zeros(1)
    augmenter.train(recorder, dataset.train, order, step, eta)  # type: ignore[arg-type]
    return torch.cat(recorder.images).view(times, images, *dataset.train.inputs.shape[1:])
