"""Calling machine code at an address from within a kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir

from fastann_kernels.numba_backend.compiling import cgutils, intrinsic, types


def write_call(builder: Any, address: Any, given: list[Any]) -> Any:
    """Write the call of a function that was compiled by Numba and returns a float64; return what it returns."""
    result = cgutils.alloca_once_value(builder, ir.Constant(ir.DoubleType(), 0.0))
    error = cgutils.alloca_once(builder, ir.IntType(8).as_pointer())
    passed = [result, error, *given]
    kind = ir.FunctionType(ir.IntType(32), [value.type for value in passed])
    builder.call(builder.inttoptr(address, kind.as_pointer()), passed)
    return builder.load(result)


def data_of(context: Any, builder: Any, kinds: Sequence[Any], arrays: Sequence[Any]) -> list[Any]:
    """Return where the numbers of arrays lie."""
    return [context.make_array(kind)(context, builder, array).data for kind, array in zip(kinds, arrays, strict=True)]


@intrinsic
def call_activation(
    typingctx: Any, address: Any, first: Any, second: Any, third: Any, size: Any, width: Any, alpha: Any
) -> Any:
    """Call a unit of `activations` with the data of three arrays."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        arrays = data_of(context, builder, signature.args[1:4], args[1:4])
        return write_call(builder, args[0], [*arrays, *args[4:]])

    whole, number = types.int64, types.float64
    return number(whole, first, second, third, whole, whole, number), codegen


@intrinsic
def call_unit(typingctx: Any, address: Any, frame: Any, *integers: Any) -> Any:
    """Call a unit, see `units`, with the frame and some integers; return its float64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        *first, last = args
        return write_call(builder, first[0], [first[1], *cgutils.unpack_tuple(builder, last)])

    return types.float64(types.int64, frame, types.UniTuple(types.int64, len(integers))), codegen
