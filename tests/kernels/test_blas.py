"""The BLAS that is bound for the kernels, called from Python."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba")

from fastann_kernels.numba_backend import blas


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize(("rows", "inner", "columns"), [(5, 3, 4), (64, 33, 17), (2, 1, 1)])
def test_rows_are_shared_among_threads(rows: int, inner: int, columns: int, threads: int) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((rows, inner), np.float32), rng.random((inner, columns), np.float32)
    out = np.full((rows, columns), np.nan, np.float32)
    blas.multiply(a, b, out, threads)
    np.testing.assert_allclose(out, a.astype(float) @ b.astype(float), rtol=1e-5)
