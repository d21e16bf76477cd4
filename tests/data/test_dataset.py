"""A data set moves to a device as a whole."""

import torch

from src.data.digits import digits


def test_all_three_splits_move_and_the_rest_is_kept():
    here = digits()
    there = here.to(torch.device("meta"))
    for name in ("train", "validation", "test"):
        split = getattr(there, name)
        assert split.inputs.is_meta
        assert split.targets.is_meta
        assert split.inputs.shape == getattr(here, name).inputs.shape
    assert (there.name, there.source, there.classes) == (here.name, here.source, here.classes)
