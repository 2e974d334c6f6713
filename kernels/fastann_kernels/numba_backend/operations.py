"""Machine code for the instructions that the epoch loop calls by address, made when a program first needs it."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

from fastann_kernels.numba_backend import machine_code
from fastann_kernels.numba_backend.calls import Operation
from fastann_kernels.numba_backend.compiling import cgutils, compiled, intrinsic, kernel, numba, types
from fastann_kernels.numba_backend.machine_code import Code
from fastann_kernels.program import OPERATIONS, Instruction, Program

#: The file of each instruction, and the name it has there.
_FILES: dict[str, str] = {
    "add": "merge",
    "subtract": "merge",
    "multiply": "merge",
    "average": "merge",
    "maximum": "merge",
    "minimum": "merge",
    "concatenate": "merge",
    "scale": "scale",
    "normalize": "scale",
    "prelu": "prelu",
    "batch_norm": "norms",
    "layer_norm": "norms",
    "gaussian_noise": "noise",
    "activity_penalty": "activity",
    "embedding": "embedding",
    "conv2d": "conv2d",
    "depthwise_conv2d": "depthwise_conv2d",
    "max_pool2d": "pool2d",
    "average_pool2d": "pool2d",
    "pad2d": "pad2d",
    "random_flip": "augment",
    "random_affine": "augment",
}

#: What the epoch loop knows itself.
CORE = OPERATIONS[:4]

#: A length for arrays whose own is not known here: kernels cut slices of known length out of them.
_ENDLESS = 1 << 40

#: Columns of the table of addresses.
FORWARD, BACKWARD, COMMIT = range(3)


def known(op: str) -> bool:
    """Return whether an instruction is one of those compiled on their own."""
    return op in _FILES


@cache
def operation(op: str) -> Operation:
    """Return the kernels of an instruction."""
    module = importlib.import_module(f"fastann_kernels.numba_backend.{_FILES[op]}")
    found: Operation = getattr(module, op.upper())
    return found


def addresses(program: Program, dtype: np.dtype[Any]) -> NDArray[np.int64]:
    """Return int64[instructions, 3]: where forward, backward and commit of each instruction begin, or 0."""
    table = np.zeros((len(program.instructions), 3), np.int64)
    for row, instruction in zip(table, program.instructions, strict=True):
        if known(instruction.op):
            row[:] = _addresses(instruction.op, dtype.name)
    return table


@cache
def _addresses(op: str, dtype: str) -> tuple[int, int, int]:
    kernels = operation(op)
    forward = _address(f"{op}.forward", kernels.forward, dtype)
    backward = _address(f"{op}.backward", kernels.backward, dtype)
    return forward, backward, 0 if kernels.commit is None else _address(f"{op}.commit", kernels.commit, dtype)


def _address(name: str, body: Any, dtype: str) -> int:
    def build() -> Code:
        number, whole, wide = (types.CPointer(getattr(types, kind)) for kind in (dtype, "int64", "float64"))
        return compiled(_entry(body, name.endswith(".forward")), (whole, whole, wide, *[number] * 7, whole))

    return machine_code.address(f"{name}.{dtype}", build)


def _entry(body: Any, returning: bool) -> Any:
    """Return a kernel on arrays as a function of their addresses; it returns a float64."""

    def forward(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
        n = (_ENDLESS,)
        return float(body(
            carray(call, n), carray(t, n), carray(numbers, n), carray(params, n), carray(grads, n), carray(values, n),
            carray(deltas, n), carray(scratch, n), carray(workspace, n), carray(shared, n), carray(barrier, n),
        ))  # fmt: skip

    def silent(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
        n = (_ENDLESS,)
        body(
            carray(call, n), carray(t, n), carray(numbers, n), carray(params, n), carray(grads, n), carray(values, n),
            carray(deltas, n), carray(scratch, n), carray(workspace, n), carray(shared, n), carray(barrier, n),
        )  # fmt: skip
        return 0.0

    carray = numba.carray
    return kernel(forward if returning else silent)


@intrinsic
def call_operation(
    typingctx, address, call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier
):
    """Call the function at an address, see `_entry`, with the data of the arrays and return its float64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = [
            context.make_array(kind)(context, builder, value).data
            for kind, value in zip(signature.args[1:], args[1:], strict=True)
        ]
        result = cgutils.alloca_once_value(builder, ir.Constant(ir.DoubleType(), 0.0))
        error = cgutils.alloca_once(builder, ir.IntType(8).as_pointer())
        given = [result, error, *data]
        kind = ir.FunctionType(ir.IntType(32), [pointer.type for pointer in given])
        builder.call(builder.inttoptr(args[0], kind.as_pointer()), given)
        return builder.load(result)

    arrays = (call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier)
    return types.float64(address, *arrays), codegen


def encode(program: Program, instruction: Instruction) -> Any:
    """Return the `Encoding` of an instruction."""
    return operation(instruction.op).encode(program, instruction)
