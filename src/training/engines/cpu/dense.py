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
from src.training.engines.cpu.layout import STRIP
from src.training.engines.cpu.update import update
from src.training.engines.cpu.vectors import (
    FOUR,
    LANES,
    ONE,
    SEVEN,
    THIRTEEN,
    TWO,
    add_dots,
    fetch,
    grown,
    indices,
    nonzero,
    outer,
    put,
    rows,
    spread,
    spread_row,
    store_numbers,
    store_rows,
    zeros,
)

f32 = np.float32
_PANELS = (THIRTEEN, SEVEN, FOUR, TWO, ONE)  # those of layout.py
_WIDE = 1 << 18  # with more weights (1 MiB), a second-level cache does not keep them from one step to the next
_LINE = 16  # floats of a cache line


class Inputs(NamedTuple):
    """A dense layer's inputs with two int32 lists of those that count: by image, and by input.

    Where all inputs count in every image there is one list for all images, and the strides of the lists are 0.
    """

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
def _fetch_part(a, at, count, part, parts):  # type: ignore[no-untyped-def]
    """Prefetches part number `part` of a[at : at + count], cut into `parts` equal parts."""
    size = (count + parts * _LINE - 1) // (parts * _LINE) * _LINE
    for i in range(part * size, min(part * size + size, count), _LINE):
        fetch(a, at + i)


@kernel
def _forward_panel(panel, bias, weights, at, inputs, wide, z, z_at, z_stride):  # type: ignore[no-untyped-def]
    """Equation (1) for one panel, whose weights begin at `at` and whose outputs begin at z_at."""
    width = len(panel) * LANES
    for strip in range((inputs.units + STRIP - 1) // STRIP):
        for b in range(inputs.batch):
            start, stop = _listed(inputs, b, strip)
            if wide:
                _fetch_part(weights, at + (strip + 1) * STRIP * width, STRIP * width, b, inputs.batch)
            sums = rows(panel, z, z_at + b * z_stride, LANES) if strip else rows(panel, bias, z_at, LANES)
            for n in range(start, stop):
                i = indices(ONE, inputs.numbers, n)[0]
                x = spread_row(ONE, inputs.values, b * inputs.stride + i)
                sums = outer(x, rows(panel, weights, at + i * width, LANES), sums)
            store_rows(z, z_at + b * z_stride, LANES, sums)


@kernel
def dense_forward(weights, bias, inputs, z, z_stride):  # type: ignore[no-untyped-def]
    """Equation (1): writes z. weights: those of all panels; bias (columns,), with columns = O rounded up to panels."""
    o, wide = 0, len(bias) * inputs.units > _WIDE
    for panel in literal_unroll(_PANELS):
        for _ in range((len(bias) - o) // (len(panel) * LANES)):
            _forward_panel(panel, bias, weights, o * inputs.units, inputs, wide, z, o, z_stride)
            o += len(panel) * LANES


@kernel
def _backward_panel(panel, weights, slots, at, inputs, wide, d, d_at, d_stride, g, needs_g, room, rule):  # type: ignore[no-untyped-def]
    """Equation (2) and the update for one panel."""
    width = len(panel) * LANES
    decay, rate = spread(-rule.decay_share), spread(-rule.eta * rule.batch_share)
    decays = rule.decay_share != f32(0)
    for strip in range((inputs.units + STRIP - 1) // STRIP):
        if needs_g:
            for b in range(inputs.batch):
                n, stop = _listed(inputs, b, strip)
                if wide:
                    _fetch_part(weights, at + (strip + 1) * STRIP * width, STRIP * width, b, inputs.batch)
                while n + 4 <= stop:
                    four = indices(FOUR, inputs.numbers, n)
                    add_dots(panel, g, b * inputs.stride, four, weights, at, d, d_at + b * d_stride)
                    n += 4
                while n < stop:
                    one = indices(ONE, inputs.numbers, n)
                    add_dots(panel, g, b * inputs.stride, one, weights, at, d, d_at + b * d_stride)
                    n += 1
        for i in range(strip * STRIP, min(strip * STRIP + STRIP, inputs.units)):
            first = i * inputs.images_stride
            end, here = first + inputs.counts[i * inputs.counts_stride], at + i * width
            if first == end and rule.plain and not decays:
                continue  # the input counts in no image, and its weights do not decay in this step
            sums = zeros(panel, ONE)
            for n in range(first, end):
                b = indices(ONE, inputs.images, n)[0]
                x = spread_row(ONE, inputs.values, b * inputs.stride + i)
                sums = outer(x, rows(panel, d, d_at + b * d_stride, LANES), sums)
            if rule.plain:
                store_rows(weights, here, LANES, grown(rows(panel, weights, here, LANES), decay, rate, sums))
            else:
                store_rows(room, 0, LANES, sums)
                update(weights[here : here + width], room[:width], slots[here:], rule, True)


@kernel
def dense_backward(weights, slots, columns, inputs, d, d_stride, g, needs_g, room, rule):  # type: ignore[no-untyped-def]
    """Equation (2) and the update of the weights; g is written if `needs_g`, from the weights before the update."""
    if needs_g:
        for b in range(inputs.batch):
            for i in range(b * inputs.stride, b * inputs.stride + inputs.units):
                g[i] = f32(0)
    o, wide = 0, columns * inputs.units > _WIDE
    for panel in literal_unroll(_PANELS):
        for _ in range((columns - o) // (len(panel) * LANES)):
            at = o * inputs.units
            _backward_panel(panel, weights, slots, at, inputs, wide, d, o, d_stride, g, needs_g, room, rule)
            o += len(panel) * LANES
