"""Numba is imported without scipy.linalg, and scipy.linalg works as ever afterwards."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("numba")

PROGRAM = """
import sys
{before}
from fastann_kernels.numba_backend import blas, early
early.import_numba()
assert "numba" in sys.modules
assert ("scipy.linalg" in sys.modules) == {there}
assert {there} or "scipy.linalg.cython_blas" not in sys.modules
blas.bind()
address = blas._scipy_address("dgemm")
assert {there} or "scipy.linalg" not in sys.modules
import numpy as np
import scipy.linalg
import scipy.linalg.cython_blas
from numba.extending import get_cython_function_address
assert get_cython_function_address("scipy.linalg.cython_blas", "dgemm") == address
assert scipy.linalg.cython_blas.__pyx_capi__
np.testing.assert_allclose(scipy.linalg.solve(2 * np.eye(2), [1.0, 2.0]), [0.5, 1.0])
"""


@pytest.mark.parametrize(("before", "there"), [("", False), ("import scipy.linalg", True), ("import numba", False)])
def test_scipy_linalg_is_left_alone(before: str, there: bool) -> None:
    program = PROGRAM.format(before=before, there=there)
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
