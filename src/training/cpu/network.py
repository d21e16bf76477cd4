"""One member's network: a chunk of training steps, and the evaluation of a block of images, each one compiled call.

The equations are those of src/training/engine.py. Memory is described by a Plan (layout.py): `signals` and `layers`
are its records, `tables` its index tables, `work` and `whole` a thread's floats and integers, `weights` one row.
All slices below are views. Legend: B images in a mini-batch, C classes.
"""

import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from src.training.cpu.activations import activate, exp
from src.training.cpu.convolution import arrange_weights, convolution_backward, convolve, pool, update_convolution
from src.training.cpu.dense import dense_backward, dense_forward
from src.training.cpu.layout import CONV
from src.training.cpu.update import update
from src.training.cpu.vectors import LANES

f32, u32 = np.float32, np.uint32
_fast = njit(fastmath={"contract"}, error_model="numpy")


@_fast
def _mix(x: Any) -> Any:
    """lowbias32. Numba widens 32-bit arithmetic to 64 bits; each product is cut back to its low 32."""
    x = u32(x ^ (x >> u32(16)))
    x = u32(x * u32(0x7FEB352D))
    x = u32(x ^ (x >> u32(15)))
    x = u32(x * u32(0x846CA68B))
    return u32(x ^ (x >> u32(16)))


@_fast
def _drop_inputs(values, slopes, units, stream, first_unit, p, divisor):  # type: ignore[no-untyped-def]
    """Equation (4) for one image: zeroes dropped inputs and, so that no gradient passes them, their slopes.

    stream: the hash's state before the index; first_unit: b·U.
    """
    for i in range(len(values)):
        index = u32(u32(units[i]) + first_unit)
        hashed = _mix(u32(stream + u32(u32(0x9E3779B9) * index)))
        kept = f32(np.int32(hashed >> u32(8))) * f32(2.0**-24) >= p
        values[i] = values[i] / divisor if kept else f32(0)
        slopes[i] = slopes[i] / divisor if kept else f32(0)


@_fast
def _place_images(signal, channels, pixels, images, chosen, work):  # type: ignore[no-untyped-def]
    """Pixels / 255 of the chosen images, (C, H, W) -> (H, W, C)."""
    for b in range(len(chosen)):
        values, image = work[signal.values + b * signal.stride :], images[chosen[b]]
        if channels == 1:
            for i in range(pixels):
                values[i] = f32(image[i]) / f32(255)
        else:
            for c in range(channels):
                for i in range(pixels):
                    values[i * channels + c] = f32(image[c * pixels + i]) / f32(255)


@_fast
def _arrange(layers, weights, work):  # type: ignore[no-untyped-def]
    """The convolutions' weights in the orders that their kernels read."""
    for number in range(len(layers)):
        layer = layers[number]
        if layer.kind == CONV:
            arrange_weights(layer, weights[layer.weights_at :], work[layer.by_tap_at :], work[layer.by_map_at :])


@_fast
def _forward_convolution(layer, source, target, tables, weights, work, batch):  # type: ignore[no-untyped-def]
    by_tap, bias = work[layer.by_tap_at :], weights[layer.bias_at :]
    for b in range(batch):
        place = layer.convolved_at + (b * layer.convolved_stride if layer.is_l2 else 0)
        convolved = work[place : place + layer.convolved_stride]
        convolve(layer, tables, by_tap, work[source.values + b * source.stride :], convolved)
        memo = work[layer.memo_at + b * layer.pooled * layer.lanes_out :]
        pool(layer, tables, convolved, bias, work[target.values + b * target.stride :], memo)


@_fast
def _forward_dense(layer, source, target, weights, work, batch):  # type: ignore[no-untyped-def]
    matrix, bias = weights[layer.weights_at :], weights[layer.bias_at : layer.bias_at + (layer.outputs + 3) // 4 * 4]
    x, z = work[source.values :], work[target.values :]
    dense_forward(matrix, bias, layer.row, batch, x, source.stride, z, target.stride)


@_fast
def _scale(values, factor):  # type: ignore[no-untyped-def]
    for i in range(len(values)):
        values[i] *= factor


@_fast
def _forward(signals, layers, tables, weights, work, batch, dropout, inverted, training, streams):  # type: ignore[no-untyped-def]
    """Fills values and slopes of every signal for the first `batch` images; the last one's values are the logits."""
    dense = 0
    for number in range(len(layers)):
        layer, source, target = layers[number], signals[number], signals[number + 1]
        if layer.kind == CONV:
            _forward_convolution(layer, source, target, tables, weights, work, batch)
        else:
            p, units = dropout[dense], tables[layer.units_at : layer.units_at + layer.inputs]
            kept = f32(1) - p
            for b in range(batch):
                at = b * source.stride
                values = work[source.values + at : source.values + at + layer.inputs]
                slopes = work[source.slopes + at : source.slopes + at + layer.inputs]
                if training and p > f32(0):
                    divisor = kept if inverted else f32(1)
                    _drop_inputs(values, slopes, units, streams[dense], u32(b * layer.inputs), p, divisor)
                elif p > f32(0) and not inverted:  # the same as (1 − p) times the weights
                    _scale(values, kept)
            _forward_dense(layer, source, target, weights, work, batch)
            dense += 1
        for b in range(batch):
            at = b * target.stride
            values = work[target.values + at : target.values + at + target.units]
            activate(layer.activation, values, work[target.slopes + at : target.slopes + at + target.units])


@_fast
def _softmax(logits, label, outputs):  # type: ignore[no-untyped-def]
    """Writes the softmax (C,) to `outputs`; returns −ln of the label's output, and whether it is the largest logit."""
    largest, best, number = logits[0], 0, True
    for c in range(len(logits)):
        number = number and logits[c] == logits[c]
        if logits[c] > largest:
            largest, best = logits[c], c
    total = f32(0)
    for c in range(len(logits)):
        outputs[c] = exp(logits[c] - largest)
        total += outputs[c]
    for c in range(len(logits)):
        outputs[c] /= total
    return np.log(np.float64(total)) - np.float64(logits[label] - largest), number and best == label


@_fast
def _backward_convolution(layer, source, target, tables, weights, velocity, work, whole, batch, needs_g, rule):  # type: ignore[no-untyped-def]
    by_map, gradient = work[layer.by_map_at :], work[layer.gradient_at :]
    gradient[: layer.outputs * layer.vectors * LANES] = f32(0)
    places, counts = whole[layer.places_at :], whole[layer.counts_at :]
    for b in range(batch):
        g = work[source.gradients + b * source.stride : source.gradients + (b + 1) * source.stride]
        if needs_g:
            g[:] = f32(0)
        convolution_backward(
            layer,
            tables,
            work[target.gradients + b * target.stride :],
            work[layer.memo_at + b * layer.pooled * layer.lanes_out :],
            work[layer.convolved_at + (b * layer.convolved_stride if layer.is_l2 else 0) :],
            work[source.values + b * source.stride :],
            by_map,
            gradient,
            g,
            needs_g,
            work[layer.entries_at :],
            places,
            counts,
        )
    at = layer.weights_at
    update_convolution(layer, weights[at:], gradient, work[layer.room_at :], velocity[at:], rule)


@_fast
def _backward(signals, layers, tables, weights, velocity, work, whole, batch, rule):  # type: ignore[no-untyped-def]
    """From the gradient in the logits: updates every layer, the last first."""
    for number in range(len(layers) - 1, -1, -1):
        layer, source, target = layers[number], signals[number], signals[number + 1]
        # d = g · f'(z), and its sum over the images and pixels, the gradient of the bias
        sums = work[layer.sums_at : layer.sums_at + layer.outputs]
        sums[:] = f32(0)
        for b in range(batch):
            at = b * target.stride
            for p in range(0, target.units, layer.outputs):
                d = work[target.gradients + at + p : target.gradients + at + p + layer.outputs]
                slopes = work[target.slopes + at + p : target.slopes + at + p + layer.outputs]
                for m in range(layer.outputs):
                    d[m] *= slopes[m]
                    sums[m] += d[m]
        if layer.kind == CONV:
            _backward_convolution(
                layer, source, target, tables, weights, velocity, work, whole, batch, number > 0, rule
            )
        else:
            at = layer.weights_at
            dense_backward(
                weights[at:],
                velocity[at:],
                layer.outputs,
                layer.row,
                batch,
                work[source.values :],
                source.stride,
                work[target.gradients :],
                target.stride,
                work[source.gradients :],
                source.stride,
                number > 0,
                work[layer.gradient_at :],
                rule,
            )
        at = layer.bias_at
        update(weights[at : at + layer.outputs], sums, velocity[at : at + layer.outputs], rule, False)


def _sources() -> int:
    """Changes with every edit of this package: Numba's cache on disk sees edits of a function's own file only."""
    return zlib.crc32(b"".join(path.read_bytes() for path in sorted(Path(__file__).parent.glob("*.py"))))


def _compiled(version: int) -> tuple[Any, Any]:
    """The two calls; their closure over `version` makes it a part of the cache's key."""

    @njit(nogil=True, cache=True, fastmath={"contract"}, error_model="numpy")
    def train(  # type: ignore[no-untyped-def]
        signals,
        layers,
        tables,
        weights,  # (size,), updated
        velocity,  # (size,), updated, or empty where momentum is 0
        work,
        whole,
        channels,
        images,  # (N, C·H·W) uint8
        labels,  # (N,) int64
        order,  # (steps, B) int64
        first_step,
        rule,
        dropout,  # (D,) float32
        inverted,
        seed,  # uint32
    ):
        """Trains a member for `steps` mini-batches; returns the sum of their costs and the correct answers."""
        _ = version
        cost, correct, batch = 0.0, 0, order.shape[1]
        last = signals[len(layers)]
        streams = np.zeros(len(dropout), np.uint32)
        for step in range(order.shape[0]):
            for dense in range(len(dropout)):
                streams[dense] = _mix(u32(_mix(u32(_mix(seed) ^ u32(first_step + step))) ^ u32(dense)))
            _place_images(signals[0], channels, signals[0].units // channels, images, order[step], work)
            _arrange(layers, weights, work)
            _forward(signals, layers, tables, weights, work, batch, dropout, inverted, True, streams)
            for b in range(batch):
                at, label = last.values + b * last.stride, labels[order[step, b]]
                d = work[last.gradients + b * last.stride :][: last.units]
                image_cost, right = _softmax(work[at : at + last.units], label, d)
                cost, correct = cost + image_cost / batch, correct + right
                d[label] -= f32(1)  # the gradient of −ln softmax in the logits
            _backward(signals, layers, tables, weights, velocity, work, whole, batch, rule)
        return cost, correct

    @njit(nogil=True, cache=True, fastmath={"contract"}, error_model="numpy")
    def evaluate(  # type: ignore[no-untyped-def]
        signals, layers, tables, weights, work, channels, batch, images, labels, dropout, inverted, outputs
    ):
        """Softmax outputs (N, C) of images (N, C·H·W) to `outputs`; returns the summed cost and the correct answers."""
        _ = version
        cost, correct = 0.0, 0
        last = signals[len(layers)]
        _arrange(layers, weights, work)
        for start in range(0, len(images), batch):
            chosen = np.arange(start, min(start + batch, len(images)))
            _place_images(signals[0], channels, signals[0].units // channels, images, chosen, work)
            streams = np.zeros(len(dropout), np.uint32)
            _forward(signals, layers, tables, weights, work, len(chosen), dropout, inverted, False, streams)
            for b in range(len(chosen)):
                at = last.values + b * last.stride
                image_cost, right = _softmax(work[at : at + last.units], labels[start + b], outputs[start + b])
                cost, correct = cost + image_cost, correct + right
        return cost, correct

    return train, evaluate


train, evaluate = _compiled(_sources())
