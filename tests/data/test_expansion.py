"""The expanded training data are each image and its four one-pixel moves, shuffled."""

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.extra.numpy import array_shapes, arrays

from src.data.dataset import Split
from src.data.expansion import shifts


def moved(image, down, right):
    """Slow twin: pixel by pixel; what moves in is zero."""
    height, width = image.shape
    result = np.zeros_like(image)
    for row in range(height):
        for column in range(width):
            if 0 <= row - down < height and 0 <= column - right < width:
                result[row, column] = image[row - down, column - right]
    return result


def split_of(images):
    return Split(torch.from_numpy(images).unsqueeze(1), torch.arange(len(images)))


@given(images=arrays(np.uint8, array_shapes(min_dims=3, max_dims=3, max_side=5)))
def test_the_expanded_images_are_those_of_the_slow_twin(images):
    expanded = shifts(split_of(images))
    expected = Counter(
        (number, moved(image, *move).tobytes())
        for number, image in enumerate(images)
        for move in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
    )
    pairs = zip(expanded.targets.tolist(), expanded.inputs.numpy(), strict=True)
    assert Counter((label, image.tobytes()) for label, image in pairs) == expected


def test_shapes_and_types_are_kept():
    expanded = shifts(split_of(np.ones((7, 4, 3), np.uint8)))
    assert expanded.inputs.shape == (35, 1, 4, 3)
    assert (expanded.inputs.dtype, expanded.targets.dtype) == (torch.uint8, torch.int64)


def test_the_split_given_is_left_as_it_was():
    images = np.random.default_rng(0).integers(0, 256, (5, 6, 6), dtype=np.uint8)
    split = split_of(images.copy())
    shifts(split)
    np.testing.assert_array_equal(split.inputs.squeeze(1).numpy(), images)


def test_the_shuffle_mixes_all_copies_and_is_the_same_in_every_run():
    split = split_of(np.random.default_rng(0).integers(0, 256, (200, 3, 3), dtype=np.uint8))
    once, again = shifts(split), shifts(split)
    assert once.inputs.equal(again.inputs)
    assert once.targets.equal(again.targets)
    assert len(set(once.targets[:200].tolist())) < 200  # some image is twice among the first, so the copies are mixed
    assert not once.targets.equal(once.targets.sort().values)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_on_cuda_the_same_images_come_in_the_devices_own_memory():
    split = split_of(np.random.default_rng(0).integers(0, 256, (50, 28, 28), dtype=np.uint8))
    expected, found = shifts(split), shifts(split.to(torch.device("cuda")))
    assert found.inputs.is_cuda
    assert found.inputs.cpu().equal(expected.inputs)
    assert found.targets.cpu().equal(expected.targets)
