"""Machine code for the instructions that the epoch loop calls by address, made when a program first needs it."""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

import numpy as np

from fastann_kernels.numba_backend.activations import unit_of
from fastann_kernels.numba_backend.by_address import data_of, write_call
from fastann_kernels.numba_backend.calls import Operation
from fastann_kernels.numba_backend.compiling import compiled, intrinsic, kernel, numba, types
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

#: Columns of the table of addresses, and what they hold.
FORWARD, BACKWARD, COMMIT = range(3)
_KERNELS = ("forward", "backward", "commit")


def known(op: str) -> bool:
    """Return whether an instruction is one of those compiled on their own."""
    return op in _FILES


@cache
def operation(op: str) -> Operation:
    """Return the kernels of an instruction."""
    module = importlib.import_module(f"fastann_kernels.numba_backend.{_FILES[op]}")
    found: Operation = getattr(module, op.upper())
    return found


def names(program: Program, dtype: np.dtype[Any]) -> list[list[str]]:
    """Return the names of the kernels of each instruction, forward, backward and commit; "" where there is none.

    Those of an instruction that the loop knows itself are the units of its activation.
    """
    found = []
    for instruction in program.instructions:
        row = [""] * 3
        if known(instruction.op):
            kernels = operation(instruction.op)
            row = [f"{instruction.op}.{what}.{dtype.name}" if getattr(kernels, what) else "" for what in _KERNELS]
        elif activation := unit_of(str(instruction.get("activation", "linear"))):
            row[:2] = (f"activation.{activation}.{what}.{dtype.name}" for what in _KERNELS[:2])
        found.append(row)
    return found


def build(op: str, what: str, dtype: str) -> Code:
    """Compile a kernel of an instruction: forward, backward or commit."""
    number, whole, wide = (types.CPointer(getattr(types, kind)) for kind in (dtype, "int64", "float64"))
    body = getattr(operation(op), what)
    return compiled(_entry(body, what == "forward"), (whole, whole, wide, *[number] * 7, whole))


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
        return write_call(builder, args[0], data_of(context, builder, signature.args[1:], args[1:]))

    arrays = (call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier)
    return types.float64(address, *arrays), codegen


def encode(program: Program, instruction: Instruction) -> Any:
    """Return the `Encoding` of an instruction."""
    return operation(instruction.op).encode(program, instruction)
