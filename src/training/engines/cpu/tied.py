"""One layer with tied weights: its two directions, and the updates, as kernels over one member's numbers.

    up      z[b] = bias + Σ_i x[b, i] W[i]                                                                         (1)
    down    a[b, i] = W[i] · h[b]                                                                                  (2)
    back    g[b] = Σ_i d[b, i] W[i]                                                                                (3)
    update  W[i] <- W[i] − share · W[i] + rate · Σ_b d[b, i] h[b]                                                  (4)

W[i] is the row of an input's weights to all hidden units. Inputs that are zero add nothing to (1) and to (4): for them,
such as the black pixels of a digit or a machine's units, the others are listed first, and only these are computed with.
Rows are cut into *panels* of PANEL vectors, whose sums stay in registers, for two examples at a time where all inputs
count; inputs are cut into *strips*, whose weights of one panel stay in the first-level cache for all examples.
Legend: B examples, V inputs, H hidden units; a row of examples lies every `inputs_stride` or `stride` floats.
"""

from typing import NamedTuple

import numpy as np

from src.training.engines.cpu.kernel import kernel
from src.training.engines.cpu.vectors import (
    EIGHT,
    FOUR,
    LANES,
    ONE,
    TWO,
    grid,
    grown,
    indices,
    nonzero,
    outer,
    put,
    rows,
    spread,
    spread_row,
    store_grid,
    store_lane_sums,
    store_numbers,
    store_rows,
    zeros,
)

f32 = np.float32
PANEL = EIGHT if LANES == 16 else FOUR  # vectors: for two examples, half of the registers that there are
WIDTH = len(PANEL) * LANES
BLOCK = len(PANEL)  # inputs whose products (2) are summed together
STRIP = 64  # inputs of a strip: a panel's weights for them fill two thirds of a first-level cache of 48 KB


class Layer(NamedTuple):
    """One member's weights and biases, and how they lie in memory."""

    inputs: int  # V
    outputs: int  # H
    inputs_stride: int  # floats of a row of inputs: V rounded up; what is behind V is zero
    stride: int  # floats of a row of weights or of hidden units, an odd number of cache lines
    columns: int  # H rounded up to whole panels; what is behind H is zero
    weights: np.ndarray  # (V rounded up, stride), flat
    bias: np.ndarray  # (columns,)
    visible: np.ndarray  # (V,): the biases of the inputs


class Listed(NamedTuple):
    """The inputs of some examples that are not zero: int32 lists by example and by input."""

    numbers: np.ndarray  # those of example b, in order, from b·inputs_stride on
    starts: np.ndarray  # where in `numbers` strip s of example b begins: at b·strips + s; the end behind the last one
    strips: int
    examples: np.ndarray  # the examples in which input i counts, from i·most on
    most: int
    counts: np.ndarray  # (V,): the number of these examples


# For each value of 8 bits: the positions of the bits that are set, in order, and their number.
_SET = np.array([([n for n in range(8) if byte >> n & 1] + [0] * 8)[:8] for byte in range(256)], np.int32).ravel()
_SET_COUNT = np.array([byte.bit_count() for byte in range(256)])


@kernel
def list_by_example(layer, x, count, first, listed):  # type: ignore[no-untyped-def]
    """Lists the inputs that are not zero in `count` examples from number `first` on."""
    for b in range(first, first + count):
        start = b * layer.inputs_stride
        n = start
        for i in range(0, layer.inputs, 8):
            if i % STRIP == 0:
                listed.starts[b * listed.strips + i // STRIP] = n
            bits = nonzero(x, start + i, x, start + i)
            store_numbers(listed.numbers, n, i, _SET, bits)
            n += _SET_COUNT[bits]
        listed.starts[b * listed.strips + (layer.inputs + STRIP - 1) // STRIP] = n


@kernel
def list_by_input(layer, count, listed):  # type: ignore[no-untyped-def]
    """Lists by input what is listed by example for `count` examples."""
    for i in range(layer.inputs):
        listed.counts[i] = 0
    last = (layer.inputs + STRIP - 1) // STRIP
    for b in range(count):
        for n in range(b * layer.inputs_stride, listed.starts[b * listed.strips + last]):
            i = indices(ONE, listed.numbers, n)[0]
            known = indices(ONE, listed.counts, i)[0]
            put(listed.examples, i * listed.most + known, np.int32(b))
            put(listed.counts, i, np.int32(known + 1))


@kernel
def up(layer, x, count, first, listed, z):  # type: ignore[no-untyped-def]
    """Equation (1): writes z (B, stride) for `count` examples from number `first` of x on, whose inputs are listed."""
    for o in range(0, layer.columns, WIDTH):
        for strip in range((layer.inputs + STRIP - 1) // STRIP):
            for b in range(count):
                at, entry = b * layer.stride + o, (first + b) * listed.strips + strip
                sums = rows(PANEL, z, at, LANES) if strip else rows(PANEL, layer.bias, o, LANES)
                for n in range(listed.starts[entry], listed.starts[entry + 1]):
                    i = indices(ONE, listed.numbers, n)[0]
                    one = spread_row(ONE, x, (first + b) * layer.inputs_stride + i, 0)
                    sums = outer(one, rows(PANEL, layer.weights, i * layer.stride + o, LANES), sums)
                store_rows(z, at, LANES, sums)


@kernel
def up_before(layer, x, listed, z, earlier, d, rate):  # type: ignore[no-untyped-def]
    """Equation (1) for one example x, whose inputs are listed, with weights that still wait for (4).

    That is an update without decay, with one example's d and inputs `earlier`. The result is, bit for bit, that of
    `update_listed` followed by `up`.
    """
    nothing, grow = spread(f32(0)), spread(rate)
    for o in range(0, layer.columns, WIDTH):
        sums, own = rows(PANEL, layer.bias, o, LANES), rows(PANEL, d, o, LANES)
        for n in range(listed.starts[0], listed.starts[(layer.inputs + STRIP - 1) // STRIP]):
            i = indices(ONE, listed.numbers, n)[0]
            step = outer(spread_row(ONE, earlier, i, 0), own, zeros(ONE, PANEL))
            weights = grown(rows(PANEL, layer.weights, i * layer.stride + o, LANES), nothing, grow, step)
            sums = outer(spread_row(ONE, x, i, 0), weights, sums)
        store_rows(z, o, LANES, sums)


@kernel
def _down(places, layer, h, b, i, a):  # type: ignore[no-untyped-def]
    """Equation (2) for a block of inputs and one or two examples."""
    sums = zeros(places, PANEL)
    for c in range(0, layer.columns, LANES):
        examples = rows(places, h, b * layer.stride + c, layer.stride)
        sums = outer(examples, rows(PANEL, layer.weights, i * layer.stride + c, layer.stride), sums)
    store_lane_sums(a, b * layer.inputs_stride + i, layer.inputs_stride, PANEL, sums)


@kernel
def down(layer, h, count, start, stop, a):  # type: ignore[no-untyped-def]
    """Equation (2) for `count` examples and the inputs from `start` to before `stop`: writes a (B, inputs_stride)."""
    for i in range(start, stop, BLOCK):
        for b in range(0, count - 1, 2):
            _down(TWO, layer, h, b, i, a)
        if count % 2:
            _down(ONE, layer, h, count - 1, i, a)


@kernel
def _back(places, layer, d, b, start, stop, o, g):  # type: ignore[no-untyped-def]
    """Equation (3) for one panel and one or two examples: adds to g."""
    sums = grid(places, PANEL, g, b * layer.stride + o, layer.stride)
    for i in range(start, stop):
        own = spread_row(places, d, b * layer.inputs_stride + i, layer.inputs_stride)
        sums = outer(own, rows(PANEL, layer.weights, i * layer.stride + o, LANES), sums)
    store_grid(PANEL, g, b * layer.stride + o, layer.stride, sums)


@kernel
def back_and_update(layer, d, h, count, start, stop, g, share, rate):  # type: ignore[no-untyped-def]
    """Equations (3), which adds to g, and (4) for the inputs from `start` to before `stop`.

    (3) reads the weights as they are before (4). With an odd number of inputs (4) takes in the row of zeros behind.
    """
    shrink, grow = spread(-share), spread(rate)
    for o in range(0, layer.columns, WIDTH):
        for b in range(0, count - 1, 2):
            _back(TWO, layer, d, b, start, stop, o, g)
        if count % 2:
            _back(ONE, layer, d, count - 1, start, stop, o, g)
        for i in range(start, stop, 2):
            sums = zeros(TWO, PANEL)
            for b in range(count):
                two = spread_row(TWO, d, b * layer.inputs_stride + i, 1)
                sums = outer(two, rows(PANEL, h, b * layer.stride + o, LANES), sums)
            at = i * layer.stride + o
            own = grid(TWO, PANEL, layer.weights, at, layer.stride)
            store_grid(PANEL, layer.weights, at, layer.stride, grown(own, shrink, grow, sums))


@kernel
def update_listed(layer, x, d, listed, start, stop, share, rate):  # type: ignore[no-untyped-def]
    """Equation (4) with hidden units d and inputs x, listed by input, for those from `start` to before `stop`."""
    shrink, grow = spread(-share), spread(rate)
    for o in range(0, layer.columns, WIDTH):
        for i in range(start, stop):
            first = i * listed.most
            end = first + listed.counts[i]
            if first == end and share == f32(0):
                continue
            sums = zeros(ONE, PANEL)
            for n in range(first, end):
                b = indices(ONE, listed.examples, n)[0]
                one = spread_row(ONE, x, b * layer.inputs_stride + i, 0)
                sums = outer(one, rows(PANEL, d, b * layer.stride + o, LANES), sums)
            at = i * layer.stride + o
            own = rows(PANEL, layer.weights, at, LANES)
            store_rows(layer.weights, at, LANES, grown(own, shrink, grow, sums))


@kernel
def update_bias(bias, d, stride, count, sums, share, rate):  # type: ignore[no-untyped-def]
    """bias <- bias − share · bias + rate · Σ_b d[b], where the d of an example lies every `stride` floats.

    sums: memory for the sum.
    """
    sums[: len(bias)] = f32(0)
    for b in range(count):
        row = d[b * stride : b * stride + len(bias)]
        for i in range(len(bias)):
            sums[i] += row[i]
    for i in range(len(bias)):
        bias[i] = bias[i] - share * bias[i] + rate * sums[i]
