"""The arrays of a run by name, for the functions of the epoch loop.

All that those are handed is the address of a table that says where the arrays lie, see `arguments`, as a pointer to the
type of the buffers: `values(frame)` is the array itself, read out of the table where it is used. Handed from function
to function by themselves the arrays would be some hundred machine words a call, a sixth of a step of a small network.
"""

from __future__ import annotations

from typing import Any

from fastann_kernels.numba_backend import arguments as A
from fastann_kernels.numba_backend.compiling import arrayobj, intrinsic, types

_NUMBER = "number"


def array_at(context: Any, builder: Any, kind: Any, address: Any, shape: list[Any]) -> Any:
    """Write the array of a type at an address; nothing owns it."""
    number = context.get_data_type(kind.dtype)
    width = context.get_constant(types.intp, context.get_abi_sizeof(number))
    strides = [width]
    for length in reversed(shape[1:]):
        strides.insert(0, builder.mul(strides[0], length))
    made = context.make_array(kind)(context, builder)
    arrayobj.populate_array(
        made, data=builder.inttoptr(address, number.as_pointer()), shape=shape, strides=strides, itemsize=width,
        meminfo=None,
    )  # fmt: skip
    return made._getvalue()


@intrinsic
def array_of(typingctx: Any, address: Any, size: Any, dtype: Any) -> Any:
    """Return dtype[size] at an address."""
    kind = types.Array(dtype.dtype, 1, "C")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return array_at(context, builder, kind, args[0], [args[1]])

    return kind(address, size, dtype), codegen


@intrinsic
def array_from(typingctx: Any, pointer: Any, size: Any) -> Any:
    """Return number[size] at a pointer to numbers."""
    kind = types.Array(pointer.dtype, 1, "C")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        address = builder.ptrtoint(args[0], context.get_value_type(types.int64))
        return array_at(context, builder, kind, address, [args[1]])

    return kind(pointer, types.intp), codegen


def _field(row: int, dtype: str, axes: int) -> Any:
    """Return a function that takes an array out of the table of a frame."""

    @intrinsic
    def take(typingctx: Any, frame: Any) -> Any:
        kind = types.Array(frame.dtype if dtype == _NUMBER else getattr(types, dtype), axes, "C")

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            word = context.get_value_type(types.int64)
            table = builder.bitcast(args[0], word.as_pointer())
            found = []
            for i in range(axes + 1):
                found.append(builder.load(builder.gep(table, [word(A.WORDS * row + i)])))
                # the table stays as it is while the loop runs: what was read need not be read again
                found[-1].set_metadata("invariant.load", builder.module.add_metadata([]))
            return array_at(context, builder, kind, found[0], found[1:])

        return kind(frame), codegen

    return take


#: Its length is the number of the team member.
member = _field(A.MEMBER, "int64", 1)

# the tables of a program, see `plan`
instructions = _field(A.FIRST_TABLE, "int64", 2)
numbers = _field(A.FIRST_TABLE + 1, "float64", 1)
loss_table = _field(A.FIRST_TABLE + 2, "int64", 2)
loss_numbers = _field(A.FIRST_TABLE + 3, "float64", 2)
metric_table = _field(A.FIRST_TABLE + 4, "int64", 2)
metric_numbers = _field(A.FIRST_TABLE + 5, "float64", 2)
cleared = _field(A.FIRST_TABLE + 6, "int64", 2)
inputs = _field(A.FIRST_TABLE + 7, "int64", 2)
outputs = _field(A.FIRST_TABLE + 8, "int64", 2)
tensors = _field(A.FIRST_TABLE + 9, "int64", 2)
spans = _field(A.FIRST_TABLE + 10, "int64", 2)
integers = _field(A.FIRST_TABLE + 11, "int64", 1)
reals = _field(A.FIRST_TABLE + 12, "float64", 1)
calls = _field(A.FIRST_TABLE + 13, "int64", 2)
units = _field(A.FIRST_TABLE + 14, "int64", 1)

# buffers, see `executor.Workspace`
values = _field(A.FIRST_BUFFER, _NUMBER, 1)
deltas = _field(A.FIRST_BUFFER + 1, _NUMBER, 1)
scratch = _field(A.FIRST_BUFFER + 2, _NUMBER, 1)
spare = _field(A.FIRST_BUFFER + 3, _NUMBER, 1)
top = _field(A.FIRST_BUFFER + 4, _NUMBER, 1)
batch_y = _field(A.FIRST_BUFFER + 5, _NUMBER, 1)
batch_w = _field(A.FIRST_BUFFER + 6, _NUMBER, 1)
workspace = _field(A.FIRST_BUFFER + 7, _NUMBER, 1)
halves = _field(A.FIRST_BUFFER + 8, _NUMBER, 1)
half_params = _field(A.FIRST_BUFFER + 9, _NUMBER, 1)
partial = _field(A.FIRST_BUFFER + 10, _NUMBER, 1)

# the member's own: the run-time numbers of `calls`, and its row of the gradients (the only one where none are made)
call = _field(A.CALL, "int64", 1)
own_grads = _field(A.OWN_GRADS, _NUMBER, 1)

# the team's: counter of the barrier, the integers of `arguments`, what is in `backend.Steps`, the flat vectors
barrier = _field(A.BARRIER, "int64", 1)
arguments = _field(A.INTEGERS, "int64", 1)
order = _field(A.ORDER, "int64", 1)
coefficients = _field(A.COEFFICIENTS, "float64", 2)
penalties = _field(A.PENALTIES, "float64", 2)
params = _field(A.PARAMS, _NUMBER, 1)
grads = _field(A.GRADS, _NUMBER, 2)
slots = _field(A.SLOTS, _NUMBER, 2)
shared = _field(A.SHARED, _NUMBER, 1)

# results, see `interpreter.run`
losses = _field(A.LOSSES, "float64", 1)
parts = _field(A.PARTS, "float64", 3)
sums = _field(A.SUMS, "float64", 3)
totals = _field(A.TOTALS, "float64", 3)
squares = _field(A.SQUARES, "float64", 3)
collected = _field(A.COLLECTED, _NUMBER, 2)
