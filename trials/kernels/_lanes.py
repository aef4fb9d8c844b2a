"""Compiled: sixteen numbers at a time, in the terms of LLVM, where numba has no words for it.

The compiler of a loop over a short row does not know how short, nor that what is written is not
what is read: it asks both at run time, and takes the rest of a row one number at a time. And it has
no loop for packing what meets a condition, one instruction of AVX-512. Every processor gets an
answer; one without such registers takes more instructions for it.

Whoever calls these sees to it that all sixteen numbers are there, wanted or not.
"""

from typing import Any, no_type_check

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

N_LANES = 16

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
        lanes = _Lanes(context, builder, signature, arguments)
        found = lanes.load(0, lanes[1])
        is_outside = builder.or_(
            builder.fcmp_ordered("<", found, lanes.filled(lanes[2])),
            builder.fcmp_ordered(">", found, lanes.filled(lanes[3])),
        )
        start = lanes.filled(builder.trunc(lanes[1], ir.IntType(32)))
        indices = builder.add(start, ir.Constant(_INDICES, list(range(N_LANES))))
        packed = lanes.call(
            f"llvm.experimental.vector.compress.v{N_LANES}i32",
            [indices, is_outside, ir.Constant(_INDICES, ir.Undefined)],
        )
        lanes.store(packed, 4, lanes[5])
        return builder.add(lanes[5], lanes.count(is_outside))

    return signature, generate


@intrinsic
@no_type_check
def count_above(typing_context, values, first, level):
    """How many of `values[first : first + 16]` exceed a level."""
    signature = types.int64(values, types.int64, values.dtype)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = _Lanes(context, builder, signature, arguments)
        level = lanes.filled(lanes[2])
        return lanes.count(builder.fcmp_ordered(">", lanes.load(0, lanes[1]), level))

    return signature, generate


@intrinsic
@no_type_check
def add_scaled(typing_context, out, first, factor, matrix, row):
    """`out[first : first + 16] += factor * matrix[row, first : first + 16]`."""
    signature = types.void(out, types.int64, out.dtype, matrix, types.int64)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = _Lanes(context, builder, signature, arguments)
        scaled = lanes.filled(lanes[2]), lanes.load(3, lanes[4], lanes[1])
        lanes.store(lanes.add_product(*scaled, lanes.load(0, lanes[1])), 0, lanes[1])
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
        lanes = _Lanes(context, builder, signature, arguments)
        whole = ir.IntType(64)
        starts = lanes[1], builder.add(lanes[1], whole(N_LANES))
        begun = [lanes.load(0, start) for start in starts]
        zeros = [ir.Constant(there.type, [0.0] * N_LANES) for there in begun]
        even, odd = (
            [cgutils.alloca_once_value(builder, value) for value in values]
            for values in (begun, zeros)
        )

        def add_row(k: Any, sums: list[Any]) -> None:
            row = builder.zext(builder.load(lanes.at(3, k)), whole)
            factor = lanes.filled(builder.load(lanes.at(4, k)))
            for start, total in zip(starts, sums, strict=True):
                product = factor, lanes.load(2, row, start)
                builder.store(lanes.add_product(*product, builder.load(total)), total)

        with cgutils.for_range(builder, builder.lshr(lanes[5], whole(1))) as pairs:
            k = builder.shl(pairs.index, whole(1))
            add_row(k, even)
            add_row(builder.add(k, whole(1)), odd)
        with builder.if_then(builder.trunc(lanes[5], ir.IntType(1))):
            add_row(builder.sub(lanes[5], whole(1)), even)
        for start, first, second in zip(starts, even, odd, strict=True):
            lanes.store(builder.fadd(builder.load(first), builder.load(second)), 0, start)
        return context.get_dummy_value()

    return signature, generate


class _Lanes:
    """Writes what happens to sixteen numbers; the arguments of the function by their places."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any) -> None:
        self._builder = builder
        self._arguments = arguments
        self._arrays: list[Any] = [
            context.make_array(kind)(context, builder, value)
            if isinstance(kind, types.Array)
            else None
            for kind, value in zip(signature.args, arguments, strict=True)
        ]

    def __getitem__(self, place: int) -> Any:
        return self._arguments[place]

    def at(self, place: int, *index: Any) -> Any:
        """Pointer to an entry of the array at that place, in rows without gaps."""
        array, builder = self._arrays[place], self._builder
        data = array.data
        if len(index) > 1:
            of_row = builder.mul(index[0], builder.extract_value(array.strides, 0))
            bytes_at = builder.bitcast(data, ir.IntType(8).as_pointer())
            data = builder.bitcast(builder.gep(bytes_at, [of_row]), data.type)
        return builder.gep(data, [index[-1]])

    def load(self, place: int, *index: Any) -> Any:
        pointer = self.at(place, *index)
        lanes = ir.VectorType(pointer.type.pointee, N_LANES)
        return self._builder.load(self._builder.bitcast(pointer, lanes.as_pointer()), align=4)

    def store(self, lanes: Any, place: int, *index: Any) -> None:
        pointer = self._builder.bitcast(self.at(place, *index), lanes.type.as_pointer())
        self._builder.store(lanes, pointer, align=4)

    def filled(self, value: Any) -> Any:
        """The value in every lane."""
        nothing = ir.Constant(ir.VectorType(value.type, N_LANES), ir.Undefined)
        one = self._builder.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
        return self._builder.shuffle_vector(one, nothing, ir.Constant(_INDICES, [0] * N_LANES))

    def count(self, is_so: Any) -> Any:
        """In how many lanes it is so."""
        number = self._builder.ctpop(self._builder.bitcast(is_so, ir.IntType(N_LANES)))
        return self._builder.zext(number, ir.IntType(64))

    def add_product(self, x: Any, y: Any, z: Any) -> Any:
        """x * y + z, rounded once where the processor can."""
        return self.call(f"llvm.fmuladd.{_NAMES[x.type.element]}", [x, y, z], x.type)

    def call(self, name: str, arguments: list[Any], result: Any = _INDICES) -> Any:
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        function = cgutils.get_or_insert_function(self._builder.module, kind, name)
        return self._builder.call(function, arguments)
