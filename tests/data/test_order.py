"""The order in which a member sees the images is its own, and depends on nobody else."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from src.data.order import orders

SEEDS = st.integers(0, 2**32 + 100)


def test_fixed_is_the_stored_order_in_one_row_for_all():
    rows = orders("fixed", [1, 2, 3], images=10, batch_size=3, epochs=[5, 6, 7])
    assert rows.tolist() == [[[0, 1, 2], [3, 4, 5], [6, 7, 8]]]
    assert rows.dtype == torch.int64


@given(
    order=st.sampled_from(["once", "epoch"]),
    seeds=st.lists(SEEDS, min_size=1, max_size=5),
    images=st.integers(1, 40),
    batch_size=st.integers(1, 40),
    epoch=st.integers(0, 100),
)
def test_no_image_comes_twice_in_an_epoch(order, seeds, images, batch_size, epoch):
    if batch_size > images:
        with pytest.raises(ValueError, match=f"batch_size = {batch_size}: .* at most the {images} training images"):
            orders(order, seeds, images, batch_size, [epoch] * len(seeds))
        return
    rows = orders(order, seeds, images, batch_size, [epoch] * len(seeds))
    assert rows.shape == (len(seeds), images // batch_size, batch_size)
    assert rows.dtype == torch.int64
    for row in rows.flatten(1).tolist():
        assert len(set(row)) == len(row)
        assert set(row) <= set(range(images))


@given(order=st.sampled_from(["once", "epoch"]), seeds=st.lists(SEEDS, min_size=1, max_size=6), data=st.data())
def test_a_member_keeps_its_order_alone_and_in_any_place_of_any_stack(order, seeds, data):
    place = data.draw(st.integers(0, len(seeds) - 1))
    epochs = data.draw(st.lists(st.integers(0, 9), min_size=len(seeds), max_size=len(seeds)))
    stacked = orders(order, seeds, images=30, batch_size=7, epochs=epochs)
    alone = orders(order, [seeds[place]], images=30, batch_size=7, epochs=[epochs[place]])
    assert stacked[place].equal(alone[0])


@given(seed=SEEDS, first=st.integers(0, 50), second=st.integers(0, 50))
def test_once_is_the_same_in_every_epoch_and_epoch_is_not(seed, first, second):
    def row(order, epoch):
        return orders(order, [seed], images=100, batch_size=10, epochs=[epoch])

    assert row("once", first).equal(row("once", second))
    assert row("epoch", first).equal(row("epoch", second)) == (first == second)


@given(seeds=st.lists(SEEDS, min_size=2, max_size=2, unique=True), order=st.sampled_from(["once", "epoch"]))
def test_different_seeds_give_different_orders(seeds, order):
    first, second = orders(order, seeds, images=100, batch_size=10, epochs=[0, 0])
    assert not first.equal(second)


def test_the_remainder_left_out_changes_with_the_epoch():
    left_out = {
        frozenset(range(11)) - frozenset(orders("epoch", [0], 11, 10, [epoch]).flatten().tolist())
        for epoch in range(50)
    }
    assert len(left_out) > 5  # all eleven have the same chance


def test_a_batch_size_of_zero_is_refused():
    with pytest.raises(ValueError, match="batch_size = 0: must be at least 1"):
        orders("fixed", [0], images=10, batch_size=0, epochs=[0])
