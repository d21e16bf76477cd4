"""A dense layer: forward, and backward with the update in the same pass over its weights.

    z[b] = W x[b] + bias                                                                                           (1)
    G = Σ_b d[b] x[b]ᵀ,  g[b] = Wᵀ d[b]      d: gradient of the cost in z; g: in x                                  (2)

Both are products of a small matrix of B rows with the weights, so the weights are what must travel: each block of them
is loaded once a step and used for all B images while it lies in registers. Legend: B images, O outputs (rounded up to
4), I inputs (rounded up to two registers), L lanes; arrays are flat, an image's row every `stride` floats.
"""

import numpy as np

from src.training.cpu.kernel import kernel
from src.training.cpu.layout import ROW
from src.training.cpu.update import Rule, update
from src.training.cpu.vectors import (
    FIVE,
    FOUR,
    LANES,
    ONE,
    TWO,
    add_totals,
    blend,
    inner,
    load,
    outer,
    rows,
    spread,
    spread_row,
    store,
    store_rows,
    zeros,
)

f32 = np.float32

# Columns are worked on in strips. Forward: long, for a strip ends with the sums over lanes, and x is read from the
# second-level cache if need be. Backward: B rows of x and of g stay in the first-level cache of 32 KB.
_FORWARD_STRIP = 1024
_BACKWARD_FLOATS = 8192


@kernel
def _dot_block(outs, images, weights, w_at, width, x, x_at, stride, columns, z, z_at, z_stride):  # type: ignore[no-untyped-def]
    """z += W x over some columns for len(outs) outputs × len(images) images: all the sums stay in registers."""
    sums = zeros(outs, images)
    for i in range(0, columns, LANES):
        w = rows(outs, weights, w_at + i, width)
        sums = outer(w, rows(images, x, x_at + i, stride), sums)
    add_totals(z, z_at, z_stride, images, sums)


@kernel
def dense_forward(
    weights: np.ndarray,  # (O·I,)
    bias: np.ndarray,  # (O,)
    width: int,  # I
    batch: int,
    x: np.ndarray,
    x_stride: int,
    z: np.ndarray,
    z_stride: int,
) -> None:
    """(1): z of every image."""
    outputs = len(bias)
    for b in range(batch):
        for o in range(outputs):
            z[b * z_stride + o] = bias[o]
    for start in range(0, width, _FORWARD_STRIP):
        columns = min(_FORWARD_STRIP, width - start)
        for o in range(0, outputs, 2):
            w_at, b = o * width + start, 0
            while b + 5 <= batch:
                x_at, z_at = b * x_stride + start, b * z_stride + o
                _dot_block(TWO, FIVE, weights, w_at, width, x, x_at, x_stride, columns, z, z_at, z_stride)
                b += 5
            while b < batch:
                x_at, z_at = b * x_stride + start, b * z_stride + o
                _dot_block(TWO, ONE, weights, w_at, width, x, x_at, x_stride, columns, z, z_at, z_stride)
                b += 1


@kernel
def dense_backward(
    weights: np.ndarray,  # (O·I,), updated
    velocity: np.ndarray,  # (O·I,), or empty without momentum
    shape: tuple[int, int, int],  # O, I, B
    strides: tuple[int, int],  # of x and g, and of d
    x: np.ndarray,
    d: np.ndarray,
    g: np.ndarray,  # written where `needs_g`
    needs_g: bool,
    room: np.ndarray,  # (4·I,)
    rule: Rule,
) -> None:
    """(2) and the update; g comes from the weights before the update."""
    (outputs, width, batch), (x_stride, d_stride) = shape, strides
    decay, rate = spread(f32(1) - rule.eta * rule.lambda_), spread(-rule.eta * rule.share)
    strip = max(_BACKWARD_FLOATS // (2 * batch) // ROW, 2) * ROW
    if needs_g:
        for b in range(batch):
            for i in range(b * x_stride, b * x_stride + width):
                g[i] = f32(0)
    for start in range(0, width, strip):
        stop = min(start + strip, width)
        for o in range(0, outputs, 4):
            if needs_g:
                for i in range(start, stop, LANES):
                    at = o * width + i
                    w, sums = rows(FOUR, weights, at, width), zeros(FOUR, ONE)
                    for b in range(batch):
                        factors = spread_row(FOUR, d, b * d_stride + o)
                        sums = outer(factors, (load(x, b * x_stride + i),), sums)
                        store(g, b * x_stride + i, inner(factors, w, load(g, b * x_stride + i)))
                    if rule.plain:
                        store_rows(weights, at, width, blend(decay, w, rate, sums))
                    else:
                        store_rows(room, i, width, sums)
            else:
                # Twice the columns at once: four sums would wait for one another.
                for i in range(start, stop, ROW):
                    at, sums = o * width + i, zeros(TWO, FOUR)
                    for b in range(batch):
                        columns = rows(TWO, x, b * x_stride + i, LANES)
                        sums = outer(columns, spread_row(FOUR, d, b * d_stride + o), sums)
                    left, right = sums[:4], sums[4:]
                    if rule.plain:
                        store_rows(weights, at, width, blend(decay, rows(FOUR, weights, at, width), rate, left))
                        at += LANES
                        store_rows(weights, at, width, blend(decay, rows(FOUR, weights, at, width), rate, right))
                    else:
                        store_rows(room, i, width, left)
                        store_rows(room, i + LANES, width, right)
            if not rule.plain:
                for row in range(4):
                    at, end = (o + row) * width + start, (o + row) * width + stop
                    gradient = room[row * width + start : row * width + stop]
                    update(weights[at:end], gradient, velocity[at:end], rule, True)
