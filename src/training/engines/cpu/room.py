"""A thread's working memory for layers with tied weights, and loops over it that both of their tasks need.

Legend: B examples in a mini-batch, V inputs, H hidden units.
"""

from typing import NamedTuple

import numpy as np

from src.training.engines.cpu.activations import sigmoid
from src.training.engines.cpu.kernel import kernel
from src.training.engines.cpu.layout import aligned
from src.training.engines.cpu.tied import STRIP, WIDTH, Layer, Listed
from src.training.engines.cpu.vectors import LANES, add, load, spread, store

f32 = np.float32
_LINE = 16  # floats of a cache line


class Room(NamedTuple):
    """Working memory; rows lie as Layer says, one behind the other, and what is behind V or H in them is zero."""

    inputs: np.ndarray  # two mini-batches of inputs, (2·B, inputs_stride)
    earlier: np.ndarray  # another mini-batch of inputs, (B, inputs_stride)
    logits: np.ndarray  # (B, inputs_stride)
    hidden: np.ndarray  # two mini-batches of hidden units, (2·B, stride)
    other: np.ndarray  # (B, stride)
    terms: np.ndarray  # of a sum, as many as a row has
    listed: Listed  # of `inputs`
    bits: np.ndarray  # a number of an input for each example, (B,) int64


def layer_of(weights: np.ndarray, bias: np.ndarray, visible: np.ndarray) -> Layer:
    """The layer with these weights (H, V), biases (H,) and biases of its inputs (V,): copies."""
    outputs, inputs = weights.shape
    columns, lines = _up(outputs, WIDTH), _up(inputs, _LINE)
    stride = columns + _LINE
    own, biases = aligned((lines, stride)), aligned((columns,))
    own[:inputs, :outputs], biases[:outputs] = weights.T, bias
    return Layer(inputs, outputs, lines + _LINE, stride, columns, own.ravel(), biases, visible.copy())


def room_for(layer: Layer, batch: int) -> Room:
    """Working memory for mini-batches of `batch` examples."""
    inputs, earlier, logits = (aligned((count * batch * layer.inputs_stride,)) for count in (2, 1, 1))
    hidden, other = (aligned((count * batch * layer.stride,)) for count in (2, 1))
    terms = aligned((max(layer.inputs_stride, layer.stride),))
    return Room(inputs, earlier, logits, hidden, other, terms, _lists(layer, 2 * batch), np.zeros(batch, np.int64))


def _lists(layer: Layer, examples: int) -> Listed:
    strips = -(-layer.inputs // STRIP) + 1
    numbers, starts = np.zeros(examples * layer.inputs_stride + 8, np.int32), np.zeros(examples * strips, np.int64)
    by_input = np.zeros(layer.inputs * examples, np.int32), examples, np.zeros(layer.inputs, np.int32)
    return Listed(numbers, starts, strips, *by_input)


def _up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple


@kernel
def row(a, number, stride, units):  # type: ignore[no-untyped-def]
    """The view (units,) of row `number` of rows of `stride` floats."""
    return a[number * stride : number * stride + units]


@kernel
def place(image, divisor, x):  # type: ignore[no-untyped-def]
    """Writes an example's values, divided by `divisor`, to x (V,)."""
    for i in range(len(x)):
        x[i] = f32(image[i]) / divisor


@kernel
def squash(z):  # type: ignore[no-untyped-def]
    """Replaces each of z by its logistic sigmoid."""
    for i in range(len(z)):
        z[i] = sigmoid(z[i])


@kernel
def total(terms, count):  # type: ignore[no-untyped-def]
    """The sum of the first `count` terms, lane by lane; overwrites them."""
    for i in range(count, (count + LANES - 1) // LANES * LANES):
        terms[i] = f32(0)
    sums = spread(f32(0))
    for i in range(0, count, LANES):
        sums = add(sums, load(terms, i))
    store(terms, 0, sums)
    result = 0.0
    for i in range(LANES):
        result += terms[i]
    return result
