"""Vectors of length one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def normalize(x: Any, axis: int = -1, order: float = 2) -> NDArray[Any]:
    """Return x / ||x|| along an axis; a vector of zeros stays one.

    Args:
        x: numbers of any shape.
        axis: along which the norm is taken.
        order: 1, 2, inf, ... as in `numpy.linalg.norm`.

    >>> normalize([[3.0, 4.0], [0.0, 0.0]])
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    array = np.asarray(x)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"normalize expects real numbers, got dtype {array.dtype}.")
    norms = np.linalg.norm(array, order, axis, keepdims=True)
    made: NDArray[Any] = array / np.where(norms == 0, 1, norms)
    return made
