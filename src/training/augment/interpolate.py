"""Bilinear interpolation of a vector of pixels, one operation more for src/training/engines/cpu/vectors.py."""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from src.training.engines.cpu.vectors import LANES, Vector

_FLOATS, _NUMBERS = ir.VectorType(ir.FloatType(), LANES), ir.VectorType(ir.IntType(32), LANES)
_ADDRESSES = ir.VectorType(ir.IntType(64), LANES)
_vector, _index, _float = Vector(), types.int64, types.float32


def _fma(builder: Any, x: Any, y: Any, z: Any) -> Any:
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(_FLOATS, [_FLOATS] * 3), f"llvm.fma.v{LANES}f32"
    )
    return builder.call(function, [x, y, z])


def _spread(builder: Any, scalar: Any, vector: ir.VectorType) -> Any:
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), ir.Constant(_NUMBERS, [0] * LANES))


def _gathered(builder: Any, start: Any, offsets: Any) -> Any:
    """The floats at start[offset] for each of the offsets."""
    bytes_ = builder.shl(builder.sext(offsets, _ADDRESSES), ir.Constant(_ADDRESSES, [2] * LANES))
    first = _spread(builder, builder.ptrtoint(start, _ADDRESSES.element), _ADDRESSES)
    places = builder.inttoptr(builder.add(first, bytes_), ir.VectorType(start.type, LANES))
    mask = ir.VectorType(ir.IntType(1), LANES)
    kind = ir.FunctionType(_FLOATS, [places.type, ir.IntType(32), mask, _FLOATS])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.gather.v{LANES}f32.v{LANES}p0")
    every, nothing = ir.Constant(mask, [1] * LANES), ir.Constant(_FLOATS, ir.Undefined)
    return builder.call(function, [places, ir.Constant(ir.IntType(32), 4), every, nothing])


def _parts(builder: Any, x: Any, last: Any) -> tuple[Any, Any]:
    """The whole part, as int32, and the fraction of each x, moved to 0 … last where it lies outside."""
    zero, last = ir.Constant(_FLOATS, [0.0] * LANES), _spread(builder, last, _FLOATS)
    x = builder.select(builder.fcmp_ordered(">", x, zero), x, zero)
    x = builder.select(builder.fcmp_ordered("<", x, last), x, last)
    whole = builder.fptosi(x, _NUMBERS)
    return whole, builder.fsub(x, builder.sitofp(whole, _FLOATS))


@intrinsic
def interpolated(typing: Any, a: Any, at: Any, stride: Any, x: Any, y: Any, right: Any, bottom: Any) -> Any:
    """The bilinear values of an image at the places (x, y), vectors; those outside count as at its edge.

    The image begins at a[at], in rows of `stride` numbers; right, bottom: the largest x and y, whole numbers as
    float32, beyond which it has another column and row.
    """

    def lines(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        a, at, stride, x, y, right, bottom = arguments
        start = builder.gep(context.make_array(signature.args[0])(context, builder, a).data, [at])
        (left, over), (top, below) = _parts(builder, x, right), _parts(builder, y, bottom)
        width = builder.trunc(stride, ir.IntType(32))
        corner = builder.add(builder.mul(top, _spread(builder, width, _NUMBERS)), left)
        one = ir.Constant(ir.IntType(32), 1)
        rows = []
        for step in (ir.Constant(ir.IntType(32), 0), width):
            here, beside = (
                _gathered(builder, start, builder.add(corner, _spread(builder, offset, _NUMBERS)))
                for offset in (step, builder.add(step, one))
            )
            rows.append(_fma(builder, over, builder.fsub(beside, here), here))
        upper, lower = rows
        return _fma(builder, below, builder.fsub(lower, upper), upper)

    return _vector(a, _index, _index, _vector, _vector, _float, _float), lines
