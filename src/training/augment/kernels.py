"""The kernels that change images: one displacement map and one bilinear interpolation an image, then its colours.

A pixel (x, y) of the new image, counted from the image's centre, is the old image at

    S⁻¹ H R F (x, y) + t + α (u, v)                                                                                  (1)

F: left and right change places, R: rotation, H: horizontal shear by an angle, S: scaling of height and width, t: the
shift and the whole pixels of the crop; bilinearly between four pixels, and 0 outside. The elastic field is that of [S]:

    u = Σ_ij g(i) g(j) n(y + i, x + j),  g(i) = exp(−i² / 2σ²) / Σ_j exp(−j² / 2σ²),  i, j = −r … r, r = ⌊3σ + ½⌋  (2)

with independent uniform n from −1 to 1 for each pixel of the image, and 0 beyond its edges; v likewise.
Colours, x(c) of channel c at a pixel, m the image's mean: x ← m + (1 + contrast)(x − m) + brightness, x(c) ← grey +
(1 + saturation)(x(c) − grey) with the mean grey of the channels, x ← x + Σ_i p_i λ_i a_i with the eigenvectors p and
eigenvalues λ of the colours' covariance and normal a_i of sd colour_pca; then x is clipped to the range of the training
images. Last the cut-out: 0 in a square.

All random numbers follow from an image's stream, the hash of the member's seed, its step and the image's index in the
mini-batch (src/models/dropout.py); each has an index of its own there (the constants below), so that what one strength
draws does not depend on the others.
Sources: [S] P. Simard et al. (2003); [C] D. Cireşan et al. (2010); A. Krizhevsky et al. (2012).
Legend: N stored images, n changed ones, C channels, H × W pixels.
"""

import math
from typing import Any

import numpy as np

from src.models.dropout import AUGMENTATION
from src.training.augment.interpolate import interpolated
from src.training.engines.cpu.draws import mix, step_key, uniform
from src.training.engines.cpu.kernel import compiled, kernel
from src.training.engines.cpu.vectors import (
    FOUR,
    LANES,
    TWO,
    load,
    number_at,
    outer_row,
    put,
    spread_row,
    store,
    store_grid,
    zeros,
)

f32, u32 = np.float32, np.uint32

# The rows of a member's strengths, (lowest, highest) each; where one value has no range, both are that value.
STRENGTHS = (
    *("shift", "rotate", "shear", "scale", "alpha", "sigma", "brightness", "contrast", "saturation", "colour_pca"),
    *("flip", "crop", "cutout", "rotate_or_shear"),
)
SHIFT, ROTATE, SHEAR, SCALE, ALPHA, SIGMA, BRIGHTNESS, CONTRAST, SATURATION, COLOUR_PCA = range(10)
FLIP, CROP, CUTOUT, ROTATE_OR_SHEAR = range(10, 14)
# The indices of an image's random numbers: that of a strength between its ends is the row's, these follow.
_DOWN, _RIGHT, _ANGLE, _SLANT, _HEIGHT, _WIDTH, _FLIPPED, _CROP_DOWN, _CROP_RIGHT, _WHICH = range(16, 26)
_BRIGHTER, _STARKER, _BRIGHTNESS_OF_COLOUR, _CUT_DOWN, _CUT_RIGHT = range(26, 31)
_COMPONENTS = 32  # two for each of the three
_FIELD = 64  # the first of the elastic field's
_TRUNCATE = f32(3)  # sds at which the Gaussian ends
_COLUMNS = 2 * LANES  # numbers that the fields' rows are rounded up to


@kernel
def _strength(strengths, row, stream):  # type: ignore[no-untyped-def]
    """An image's strength: between the two ends of the row."""
    low, high = strengths[row, 0], strengths[row, 1]
    return low if low == high else low + (high - low) * uniform(stream, u32(row))


@kernel
def _signed(stream, index):  # type: ignore[no-untyped-def]
    """The random number of this index, from -1 to 1."""
    return f32(2) * uniform(stream, u32(index)) - f32(1)


@kernel
def _up(count, multiple):  # type: ignore[no-untyped-def]
    return (count + multiple - 1) // multiple * multiple


@kernel
def _gaussian(sigma, taps, centre):  # type: ignore[no-untyped-def]
    """Writes g of equation (2) to `taps`, g(0) at `centre`, and 0 beyond r; returns r, at most `centre`."""
    for i in range(len(taps)):
        taps[i] = f32(0)
    reach = int(_TRUNCATE * sigma + f32(0.5))
    total = 0.0
    for i in range(reach + 1):
        g = math.exp(-i * i / (2.0 * sigma * sigma))
        total += g if i == 0 else 2 * g
        if i <= centre:
            taps[centre + i] = f32(g)
    for i in range(min(reach, centre) + 1):
        taps[centre + i] = f32(taps[centre + i] / total)
        taps[centre - i] = taps[centre + i]
    return min(reach, centre)


@kernel
def _weighted(a, a_at, a_next, a_stride, b, b_at, b_next, count, out, out_at, out_stride):  # type: ignore[no-untyped-def]
    """Four rows of a product: out[i, :] = Σ_j a[a_at + i·a_stride + j·a_next] · b[b_at + j·b_next :], j < count."""
    sums = zeros(FOUR, TWO)
    for j in range(count):
        xs = spread_row(FOUR, a, a_at + j * a_next, a_stride)
        sums = outer_row(xs, TWO, b, b_at + j * b_next, sums)
    store_grid(TWO, out, out_at, out_stride, sums)


@kernel
def _field(stream, height, width, taps, centre, reach, noise, rows, field):  # type: ignore[no-untyped-def]
    """Equation (2): writes u and v to `field`, one behind the other, in rows of W rounded up to _COLUMNS numbers.

    v begins at H rounded up to four rows.
    """
    pixels, stride = height * width, _up(width, _COLUMNS)
    for i in range(2 * pixels):
        noise[i] = _signed(stream, _FIELD + i)
    for row in range(0, 2 * height, 4):
        for x in range(0, width, _COLUMNS):
            low, high = max(0, x - reach), min(width, x + _COLUMNS + reach)
            at, taps_at = row * width + low, centre + x - low
            _weighted(noise, at, 1, width, taps, taps_at, -1, high - low, rows, row * stride + x, stride)
    for channel in range(2):
        first = channel * height * stride
        for y in range(0, height, 4):
            low, high = max(0, y - reach), min(height, y + 4 + reach)
            out = (channel * _up(height, 4) + y) * stride
            for x in range(0, width, _COLUMNS):
                from_, count = first + low * stride + x, high - low
                _weighted(taps, centre + y - low, -1, 1, rows, from_, stride, count, field, out + x, stride)


@kernel
def _map(strengths, turn, stream, height, width):  # type: ignore[no-untyped-def]
    """Equation (1) without the field, from an image's corner: (x0, x by x, x by y, y0, y by x, y by y).

    turn: what the angles are multiplied by.
    """
    angle = turn * _strength(strengths, ROTATE, stream) * _signed(stream, _ANGLE)
    slant = turn * _strength(strengths, SHEAR, stream) * _signed(stream, _SLANT)
    if strengths[ROTATE_OR_SHEAR, 0] != f32(0):
        if uniform(stream, u32(_WHICH)) < f32(0.5):
            angle = f32(0)
        else:
            slant = f32(0)
    sine, cosine = f32(math.sin(math.radians(angle))), f32(math.cos(math.radians(angle)))
    slope, scale = f32(math.tan(math.radians(slant))), _strength(strengths, SCALE, stream)
    shrink_x = f32(1) / (f32(1) + scale * _signed(stream, _WIDTH))
    shrink_y = f32(1) / (f32(1) + scale * _signed(stream, _HEIGHT))
    mirror = f32(-1) if uniform(stream, u32(_FLIPPED)) < strengths[FLIP, 0] else f32(1)
    x_x, x_y = shrink_x * (cosine + slope * sine) * mirror, shrink_x * (slope * cosine - sine)
    y_x, y_y = shrink_y * sine * mirror, shrink_y * cosine
    shift = _strength(strengths, SHIFT, stream)
    right, down = shift * _signed(stream, _RIGHT), shift * _signed(stream, _DOWN)
    choices = f32(2) * strengths[CROP, 0] + f32(1)
    right += f32(math.floor(choices * uniform(stream, u32(_CROP_RIGHT)))) - strengths[CROP, 0]
    down += f32(math.floor(choices * uniform(stream, u32(_CROP_DOWN)))) - strengths[CROP, 0]
    x, y = f32(0.5) * f32(width - 1), f32(0.5) * f32(height - 1)
    return x - x_x * x - x_y * y + right, x_x, x_y, y - y_x * x - y_y * y + down, y_x, y_y


@kernel
def _places(whole, field, alpha, height, width, xs, ys):  # type: ignore[no-untyped-def]
    """Equation (1): where each new pixel is in the padded old image, in rows of W rounded up to _COLUMNS.

    whole: from `_map`; field: read where alpha is not 0.
    """
    x0, x_x, x_y, y0, y_x, y_y = whole
    stride = _up(width, _COLUMNS)
    v = _up(height, 4) * stride
    for y in range(height):
        first_x, first_y = x0 + f32(1) + x_y * f32(y), y0 + f32(1) + y_y * f32(y)
        row_x, row_y = xs[y * stride : (y + 1) * stride], ys[y * stride : (y + 1) * stride]
        for x in range(stride):
            column = f32(np.int32(x))
            row_x[x], row_y[x] = first_x + x_x * column, first_y + y_x * column
    if alpha != f32(0):
        for i in range(height * stride):
            put(xs, i, number_at(xs, i) + alpha * number_at(field, i))
            put(ys, i, number_at(ys, i) + alpha * number_at(field, v + i))


@kernel
def _move(image, divisor, height, width, channels, padded, xs, ys, out):  # type: ignore[no-untyped-def]
    """Writes the image, interpolated at the places xs, ys of `_places`, to `out`, which has LANES numbers behind it.

    padded: C images with a border of zeros, one pixel at the left and top, two at the right and bottom.
    """
    stride, columns = width + 3, _up(width, _COLUMNS)
    for i in range(len(image)):
        out[i] = f32(image[i]) / divisor
    for c in range(channels):
        first = c * (height + 3) * stride
        for y in range(height):
            for x in range(width):
                put(padded, first + (y + 1) * stride + x + 1, number_at(out, (c * height + y) * width + x))
    right, bottom = f32(width + 1), f32(height + 1)
    for c in range(channels):
        first = c * (height + 3) * stride
        for y in range(height):
            for x in range(0, width, LANES):
                at = y * columns + x
                values = interpolated(padded, first, stride, load(xs, at), load(ys, at), right, bottom)
                store(out, (c * height + y) * width + x, values)  # the next row overwrites what is too much


@kernel
def _colour(strengths, stream, components, low, high, pixels, channels, out):  # type: ignore[no-untyped-def]
    """Changes the colours of an image in `out`; components (C, C): eigenvectors, in columns, times eigenvalues."""
    contrast = f32(1) + _strength(strengths, CONTRAST, stream) * _signed(stream, _STARKER)
    brightness = _strength(strengths, BRIGHTNESS, stream) * _signed(stream, _BRIGHTER)
    saturation = f32(1) + _strength(strengths, SATURATION, stream) * _signed(stream, _BRIGHTNESS_OF_COLOUR)
    sd, total = _strength(strengths, COLOUR_PCA, stream), 0.0
    for i in range(len(out)):
        total += out[i]
    mean = f32(total / len(out))
    for i in range(len(out)):
        out[i] = mean + contrast * (out[i] - mean) + brightness
    if saturation != f32(1):
        for i in range(pixels):
            grey = f32(0)
            for c in range(channels):
                grey += out[c * pixels + i]
            grey /= f32(channels)
            for c in range(channels):
                out[c * pixels + i] = grey + saturation * (out[c * pixels + i] - grey)
    if sd > f32(0):
        for k in range(channels):
            radius = math.sqrt(-2.0 * math.log(1.0 - uniform(stream, u32(_COMPONENTS + 2 * k))))  # Box and Muller
            amount = sd * f32(radius * math.cos(2.0 * math.pi * uniform(stream, u32(_COMPONENTS + 2 * k + 1))))
            for c in range(channels):
                for i in range(c * pixels, (c + 1) * pixels):
                    out[i] += amount * components[c, k]
    for i in range(len(out)):
        out[i] = min(max(out[i], low), high)


@kernel
def _cut(size, stream, height, width, channels, out):  # type: ignore[no-untyped-def]
    """Sets a square to 0, its centre anywhere in the image; what of it lies outside is cut off."""
    top = int(uniform(stream, u32(_CUT_DOWN)) * f32(height)) - size // 2
    left = int(uniform(stream, u32(_CUT_RIGHT)) * f32(width)) - size // 2
    for c in range(channels):
        for y in range(max(top, 0), min(top + size, height)):
            for x in range(max(left, 0), min(left + size, width)):
                out[(c * height + y) * width + x] = f32(0)


def _changed(sources: int) -> Any:
    def changed(images, divisor, order, turns, shape, seed, first_step, batch, strengths, colours, out):  # type: ignore[no-untyped-def]
        """Writes the changed images of one member to `out` (n, C·H·W) float32.

        images (N, C·H·W) uint8 or float32, divisor: their largest value, 255 or 1. order (n,) int64: those of a number
        of mini-batches of `batch` images, one behind the other. turns (N,) float32: what angles are multiplied by.
        shape: (C, H, W). seed: uint32. first_step: the number of the first mini-batch. strengths (len(STRENGTHS), 2)
        float32. colours: (components (C, C), lowest value, highest value), float32.
        """
        assert sources
        (channels, height, width), (components, low, high) = shape, colours
        pixels, side, columns = height * width, max(height, width), _up(width, _COLUMNS)
        centre = side + 4
        taps, reach, sigma = np.zeros(2 * centre + _COLUMNS + 4, np.float32), 0, f32(0)
        noise = np.zeros(2 * pixels + 4 * width, np.float32)
        rows = np.zeros((2 * height + 4) * columns, np.float32)
        field = np.zeros(2 * _up(height, 4) * columns, np.float32)
        padded = np.zeros(channels * (height + 3) * (width + 3), np.float32)
        xs, ys = np.zeros(height * columns, np.float32), np.zeros(height * columns, np.float32)
        new = np.zeros(channels * pixels + LANES, np.float32)
        moves, colour = False, False
        for row in (SHIFT, ROTATE, SHEAR, SCALE, ALPHA, FLIP, CROP):
            moves |= strengths[row, 1] > f32(0)
        for row in (BRIGHTNESS, CONTRAST, SATURATION, COLOUR_PCA):
            colour |= strengths[row, 1] > f32(0)
        for n in range(len(order)):
            image, own = images[order[n]], out[n]
            key = step_key(u32(seed), first_step + n // batch)
            stream = mix(u32(key ^ u32(AUGMENTATION + n % batch)))
            if moves:
                whole = _map(strengths, turns[order[n]], stream, height, width)
                alpha = _strength(strengths, ALPHA, stream)
                if alpha > f32(0):
                    wanted = _strength(strengths, SIGMA, stream)
                    if wanted != sigma:
                        sigma, reach = wanted, _gaussian(wanted, taps, centre)
                    _field(stream, height, width, taps, centre, reach, noise, rows, field)
                _places(whole, field, alpha, height, width, xs, ys)
                _move(image, divisor, height, width, channels, padded, xs, ys, new)
                own[:] = new[: len(own)]
            else:
                for i in range(len(own)):
                    own[i] = f32(image[i]) / divisor
            if colour:
                _colour(strengths, stream, components, low, high, pixels, channels, own)
            if strengths[CUTOUT, 0] > f32(0):
                _cut(int(strengths[CUTOUT, 0]), stream, height, width, channels, own)

    return changed


changed = compiled(_changed)
