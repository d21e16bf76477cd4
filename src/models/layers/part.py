"""The parts of a layer behind its convolution or matrix product: pooling, norm and activation, found by their names.

A file of this folder holds one part as `PART`: `norm: batch` is batch_norm.py, `pool: avg` is avg_pool.py, `activation:
prelu` is prelu.py; the activations that are plain functions stand together in activations.py. A part that learns or
keeps something is an nn.Module whose parameters and buffers begin as its constructor leaves them.
"""

from collections.abc import Callable
from importlib import import_module

from torch import Tensor

from src.config.shapes import LayerShape
from src.models.layers.activations import ACTIVATIONS

# Takes (B, C, …) and returns the same shape, or smaller maps where it pools. The second argument is the key of the
# training step (src/models/dropout.py), or None in evaluation.
Part = Callable[[Tensor, Tensor | None], Tensor]

_SUFFIX = {"norm": "_norm", "activation": "", "pool": "_pool"}


def part_of(kind: str, layer: LayerShape, number: int) -> Part:
    """The part that `layer` names for this kind (norm, activation or pool); `number` is the layer's number, from 0."""
    name: str = getattr(layer, kind)
    if kind == "activation" and name in ACTIVATIONS:
        return ACTIVATIONS[name]
    part: Part = import_module(f"src.models.layers.{name}{_SUFFIX[kind]}").PART(layer, number)
    return part
