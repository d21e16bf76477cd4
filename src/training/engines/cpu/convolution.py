"""A convolution with its pooling, one image at a time: forward, and backward where gradients are not zero.

    c[p, m] = Σ_t W[m, t] x[pixel p + tap t]           then pooling over p, then + bias                            (1)
    dW[m, t] = Σ_e z[e] x[place e + t],  g[place e + t] += z[e] W[m, t]                                            (2)

A tap t is one weight's place in the receptive field, channel included. Images are (H, W, C) in memory, so a tap is an
offset from the pixel, and no image is unfolded. The forward pass keeps a block of pixels × maps in registers while it
goes over the taps. The backward pass first lists the *entries* e of each map: the gradients z[e] that are not zero, and
the places in the input that they belong to. After max pooling a pooled pixel has at most one entry, so with 2x2 there
is one for at most a quarter of the convolution's pixels, and behind ReLU for about half as many.
Legend: C maps of the input, M of the output, R taps, L lanes, [M] = M rounded up to whole vectors.
"""

import numpy as np

from src.training.engines.cpu.kernel import kernel
from src.training.engines.cpu.update import Rule, update
from src.training.engines.cpu.vectors import (
    EIGHT,
    FIVE,
    FOUR,
    LANES,
    ONE,
    SIX,
    THREE,
    TWO,
    add,
    add_at,
    fma,
    grid,
    indices,
    keep_larger,
    load,
    number_at,
    outer,
    put,
    root,
    rows,
    rows_at,
    spread,
    spread_at,
    store,
    store_grid,
    store_rows,
    zeros,
)

f32 = np.float32

_TAPS = 128  # taps that are worked on together: their weights, 128 x [M] floats, stay in the first-level cache


@kernel
def arrange_weights(layer, weights, by_tap, by_map):  # type: ignore[no-untyped-def]
    """Copies weights (M, R) to by_tap (R, [M]) for the forward pass and by_map (M, vectors, L) for the backward one."""
    maps, taps, lanes_out, field = layer.outputs, layer.taps, layer.lanes_out, layer.field
    row_taps, vectors = layer.row_taps, layer.vectors
    for first in range(0, taps, 16):  # a transposition; in blocks, so that the written lines stay in the cache
        for m in range(maps):
            for t in range(first, min(first + 16, taps)):
                put(by_tap, t * lanes_out + m, number_at(weights, m * taps + t))
    for m in range(maps):
        for ky in range(field):
            row, at = m * taps + ky * row_taps, (m * vectors + ky) * LANES
            for inside in range(0, row_taps - LANES + 1, LANES):
                store(by_map, at + inside * field, load(weights, row + inside))
            for inside in range(row_taps // LANES * LANES, row_taps):  # the rest of that vector stays zero
                by_map[at + inside // LANES * LANES * field + inside % LANES] = weights[row + inside]


@kernel
def _block(vectors, block, first, taps, by_tap, lanes_out, m, tap_offsets, x, pixel_offsets, pixels, out):  # type: ignore[no-untyped-def]
    """Adds up (1) for the maps of len(vectors) vectors from map m on, taps first … first + taps, for all pixels."""
    for p in range(0, pixels, len(block)):
        offsets = indices(block, pixel_offsets, p)
        at = p * lanes_out + m
        sums = zeros(block, vectors) if first == 0 else grid(block, vectors, out, at, lanes_out)
        for t in range(first, first + taps):
            weights = rows(vectors, by_tap, t * lanes_out + m, LANES)
            sums = outer(spread_at(x, indices(ONE, tap_offsets, t)[0], offsets), weights, sums)
        store_grid(vectors, out, at, lanes_out, sums)


@kernel
def convolve(layer, tables, by_tap, x, out):  # type: ignore[no-untyped-def]
    """Equation (1) without pooling and bias: writes out (pixels, [M]) for one image x."""
    lanes_out, pixels = layer.lanes_out, layer.pixels
    tap_offsets = tables[layer.taps_at : layer.taps_at + layer.taps]
    pixel_offsets = tables[layer.pixels_at :]
    for first in range(0, layer.taps, _TAPS):
        taps, m = min(_TAPS, layer.taps - first), 0
        while m + 3 * LANES <= lanes_out:
            _block(THREE, FOUR, first, taps, by_tap, lanes_out, m, tap_offsets, x, pixel_offsets, pixels, out)
            m += 3 * LANES
        while m + 2 * LANES <= lanes_out:
            _block(TWO, SIX, first, taps, by_tap, lanes_out, m, tap_offsets, x, pixel_offsets, pixels, out)
            m += 2 * LANES
        while m < lanes_out:
            _block(ONE, EIGHT, first, taps, by_tap, lanes_out, m, tap_offsets, x, pixel_offsets, pixels, out)
            m += LANES


@kernel
def _largest_of_four(convolved, at, right, below, offsets):  # type: ignore[no-untyped-def]
    """2x2 max pooling of a vector of maps: the largest values and their offsets, by two rounds of comparisons."""
    upper, upper_note = keep_larger(load(convolved, at), offsets[0], load(convolved, at + right), offsets[1])
    at += below
    lower, lower_note = keep_larger(load(convolved, at), offsets[2], load(convolved, at + right), offsets[3])
    return keep_larger(upper, upper_note, lower, lower_note)


@kernel
def pool(layer, tables, convolved, bias, z, memo):  # type: ignore[no-untyped-def]
    """Pools one image's convolution (pixels, [M]) and adds the bias: z (pooled, M).

    memo (pooled, [M]) is for the backward pass: for max pooling the place in the input of the largest pixel (a float,
    exact below 2^24), for L2 pooling the norm. What a vector writes beyond M is overwritten by the next pixel's.
    """
    maps, lanes_out, size, step = layer.outputs, layer.lanes_out, layer.pool_size, layer.pool_stride
    width, pooled_width, is_l2 = layer.width, layer.pooled_width, layer.is_l2
    places = tables[layer.pixels_at : layer.pixels_at + layer.pixels]
    right, below = places[1] - places[0] if size == 2 else 0, places[width] - places[0] if size == 2 else 0
    offsets = (spread(f32(0)), spread(f32(right)), spread(f32(below)), spread(f32(right + below)))
    for p in range(layer.pooled):
        corner = p // pooled_width * step * width + p % pooled_width * step
        for m in range(0, lanes_out, LANES):
            if is_l2:
                best = note = spread(f32(0))
                for dy in range(size):
                    for dx in range(size):
                        value = load(convolved, (corner + dy * width + dx) * lanes_out + m)
                        note = fma(value, value, note)
                best = note = root(note)
            elif size == 2:
                best, note = _largest_of_four(convolved, corner * lanes_out + m, lanes_out, width * lanes_out, offsets)
                note = add(note, spread(f32(places[corner])))
            else:
                best, note = load(convolved, corner * lanes_out + m), spread(f32(places[corner]))
                for dy in range(size):
                    for dx in range(size):
                        pixel = corner + dy * width + dx
                        value = load(convolved, pixel * lanes_out + m)
                        best, note = keep_larger(best, note, value, spread(f32(places[pixel])))
            store(memo, p * lanes_out + m, note)
            store(z, p * maps + m, add(best, load(bias, m)))


@kernel
def list_entries(layer, tables, d, memo, convolved, values, places, counts):  # type: ignore[no-untyped-def]
    """Lists the entries of one image: those of map m in values and places from m·entries on, counts[m] of them.

    d (pooled, M) is the gradient in z. An entry is always written but counted only if it is not zero (a NaN is not
    zero), because the processor would mispredict a branch here half of the time.
    """
    maps, lanes_out, room = layer.outputs, layer.lanes_out, layer.entries
    size, step = layer.pool_size, layer.pool_stride
    width, pooled, pooled_width, is_l2 = layer.width, layer.pooled, layer.pooled_width, layer.is_l2
    pixel_places = tables[layer.pixels_at : layer.pixels_at + layer.pixels]
    for m in range(maps):
        at = m * room
        if not is_l2:
            for p in range(pooled):
                value = number_at(d, p * maps + m)
                put(values, at, value)
                put(places, at, np.int32(number_at(memo, p * lanes_out + m)))
                at += value != f32(0)
            counts[m] = at - m * room
            continue
        for p in range(pooled):
            value, note = number_at(d, p * maps + m), number_at(memo, p * lanes_out + m)
            if note != f32(0):  # d √(Σ c²) / d c = c / √(Σ c²), and 0 where all c are 0
                corner = p // pooled_width * step * width + p % pooled_width * step
                for dy in range(size):
                    for dx in range(size):
                        pixel = corner + dy * width + dx
                        share = value * (convolved[pixel * lanes_out + m] / note)
                        values[at], places[at] = share, pixel_places[pixel]
                        at += share != f32(0)
        counts[m] = at - m * room


@kernel
def convolution_backward(layer, tables, x, by_map, gradient, g, needs_g, values, places, counts):  # type: ignore[no-untyped-def]
    """Equation (2) for one image: adds its entries to gradient (M, vectors, L) and, if needs_g, to g, shaped as x."""
    vectors, vectors_at = layer.vectors, layer.vectors_at
    for m in range(layer.outputs):
        start = m * layer.entries
        stop = start + counts[m]
        for v in range(0, vectors, 5):
            at, offsets = (m * vectors + v) * LANES, indices(FIVE, tables, vectors_at + v)
            sums = rows(FIVE, gradient, at, LANES)
            weights = rows(FIVE, by_map, at, LANES)
            for e in range(start, stop):
                value, place = spread(values[e]), places[e]
                sums = outer((value,), rows_at(x, place, offsets), sums)
                if needs_g:
                    add_at(g, place, offsets, value, weights)
            store_rows(gradient, at, LANES, sums)


@kernel
def update_convolution(layer, weights, gradient, room, slots, rule: Rule):  # type: ignore[no-untyped-def]
    """Updates weights (M, R) by the gradient (M, vectors, L); `room` (R,) is working memory."""
    taps, field, row_taps, vectors = layer.taps, layer.field, layer.row_taps, layer.vectors
    for m in range(layer.outputs):
        for ky in range(field):
            for inside in range(0, row_taps, LANES):  # what the last vector adds to the next row, that row overwrites
                at = (m * vectors + ky) * LANES + inside * field
                store(room, ky * row_taps + inside, load(gradient, at))
        update(weights[m * taps : (m + 1) * taps], room, slots[m * taps :], rule, True)
