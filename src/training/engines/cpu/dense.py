"""A dense layer: the forward pass, and the backward pass with the update in the same pass over its weights.

    z[b] = bias + Σ_i x[b, i] W[i]                                                                                 (1)
    g[b, i] = W[i] · d[b],  G[i] = Σ_b x[b, i] d[b]        d: gradient of the cost in z; g: in x; G: in W           (2)

W[i] is the row of an input's weights to all outputs. An input that is zero in an image, as behind ReLU or dropout or
outside of a digit's strokes, adds nothing to (1) and to G; if its slope f' is zero as well, its g is not needed. So a
layer first lists the inputs that *count* in each image, and computes with these only: with ReLU and dropout in two
dense layers, a quarter of them. (Zero times an infinite or NaN weight is then not computed, where plain arithmetic
would give NaN.)

The outputs are cut into *panels* of whole vectors whose sums stay in registers; a panel's weights lie together in
memory, input after input. The inputs are cut into *strips*, so that a panel's weights of one strip are loaded into the
first-level cache once for all images. The hardware cannot foresee which inputs count, so while a wide layer works on
one strip it prefetches the weights of the next.
Legend: B images, O outputs, I inputs, L lanes; a vector of an image's row lies every `stride` floats.
"""

from typing import NamedTuple

import numpy as np
from numba import literal_unroll

from src.training.engines.cpu.kernel import kernel
from src.training.engines.cpu.layout import PANELS, STRIP
from src.training.engines.cpu.update import update
from src.training.engines.cpu.vectors import (
    EIGHT,
    FOUR,
    LANES,
    ONE,
    SEVEN,
    THIRTEEN,
    TWO,
    add_all_dots,
    add_dots,
    fetch,
    grid,
    grown,
    indices,
    nonzero,
    outer_row,
    put,
    rows,
    spread,
    spread_row,
    store_grid,
    store_numbers,
    store_rows,
    zeros,
)

f32 = np.float32
# The panels of layout.py, each with the number of images, or inputs, that are worked on side by side where all inputs
# count: enough sums that none waits for the one before, and few enough to stay in registers.
_PANELS = ((THIRTEEN, TWO), (SEVEN, TWO), (FOUR, FOUR), (TWO, EIGHT), (ONE, EIGHT))
_TOGETHER = 24  # images whose gradients d are worked on together: a panel of them stays in the first-level cache
_WIDE = 1 << 18  # with more weights (1 MiB), a second-level cache does not keep them from one step to the next
_LINE = 16  # floats of a cache line


class Inputs(NamedTuple):
    """A dense layer's inputs with two int32 lists of those that count: by image, and by input.

    Where they are not `listed`, all inputs count in every image; one list serves all images, and its strides are 0.
    """

    listed: bool
    units: int  # I
    batch: int  # B
    values: np.ndarray  # x; arrays of slopes and of g are laid out in the same way
    stride: int
    numbers: np.ndarray  # image b's inputs that count, in order, from b·numbers_stride on
    numbers_stride: int
    starts: np.ndarray  # where in image b's numbers strip s begins: at b·starts_stride + s; the end behind the last
    starts_stride: int
    images: np.ndarray  # the images in which input i counts, from i·images_stride on
    images_stride: int
    counts: np.ndarray  # the number of these images, at i·counts_stride
    counts_stride: int


# For each value of 8 bits: the positions of the bits that are set, in order, and their number.
_SET = np.array([([n for n in range(8) if byte >> n & 1] + [0] * 8)[:8] for byte in range(256)], np.int32).ravel()
_SET_COUNT = np.array([byte.bit_count() for byte in range(256)])


@kernel
def list_inputs(inputs, slopes):  # type: ignore[no-untyped-def]
    """Fills the lists of inputs that count, eight inputs at a time, without a branch (often mispredicted here)."""
    count = inputs.units
    for i in range(count):
        inputs.counts[i] = 0
    for b in range(inputs.batch):
        first, from_, starts = b * inputs.stride, b * inputs.numbers_stride, b * inputs.starts_stride
        n = from_
        for i in range(0, count, 8):
            if i % STRIP == 0:
                inputs.starts[starts + i // STRIP] = n - from_
            bits = nonzero(inputs.values, first + i, slopes, first + i)
            if i + 8 > count:
                bits &= (1 << (count - i)) - 1
            store_numbers(inputs.numbers, n, i, _SET, bits)
            n += _SET_COUNT[bits]
        inputs.starts[starts + (count + STRIP - 1) // STRIP] = n - from_
        for place in range(from_, n):
            i = indices(ONE, inputs.numbers, place)[0]
            known = indices(ONE, inputs.counts, i)[0]
            put(inputs.images, i * inputs.images_stride + known, np.int32(b))
            put(inputs.counts, i, np.int32(known + 1))


@kernel
def _listed(inputs, b, strip):  # type: ignore[no-untyped-def]
    """The first index, and the one after the last, in `numbers` of the inputs of a strip that count in image b."""
    from_, at = b * inputs.numbers_stride, b * inputs.starts_stride + strip
    return from_ + inputs.starts[at], from_ + inputs.starts[at + 1]


@kernel
def _together(panel):  # type: ignore[no-untyped-def]
    """The number of inputs whose weights in a panel take as much memory as a strip's in the widest panel."""
    return STRIP * (PANELS[0] // len(panel))


@kernel
def _fetch_part(a, at, count, part, parts):  # type: ignore[no-untyped-def]
    """Prefetches part number `part` of a[at : at + count], cut into `parts` equal parts."""
    size = (count + parts * _LINE - 1) // (parts * _LINE) * _LINE
    for i in range(part * size, min(part * size + size, count), _LINE):
        fetch(a, at + i)


@kernel
def _forward_listed(panel, bias, weights, at, inputs, wide, strip, first, z, z_at, z_stride):  # type: ignore[no-untyped-def]
    """Equation (1) for one panel and one strip: the images from `first` on, each by its list."""
    width = len(panel) * LANES
    for b in range(first, inputs.batch):
        start, stop = _listed(inputs, b, strip)
        if wide:
            _fetch_part(weights, at + (strip + 1) * STRIP * width, STRIP * width, b, inputs.batch)
        sums = rows(panel, z, z_at + b * z_stride, LANES) if strip else rows(panel, bias, z_at, LANES)
        for n in range(start, stop):
            i = indices(ONE, inputs.numbers, n)[0]
            x = spread_row(ONE, inputs.values, b * inputs.stride + i, 0)
            sums = outer_row(x, panel, weights, at + i * width, sums)
        store_rows(z, z_at + b * z_stride, LANES, sums)


@kernel
def _forward_block(panel, block, bias, weights, at, inputs, wide, start, stop, z, z_at, z_stride):  # type: ignore[no-untyped-def]
    """Equation (1) for one panel and the inputs start … stop − 1, all of which count: len(block) images side by side.

    Returns the first of the images that remain, fewer than len(block).
    """
    width, count = len(panel) * LANES, inputs.batch // len(block)
    for n in range(count):
        b = n * len(block)
        if wide:
            _fetch_part(weights, at + stop * width, (stop - start) * width, n, count)
        sums = grid(block, panel, z, z_at + b * z_stride, z_stride) if start else grid(block, panel, bias, z_at, 0)
        for i in range(start, stop):
            xs = spread_row(block, inputs.values, b * inputs.stride + i, inputs.stride)
            sums = outer_row(xs, panel, weights, at + i * width, sums)
        store_grid(panel, z, z_at + b * z_stride, z_stride, sums)
    return count * len(block)


@kernel
def _forward_panel(panel, block, bias, weights, at, inputs, wide, z, z_at, z_stride):  # type: ignore[no-untyped-def]
    """Equation (1) for one panel, whose weights begin at `at` and whose outputs begin at z_at."""
    b = 0  # the first of the images that go one by one
    if not inputs.listed:
        size = _together(panel)
        for start in range(0, inputs.units, size):
            stop = min(start + size, inputs.units)
            b = _forward_block(panel, block, bias, weights, at, inputs, wide, start, stop, z, z_at, z_stride)
    if b < inputs.batch:
        for strip in range((inputs.units + STRIP - 1) // STRIP):
            _forward_listed(panel, bias, weights, at, inputs, wide, strip, b, z, z_at, z_stride)


@kernel
def dense_forward(weights, bias, inputs, z, z_stride):  # type: ignore[no-untyped-def]
    """Equation (1): writes z. weights: those of all panels; bias (columns,), with columns = O rounded up to panels."""
    o, wide = 0, len(bias) * inputs.units > _WIDE
    for panel_and_block in literal_unroll(_PANELS):
        panel, block = panel_and_block
        for _ in range((len(bias) - o) // (len(panel) * LANES)):
            _forward_panel(panel, block, bias, weights, o * inputs.units, inputs, wide, z, o, z_stride)
            o += len(panel) * LANES


@kernel
def _input_gradients(panel, weights, at, inputs, wide, strip, d, d_at, d_stride, g):  # type: ignore[no-untyped-def]
    """Adds one panel's share of g, equation (2), for the inputs of a strip."""
    width, done, b = len(panel) * LANES, 0, 0
    while b < inputs.batch:
        if wide:
            _fetch_part(weights, at + (strip + 1) * STRIP * width, STRIP * width, b, inputs.batch)
        n, stop = _listed(inputs, b, strip)
        if not inputs.listed:  # the inputs are n, n + 1, …: eight, or four, of them with two images side by side
            if b == done and b + 1 < inputs.batch:
                done, i = b + 2, n
                while i + LANES // 2 <= stop:
                    from_, w_at, own = b * inputs.stride + i, at + i * width, d_at + b * d_stride
                    add_all_dots(panel, g, from_, inputs.stride, weights, w_at, d, own, d_stride)
                    i += LANES // 2
            if b < done:
                n += (stop - n) // (LANES // 2) * (LANES // 2)
        while n + 4 <= stop:
            four = indices(FOUR, inputs.numbers, n)
            add_dots(panel, g, b * inputs.stride, four, weights, at, d, d_at + b * d_stride)
            n += 4
        while n < stop:
            one = indices(ONE, inputs.numbers, n)
            add_dots(panel, g, b * inputs.stride, one, weights, at, d, d_at + b * d_stride)
            n += 1
        b += 1


@kernel
def _update_listed(panel, weights, slots, at, start, last, inputs, d, d_at, d_stride, room, rule):  # type: ignore[no-untyped-def]
    """G of equation (2) and the update for one panel and the inputs start … last − 1, each by its list."""
    width = len(panel) * LANES
    decay, rate = spread(-rule.decay_share), spread(-rule.eta * rule.batch_share)
    decays = rule.decay_share != f32(0)
    for i in range(start, last):
        first = i * inputs.images_stride
        end, here = first + inputs.counts[i * inputs.counts_stride], at + i * width
        if first == end and rule.plain and not decays:
            continue  # the input counts in no image, and its weights do not decay in this step
        sums = zeros(panel, ONE)
        for n in range(first, end):
            b = indices(ONE, inputs.images, n)[0]
            x = spread_row(ONE, inputs.values, b * inputs.stride + i, 0)
            sums = outer_row(x, panel, d, d_at + b * d_stride, sums)
        if rule.plain:
            store_rows(weights, here, LANES, grown(rows(panel, weights, here, LANES), decay, rate, sums))
        else:
            store_rows(room, 0, LANES, sums)
            update(weights[here : here + width], room[:width], slots[here:], rule, True)


@kernel
def _update_block(panel, block, weights, slots, at, i, last, inputs, d, d_at, d_stride, room, rule):  # type: ignore[no-untyped-def]
    """G of equation (2) and the update for one panel, from input i on: len(block) inputs side by side.

    All inputs count. Returns the first of those that remain before `last`, fewer than len(block). The images are cut
    into parts, between which the sums are kept in `room`.
    """
    width, end = len(panel) * LANES, i + (last - i) // len(block) * len(block)
    decay, rate = spread(-rule.decay_share), spread(-rule.eta * rule.batch_share)
    for first in range(0, inputs.batch, _TOGETHER):
        stop = min(first + _TOGETHER, inputs.batch)
        for here in range(i, end, len(block)):
            kept, place = (here - i) * width, at + here * width
            sums = grid(block, panel, room, kept, width) if first else zeros(block, panel)
            for b in range(first, stop):
                xs = spread_row(block, inputs.values, b * inputs.stride + here, 1)
                sums = outer_row(xs, panel, d, d_at + b * d_stride, sums)
            if rule.plain and stop == inputs.batch:
                sums = grown(grid(block, panel, weights, place, width), decay, rate, sums)
                store_grid(panel, weights, place, width, sums)
            else:
                store_grid(panel, room, kept, width, sums)
    if not rule.plain:
        count = (end - i) * width
        update(weights[at + i * width : at + end * width], room[:count], slots[at + i * width :], rule, True)
    return end


@kernel
def _backward_panel(panel, block, weights, slots, at, inputs, wide, d, d_at, d_stride, g, needs_g, room, rule):  # type: ignore[no-untyped-def]
    """Equation (2) and the update for one panel."""
    size = STRIP if inputs.listed else _together(panel)
    for start in range(0, inputs.units, size):
        i, last = start, min(start + size, inputs.units)
        if needs_g:
            for strip in range(start // STRIP, (last + STRIP - 1) // STRIP):
                _input_gradients(panel, weights, at, inputs, wide, strip, d, d_at, d_stride, g)
        if not inputs.listed:
            i = _update_block(panel, block, weights, slots, at, i, last, inputs, d, d_at, d_stride, room, rule)
        _update_listed(panel, weights, slots, at, i, last, inputs, d, d_at, d_stride, room, rule)


@kernel
def dense_backward(weights, slots, columns, inputs, d, d_stride, g, needs_g, room, rule):  # type: ignore[no-untyped-def]
    """Equation (2) and the update of the weights; g is written if `needs_g`, from the weights before the update."""
    if needs_g:
        for b in range(inputs.batch):
            for i in range(b * inputs.stride, b * inputs.stride + inputs.units):
                g[i] = f32(0)
    o, wide = 0, columns * inputs.units > _WIDE
    for panel_and_block in literal_unroll(_PANELS):
        panel, block = panel_and_block
        for _ in range((columns - o) // (len(panel) * LANES)):
            at = o * inputs.units
            _backward_panel(panel, block, weights, slots, at, inputs, wide, d, o, d_stride, g, needs_g, room, rule)
            o += len(panel) * LANES
