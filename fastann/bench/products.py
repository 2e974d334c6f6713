"""The rate of matrix products on this machine, in the libraries that are in reach."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from fastann_kernels.backend import get_backend
from numpy.typing import NDArray

Matrix = NDArray[np.float32]

SIZES = (1024, 2048)

#: Seconds after which the threads of a library, which wait for more work on a core of their own, have gone to sleep.
_PAUSE = 0.2


class Products:
    """Products of square matrices, made again and again between other measurements.

    One way to make them is NumPy's; for "numba" another is the BLAS in use there, each thread with its share of the
    rows, as in a training.

    Args:
        backend: "numba" or "jax".
        seconds: least time of each product at a measurement: a processor that has rested is faster for a moment, which
            a training is not.
    """

    def __init__(self, backend: str, seconds: float = 0.3) -> None:
        self._seconds = seconds
        self._ways: dict[str, Callable[[Matrix, Matrix, Matrix], Any]] = {
            "numpy": lambda a, b, out: np.matmul(a, b, out=out)
        }
        if backend == "numba":
            self._ways["backend"] = get_backend(backend).multiply  # type: ignore[attr-defined]
        self._rates: dict[tuple[str, int], list[float]] = {(way, size): [] for size in SIZES for way in self._ways}
        self._matrices = {
            size: (*np.random.default_rng(0).random((2, size, size), np.float32), np.zeros((size, size), np.float32))
            for size in SIZES
        }
        for way, size in self._rates:
            self._ways[way](*self._matrices[size])

    def measure(self) -> None:
        """Make each product, again and again."""
        for way, multiply in self._ways.items():
            time.sleep(_PAUSE)
            for size in SIZES:
                began, made = time.perf_counter(), 0
                while made < 2 or time.perf_counter() - began < self._seconds:
                    multiply(*self._matrices[size])
                    made += 1
                self._rates[way, size].append(made * 2 * size**3 / (time.perf_counter() - began) / 1e9)
        time.sleep(_PAUSE)

    def rates(self) -> dict[str, float]:
        """Return GFLOP/s of each way: the median at the size where it is best."""
        medians = {key: median(found) for key, found in self._rates.items()}
        return {name: max(medians[name, size] for size in SIZES) for name in self._ways}
