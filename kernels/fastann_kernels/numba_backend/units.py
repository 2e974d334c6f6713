"""The functions that the epoch loop is made of, each compiled on its own.

They are called by address, so that a process compiles and loads what its programs use, and several processes can
compile at once (see `building`). All return a float64, and all but activations are handed the frame and some integers.
The name of one says what it is and the type of the buffers: "backward.float32", "loss.pointwise.float32",
"activation.relu.forward.float32", "update.adam.float64". So does that of a kernel of an instruction that is compiled on
its own, "conv2d.forward.float32", see `operations`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastann_kernels.numba_backend import arguments as A
from fastann_kernels.numba_backend import operations
from fastann_kernels.numba_backend.compiling import compiled, types
from fastann_kernels.numba_backend.losses import kind
from fastann_kernels.numba_backend.machine_code import Code
from fastann_kernels.program import LOSSES, Loss, Metric, Program

RUN = "run"


def names(program: Program, dtype: np.dtype[Any]) -> list[str]:
    """Return the names of the units that a program needs, in the order of the table in the frame; "" for the update
    where it has no rule."""
    found = [""] * A.FIRST_LOSS
    found[A.FORWARD], found[A.BACKWARD], found[A.FOLLOW] = "forward", "backward", "follow"
    if program.update is not None:
        found[A.UPDATE] = f"update.{program.update.op}"
    found += [_measure(item) for item in program.losses]
    found += [_measure(item) for item in program.metrics]
    return [name and f"{name}.{dtype.name}" for name in found]


def _measure(item: Loss | Metric) -> str:
    return f"loss.{kind(item.op, item.logits >= 0)}" if item.op in LOSSES else "metric"


def build(name: str) -> Code:
    """Compile what is called so."""
    *what, dtype = name.split(".")
    if operations.known(what[0]):
        return operations.build(what[0], what[1], dtype)
    function = _function(*what)
    pointer = types.CPointer(getattr(types, dtype))
    if what[0] == "activation":
        return compiled(function, (pointer, pointer, pointer, types.int64, types.int64, types.float64))
    if what == [RUN]:
        return compiled(function, (pointer,), by_address=True)
    return compiled(function, (pointer, *[types.int64] * (function.parameters - 1)))


def _function(what: str, which: str = "", way: str = "") -> Any:
    """Return the kernel; the files of the others are not imported."""
    if what == "activation":
        from fastann_kernels.numba_backend.activations import UNITS

        found = UNITS[which][way == "backward"]
    elif what == RUN:
        from fastann_kernels.numba_backend.interpreter import run as found
    elif what == "forward":
        from fastann_kernels.numba_backend.walk import forward as found
    elif what == "backward":
        from fastann_kernels.numba_backend.walk import backward as found
    elif what == "follow":
        from fastann_kernels.numba_backend.steps import follow as found
    elif what == "update":
        from fastann_kernels.numba_backend.updates import RULES

        found = RULES[which]
    else:
        from fastann_kernels.numba_backend import measures

        found = measures.LOSSES[which] if what == "loss" else measures.other_metric
    return found
