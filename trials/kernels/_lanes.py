"""Compiled: what takes a processor one instruction for sixteen numbers, and numba has no words for.

Written in LLVM's own terms, which every processor gets an answer from: one with AVX-512 packs the
chosen lanes of a register in one step, another in a loop without branches.
"""

from typing import Any, no_type_check

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

N_LANES = 16

_INDICES = ir.VectorType(ir.IntType(32), N_LANES)


@intrinsic
@no_type_check
def append_outside(typing_context, values, first, low, high, picks, n):
    """Append the indices of what lies outside `[low, high]` to `picks[:n]`; returns the new n.

    Looks at `values[first : first + 16]`, which must be there; `picks`, of uint32, must have room
    for 16 more than it is given.
    """
    signature = types.int64(values, types.int64, values.dtype, values.dtype, picks, types.int64)
    return signature, _append_outside


def _append_outside(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    values, first, low, high, picks, n = arguments
    number = context.get_value_type(signature.args[0].dtype)
    lanes = ir.VectorType(number, N_LANES)
    found = builder.load(_at(context, builder, signature.args[0], values, first, lanes), align=4)
    is_outside = builder.or_(
        builder.fcmp_ordered("<", found, _in_all(builder, low, lanes)),
        builder.fcmp_ordered(">", found, _in_all(builder, high, lanes)),
    )
    start = _in_all(builder, builder.trunc(first, ir.IntType(32)), _INDICES)
    indices = builder.add(start, ir.Constant(_INDICES, list(range(N_LANES))))
    pack = cgutils.get_or_insert_function(
        builder.module,
        ir.FunctionType(_INDICES, [_INDICES, is_outside.type, _INDICES]),
        f"llvm.experimental.vector.compress.v{N_LANES}i32",
    )
    packed = builder.call(pack, [indices, is_outside, ir.Constant(_INDICES, ir.Undefined)])
    builder.store(packed, _at(context, builder, signature.args[4], picks, n, _INDICES), align=4)
    return builder.add(n, _count(builder, is_outside))


@intrinsic
@no_type_check
def count_above(typing_context, values, first, level):
    """How many of `values[first : first + 16]`, which must be there, exceed a level."""
    signature = types.int64(values, types.int64, values.dtype)
    return signature, _count_above


def _count_above(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    values, first, level = arguments
    lanes = ir.VectorType(context.get_value_type(signature.args[0].dtype), N_LANES)
    found = builder.load(_at(context, builder, signature.args[0], values, first, lanes), align=4)
    return _count(builder, builder.fcmp_ordered(">", found, _in_all(builder, level, lanes)))


def _count(builder: Any, is_so: Any) -> Any:
    """In how many lanes it is so."""
    number = builder.ctpop(builder.bitcast(is_so, ir.IntType(N_LANES)))
    return builder.zext(number, ir.IntType(64))


def _at(context: Any, builder: Any, array: Any, value: Any, first: Any, lanes: Any) -> Any:
    """Pointer to the lanes of an array that begin at an index."""
    data = context.make_array(array)(context, builder, value).data
    return builder.bitcast(builder.gep(data, [first]), lanes.as_pointer())


def _in_all(builder: Any, value: Any, lanes: Any) -> Any:
    """The value in every lane."""
    nothing = ir.Constant(lanes, ir.Undefined)
    one = builder.insert_element(nothing, value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, nothing, ir.Constant(_INDICES, [0] * N_LANES))
