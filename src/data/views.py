"""The views of an image over which a trained network's prediction is the mean: test-time augmentation.

With augment.test_shift = s these are the image and the same moved by up to s whole pixels down or up and right or left,
(2s + 1)² in all, with 0 (black) where nothing moves in; with augment.test_flip each also mirrored. The curves of a
training, and what stops it or keeps its best epoch, look at the image as it is; its results, votes and whatever answers
with its networks later, at all views.
Source: A. Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural Networks (2012), section 4.1.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import pad

from src.config.augment import AugmentConfig

Predict = Callable[[Tensor, Sequence[int]], Tensor]


def views(images: Tensor, augment: AugmentConfig) -> Iterator[Tensor]:
    """The views of images (…, H, W), each of their shape, one after another; the first are the images themselves."""
    shift, (height, width) = augment.test_shift, images.shape[-2:]
    padded = pad(images, (shift,) * 4) if shift else images
    moves = [(down, right) for down in range(2 * shift + 1) for right in range(2 * shift + 1)]
    for down, right in sorted(moves, key=lambda move: move != (shift, shift)):
        view = padded[..., down : down + height, right : right + width]
        yield view
        if augment.test_flip:
            yield view.flip(-1)


def answer(predict: Callable[[Tensor], Tensor], images: Tensor, augment: AugmentConfig) -> Tensor:
    """The mean of `predict` over the views of these images; without any but themselves, what it says of them."""
    if augment.view_count == 1:
        return predict(images)
    total = sum(predict(view) for view in views(images, augment))
    assert isinstance(total, Tensor)
    return total / augment.view_count


def answers(predict: Predict, images: Tensor, members: Sequence[int], augment: Sequence[AugmentConfig]) -> Tensor:
    """What each of these members of a stack answers by its own views, (K, N, …) float32 on the CPU.

    predict: gives the predictions of the members at K positions, (K, N, …); augment: that section of each of `members`.
    """
    found: dict[int, Tensor] = {}
    keys = [(one.test_shift, one.test_flip) for one in augment]
    for key in dict.fromkeys(keys):
        alike = [k for k, own in zip(members, keys, strict=True) if own == key]
        predict_alike = partial(_of, predict, alike)
        found |= zip(alike, answer(predict_alike, images, augment[keys.index(key)]).cpu(), strict=True)
    return torch.stack([found[k] for k in members])


def _of(predict: Predict, members: Sequence[int], images: Tensor) -> Tensor:
    return predict(images, members)
