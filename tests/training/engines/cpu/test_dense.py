"""The dense layer's lists and panels; its arithmetic is held to a plain loop in test_steps.py."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from src.config.shapes import Dense
from src.training.engines.cpu.dense import _PANELS, Inputs, list_inputs
from src.training.engines.cpu.layout import PANELS, STRIP, Plan, panels
from src.training.engines.cpu.vectors import LANES

fill = njit(lambda inputs, slopes: list_inputs(inputs, slopes))


@pytest.mark.parametrize("units", [1, 7, 8, STRIP, STRIP + 1, 3 * STRIP - 5])
@pytest.mark.parametrize("share", [0.0, 0.2, 1.0])
def test_the_lists_hold_exactly_the_inputs_that_count(units: int, share: float) -> None:
    batch, generator = 3, np.random.default_rng(units)
    stride = units + 9
    x = np.full((batch, stride), 5, np.float32)  # behind the last input lies what must not be read
    slopes = np.full((batch, stride), 5, np.float32)
    x[:, :units] = generator.random((batch, units)) < share
    slopes[:, :units] = generator.random((batch, units)) < share
    x[0, 0], slopes[0, 0] = np.nan, 0
    if units > 1:
        x[0, 1], slopes[0, 1] = -0.0, 0
    strips = -(-units // STRIP)
    room = [
        np.full(size, -1, np.int32) for size in (batch * (units + 7) + 8, batch * (strips + 1), units * batch, units)
    ]
    numbers, starts, images, counts = room
    values = x.ravel()
    inputs = Inputs(
        True, units, batch, values, stride, numbers, units + 7, starts, strips + 1, images, batch, counts, 1
    )
    fill(inputs, slopes.ravel())
    expected = (x[:, :units] != 0) | (slopes[:, :units] != 0)
    for b in range(batch):
        own, ends = numbers[b * (units + 7) :], starts[b * (strips + 1) : (b + 1) * (strips + 1)]
        for strip in range(strips):
            found = own[ends[strip] : ends[strip + 1]]
            first = strip * STRIP
            assert found.tolist() == (first + np.flatnonzero(expected[b, first : first + STRIP])).tolist()
    for i in range(units):
        assert images[i * batch : i * batch + counts[i]].tolist() == np.flatnonzero(expected[:, i]).tolist()


def test_the_kernels_know_the_widths_of_the_layout() -> None:
    assert tuple(len(panel) for panel, _ in _PANELS) == PANELS


@given(st.integers(1, 5000))
def test_the_panels_hold_every_output_once_and_little_else(outputs: int) -> None:
    found = panels(outputs)
    assert [start for start, _ in found] == [0, *(end for _, end in found[:-1])]
    assert all((end - start) // LANES in PANELS for start, end in found)
    widths = [end - start for start, end in found]
    assert widths == sorted(widths, reverse=True)  # the kernels walk through them in this order
    assert outputs <= found[-1][1] < outputs + 3 * LANES


@pytest.mark.parametrize("outputs", [1, 10, 100, 2 * 13 * LANES + 1])
def test_the_room_behind_a_signal_holds_whole_panels(outputs: int) -> None:
    plan = Plan([Dense(outputs, "sigmoid", inputs=20)], 10)
    assert plan.signals[1]["stride"] >= panels(outputs)[-1][1]
