"""Where a network's numbers lie in memory: the plan that the kernels read, and the way from and to canonical weights.

Everything that depends on a network's sizes is data in a Plan, so that the kernels are compiled once for all networks.
Legend: K members, B images in a mini-batch, C maps, H × W pixels, R = field·field·C taps of a convolution,
L = LANES, [n] = n rounded up to a whole number of registers.

One member's weights are one row of a (K, size) array:

    convolution   weights (maps, R), a tap's place (ky, kx, C); bias ([maps],)                                    (1)
    dense         weights: panel after panel of outputs, each (inputs, panel), zeros behind; bias (columns,)       (2)

Signals (the input images and each layer's output) are rows of one image each, its pixels in the order (H, W, C); the
first dense layer behind a convolution has its inputs, which torch orders as (C, H, W), permuted accordingly.
"""

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np
from torch import Tensor, from_numpy

from src.config.shapes import ConvPool, Dense, LayerShape
from src.training.engines.cpu.activations import ACTIVATIONS
from src.training.engines.cpu.vectors import EIGHT, FIVE, LANES

ROW = 2 * LANES
# Widths of a dense layer's panels, in vectors: the widest is what sixteen registers hold beside the operands.
PANELS = (13, 7, 4, 2, 1)
STRIP = 32  # inputs of a strip: a panel's weights for them, with x and z, stay in a first-level cache of 32 KB
SLACK = 16 * LANES  # floats behind every region: vectors may read and write past the end of a row, never past these
CONV, DENSE = 0, 1

# A record for each signal: where its values, their slopes f'(z) and the cost's gradient lie in working memory.
SIGNAL = np.dtype([(name, np.int64) for name in ("units", "stride", "values", "slopes", "gradients")])

# A record for each layer. Fields that end in _at are offsets: those of weights and bias into a member's row; of units,
# taps, pixels and vectors into Plan.tables; of lists and counts into integer working memory; all others into working
# memory.
_BOTH = ("kind", "activation", "outputs", "weights_at", "bias_at")
_BOTH_ROOM = ("sums_at", "room_at")  # the bias's gradient; working memory for the gradient of some weights
# Of a dense layer: columns = outputs rounded up to whole panels; tables of each input's number in torch's order, of all
# inputs, and of the starts of strips; the lists of inputs that count (dense.py) are in integer working memory.
_DENSE = ("inputs", "columns", "units_at", "all_at", "strips_at")
_DENSE_ROOM = ("numbers_at", "starts_at", "images_at", "image_counts_at")
# Of a convolution: row_taps = field·C, lanes_out = [maps]; tables of the offsets of taps and of output pixels within an
# input image.
_CONVOLUTION = ("field", "row_taps", "taps", "lanes_out", "pixels", "width", "taps_at", "pixels_at")
_POOLING = ("pooled", "pooled_width", "is_l2", "pool_size", "pool_stride")
# Of a convolution: the number of vectors into which the rows of its field are cut, the table of their offsets, and its
# regions in working memory.
_CONVOLUTION_ROOM = ("vectors", "vectors_at", "by_tap_at", "by_map_at", "gradient_at")
_POOLING_ROOM = ("convolved_at", "convolved_stride", "memo_at", "entries", "entries_at", "places_at", "counts_at")
_FIELDS = (*_BOTH, *_BOTH_ROOM, *_DENSE, *_DENSE_ROOM, *_CONVOLUTION, *_POOLING, *_CONVOLUTION_ROOM, *_POOLING_ROOM)
LAYER = np.dtype([(name, np.int64) for name in _FIELDS])


def _up(count: int, multiple: int) -> int:
    return -(-count // multiple) * multiple


class Plan:
    """The layout of a network for mini-batches of up to `batch` images."""

    def __init__(self, layers: Sequence[LayerShape], batch: int) -> None:
        self.batch = batch
        self.signals = np.zeros(len(layers) + 1, SIGNAL)
        self.layers = np.zeros(len(layers), LAYER)
        self.size = 0  # floats in one member's row of weights
        self.work = 0  # floats of one thread's working memory
        self.integers = 0  # int32s of one thread's integer working memory
        self._tables = list[np.ndarray]()
        first = layers[0]
        # C of a convolution's images; a dense layer takes the pixels in the order in which they are stored
        channels = self.channels = first.input[0] if isinstance(first, ConvPool) else 1
        pixels = prod(first.input) if isinstance(first, ConvPool) else first.inputs
        self._add_signal(0, pixels, pixels)
        for number, layer in enumerate(layers):
            room = panels(layer.outputs)[-1][1] if isinstance(layer, Dense) else prod(layer.output)
            self._add_signal(number + 1, prod(layer.output), room)
            row = self.layers[number]
            row["activation"] = ACTIVATIONS.index(layer.activation)
            row["outputs"] = layer.output[0]
            row["sums_at"] = self._memory(layer.output[0])
            if isinstance(layer, ConvPool):
                self._add_convolution(row, layer)
                channels = layer.maps
            else:
                self._add_dense(row, layer, channels)
                channels = 1
        self.tables = np.concatenate(self._tables)

    def _weights(self, count: int) -> int:
        start, self.size = self.size, self.size + _up(count, ROW)
        return start

    def _memory(self, count: int) -> int:
        start, self.work = self.work, self.work + _up(count + SLACK, ROW)
        return start

    def _integers(self, count: int) -> int:
        start, self.integers = self.integers, self.integers + count
        return start

    def _table(self, values: np.ndarray) -> int:
        start = sum(len(table) for table in self._tables)
        self._tables.append(values.astype(np.int32).ravel())
        return start

    def _add_signal(self, number: int, units: int, room: int) -> None:
        stride = _up(room, ROW) + ROW  # an odd number of cache lines, so that images fall into different cache sets
        if stride // 16 % 2 == 0:
            stride += 16
        regions = [self._memory(self.batch * stride) for _ in range(3)]
        self.signals[number] = (units, stride, *regions)

    def _add_dense(self, row: np.void, layer: Dense, channels: int) -> None:
        row["kind"], row["inputs"] = DENSE, layer.inputs
        columns = row["columns"] = panels(layer.outputs)[-1][1]
        row["weights_at"], row["bias_at"] = self._weights(columns * layer.inputs), self._weights(columns)
        row["room_at"] = self._memory(STRIP * PANELS[0] * LANES)
        row["units_at"] = self._table(torch_order(layer.inputs, channels))
        row["all_at"] = self._table(np.arange(max(layer.inputs, self.batch)))
        strips = -(-layer.inputs // STRIP)
        row["strips_at"] = self._table(np.minimum(np.arange(strips + 1) * STRIP, layer.inputs))
        row["numbers_at"] = self._integers(self.batch * _up(layer.inputs, 8) + 8)
        row["starts_at"] = self._integers(self.batch * (strips + 1))
        row["images_at"] = self._integers(layer.inputs * self.batch)
        row["image_counts_at"] = self._integers(layer.inputs)

    def _add_convolution(self, row: np.void, layer: ConvPool) -> None:
        channels, _, width = layer.input
        maps, out_height, out_width = layer.convolved
        field, stride = layer.field, layer.stride
        row["kind"], row["field"], row["row_taps"] = CONV, field, field * channels
        taps = row["taps"] = field * field * channels
        lanes_out = row["lanes_out"] = _up(maps, LANES)
        row["weights_at"], row["bias_at"] = self._weights(maps * taps), self._weights(lanes_out)
        row["pixels"], row["width"] = out_height * out_width, out_width
        row["pooled"], row["pooled_width"] = prod(layer.output[1:]), layer.output[2]
        row["is_l2"], row["pool_size"], row["pool_stride"] = layer.pool == "l2", layer.pool_size, layer.pool_stride

        line = width * channels  # floats from one row of pixels to the next
        ky, inside = np.divmod(np.arange(taps), field * channels)
        row["taps_at"] = self._table(ky * line + inside)
        y, x = np.divmod(np.arange(out_height * out_width), out_width)
        pixels = y * stride * line + x * stride * channels
        row["pixels_at"] = self._table(np.append(pixels, [0] * SLACK))  # a block of pixels may run past the last one

        # Vector number v·field + ky covers the taps from v·L on of row ky; idle vectors fill up a multiple of 5. In
        # this order neighbours lie in different rows, so that the backward pass does not load what it has just stored.
        across = -(-field * channels // LANES)
        v, ky = np.divmod(np.arange(across * field), field)
        vectors = row["vectors"] = _up(across * field, len(FIVE))
        row["vectors_at"] = self._table(np.append(ky * line + v * LANES, [0] * (vectors - across * field)))

        row["by_tap_at"] = self._memory(taps * lanes_out)
        row["by_map_at"] = self._memory(maps * vectors * LANES)
        row["gradient_at"] = self._memory(maps * vectors * LANES)
        # The last block of pixels may reach past the last one, by less than eight.
        row["convolved_stride"] = (row["pixels"] + len(EIGHT)) * lanes_out
        # L2 pooling needs the convolution's output of every image in the backward pass; else room for one is enough.
        row["convolved_at"] = self._memory((self.batch if row["is_l2"] else 1) * row["convolved_stride"])
        row["memo_at"] = self._memory(self.batch * (row["pooled"] * lanes_out))
        row["room_at"] = self._memory(taps)
        row["entries"] = row["pooled"] * (layer.pool_size**2 if row["is_l2"] else 1)
        row["entries_at"] = self._memory(row["entries"] * maps)
        row["places_at"], row["counts_at"] = self._integers(row["entries"] * maps), self._integers(maps)


def panels(outputs: int) -> list[tuple[int, int]]:
    """A dense layer's panels as ranges (first, end) of columns; the last one ends at or behind `outputs`."""
    found, start = list[tuple[int, int]](), 0
    while start < outputs:
        vectors = -(-(outputs - start) // LANES)
        wide = next(width for width in PANELS if width <= vectors)
        if wide < PANELS[0] and vectors >= PANELS[0] - 2:  # a few idle vectors cost less than narrow panels
            wide = PANELS[0]
        found.append((start, start + wide * LANES))
        start += wide * LANES
    return found


def torch_order(units: int, channels: int) -> np.ndarray:
    """For each unit in the order (H, W, C) its number in torch's order (C, H, W): (units,)."""
    return np.arange(units).reshape(channels, -1).T.ravel()


def pack(plan: Plan, layers: Sequence[LayerShape], weights: dict[str, Tensor]) -> np.ndarray:
    """Rows (K, size) float32 of `weights`, which have their names and shapes in a State."""
    rows = aligned((len(weights["layers.0.bias"]), plan.size))
    for number, layer in enumerate(layers):
        bias = _bias(plan, number, layer, rows)
        weight = weights[f"layers.{number}.weight"].detach().cpu().numpy()
        if isinstance(layer, ConvPool):
            _taps(plan, number, layer, rows)[:] = weight.transpose(0, 1, 3, 4, 2)  # (K, maps, C, ky, kx) before
        else:
            by_input = weight[:, :, _order(plan, number, layer)].transpose(0, 2, 1)  # (K, inputs, outputs)
            for start, place in _panels(plan, number, layer, rows):
                place[:] = by_input[:, :, start : start + place.shape[2]]
        bias[:] = weights[f"layers.{number}.bias"].detach().cpu().numpy()
    return rows


def unpack(plan: Plan, layers: Sequence[LayerShape], rows: np.ndarray) -> dict[str, Tensor]:
    """The inverse of `pack`: copies of the weights in rows (K, size), with their names and shapes in a State."""
    weights = {}
    for number, layer in enumerate(layers):
        if isinstance(layer, ConvPool):
            weight = _taps(plan, number, layer, rows).transpose(0, 1, 4, 2, 3)
        else:
            parts = [place for _, place in _panels(plan, number, layer, rows)]
            by_input = np.concatenate(parts, axis=2)  # (K, inputs, outputs)
            weight = by_input.transpose(0, 2, 1)[:, :, np.argsort(_order(plan, number, layer))]
        weights[f"layers.{number}.weight"] = from_numpy(weight.copy(order="C"))
        weights[f"layers.{number}.bias"] = from_numpy(_bias(plan, number, layer, rows).copy())
    return weights


def _order(plan: Plan, number: int, layer: Dense) -> np.ndarray:
    start = plan.layers[number]["units_at"]
    return plan.tables[start : start + layer.inputs]


def _bias(plan: Plan, number: int, layer: LayerShape, rows: np.ndarray) -> np.ndarray:
    """A view of a layer's biases, (K, maps or outputs)."""
    start = plan.layers[number]["bias_at"]
    return rows[:, start : start + layer.output[0]]


def _taps(plan: Plan, number: int, layer: ConvPool, rows: np.ndarray) -> np.ndarray:
    """A view of a convolution's weights, (K, maps, ky, kx, C)."""
    start, shape = plan.layers[number]["weights_at"], (len(rows), layer.maps, layer.field, layer.field, layer.input[0])
    return rows[:, start : start + prod(shape[1:])].reshape(shape)


def _panels(plan: Plan, number: int, layer: Dense, rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Each panel of a dense layer: its first output, and a view of its weights (K, inputs, outputs of the panel)."""
    for start, end in panels(layer.outputs):
        at = plan.layers[number]["weights_at"] + start * layer.inputs
        whole = rows[:, at : at + (end - start) * layer.inputs].reshape(len(rows), layer.inputs, end - start)
        yield start, whole[:, :, : layer.outputs - start]


def aligned(shape: tuple[int, ...]) -> np.ndarray:
    """A float32 array of zeros that begins at the start of a cache line."""
    count = prod(shape)
    room = np.zeros(count + 16, np.float32)
    start = -room.ctypes.data % 64 // 4
    return room[start : start + count].reshape(shape)
