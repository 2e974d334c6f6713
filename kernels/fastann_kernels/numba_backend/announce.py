"""Compiling the interpreter, and saying so when it takes a while."""

from __future__ import annotations

import sys
import threading
from typing import Any

import numpy as np
from numba import float64, int64, typeof, types
from numpy.typing import DTypeLike

_LOCK = threading.Lock()
_COMPILED: set[str] = set()

#: Work buffers of a team member; see `executor.Workspace`.
BUFFERS = 10

#: Loading from the cache takes less than this; only a real compilation is announced.
_PATIENCE_SECONDS = 1.5


def compile_for(run: Any, dtype: DTypeLike, tables: tuple[Any, ...]) -> None:
    """Compile `run` for one dtype, or load it from the cache; announce it once if it is not at hand."""
    name = np.dtype(dtype).name
    with _LOCK:
        if name in _COMPILED:
            return
        timer = threading.Timer(_PATIENCE_SECONDS, _announce)
        timer.daemon = True
        timer.start()
        try:
            run.compile(signature(name, tables))
        finally:
            timer.cancel()
        _COMPILED.add(name)


def _announce() -> None:
    print("fastann: compiling kernels, first run only ...", file=sys.stderr, flush=True)


def signature(name: str, tables: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the argument types of `interpreter.run`, in its order."""
    number = getattr(types, name)
    vector, matrix = number[::1], number[:, ::1]
    wide, wide_matrix = float64[::1], float64[:, ::1]
    wide_cube = float64[:, :, ::1]
    return (
        int64, int64[::1], int64[::1], typeof(tables), int64[::1], wide_matrix, wide_matrix, vector, matrix, matrix,
        types.UniTuple(vector, BUFFERS), vector, int64[::1], wide, wide_cube, wide_cube, wide_cube, wide_cube, matrix,
    )  # fmt: skip
