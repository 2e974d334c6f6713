"""Types and the layout of the flat vector."""

from __future__ import annotations

import numpy as np
from fastann_kernels.program import Program
from numpy.typing import NDArray

Array = NDArray[np.float64]
Data = tuple[NDArray[np.generic], Array | None, Array | None]  # x, y, sample weights


def split(program: Program, params: Array) -> list[Array]:
    """Cut a flat vector into the program's tensors."""
    return [params[p.offset : p.offset + p.size].reshape(p.shape) for p in program.parameters]


def join(program: Program, tensors: list[Array]) -> Array:
    """Put tensors back into one flat vector."""
    flat = np.zeros(program.parameter_count)
    for p, tensor in zip(program.parameters, tensors, strict=True):
        flat[p.offset : p.offset + p.size] = tensor.ravel()
    return flat
