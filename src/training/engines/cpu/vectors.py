"""A vector of float32 lanes as a Numba type, and the few operations on vectors from which the fast kernels are made.

Numba's loops vectorise by themselves, but they do not keep a block of sums in registers, which is where a dense layer
or a convolution gains its last factor of three. So a kernel here names its block: a *tile* is a tuple of vectors, its
length known at compile time (`TWO`, `FIVE`, …), which LLVM keeps in registers. Every operation is a line of LLVM; all
arithmetic is IEEE, with multiplication and addition fused, so NaN and infinity behave as anywhere else.

`a` is a one-dimensional contiguous array and `at` an index into it, whose bounds are not checked; a load takes LANES
floats from there.
"""

from collections.abc import Callable
from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

# One 512-bit register, or one of 256 bit; where there is neither (ARM), LLVM makes two of 128 bit of it.
LANES = 16 if llvmlite.binding.get_host_cpu_features().get("avx512f") else 8

_FLOAT = ir.FloatType()
_LANES = ir.VectorType(_FLOAT, LANES)
_INDEX = ir.IntType(64)


class Vector(types.Type):
    """Numba's type of a vector."""

    def __init__(self) -> None:
        super().__init__(name=f"float32x{LANES}")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, type_: Vector) -> None:
        super().__init__(manager, type_, _LANES)


_vector = Vector()
_SHARE = float(np.float32(1) / np.float32(255))
_index = types.int64

# Lengths of tiles, passed to the operations below: only the length of the tuple matters, and it is part of its type.
ONE, TWO, THREE, FOUR, FIVE, SIX, SEVEN, EIGHT, THIRTEEN = ((0,) * length for length in (1, 2, 3, 4, 5, 6, 7, 8, 13))


def _tile(length: int) -> types.UniTuple:
    return types.UniTuple(_vector, length)


def _fma(builder: Any, x: Any, y: Any, z: Any) -> Any:
    name = f"llvm.fma.v{LANES}f32"
    function = builder.module.globals.get(name) or ir.Function(
        builder.module, ir.FunctionType(_LANES, [_LANES] * 3), name
    )
    return builder.call(function, [x, y, z])


def _spread(builder: Any, scalar: Any) -> Any:
    first = builder.insert_element(ir.Constant(_LANES, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(
        first, ir.Constant(_LANES, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    )


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, at: Any) -> Any:
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [at])


def _read(builder: Any, pointer: Any) -> Any:
    return builder.load(builder.bitcast(pointer, _LANES.as_pointer()), align=4)


def _write(builder: Any, value: Any, pointer: Any) -> None:
    builder.store(value, builder.bitcast(pointer, _LANES.as_pointer()), align=4)


def _operation(signature: Any, lines: Callable[..., Any]) -> Any:
    """An intrinsic's answer; `lines(context, builder, types, *arguments)` emits its LLVM."""
    return signature, lambda context, builder, signature, arguments: lines(context, builder, signature.args, *arguments)


@intrinsic
def load(typing: Any, a: Any, at: Any) -> Any:
    """The vector a[at : at + LANES]."""
    return _operation(_vector(a, _index), lambda c, b, t, a, at: _read(b, _pointer(c, b, t[0], a, at)))


@intrinsic
def fractions(typing: Any, a: Any, at: Any) -> Any:
    """The vector a[at : at + LANES]; of bytes, value / 255, rounded as the quotient is.

    The quotient by a multiplication and a correction of its remainder, a fifth of a division's time (P. Markstein,
    1990); a test compares all 256 of them with the division.
    """

    def lines(context: Any, builder: Any, types_: Any, a: Any, at: Any) -> Any:
        pointer = _pointer(context, builder, types_[0], a, at)
        if types_[0].dtype == types.float32:
            return _read(builder, pointer)
        whole = builder.load(builder.bitcast(pointer, ir.VectorType(ir.IntType(8), LANES).as_pointer()), align=1)
        x = builder.uitofp(whole, _LANES)
        minus_255, share = (ir.Constant(_LANES, [number] * LANES) for number in (-255.0, _SHARE))
        quotient = builder.fmul(x, share)
        return _fma(builder, _fma(builder, quotient, minus_255, x), share, quotient)

    return _operation(_vector(a, _index), lines)


@intrinsic
def number_at(typing: Any, a: Any, at: Any) -> Any:
    """The scalar a[at]; `at` counts from the start, so that nothing is looked at but the element."""
    return _operation(a.dtype(a, _index), lambda c, b, t, a, at: b.load(_pointer(c, b, t[0], a, at)))


@intrinsic
def put(typing: Any, a: Any, at: Any, value: Any) -> Any:
    """a[at] = value, of a's own type; `at` counts from the start."""

    def lines(context: Any, builder: Any, types_: Any, a: Any, at: Any, value: Any) -> Any:
        builder.store(value, _pointer(context, builder, types_[0], a, at))
        return context.get_dummy_value()

    return _operation(types.void(a, _index, a.dtype), lines)


@intrinsic
def store(typing: Any, a: Any, at: Any, value: Any) -> Any:
    """a[at : at + LANES] = value."""

    def lines(context: Any, builder: Any, types_: Any, a: Any, at: Any, value: Any) -> Any:
        _write(builder, value, _pointer(context, builder, types_[0], a, at))
        return context.get_dummy_value()

    return _operation(types.void(a, _index, _vector), lines)


@intrinsic
def fetch(typing: Any, a: Any, at: Any) -> Any:
    """Prefetches the cache line of a[at] without waiting for it; it may lie behind the end of a."""

    def lines(context: Any, builder: Any, types_: Any, a: Any, at: Any) -> Any:
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        name = "llvm.prefetch.p0i8"
        function = builder.module.globals.get(name) or ir.Function(
            builder.module, ir.FunctionType(ir.VoidType(), [byte, word, word, word]), name
        )
        to_read, to_all_levels, data = (ir.Constant(word, number) for number in (0, 3, 1))
        place = builder.bitcast(_pointer(context, builder, types_[0], a, at), byte)
        builder.call(function, [place, to_read, to_all_levels, data])
        return context.get_dummy_value()

    return _operation(types.void(a, _index), lines)


@intrinsic
def spread(typing: Any, scalar: Any) -> Any:
    """A vector with the scalar in every lane."""
    return _operation(_vector(types.float32), lambda c, b, t, scalar: _spread(b, scalar))


@intrinsic
def add(typing: Any, x: Any, y: Any) -> Any:
    """x + y."""
    return _operation(_vector(_vector, _vector), lambda c, b, t, x, y: b.fadd(x, y))


@intrinsic
def fma(typing: Any, x: Any, y: Any, z: Any) -> Any:
    """x·y + z."""
    return _operation(_vector(_vector, _vector, _vector), lambda c, b, t, x, y, z: _fma(b, x, y, z))


@intrinsic
def root(typing: Any, x: Any) -> Any:
    """The square root of every lane."""

    def lines(context: Any, builder: Any, types_: Any, x: Any) -> Any:
        name = f"llvm.sqrt.v{LANES}f32"
        function = builder.module.globals.get(name) or ir.Function(
            builder.module, ir.FunctionType(_LANES, [_LANES]), name
        )
        return builder.call(function, [x])

    return _operation(_vector(_vector), lines)


@intrinsic
def keep_larger(typing: Any, best: Any, best_note: Any, value: Any, note: Any) -> Any:
    """(best, best_note), or (value, note) in the lanes where value is larger, or NaN: a NaN wins and stays."""

    def lines(context: Any, builder: Any, types_: Any, best: Any, best_note: Any, value: Any, note: Any) -> Any:
        larger = builder.or_(builder.fcmp_ordered(">", value, best), builder.fcmp_unordered("uno", value, value))
        chosen = [builder.select(larger, value, best), builder.select(larger, note, best_note)]
        return context.make_tuple(builder, _tile(2), chosen)

    return _operation(_tile(2)(_vector, _vector, _vector, _vector), lines)


@intrinsic
def zeros(typing: Any, length: Any, other: Any) -> Any:
    """A tile of len(length) · len(other) zeros."""
    count = len(length) * len(other)

    def lines(context: Any, builder: Any, types_: Any, *_: Any) -> Any:
        return context.make_tuple(builder, _tile(count), [ir.Constant(_LANES, [0.0] * LANES)] * count)

    return _operation(_tile(count)(length, other), lines)


@intrinsic
def rows(typing: Any, length: Any, a: Any, at: Any, stride: Any) -> Any:
    """The tile of the vectors that begin at a[at], a[at + stride], a[at + 2·stride], …"""

    def lines(context: Any, builder: Any, types_: Any, length: Any, a: Any, at: Any, stride: Any) -> Any:
        found = []
        for _ in range(len(types_[0])):
            found.append(_read(builder, _pointer(context, builder, types_[1], a, at)))
            at = builder.add(at, stride)
        return context.make_tuple(builder, _tile(len(found)), found)

    return _operation(_tile(len(length))(length, a, _index, _index), lines)


@intrinsic
def store_rows(typing: Any, a: Any, at: Any, stride: Any, tile: Any) -> Any:
    """Stores the tile's vectors at a[at], a[at + stride], a[at + 2·stride], …"""

    def lines(context: Any, builder: Any, types_: Any, a: Any, at: Any, stride: Any, tile: Any) -> Any:
        for value in cgutils.unpack_tuple(builder, tile):
            _write(builder, value, _pointer(context, builder, types_[0], a, at))
            at = builder.add(at, stride)
        return context.get_dummy_value()

    return _operation(types.void(a, _index, _index, tile), lines)


@intrinsic
def grid(typing: Any, length: Any, other: Any, a: Any, at: Any, stride: Any) -> Any:
    """The tile whose vector number i·len(other) + j begins at a[at + i·stride + j·LANES]."""
    count = len(length) * len(other)

    def lines(context: Any, builder: Any, types_: Any, length: Any, other: Any, a: Any, at: Any, stride: Any) -> Any:
        places = _grid_places(context, builder, types_[2], a, at, stride, len(types_[0]), len(types_[1]))
        return context.make_tuple(builder, _tile(count), [_read(builder, place) for place in places])

    return _operation(_tile(count)(length, other, a, _index, _index), lines)


@intrinsic
def store_grid(typing: Any, other: Any, a: Any, at: Any, stride: Any, tile: Any) -> Any:
    """Stores the tile's vector number i·len(other) + j at a[at + i·stride + j·LANES]."""

    def lines(context: Any, builder: Any, types_: Any, other: Any, a: Any, at: Any, stride: Any, tile: Any) -> Any:
        columns = len(types_[0])
        places = _grid_places(context, builder, types_[1], a, at, stride, len(types_[4]) // columns, columns)
        for place, value in zip(places, cgutils.unpack_tuple(builder, tile), strict=True):
            _write(builder, value, place)
        return context.get_dummy_value()

    return _operation(types.void(other, a, _index, _index, tile), lines)


def _grid_places(
    context: Any, builder: Any, array_type: Any, a: Any, at: Any, stride: Any, height: int, width: int
) -> list[Any]:
    places = []
    for _ in range(height):
        row = _pointer(context, builder, array_type, a, at)
        places += [builder.gep(row, [ir.Constant(at.type, column * LANES)]) for column in range(width)]
        at = builder.add(at, stride)
    return places


@intrinsic
def spread_row(typing: Any, length: Any, a: Any, at: Any, stride: Any) -> Any:
    """The tile whose vectors hold the scalars a[at], a[at + stride], …, each in all lanes of its vector."""

    def lines(context: Any, builder: Any, types_: Any, length: Any, a: Any, at: Any, stride: Any) -> Any:
        found = []
        for _ in range(len(types_[0])):
            found.append(_spread(builder, builder.load(_pointer(context, builder, types_[1], a, at))))
            at = builder.add(at, stride)
        return context.make_tuple(builder, _tile(len(found)), found)

    return _operation(_tile(len(length))(length, a, _index, _index), lines)


@intrinsic
def indices(typing: Any, length: Any, table: Any, at: Any) -> Any:
    """The int32s table[at], table[at + 1], … as a tuple of int64s."""
    answer = types.UniTuple(_index, len(length))

    def lines(context: Any, builder: Any, types_: Any, length: Any, table: Any, at: Any) -> Any:
        found = []
        for _ in range(len(types_[0])):
            number = builder.load(_pointer(context, builder, types_[1], table, at))
            found.append(builder.sext(number, ir.IntType(64)))
            at = builder.add(at, ir.Constant(at.type, 1))
        return context.make_tuple(builder, answer, found)

    return _operation(answer(length, table, _index), lines)


@intrinsic
def rows_at(typing: Any, a: Any, at: Any, offsets: Any) -> Any:
    """The tile of the vectors that begin at a[at + offset], for each of the offsets."""

    def lines(context: Any, builder: Any, types_: Any, a: Any, at: Any, offsets: Any) -> Any:
        start = _pointer(context, builder, types_[0], a, at)
        found = [_read(builder, builder.gep(start, [offset])) for offset in cgutils.unpack_tuple(builder, offsets)]
        return context.make_tuple(builder, _tile(len(found)), found)

    return _operation(_tile(len(offsets))(a, _index, offsets), lines)


@intrinsic
def spread_at(typing: Any, a: Any, at: Any, offsets: Any) -> Any:
    """The tile whose vectors hold the scalars a[at + offset], each in all lanes of its vector."""

    def lines(context: Any, builder: Any, types_: Any, a: Any, at: Any, offsets: Any) -> Any:
        start = _pointer(context, builder, types_[0], a, at)
        found = [
            _spread(builder, builder.load(builder.gep(start, [offset])))
            for offset in cgutils.unpack_tuple(builder, offsets)
        ]
        return context.make_tuple(builder, _tile(len(found)), found)

    return _operation(_tile(len(offsets))(a, _index, offsets), lines)


@intrinsic
def add_at(typing: Any, a: Any, at: Any, offsets: Any, factor: Any, tile: Any) -> Any:
    """Adds factor·vector to a from a[at + offset] on, for each vector of the tile and its offset, one after another."""

    def lines(context: Any, builder: Any, types_: Any, a: Any, at: Any, offsets: Any, factor: Any, tile: Any) -> Any:
        start = _pointer(context, builder, types_[0], a, at)
        vectors = cgutils.unpack_tuple(builder, tile)
        for offset, value in zip(cgutils.unpack_tuple(builder, offsets), vectors, strict=True):
            place = builder.gep(start, [offset])
            _write(builder, _fma(builder, factor, value, _read(builder, place)), place)
        return context.get_dummy_value()

    return _operation(types.void(a, _index, offsets, _vector, tile), lines)


@intrinsic
def outer(typing: Any, xs: Any, ys: Any, sums: Any) -> Any:
    """sums + xs ⊗ ys: vector i·len(ys) + j gains xs[i]·ys[j]."""

    def lines(context: Any, builder: Any, types_: Any, xs: Any, ys: Any, sums: Any) -> Any:
        xs, ys, sums = (cgutils.unpack_tuple(builder, tile) for tile in (xs, ys, sums))
        pairs = [(x, y) for x in xs for y in ys]
        return context.make_tuple(
            builder, types_[2], [_fma(builder, x, y, s) for (x, y), s in zip(pairs, sums, strict=True)]
        )

    return _operation(sums(xs, ys, sums), lines)


@intrinsic
def outer_row(typing: Any, xs: Any, length: Any, a: Any, at: Any, sums: Any) -> Any:
    """sums + xs ⊗ ys, with ys the len(length) vectors from a[at] on: vector i·len(length) + j gains xs[i]·ys[j].

    Each of them is loaded when it is needed, so that they take no registers from large sums.
    """

    def lines(context: Any, builder: Any, types_: Any, xs: Any, length: Any, a: Any, at: Any, sums: Any) -> Any:
        xs, sums = (cgutils.unpack_tuple(builder, tile) for tile in (xs, sums))
        start, count = _pointer(context, builder, types_[2], a, at), len(types_[1])
        for j in range(count):
            y = _read(builder, builder.gep(start, [ir.Constant(at.type, j * LANES)]))
            for i, x in enumerate(xs):
                sums[i * count + j] = _fma(builder, x, y, sums[i * count + j])
        return context.make_tuple(builder, types_[4], sums)

    return _operation(sums(xs, length, a, _index, sums), lines)


@intrinsic
def grown(typing: Any, xs: Any, p: Any, q: Any, ys: Any) -> Any:
    """The tile xs + p·xs + q·ys, vector by vector; each of the two sums is rounded once."""

    def lines(context: Any, builder: Any, types_: Any, xs: Any, p: Any, q: Any, ys: Any) -> Any:
        pairs = zip(cgutils.unpack_tuple(builder, xs), cgutils.unpack_tuple(builder, ys), strict=True)
        sums = [_fma(builder, q, y, _fma(builder, p, x, x)) for x, y in pairs]
        return context.make_tuple(builder, types_[0], sums)

    return _operation(xs(xs, _vector, _vector, ys), lines)


def _picked(builder: Any, x: Any, y: Any, lanes: list[int]) -> Any:
    """The vector of these lanes of x, whose numbers begin at 0, and y, whose numbers go on from there."""
    return builder.shuffle_vector(x, y, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes))


def _dots(builder: Any, rows: list[Any], ds: list[Any], vectors: int) -> Any:
    """The dot products of each of the rows with each d, 1 to LANES, as a vector: those of the first d first.

    Rows and ds are pointers. All sums grow side by side, so that no addition waits for the one before. The lanes of a
    sum are added by halves, those of several sums in one vector: the order of a sum's additions does not depend on how
    many there are.
    """
    sums = [ir.Constant(_LANES, [0.0] * LANES)] * (len(rows) * len(ds))
    for at in (ir.Constant(_INDEX, vector * LANES) for vector in range(vectors)):
        ys = [_read(builder, builder.gep(d, [at])) for d in ds]
        for n, row in enumerate(rows):
            x = _read(builder, builder.gep(row, [at]))
            for m, y in enumerate(ys):
                sums[m * len(rows) + n] = _fma(builder, x, y, sums[m * len(rows) + n])
    width = LANES  # lanes of one sum
    while width > 1:
        width //= 2
        pairs = list(zip(sums[::2], sums[1::2], strict=True)) if len(sums) > 1 else [(sums[0], sums[0])]
        count = sums[0].type.count * min(2, len(sums))
        low = [lane for lane in range(count) if lane // width % 2 == 0]
        high = [lane + width for lane in low]
        sums = [builder.fadd(_picked(builder, x, y, low), _picked(builder, x, y, high)) for x, y in pairs]
    return sums[0]


@intrinsic
def add_dots(typing: Any, length: Any, target: Any, at: Any, numbers: Any, w: Any, w_at: Any, d: Any, d_at: Any) -> Any:
    """target[at + number] += row number of w · d, for each of the numbers, a power of two of them.

    A row has len(length) vectors; row 0 of w begins at w_at, d at d_at.
    """

    def lines(
        context: Any, builder: Any, types_: Any, length: Any, target: Any, at: Any, numbers: Any, *rest: Any
    ) -> Any:
        w, w_at, d, d_at = rest
        vectors = len(types_[0])
        chosen = cgutils.unpack_tuple(builder, numbers)
        start, d_start = _pointer(context, builder, types_[4], w, w_at), _pointer(context, builder, types_[6], d, d_at)
        width = ir.Constant(at.type, vectors * LANES)
        found = _dots(
            builder, [builder.gep(start, [builder.mul(number, width)]) for number in chosen], [d_start], vectors
        )
        to = _pointer(context, builder, types_[1], target, at)
        for lane, number in enumerate(chosen):
            place = builder.gep(to, [number])
            value = builder.extract_element(found, ir.Constant(ir.IntType(32), lane))
            builder.store(builder.fadd(builder.load(place), value), place)
        return context.get_dummy_value()

    return _operation(types.void(length, target, _index, numbers, w, _index, d, _index), lines)


@intrinsic
def add_all_dots(
    typing: Any, length: Any, target: Any, at: Any, stride: Any, w: Any, w_at: Any, d: Any, d_at: Any, d_stride: Any
) -> Any:
    """`add_dots` for two ds, at d_at and d_stride behind it, and LANES / 2 rows one behind the other.

    target[at + m·stride + n] += row n of w · d number m, for n = 0 … LANES / 2 − 1 and m = 0, 1.
    """
    count = LANES // 2

    def lines(context: Any, builder: Any, types_: Any, length: Any, target: Any, at: Any, *rest: Any) -> Any:
        stride, w, w_at, d, d_at, d_stride = rest
        vectors, half = len(types_[0]), ir.VectorType(_FLOAT, count)
        start = _pointer(context, builder, types_[4], w, w_at)
        rows = [builder.gep(start, [ir.Constant(at.type, n * vectors * LANES)]) for n in range(count)]
        first = _pointer(context, builder, types_[6], d, d_at)
        found = _dots(builder, rows, [first, builder.gep(first, [d_stride])], vectors)
        to = _pointer(context, builder, types_[1], target, at)
        for m, place in enumerate((to, builder.gep(to, [stride]))):
            place = builder.bitcast(place, half.as_pointer())
            own = _picked(builder, found, found, list(range(m * count, (m + 1) * count)))
            builder.store(builder.fadd(builder.load(place, align=4), own), place, align=4)
        return context.get_dummy_value()

    return _operation(types.void(length, target, *(_index,) * 2, w, _index, d, *(_index,) * 2), lines)


@intrinsic
def nonzero(typing: Any, x: Any, at: Any, y: Any, also: Any) -> Any:
    """Eight bits: number n is set if x[at + n] or y[also + n] is not zero (a NaN is not zero)."""

    def lines(context: Any, builder: Any, types_: Any, x: Any, at: Any, y: Any, also: Any) -> Any:
        eight, zero = ir.VectorType(_FLOAT, 8), ir.Constant(ir.VectorType(_FLOAT, 8), [0.0] * 8)
        bits = []
        for type_, array, place in ((types_[0], x, at), (types_[2], y, also)):
            pointer = builder.bitcast(_pointer(context, builder, type_, array, place), eight.as_pointer())
            bits.append(builder.fcmp_unordered("!=", builder.load(pointer, align=4), zero))
        return builder.zext(builder.bitcast(builder.or_(*bits), ir.IntType(8)), ir.IntType(64))

    return _operation(_index(x, _index, y, _index), lines)


@intrinsic
def store_numbers(typing: Any, target: Any, at: Any, start: Any, table: Any, row: Any) -> Any:
    """target[at + n] = start + table[8·row + n] for n = 0 … 7, all int32."""

    def lines(context: Any, builder: Any, types_: Any, target: Any, at: Any, start: Any, table: Any, row: Any) -> Any:
        eight = ir.VectorType(ir.IntType(32), 8)
        from_ = _pointer(context, builder, types_[3], table, builder.mul(row, ir.Constant(row.type, 8)))
        values = builder.load(builder.bitcast(from_, eight.as_pointer()), align=4)
        first = builder.insert_element(
            ir.Constant(eight, ir.Undefined), builder.trunc(start, ir.IntType(32)), ir.Constant(ir.IntType(32), 0)
        )
        starts = builder.shuffle_vector(first, ir.Constant(eight, ir.Undefined), ir.Constant(eight, [0] * 8))
        to = builder.bitcast(_pointer(context, builder, types_[0], target, at), eight.as_pointer())
        builder.store(builder.add(values, starts), to, align=4)
        return context.get_dummy_value()

    return _operation(types.void(target, _index, _index, table, _index), lines)


@intrinsic
def store_lane_sums(typing: Any, target: Any, at: Any, stride: Any, length: Any, tile: Any) -> Any:
    """target[at + i·stride + j] = the sum of the lanes of the tile's vector number i·len(length) + j; i is 0 or 1.

    len(length) must be LANES / 2. All vectors are summed together, by halves, so the order of additions is fixed.
    """

    def lines(
        context: Any, builder: Any, types_: Any, target: Any, at: Any, stride: Any, length: Any, tile: Any
    ) -> Any:
        sums = cgutils.unpack_tuple(builder, tile)
        examples, size = len(sums) // (LANES // 2), LANES
        sums += [ir.Constant(_LANES, [0.0] * LANES)] * (LANES - len(sums))
        while len(sums) > 1:  # each vector holds `size` partial sums of each of LANES / size vectors
            size //= 2
            low = [lane for start in range(0, 2 * LANES, 2 * size) for lane in range(start, start + size)]
            high = [lane + size for lane in low]
            pairs = zip(sums[::2], sums[1::2], strict=True)
            sums = [builder.fadd(_picked(builder, x, y, low), _picked(builder, x, y, high)) for x, y in pairs]
        half = ir.VectorType(_FLOAT, LANES // 2)
        for example in range(examples):
            lanes = list(range(example * LANES // 2, (example + 1) * LANES // 2))
            place = builder.bitcast(_pointer(context, builder, types_[0], target, at), half.as_pointer())
            builder.store(_picked(builder, sums[0], sums[0], lanes), place, align=4)
            at = builder.add(at, stride)
        return context.get_dummy_value()

    return _operation(types.void(target, _index, _index, length, tile), lines)
