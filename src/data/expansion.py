"""The chapter's expanded training data: every image, and four copies of it, each moved by one pixel.

Source: M. Nielsen, Neural Networks and Deep Learning, ch. 6, expand_mnist.py.

Legend: N images, C channels, H × W pixels.
"""

import torch

from src.data.dataset import Split

# Pixels (down, right) by which each copy is moved: unmoved, down, up, right, left.
MOVES = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
SHUFFLE_SEED = 250_000


def shifts(split: Split) -> Split:
    """The split's N images and four one-pixel moves of each, shuffled: 5N images of the same type and device.

    The row or column of pixels that moves in is zero. The shuffle is the same in every run and on every device. Beside
    the result it needs memory for one copy of the split's images.
    """
    count = len(split)
    generator = torch.Generator().manual_seed(SHUFFLE_SEED)
    places = torch.randperm(len(MOVES) * count, generator=generator).to(split.inputs.device)
    images = split.inputs.new_zeros(len(places), *split.inputs.shape[1:])  # (5N, C, H, W)
    origins = torch.empty_like(places)
    for (down, right), target in zip(MOVES, places.split(count), strict=True):
        images[..., _into(down), _into(right)].index_copy_(0, target, split.inputs[..., _into(-down), _into(-right)])
        origins[target] = torch.arange(count, device=places.device)
    return Split(images, split.targets[origins], None if split.weights is None else split.weights[origins])


def _into(move: int) -> slice:
    """The pixels of an axis onto which an image moved by `move` falls; of -move, its pixels that are still inside."""
    return slice(max(move, 0), min(move, 0) or None)
