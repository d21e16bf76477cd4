"""The sizes of a network's layers, worked out without torch so that a layer that does not fit is refused at once.

Shapes of one image: C maps, H × W pixels. Convolution without padding: side' = (side − field) // stride + 1;
pooling likewise with pool_size and pool_stride. Source: [N6] M. Nielsen, Neural Networks and Deep Learning, ch. 6.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import prod


class ShapeError(ValueError):
    """A layer that does not fit its input; the text names the layer and both sizes."""


@dataclass(frozen=True)
class ConvPool:
    """Convolution, pooling, then bias and activation. pool is max, l2 or none (then pool_size = pool_stride = 1)."""

    maps: int
    field: int
    stride: int
    pool: str
    pool_size: int
    pool_stride: int
    activation: str
    input: tuple[int, int, int] = (0, 0, 0)  # (C, H, W)

    @property
    def convolved(self) -> tuple[int, int, int]:
        """(maps, H', W') after the convolution."""
        _, height, width = self.input
        return self.maps, (height - self.field) // self.stride + 1, (width - self.field) // self.stride + 1

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


@dataclass(frozen=True)
class Dense:
    """Fully connected layer; the last one, with activation none, gives the softmax its logits."""

    outputs: int
    activation: str
    inputs: int = 0

    @property
    def output(self) -> tuple[int, int, int]:
        """(outputs, 1, 1)."""
        return self.outputs, 1, 1

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """(outputs, inputs)."""
        return self.outputs, self.inputs


LayerShape = ConvPool | Dense


def chain(image: tuple[int, int, int], layers: Iterable[LayerShape]) -> list[LayerShape]:
    """Every layer with the size of its input filled in; `image` is (C, H, W). Raises ShapeError."""
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
        result.append(layer)
        shape = layer.output
    return result


def _check(number: int, layer: ConvPool) -> None:
    _, height, width = layer.input
    if layer.field > min(height, width):
        raise ShapeError(
            f"layer {number}, a {layer.field}x{layer.field} convolution, does not fit its {height}x{width} input; "
            f"accepted: a field of at most {min(height, width)}"
        )
    _, height, width = layer.convolved
    if layer.pool_size > min(height, width):
        raise ShapeError(
            f"layer {number}: {layer.pool_size}x{layer.pool_size} pooling does not fit the {height}x{width} left by "
            f"its convolution; accepted: a pool_size of at most {min(height, width)}"
        )


def parameter_count(layers: Iterable[LayerShape]) -> int:
    """Weights and biases together."""
    return sum(prod(layer.weight_shape) + layer.weight_shape[0] for layer in layers)
