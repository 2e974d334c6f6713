"""The order in which rows are visited, as NumPy shuffles it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def shuffle(generator: np.random.Generator, order: NDArray[np.int64]) -> None:
    """Write 0 .. n - 1 to `order`, shuffled by a generator."""
    order[:] = np.arange(len(order))
    generator.shuffle(order)
