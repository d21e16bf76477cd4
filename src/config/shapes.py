"""The sizes of a network's layers, worked out without torch so that a layer that does not fit is refused at once.

Shapes of one image: C maps, H × W pixels. Convolution: side' = (side + 2 · padding − field) // stride + 1; pooling
likewise, unpadded, with pool_size and pool_stride. Behind a convolution or a matrix product come a layer's parts: norm,
activation and, of a convolution, pooling. Source: [N6] M. Nielsen, Neural Networks and Deep Learning, ch. 6.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod

# Activations with a learnt number for each map or unit.
WITH_SLOPES = ("prelu",)
# If group norm's number of groups is not given: the largest one up to MOST_GROUPS that divides the maps or units into
# groups of at least SMALLEST_GROUP each. Of a group of two values, a norm leaves little more than which one is larger.
MOST_GROUPS, SMALLEST_GROUP = 8, 4


class ShapeError(ValueError):
    """A layer does not fit its input, or its parts do not fit each other; the text names the layer."""


@dataclass(frozen=True)
class ConvPool:
    """The shape of a convolution with its parts. pool is max, l2, avg or none (then pool_size = pool_stride = 1)."""

    maps: int
    field: int
    stride: int
    pool: str
    pool_size: int
    pool_stride: int
    activation: str
    input: tuple[int, int, int] = (0, 0, 0)  # (C, H, W)
    padding: int = 0  # pixels of zeros on each side
    norm: str = "none"
    groups: int | None = None  # of group norm; None: `chain` chooses
    bias: bool = True
    order: tuple[str, ...] | None = None  # of the parts; None: norm, activation, pool, or [N6]'s where there is no norm
    dropout: float = 0.0  # of its inputs, the same for all members; a dense layer's is each member's own

    @property
    def convolved(self) -> tuple[int, int, int]:
        """(maps, H', W') after the convolution."""
        _, height, width = self.input
        field = self.field - 2 * self.padding
        return self.maps, (height - field) // self.stride + 1, (width - field) // self.stride + 1

    @property
    def output(self) -> tuple[int, int, int]:
        """(maps, H'', W'') after pooling."""
        maps, height, width = self.convolved
        size, stride = self.pool_size, self.pool_stride
        return maps, (height - size) // stride + 1, (width - size) // stride + 1

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """(maps, C, field, field)."""
        return self.maps, self.input[0], self.field, self.field

    @property
    def parts(self) -> tuple[str, ...]:
        """The kinds of the layer's parts, of norm, activation and pool, in their order."""
        usual = ("pool", "activation") if self.norm == "none" else ("norm", "activation", "pool")
        return tuple(kind for kind in self.order or usual if getattr(self, kind) != "none")

    @property
    def normed(self) -> int:
        """The number of pixels of a map that the norm sees."""
        pooled = "pool" in self.parts[: self.parts.index("norm")] if self.norm != "none" else False
        return prod((self.output if pooled else self.convolved)[1:])


@dataclass(frozen=True)
class Dense:
    """The shape of a fully connected layer with its parts; the last one, with activation none, gives the logits."""

    outputs: int
    activation: str
    inputs: int = 0
    norm: str = "none"
    groups: int | None = None  # of group norm; None: `chain` chooses
    bias: bool = True

    @property
    def output(self) -> tuple[int, int, int]:
        """(outputs, 1, 1)."""
        return self.outputs, 1, 1

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """(outputs, inputs)."""
        return self.outputs, self.inputs

    @property
    def parts(self) -> tuple[str, ...]:
        """The kinds of the layer's parts, of norm and activation, in their order."""
        return tuple(kind for kind in ("norm", "activation") if getattr(self, kind) != "none")

    @property
    def normed(self) -> int:
        """1: a unit is a single value, where a map has many."""
        return 1


@dataclass(frozen=True)
class Tied(Dense):
    """The shape of a fully connected layer whose weights also lead back to its inputs, which then have biases."""


LayerShape = ConvPool | Dense


def chain(image: tuple[int, int, int], layers: Iterable[LayerShape]) -> list[LayerShape]:
    """The layers with the sizes of their inputs, orders and groups filled in; image: the size (C, H, W) of the input.

    Raises ShapeError where a layer does not fit its input, or its parts do not fit each other.
    """
    shape, result, dense_seen = image, list[LayerShape](), False
    for number, layer in enumerate(layers, start=1):
        if isinstance(layer, Dense):
            dense_seen = True
            layer = replace(layer, inputs=prod(shape))
        else:
            if dense_seen:
                raise ShapeError(
                    f"layer {number} is a convolution behind a fully connected layer; put convolutions first"
                )
            layer = replace(layer, input=shape)
            _check(number, layer)
            layer = replace(layer, order=layer.parts)
        if layer.norm == "group":
            layer = replace(layer, groups=_groups(number, layer))
        result.append(layer)
        shape = layer.output
    return result


def same_padding(number: int, field: int) -> int:
    """The padding, in pixels on each side, with which a convolution of stride 1 keeps the size of its input.

    Raises ShapeError for an even field, with which there is none.
    """
    if field % 2 == 0:
        raise ShapeError(
            f"layer {number}: padding = 'same' needs a field with a pixel in its middle, which field = {field} has "
            f"not; accepted: an odd field, or a number of pixels, 0 to {field - 1}"
        )
    return field // 2


def _check(number: int, layer: ConvPool) -> None:
    if layer.padding >= layer.field:
        raise ShapeError(
            f"layer {number}: padding = {layer.padding} is more than a field of {layer.field} can reach over; "
            f"accepted: 0 to {layer.field - 1}, or same"
        )
    _, height, width = layer.input
    side = min(height, width) + 2 * layer.padding
    if layer.field > side:
        padded = f", padded by {layer.padding}" if layer.padding else ""
        raise ShapeError(
            f"layer {number}, a {layer.field}x{layer.field} convolution, does not fit its {height}x{width} input"
            f"{padded}; accepted: a field of at most {side}"
        )
    _, height, width = layer.convolved
    if layer.pool_size > min(height, width):
        raise ShapeError(
            f"layer {number}: {layer.pool_size}x{layer.pool_size} pooling does not fit the {height}x{width} left by "
            f"its convolution; accepted: a pool_size of at most {min(height, width)}"
        )
    if layer.order is not None:
        _check_order(number, layer, layer.order)


def _check_order(number: int, layer: ConvPool, order: tuple[str, ...]) -> None:
    has = [kind for kind in ("norm", "activation", "pool") if getattr(layer, kind) != "none"]
    twice = sorted({kind for kind in order if order.count(kind) > 1})
    missing = [kind for kind in has if kind not in order]
    if twice or missing:
        wrong = f"names {twice[0]} twice" if twice else f"leaves out {' and '.join(missing)}, which the layer has"
        raise ShapeError(
            f"layer {number}: order = [{', '.join(order)}] {wrong}; accepted: each of {', '.join(has)} once"
        )


def _groups(number: int, layer: LayerShape) -> int:
    """The number of groups of a layer's group norm: as given, else as many as MOST_GROUPS and SMALLEST_GROUP allow."""
    channels = layer.output[0]
    accepted = [n for n in range(1, channels + 1) if channels % n == 0 and channels // n * layer.normed > 1]
    kind = "maps" if isinstance(layer, ConvPool) else "units"
    if not accepted:
        raise ShapeError(
            f"layer {number}: norm = 'group' has a single value to work on; accepted: more {kind}, or none"
        )
    if layer.groups is None:
        return max(n for n in accepted if n == 1 or (n <= MOST_GROUPS and channels // n >= SMALLEST_GROUP))
    if layer.groups not in accepted:
        wrong = "leaves a single value in each group" if channels % layer.groups == 0 else "does not divide them"
        raise ShapeError(
            f"layer {number}: groups = {layer.groups} of {channels} {kind} {wrong}; "
            f"accepted: {', '.join(map(str, accepted))}"
        )
    return layer.groups


def parameter_count(layers: Iterable[LayerShape]) -> int:
    """How many numbers are learnt: weights and biases, scale and shift of norms, slopes of activations."""

    def count(layer: LayerShape) -> int:
        by_channel = layer.bias + 2 * (layer.norm != "none") + (layer.activation in WITH_SLOPES)
        back = layer.inputs if isinstance(layer, Tied) else 0
        return prod(layer.weight_shape) + by_channel * layer.output[0] + back

    return sum(count(layer) for layer in layers)
