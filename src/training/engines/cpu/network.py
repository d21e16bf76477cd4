"""The members' networks: `run` trains some for a number of steps, or evaluates them, in one compiled call.

Dropout is equation (4) of src/training/engines/engine.py. Memory is described by a Plan (layout.py): `signals` and
`layers` are its records, `tables` its index tables, `work` and `whole` a thread's working memory of floats and of
integers, `weights` one member's row. All slices below are views. Legend: B images in a mini-batch, C outputs.
"""

from typing import Any

import numpy as np

from src.training.engines.cpu.activations import RELU, activate
from src.training.engines.cpu.convolution import (
    arrange_weights,
    convolution_backward,
    convolve,
    list_entries,
    pool,
    update_convolution,
)
from src.training.engines.cpu.dense import Inputs, dense_backward, dense_forward, list_inputs
from src.training.engines.cpu.draws import mix, step_key, uniform
from src.training.engines.cpu.head import judge
from src.training.engines.cpu.kernel import compiled, kernel
from src.training.engines.cpu.layout import CONV, STRIP
from src.training.engines.cpu.update import in_step, update
from src.training.engines.cpu.vectors import LANES, add, fetch, fractions, load, spread, store

f32, u32 = np.float32, np.uint32
_AHEAD = 8  # images by which memory is asked for an image before it is needed
_WORTH_A_LIST = 32  # outputs of a dense layer from which on listing its inputs that count saves more than it takes


@kernel
def _drop_inputs(values, slopes, units, stream, first_unit, p, divisor):  # type: ignore[no-untyped-def]
    """Dropout of one image's inputs by equation (4): zeroes dropped ones and their slopes, so that no gradient passes.

    stream: the hash before the index is added; first_unit: b·U; divisor: what the other inputs are divided by.
    """
    for i in range(len(values)):
        kept = uniform(stream, u32(u32(units[i]) + first_unit)) >= p
        values[i] = values[i] / divisor if kept else f32(0)
        slopes[i] = slopes[i] / divisor if kept else f32(0)


@kernel
def _from(a, at):  # type: ignore[no-untyped-def]
    """a[at:], as a function so that it is compiled once for all uses; likewise the two functions below."""
    return a[at:]


@kernel
def _part(a, at, count):  # type: ignore[no-untyped-def]
    return a[at : at + count]


@kernel
def _image(work, region, signal, b):  # type: ignore[no-untyped-def]
    """The view (units,) of image b in a region of a signal: its values, slopes or gradients."""
    return work[region + b * signal.stride : region + b * signal.stride + signal.units]


@kernel
def _scale(a, factor):  # type: ignore[no-untyped-def]
    for i in range(len(a)):
        a[i] *= factor


@kernel
def _clear(a):  # type: ignore[no-untyped-def]
    for i in range(len(a)):
        a[i] = f32(0)


@kernel
def _copy(a, target):  # type: ignore[no-untyped-def]
    for i in range(len(a)):
        target[i] = a[i]


@kernel
def _fetch_image(images, order, number):  # type: ignore[no-untyped-def]
    """Prefetches image number `number` of those in `order`, if there are so many: rows far apart in memory."""
    if number < order.size:
        row = images[order[number // order.shape[1], number % order.shape[1]]]
        for at in range(0, len(row), 64 // row.itemsize):
            fetch(row, at)


@kernel
def _place_image(channels, image, divisor, scaling, values):  # type: ignore[no-untyped-def]
    """Writes what the network sees of an image (src/data/scaling.py) to `values`: (C, H, W) -> (H, W, C).

    channels: C for a convolution; 1 for a dense layer, which takes the image as it is stored.
    """
    pixels, whole = len(values) // channels, 0
    if channels == 1:
        whole = pixels // LANES * LANES
        for i in range(0, whole, LANES):
            store(values, i, fractions(image, i))
    for c in range(channels):
        for i in range(whole, pixels):
            values[i * channels + c] = f32(image[c * pixels + i]) / divisor
    for c in range(scaling.shape[1]):
        count, mean, sd = len(values) // scaling.shape[1], scaling[0, c], scaling[1, c]
        first, step = (c, channels) if channels > 1 else (c * count, 1)
        for n in range(count):
            i = first + n * step
            values[i] = (values[i] - mean) / sd


@kernel
def _convolved(layer, work, b):  # type: ignore[no-untyped-def]
    """The memory for image b's convolution before pooling, (pixels, [M]); without L2 pooling, one for all images."""
    return _from(work, layer.convolved_at + (b * layer.convolved_stride if layer.is_l2 else 0))


@kernel
def _memo(layer, work, b):  # type: ignore[no-untyped-def]
    return _from(work, layer.memo_at + b * layer.pooled * layer.lanes_out)


@kernel
def _forward_convolutions(signals, layers, tables, weights, work, batch):  # type: ignore[no-untyped-def]
    """All convolutions of the network, image by image: what one writes is in the cache when the next one reads it."""
    for layer in layers:
        if layer.kind == CONV:
            by_tap, by_map = _from(work, layer.by_tap_at), _from(work, layer.by_map_at)
            arrange_weights(layer, _from(weights, layer.weights_at), by_tap, by_map)
    for b in range(batch):
        for number in range(len(layers)):
            layer, source, target = layers[number], signals[number], signals[number + 1]
            if layer.kind != CONV:
                break
            convolved, values = _convolved(layer, work, b), _image(work, target.values, target, b)
            by_tap, bias = _from(work, layer.by_tap_at), _from(weights, layer.bias_at)
            convolve(layer, tables, by_tap, _image(work, source.values, source, b), convolved)
            pool(layer, tables, convolved, bias, values, _memo(layer, work, b))
            activate(layer.activation, values, _image(work, target.slopes, target, b))


@kernel
def _drop(source, units, work, batch, p, stream, training, inverted):  # type: ignore[no-untyped-def]
    """Dropout of a dense layer's inputs in training; in evaluation, by the chapter's convention, times 1 − p."""
    for b in range(batch):
        values = _image(work, source.values, source, b)
        if training:
            slopes, divisor = _image(work, source.slopes, source, b), f32(1) - p if inverted else f32(1)
            _drop_inputs(values, slopes, units, stream, u32(b * source.units), p, divisor)
        elif not inverted:  # equal to weights times 1 − p
            _scale(values, f32(1) - p)


@kernel
def _inputs(layer, source, tables, work, whole, batch, listed):  # type: ignore[no-untyped-def]
    """A dense layer's inputs, with memory for the lists of those that count; where not `listed`, all of them count."""
    count, stride, x = layer.inputs, source.stride, _from(work, source.values)
    counts = _from(whole, layer.image_counts_at)
    if listed:
        numbers, starts = _from(whole, layer.numbers_at), _from(whole, layer.starts_at)
        strides = (count + 7) // 8 * 8, (count + STRIP - 1) // STRIP + 1
        images = _from(whole, layer.images_at)
        return Inputs(True, count, batch, x, stride, numbers, strides[0], starts, strides[1], images, batch, counts, 1)
    counts[0] = batch
    every, strips = _from(tables, layer.all_at), _from(tables, layer.strips_at)
    return Inputs(False, count, batch, x, stride, every, 0, strips, 0, every, 0, counts, 0)


@kernel
def _forward_dense(layer, source, target, tables, weights, work, whole, batch, listed):  # type: ignore[no-untyped-def]
    matrix, bias = _from(weights, layer.weights_at), _part(weights, layer.bias_at, layer.columns)
    inputs = _inputs(layer, source, tables, work, whole, batch, listed)
    if listed:
        list_inputs(inputs, _from(work, source.slopes))
    dense_forward(matrix, bias, inputs, _from(work, target.values), target.stride)


@kernel
def _many_zeros(layers, number, p, training):  # type: ignore[no-untyped-def]
    """Whether listing a dense layer's inputs pays: many zeros (pixels, or behind ReLU or dropout), many outputs."""
    if layers[number].columns < _WORTH_A_LIST:
        return False
    return number == 0 or layers[number - 1].activation == RELU or (training and p > f32(0))


@kernel
def _forward(signals, layers, tables, weights, work, whole, batch, dropout, inverted, training, streams):  # type: ignore[no-untyped-def]
    """Forward pass of `batch` images: fills values and slopes of every signal; the last signal's values are logits."""
    _forward_convolutions(signals, layers, tables, weights, work, batch)
    first = len(layers) - len(dropout)  # the first dense layer
    for number in range(first, len(layers)):
        layer, source, target, dense = layers[number], signals[number], signals[number + 1], number - first
        p = dropout[dense]
        if p > f32(0):
            units = _part(tables, layer.units_at, layer.inputs)
            _drop(source, units, work, batch, p, streams[dense], training, inverted)
        listed = _many_zeros(layers, number, p, training)
        _forward_dense(layer, source, target, tables, weights, work, whole, batch, listed)
        for b in range(batch):
            values, slopes = _image(work, target.values, target, b), _image(work, target.slopes, target, b)
            activate(layer.activation, values, slopes)


@kernel
def _scale_gradients(target, maps, work, first, last, sums):  # type: ignore[no-untyped-def]
    """Replaces g by d = g · f'(z) in the images first … last − 1, and adds up the bias's gradient at work[sums:].

    That is d's sum over images and pixels; it begins with image 0.
    """
    for b in range(first, last):
        gradients, slopes = _image(work, target.gradients, target, b), _image(work, target.slopes, target, b)
        for u in range(len(gradients)):
            gradients[u] *= slopes[u]
    for m in range(0, maps, LANES):  # lanes behind the last map hold sums of other numbers, which are never read
        total = load(work, sums + m) if first else spread(f32(0))
        for b in range(first, last):
            start = target.gradients + b * target.stride + m
            for p in range(0, target.units, maps):
                total = add(total, load(work, start + p))
        store(work, sums + m, total)


@kernel
def _backward_convolutions(signals, layers, tables, weights, slots, work, whole, batch, rule):  # type: ignore[no-untyped-def]
    """The backward pass of all convolutions, image by image, and their updates."""
    count = 0
    for layer in layers:
        if layer.kind == CONV:
            _clear(_part(work, layer.gradient_at, layer.outputs * layer.vectors * LANES))
            count += 1
    for b in range(batch):
        for number in range(count - 1, -1, -1):
            layer, source, target = layers[number], signals[number], signals[number + 1]
            needs_g = number > 0  # the images need no gradient
            _scale_gradients(target, layer.outputs, work, b, b + 1, layer.sums_at)
            by_map, gradient = _from(work, layer.by_map_at), _from(work, layer.gradient_at)
            values, places = _from(work, layer.entries_at), _from(whole, layer.places_at)
            counts = _from(whole, layer.counts_at)
            x, g = _image(work, source.values, source, b), _image(work, source.gradients, source, b)
            d = _image(work, target.gradients, target, b)
            if needs_g:
                _clear(_part(g, 0, source.stride))
            list_entries(layer, tables, d, _memo(layer, work, b), _convolved(layer, work, b), values, places, counts)
            convolution_backward(layer, tables, x, by_map, gradient, g, needs_g, values, places, counts)
    for number in range(count):
        layer = layers[number]
        matrix, own = _from(weights, layer.weights_at), _from(slots, layer.weights_at)
        update_convolution(layer, matrix, _from(work, layer.gradient_at), _from(work, layer.room_at), own, rule)
        _update_bias(layer, weights, slots, work, rule)


@kernel
def _update_bias(layer, weights, slots, work, rule):  # type: ignore[no-untyped-def]
    bias, sums = _part(weights, layer.bias_at, layer.outputs), _part(work, layer.sums_at, layer.outputs)
    update(bias, sums, _from(slots, layer.bias_at), rule, rule.decay_all)


@kernel
def _backward(signals, layers, tables, weights, slots, work, whole, batch, dropout, rule):  # type: ignore[no-untyped-def]
    """Backward pass, from the gradient in the logits; updates every layer."""
    first = len(layers) - len(dropout)  # the first dense layer
    for number in range(len(layers) - 1, first - 1, -1):
        layer, source, target = layers[number], signals[number], signals[number + 1]
        needs_g = number > 0  # the images need no gradient
        _scale_gradients(target, layer.outputs, work, 0, batch, layer.sums_at)
        matrix, own = _from(weights, layer.weights_at), _from(slots, layer.weights_at)
        room = _from(work, layer.room_at)
        listed = _many_zeros(layers, number, dropout[number - first], True)
        inputs = _inputs(layer, source, tables, work, whole, batch, listed)
        d, g = _from(work, target.gradients), _from(work, source.gradients)
        dense_backward(matrix, own, layer.columns, inputs, d, target.stride, g, needs_g, room, rule)
        _update_bias(layer, weights, slots, work, rule)
    _backward_convolutions(signals, layers, tables, weights, slots, work, whole, batch, rule)


@kernel
def _steps(  # type: ignore[no-untyped-def]
    plan,
    weights,  # (size,)
    slots,  # (slots · size,)
    work,
    whole,
    images,  # (N, C·H·W)
    sight,
    head,
    order,  # (M, B)
    steps,  # (first, end) of M
    first_step,
    rule,
    plain,
    numbers,  # (M, H)
    dropout,  # (D,)
    inverted,
    seed,
    training,
    predictions,  # (N, C)
):
    """One member's steps `steps`; the sum of their mean costs, and that of the images' scores."""
    signals, layers, tables, channels = plan
    divisor, scaling = sight
    cost, score, batch = 0.0, 0.0, order.shape[1]
    last = signals[len(layers)]
    streams = np.zeros(len(dropout), np.uint32)
    for step in range(steps[0], steps[1]):
        for dense in range(len(dropout)):
            streams[dense] = mix(u32(step_key(seed, first_step + step) ^ u32(dense)))
        for b in range(batch):
            _fetch_image(images, order, step * batch + b + _AHEAD)
            seen = _image(work, signals[0].values, signals[0], b)
            _place_image(channels, images[order[step, b]], divisor, scaling, seen)
        _forward(signals, layers, tables, weights, work, whole, batch, dropout, inverted, training, streams)
        o, d = _from(work, last.values), _from(work, last.gradients)
        cost, score = judge(head, o, d, last.stride, last.units, order[step], cost, score, training)
        if training:
            now = in_step(rule, plain, numbers[step])
            _backward(signals, layers, tables, weights, slots, work, whole, batch, dropout, now)
        else:
            for b in range(batch):
                _copy(_image(work, last.gradients, last, b), predictions[order[step, b]])
    return cost, score


def _kernel_of(version: int) -> Any:
    def run(  # type: ignore[no-untyped-def]
        plan,  # signals, layers, tables, channels
        weights,  # (K, size)
        slots,  # (K, slots · size)
        work,
        whole,
        images,  # (N, C·H·W) of each member or, once, of all: (K or 1, N, C·H·W) uint8 or float32
        sight,  # what an image's values are divided by, 255 or 1; mean and sd of each channel (2, C), or (2, 0): none
        head,  # with the targets of the N images
        order,  # (K or 1, M, B) int64
        first_step,  # (K,) int64
        rule,
        plain,  # (K,) bool: Rule.plain
        numbers,  # (K, M, H) float32, as update.NUMBERS; not read in evaluation
        dropout,  # (K, D) float32
        inverted,
        seeds,  # (K,) uint32
        training,
        predictions,  # (n, N, C) of the members, written in evaluation only
        members,  # (n,) int64: those that take these steps
        steps,  # (first, end) of the M
        piece,  # steps whose costs are added up before they are added to the others
        costs,  # (n,) float64: to which each member's mean costs are added
        scores,  # (n,) float64: to which the images' scores are added
    ):
        """Trains members on mini-batches, which updates weights and slots, or evaluates them on these."""
        _ = version
        for row in range(len(members)):
            k = members[row]
            shared = k if len(images) > 1 else 0
            own_order = order[k if len(order) > 1 else 0]
            for start in range(steps[0], steps[1], piece):
                part = start, min(start + piece, steps[1])
                cost, score = _steps(
                    plan, weights[k], slots[k], work, whole, images[shared], sight, head, own_order, part,
                    first_step[k], rule, plain[k], numbers[k], dropout[k], inverted, seeds[k], training,
                    predictions[row if not training else 0],
                )  # fmt: skip
                costs[row] += cost
                scores[row] += score

    return run


run = compiled(_kernel_of)
