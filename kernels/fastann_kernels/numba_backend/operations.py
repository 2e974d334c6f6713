"""Machine code for the instructions that the epoch loop calls by address, made when a program first needs it."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, types  # type: ignore[attr-defined]
from numba.core.caching import FunctionCache
from numba.core.ccallback import CFunc
from numba.extending import intrinsic
from numpy.typing import NDArray

from fastann_kernels.numba_backend.calls import Operation
from fastann_kernels.numba_backend.compiling import OPTIONS, sources_digest
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
    forward = _compiled(_returning(kernels.forward), f"{op}.forward", dtype)
    backward = _compiled(_silent(kernels.backward), f"{op}.backward", dtype)
    return forward, backward, 0 if kernels.commit is None else _compiled(_silent(kernels.commit), f"{op}.commit", dtype)


class _Cache(FunctionCache):
    """A cache on disk whose key is the name of the kernel and the digest of all sources."""

    name = ""

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return sig, codegen.magic_tuple(), self.name, sources_digest()


#: Code objects must live as long as their addresses are in use, which is for ever.
_kept: list[Any] = []


def _compiled(function: Callable[..., float], name: str, dtype: str) -> int:
    number = types.CPointer(getattr(types, dtype))
    integers, wide = types.CPointer(types.int64), types.CPointer(types.float64)
    signature = ((integers, integers, wide, *[number] * 7, integers), types.float64)
    callback: Any = CFunc(function, signature, {}, dict(OPTIONS, nopython=True))
    try:
        cache_on_disk = _Cache(function)
        cache_on_disk.name = name
        callback._cache = cache_on_disk
    except RuntimeError as error:
        warnings.warn(f"the compiled kernels cannot be kept on disk ({error}).", RuntimeWarning, stacklevel=2)
    callback.compile()
    _kept.append(callback)
    return int(callback.address)


def _returning(body: Any) -> Callable[..., float]:
    def call(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
        n = (_ENDLESS,)
        return body(
            carray(call, n), carray(t, n), carray(numbers, n), carray(params, n), carray(grads, n), carray(values, n),
            carray(deltas, n), carray(scratch, n), carray(workspace, n), carray(shared, n), carray(barrier, n),
        )  # fmt: skip

    return call


def _silent(body: Any) -> Callable[..., float]:
    def call(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
        n = (_ENDLESS,)
        body(
            carray(call, n), carray(t, n), carray(numbers, n), carray(params, n), carray(grads, n), carray(values, n),
            carray(deltas, n), carray(scratch, n), carray(workspace, n), carray(shared, n), carray(barrier, n),
        )  # fmt: skip
        return 0.0

    return call


@intrinsic
def call_operation(
    typingctx, address, call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier
):
    """Call the function at an address with the data of the arrays and return its float64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = [
            context.make_array(kind)(context, builder, value).data
            for kind, value in zip(signature.args[1:], args[1:], strict=True)
        ]
        kind = ir.FunctionType(ir.DoubleType(), [pointer.type for pointer in data])
        return builder.call(builder.inttoptr(args[0], kind.as_pointer()), data)

    arrays = (call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier)
    return types.float64(address, *arrays), codegen


def encode(program: Program, instruction: Instruction) -> Any:
    """Return the `Encoding` of an instruction."""
    return operation(instruction.op).encode(program, instruction)
