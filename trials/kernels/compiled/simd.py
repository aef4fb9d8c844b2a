"""Compiled: sixteen numbers at a time, in the terms of LLVM, where numba has no words for it.

The compiler of a loop over a short row knows neither how short it is nor that what it writes is not
what it reads: it asks both at run time, and takes the end of a row one number at a time. And it has
no loop for packing what meets a condition, one instruction of AVX-512. Every processor gets an
answer; one without such registers takes more instructions for it.

Whoever calls these sees to it that all of the numbers are there, wanted or not.
"""

from typing import Any, no_type_check

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

N_LANES = 16

_WHOLE = ir.IntType(64)
_INDICES = ir.VectorType(ir.IntType(32), N_LANES)
_NAMES = {ir.FloatType(): f"v{N_LANES}f32", ir.DoubleType(): f"v{N_LANES}f64"}


@intrinsic
@no_type_check
def append_outside(typing_context, values, first, low, high, picks, n):
    """Append to `picks[:n]` which of `values[first : first + 16]` lie outside `[low, high]`.

    Their indices, that is; returns the new n. `picks`, of uint32, has room for 16 more.
    """
    signature = types.int64(values, types.int64, values.dtype, values.dtype, picks, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values, first, low, high, picks, n = _named(context, builder, signature, arguments)
        found = values.load(first)
        is_outside = builder.or_(
            builder.fcmp_ordered("<", found, _filled(builder, low)),
            builder.fcmp_ordered(">", found, _filled(builder, high)),
        )
        start = _filled(builder, builder.trunc(first, ir.IntType(32)))
        indices = builder.add(start, ir.Constant(_INDICES, list(range(N_LANES))))
        picks.store(_packed(builder, indices, is_outside), n)
        return builder.add(n, _count(builder, is_outside))

    return signature, generate


@intrinsic
@no_type_check
def count_above(typing_context, values, first, level):
    """How many of `values[first : first + 16]` exceed a level."""
    signature = types.int64(values, types.int64, values.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values, first, level = _named(context, builder, signature, arguments)
        is_above = builder.fcmp_ordered(">", values.load(first), _filled(builder, level))
        return _count(builder, is_above)

    return signature, generate


@intrinsic
@no_type_check
def add_scaled(typing_context, out, first, factor, matrix, row):
    """`out[first : first + 16] += factor * matrix[row, first : first + 16]`."""
    signature = types.void(out, types.int64, out.dtype, matrix, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        out, first, factor, matrix, row = _named(context, builder, signature, arguments)
        source = matrix.load(row, first)
        out.store(
            _sum_of_product(builder, out.load(first), _filled(builder, factor), source), first
        )
        return context.get_dummy_value()

    return signature, generate


@intrinsic
@no_type_check
def add_all_scaled(typing_context, out, first, matrix, rows, factors, n):
    """`out[first : first + 32] += sum_k factors[k] * matrix[rows[k], first : first + 32]`, k < n.

    `rows` is of uint32. Sums stay in registers: four of them, that none waits for another.
    """
    signature = types.void(out, types.int64, matrix, rows, factors, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        out, first, matrix, rows, factors, n = _named(context, builder, signature, arguments)
        starts = first, builder.add(first, _WHOLE(N_LANES))
        begun = [out.load(start) for start in starts]
        zeros = [ir.Constant(lanes.type, [0.0] * N_LANES) for lanes in begun]
        even, odd = (
            [cgutils.alloca_once_value(builder, lanes) for lanes in each] for each in (begun, zeros)
        )

        def add_row(k: Any, sums: list[Any]) -> None:
            row = builder.zext(builder.load(rows.at(k)), _WHOLE)
            factor = _filled(builder, builder.load(factors.at(k)))
            for start, total in zip(starts, sums, strict=True):
                source = matrix.load(row, start)
                builder.store(_sum_of_product(builder, builder.load(total), factor, source), total)

        with cgutils.for_range(builder, builder.lshr(n, _WHOLE(1))) as pairs:
            k = builder.shl(pairs.index, _WHOLE(1))
            add_row(k, even)
            add_row(builder.add(k, _WHOLE(1)), odd)
        with builder.if_then(builder.trunc(n, ir.IntType(1))):
            add_row(builder.sub(n, _WHOLE(1)), even)
        for start, one, other in zip(starts, even, odd, strict=True):
            out.store(builder.fadd(builder.load(one), builder.load(other)), start)
        return context.get_dummy_value()

    return signature, generate


def _named(context: Any, builder: Any, signature: Any, arguments: Any) -> list[Any]:
    """The arguments of a function: arrays to load from and store to, numbers as they are."""
    return [
        _Array(builder, context.make_array(kind)(context, builder, value))
        if isinstance(kind, types.Array)
        else value
        for kind, value in zip(signature.args, arguments, strict=True)
    ]


class _Array:
    """An array whose rows have no gaps, by one index or by two."""

    def __init__(self, builder: Any, array: Any) -> None:
        self._builder = builder
        self._array = array

    def at(self, *index: Any) -> Any:
        """Pointer to an entry."""
        builder, data = self._builder, self._array.data
        if len(index) > 1:
            n_bytes = builder.mul(index[0], builder.extract_value(self._array.strides, 0))
            row = builder.gep(builder.bitcast(data, ir.IntType(8).as_pointer()), [n_bytes])
            data = builder.bitcast(row, data.type)
        return builder.gep(data, [index[-1]])

    def load(self, *index: Any) -> Any:
        """Sixteen entries, from one on."""
        entry = self.at(*index)
        lanes = ir.VectorType(entry.type.pointee, N_LANES)
        return self._builder.load(self._builder.bitcast(entry, lanes.as_pointer()), align=4)

    def store(self, lanes: Any, *index: Any) -> None:
        entry = self._builder.bitcast(self.at(*index), lanes.type.as_pointer())
        self._builder.store(lanes, entry, align=4)


def _filled(builder: Any, value: Any) -> Any:
    """The value in every lane."""
    nothing = ir.Constant(ir.VectorType(value.type, N_LANES), ir.Undefined)
    one = builder.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, nothing, ir.Constant(_INDICES, [0] * N_LANES))


def _count(builder: Any, is_so: Any) -> Any:
    """In how many lanes it is so."""
    return builder.zext(builder.ctpop(builder.bitcast(is_so, ir.IntType(N_LANES))), _WHOLE)


def _packed(builder: Any, indices: Any, is_so: Any) -> Any:
    """The indices where it is so, one after the other; what follows them means nothing."""
    name = f"llvm.experimental.vector.compress.v{N_LANES}i32"
    return _call(builder, name, indices, is_so, ir.Constant(_INDICES, ir.Undefined))


def _sum_of_product(builder: Any, z: Any, x: Any, y: Any) -> Any:
    """z + x * y, rounded once where the processor can."""
    return _call(builder, f"llvm.fmuladd.{_NAMES[z.type.element]}", x, y, z)


def _call(builder: Any, name: str, *arguments: Any) -> Any:
    """What a function of LLVM returns, of the type of its first argument."""
    kind = ir.FunctionType(arguments[0].type, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)
