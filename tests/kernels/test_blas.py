"""The BLAS that is bound for the kernels, called from Python."""

from __future__ import annotations

import os
import subprocess
import sys

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


def test_blas_is_held_at_one_thread_though_it_is_first_loaded_inside() -> None:
    """A library that is loaded after the process was scanned would keep its threads, beside those of a training."""
    program = """
import os
import subprocess
import sys

import numpy as np
from threadpoolctl import threadpool_info
from fastann_kernels.backend import get_backend
from fastann_kernels.numba_backend.team import single_threaded_blas
a = np.ones((2, 2), np.float32)
get_backend("numba").multiply(a, a, a.copy())
with single_threaded_blas():
    print(*(library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"))
"""
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "2", "FASTANN_BLAS": "scipy", "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    found = set(done.stdout.split())
    # Accelerate, which scipy may use on macOS, is none of those that can be asked
    assert found == {"1"} or (sys.platform == "darwin" and not found), done.stdout


@pytest.mark.parametrize(
    ("processor", "vector_bytes", "wish", "expected"),
    [
        ("znver3", 32, "", "scipy"),
        ("znver3", 32, "mkl", "mkl"),
        ("znver4", 64, "", "mkl"),
        ("haswell", 32, "", "mkl"),
        ("haswell", 32, "scipy", "scipy"),
    ],
)
def test_mkl_is_taken_where_it_is_fast(
    processor: str, vector_bytes: int, wish: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound: dict[str, int] = {}
    monkeypatch.setenv("FASTANN_BLAS", wish)
    monkeypatch.setattr(blas, "_bound", None)
    monkeypatch.setattr(blas, "VECTOR_BYTES", vector_bytes)
    monkeypatch.setattr(blas, "_mkl", lambda: dict.fromkeys(("sgemm", "dgemm", "gemm_bf16bf16f32"), 1))
    monkeypatch.setattr("llvmlite.binding.get_host_cpu_name", lambda: processor)
    monkeypatch.setattr("llvmlite.binding.add_symbol", bound.__setitem__)
    assert blas.bind() == expected
    assert (bound["fastann_sgemm"] == 1) == (expected == "mkl")
