"""The best rate of matrix products on this machine, in the libraries that are in reach."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float32]
Product = Callable[[Matrix, Matrix, Matrix], Any]

SIZES = (1024, 2048)
_REPEATS = 9


def best_rates(backend: str) -> dict[str, float]:
    """Return GFLOP/s by library: the median of products of square matrices of the size at which it is best.

    NumPy's own product is one; for "numba" another is the library bound there, each thread with its share of the rows,
    as in a training. All are measured in turns.
    """
    ways: dict[str, Product] = {"numpy": lambda a, b, out: np.matmul(a, b, out=out)}
    if backend == "numba":
        from fastann_kernels.numba_backend import blas

        ways[blas.bind()] = _shared_product()
    rates: dict[str, list[list[float]]] = {name: [] for name in ways}
    for size in SIZES:
        a, b = np.random.default_rng(0).random((2, size, size), np.float32)
        out = np.empty_like(a)
        for taken in rates.values():
            taken.append([])
        for product in ways.values():
            product(a, b, out)
        for _ in range(_REPEATS):
            for name, product in ways.items():
                began = time.perf_counter()
                product(a, b, out)
                rates[name][-1].append(2 * size**3 / (time.perf_counter() - began) / 1e9)
    return {name: max(map(median, by_size)) for name, by_size in rates.items()}


def _shared_product() -> Product:
    """Return a product by the routine bound for the Numba backend, in as many threads as a training may have."""
    import llvmlite.binding
    from fastann_kernels.machine import threads_allowed
    from fastann_kernels.numba_backend.blas import SYMBOLS
    from fastann_kernels.numba_backend.team import single_threaded_blas

    routine = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)(llvmlite.binding.address_of_symbol(SYMBOLS["float32"]))
    threads = threads_allowed(os.environ)
    pool = ThreadPoolExecutor(threads)

    def rows(a: Matrix, b: Matrix, out: Matrix) -> None:
        """out <- a b, in the routine's column-major order: out^T <- b^T a^T."""
        (m, k), n = a.shape, b.shape[1]
        letter = ctypes.byref(ctypes.c_char(b"N"))
        m_, n_, k_ = (ctypes.byref(ctypes.c_int32(value)) for value in (m, n, k))
        one, zero = (ctypes.byref(ctypes.c_float(value)) for value in (1.0, 0.0))
        data = [array.ctypes.data for array in (b, a, out)]
        routine(letter, letter, n_, m_, k_, one, data[0], n_, data[1], k_, zero, data[2], n_)

    def product(a: Matrix, b: Matrix, out: Matrix) -> None:
        cuts = [len(a) * member // threads for member in range(threads + 1)]
        with single_threaded_blas():
            list(pool.map(lambda part: rows(a[part], b, out[part]), map(slice, cuts, cuts[1:])))

    return product
