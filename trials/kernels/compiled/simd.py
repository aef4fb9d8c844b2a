"""Vector instructions on sixteen numbers at once, as LLVM intrinsics, where numba has none.

Two things are slow when numba compiles a plain loop. On short rows it checks at run time for length
and aliasing, and handles the end of a row one number at a time. And it does not vectorise "append
the indices that meet a condition", which is a single instruction on AVX-512. The intrinsics run on
every processor; one without such registers needs more instructions.

Callers must pad arrays to a multiple of 16: the padding is read and written.
"""

from typing import Any, no_type_check

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

N_LANES = 16

_INT64 = ir.IntType(64)
_INDEX_VECTOR = ir.VectorType(ir.IntType(32), N_LANES)
_TYPE_SUFFIXES = {ir.FloatType(): f"v{N_LANES}f32", ir.DoubleType(): f"v{N_LANES}f64"}


@intrinsic
@no_type_check
def append_outside(typing_context, values, first, low, high, picks, n):
    """Append to `picks[:n]` which of `values[first : first + 16]` lie outside `[low, high]`.

    Appends the indices and returns the new n. `picks` is uint32 and has room for 16 more.
    """
    signature = types.int64(values, types.int64, values.dtype, values.dtype, picks, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values, first, low, high, picks, n = _wrapped(context, builder, signature, arguments)
        found = values.load(first)
        is_outside = builder.or_(
            builder.fcmp_ordered("<", found, _broadcast(builder, low)),
            builder.fcmp_ordered(">", found, _broadcast(builder, high)),
        )
        start = _broadcast(builder, builder.trunc(first, ir.IntType(32)))
        indices = builder.add(start, ir.Constant(_INDEX_VECTOR, list(range(N_LANES))))
        picks.store(_compressed(builder, indices, is_outside), n)
        return builder.add(n, _count_true(builder, is_outside))

    return signature, generate


@intrinsic
@no_type_check
def count_above(typing_context, values, first, level):
    """How many of `values[first : first + 16]` exceed a level."""
    signature = types.int64(values, types.int64, values.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        values, first, level = _wrapped(context, builder, signature, arguments)
        is_above = builder.fcmp_ordered(">", values.load(first), _broadcast(builder, level))
        return _count_true(builder, is_above)

    return signature, generate


@intrinsic
@no_type_check
def add_scaled(typing_context, out, first, factor, matrix, row):
    """`out[first : first + 16] += factor * matrix[row, first : first + 16]`."""
    signature = types.void(out, types.int64, out.dtype, matrix, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        out, first, factor, matrix, row = _wrapped(context, builder, signature, arguments)
        source = matrix.load(row, first)
        out.store(
            _multiply_add(builder, out.load(first), _broadcast(builder, factor), source), first
        )
        return context.get_dummy_value()

    return signature, generate


@intrinsic
@no_type_check
def add_all_scaled(typing_context, out, first, matrix, rows, factors, n):
    """`out[first : first + 32] += sum_k factors[k] * matrix[rows[k], first : first + 32]`, k < n.

    `rows` is uint32. Sums stay in registers. There are four, so that no addition waits for another.
    """
    signature = types.void(out, types.int64, matrix, rows, factors, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        out, first, matrix, rows, factors, n = _wrapped(context, builder, signature, arguments)
        starts = first, builder.add(first, _INT64(N_LANES))
        begun = [out.load(start) for start in starts]
        zeros = [ir.Constant(lanes.type, [0.0] * N_LANES) for lanes in begun]
        even, odd = (
            [cgutils.alloca_once_value(builder, lanes) for lanes in each] for each in (begun, zeros)
        )

        def add_row(k: Any, sums: list[Any]) -> None:
            row = builder.zext(builder.load(rows.at(k)), _INT64)
            factor = _broadcast(builder, builder.load(factors.at(k)))
            for start, total in zip(starts, sums, strict=True):
                source = matrix.load(row, start)
                builder.store(_multiply_add(builder, builder.load(total), factor, source), total)

        with cgutils.for_range(builder, builder.lshr(n, _INT64(1))) as pairs:
            k = builder.shl(pairs.index, _INT64(1))
            add_row(k, even)
            add_row(builder.add(k, _INT64(1)), odd)
        with builder.if_then(builder.trunc(n, ir.IntType(1))):
            add_row(builder.sub(n, _INT64(1)), even)
        for start, one, other in zip(starts, even, odd, strict=True):
            out.store(builder.fadd(builder.load(one), builder.load(other)), start)
        return context.get_dummy_value()

    return signature, generate


def _wrapped(context: Any, builder: Any, signature: Any, arguments: Any) -> list[Any]:
    """The arguments of an intrinsic, with arrays wrapped for loads and stores of vectors."""
    return [
        _Array(builder, context.make_array(kind)(context, builder, value))
        if isinstance(kind, types.Array)
        else value
        for kind, value in zip(signature.args, arguments, strict=True)
    ]


class _Array:
    """A 1-D or 2-D array whose rows are contiguous."""

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
        """Sixteen entries, beginning at the index."""
        entry = self.at(*index)
        lanes = ir.VectorType(entry.type.pointee, N_LANES)
        return self._builder.load(self._builder.bitcast(entry, lanes.as_pointer()), align=4)

    def store(self, lanes: Any, *index: Any) -> None:
        """Write sixteen entries, beginning at the index."""
        entry = self._builder.bitcast(self.at(*index), lanes.type.as_pointer())
        self._builder.store(lanes, entry, align=4)


def _broadcast(builder: Any, value: Any) -> Any:
    """A vector with the value in every lane."""
    nothing = ir.Constant(ir.VectorType(value.type, N_LANES), ir.Undefined)
    one = builder.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, nothing, ir.Constant(_INDEX_VECTOR, [0] * N_LANES))


def _count_true(builder: Any, condition: Any) -> Any:
    """The number of lanes in which the condition holds."""
    return builder.zext(builder.ctpop(builder.bitcast(condition, ir.IntType(N_LANES))), _INT64)


def _compressed(builder: Any, indices: Any, condition: Any) -> Any:
    """The indices where the condition holds, moved to the front; the rest is undefined."""
    name = f"llvm.experimental.vector.compress.v{N_LANES}i32"
    return _call(builder, name, indices, condition, ir.Constant(_INDEX_VECTOR, ir.Undefined))


def _multiply_add(builder: Any, z: Any, x: Any, y: Any) -> Any:
    """z + x * y, as a fused multiply-add where the processor has one."""
    return _call(builder, f"llvm.fmuladd.{_TYPE_SUFFIXES[z.type.element]}", x, y, z)


def _call(builder: Any, name: str, *arguments: Any) -> Any:
    """Call an LLVM function that returns the type of its first argument."""
    kind = ir.FunctionType(arguments[0].type, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)
