"""The kernels written in vector instructions do what NumPy does, for every remainder of rows and columns."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from fastann_kernels.backend import available_backends

if "numba" not in available_backends():
    pytest.skip("numba is not installed", allow_module_level=True)

import llvmlite.binding
import numba
from fastann_kernels.numba_backend import panels, vectors
from fastann_kernels.numba_backend.products import small_gemm
from fastann_kernels.numba_backend.vectors import column_sums, gather_rows

SIZES = [
    (1, 1, 1), (3, 5, 7), (7, 16, 30), (8, 17, 2), (13, 33, 9), (15, 40, 1), (16, 64, 3), (2, 100, 31), (17, 50, 300),
    (40, 31, 128), (25, 65, 129), (3, 4, 0), (205, 70, 5), (7, 90, 700), (198, 67, 263), (1, 64, 20), (1, 301, 600),
    (1, 1_100, 3), (14, 40, 9), (26, 1_100, 270), (100, 530, 300), (52, 128, 150), (16, 48, 40),
]  # fmt: skip


class Products:
    """The product of a vector width, in jitted functions that are compiled when they are first called."""

    def __init__(self) -> None:
        @numba.njit
        def multiply(rows, columns, inner, a, a_row, a_column, b, bias, c, add):  # type: ignore[no-untyped-def]
            small_gemm(rows, columns, inner, a, a_row, a_column, b, columns, 1, bias, c, columns, add)

        @numba.njit
        def multiply_turned(rows, columns, inner, a, b, c, add):  # type: ignore[no-untyped-def]
            small_gemm(rows, columns, inner, a, inner, 1, b, 1, inner, b[:0], c, columns, add)

        self.multiply, self.multiply_turned = multiply, multiply_turned


@pytest.fixture(scope="module", params=[(16, 16), (16, 32), (32, 16), (64, 32)], ids=str)
def product(request: pytest.FixtureRequest) -> Iterator[Products]:
    """Products as they are written for so many registers of so many bytes; every processor can run each."""
    width, registers = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "VECTOR_BYTES", width)
        patch.setattr(panels, "BLOCKING", panels.blocking(width, registers)._replace(a_columns=64))
        yield Products()


@numba.njit
def sums(rows, columns, x, out, add):  # type: ignore[no-untyped-def]
    column_sums(rows, columns, x, out, add)


@numba.njit
def gather(rows, width, columns, x, order, ahead, out):  # type: ignore[no-untyped-def]
    gather_rows(rows, width, columns, x, order, ahead, out)


def tolerance(dtype: str) -> float:
    return 1e-5 if dtype == "float32" else 1e-13


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_small_products(size: tuple[int, int, int], dtype: str, product: Products) -> None:
    rows, columns, inner = size
    rng = np.random.default_rng(0)
    a, b, c, bias = (
        rng.normal(size=s).astype(dtype) for s in ((rows, inner), (inner, columns), (rows, columns), columns)
    )
    close: Any = {"rtol": tolerance(dtype), "atol": tolerance(dtype) * max(1, inner)}

    out = np.full((rows + 1, columns), 7, dtype)
    product.multiply(rows, columns, inner, a.ravel(), inner, 1, b.ravel(), bias, out.ravel(), False)
    np.testing.assert_allclose(out[:rows], a.astype(float) @ b + bias, **close)
    assert (out[rows] == 7).all(), "a row behind the result was written"

    out = c.copy()
    transposed = np.ascontiguousarray(a.T)
    product.multiply(rows, columns, inner, transposed.ravel(), 1, rows, b.ravel(), bias[:0], out.ravel(), True)
    np.testing.assert_allclose(out, c + a.astype(float) @ b, **close)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_products_with_a_matrix_that_lies_transposed(size: tuple[int, int, int], dtype: str, product: Products) -> None:
    rows, columns, inner = size
    rng = np.random.default_rng(0)
    a, b, c = (rng.normal(size=s).astype(dtype) for s in ((rows, inner), (columns, inner), (rows, columns)))
    close: Any = {"rtol": tolerance(dtype), "atol": tolerance(dtype) * max(1, inner)}

    out = np.full((rows + 1, columns), 7, dtype)
    product.multiply_turned(rows, columns, inner, a.ravel(), b.ravel(), out.ravel(), False)
    np.testing.assert_allclose(out[:rows], a.astype(float) @ b.T, **close)
    assert (out[rows] == 7).all(), "a row behind the result was written"

    out = c.copy()
    product.multiply_turned(rows, columns, inner, a.ravel(), b.ravel(), out.ravel(), True)
    np.testing.assert_allclose(out, c + a.astype(float) @ b.T, **close)


@pytest.mark.parametrize("size", [(100, 530, 300), (40, 31, 128), (17, 50, 300)], ids=str)
def test_products_where_the_system_has_no_room_for_panels(
    size: tuple[int, int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int64)(lambda size: asked.append(size))
    asked: list[int] = []
    llvmlite.binding.add_symbol("fastann_test_no_room", ctypes.cast(nothing, ctypes.c_void_p).value)
    routine = panels.Panels._routine

    def replaced(self: panels.Panels, name: str, result: Any, argument: Any) -> Any:
        return routine(self, "fastann_test_no_room" if name == "malloc" else name, result, argument)

    monkeypatch.setattr(panels.Panels, "_routine", replaced)
    product, (rows, columns, inner) = Products(), size
    rng = np.random.default_rng(0)
    a, b, bias = (rng.normal(size=s) for s in ((rows, inner), (inner, columns), columns))
    out = np.full((rows, columns), np.nan)
    product.multiply(rows, columns, inner, a.ravel(), inner, 1, b.ravel(), bias, out.ravel(), False)
    np.testing.assert_allclose(out, a @ b + bias, rtol=1e-12, atol=1e-12)
    product.multiply_turned(rows, columns, inner, a.ravel(), b.T.ravel(), out.ravel(), False)
    np.testing.assert_allclose(out, a @ b, rtol=1e-12, atol=1e-12)
    assert asked


def test_a_product_overwrites_nan_and_passes_it_on(product: Products) -> None:
    a, b, out = np.ones(4), np.ones(2), np.full(2, np.nan)
    product.multiply(2, 1, 2, a, 2, 1, b, b[:0], out, False)
    np.testing.assert_array_equal(out, [2, 2])
    a[0] = np.nan
    product.multiply(2, 1, 2, a, 2, 1, b, b[:0], out, False)
    np.testing.assert_array_equal(out, [np.nan, 2])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("rows", "columns"), [(0, 3), (1, 1), (3, 16), (4, 17), (9, 33), (6, 8)])
def test_sums_of_columns(rows: int, columns: int, dtype: str) -> None:
    x = np.random.default_rng(0).normal(size=(rows, columns)).astype(dtype)
    out = np.full(columns + 1, 5, dtype)
    sums(rows, columns, x.ravel(), out, False)
    np.testing.assert_allclose(out[:columns], x.sum(axis=0), rtol=tolerance(dtype), atol=10 * tolerance(dtype))
    assert out[columns] == 5
    sums(rows, columns, x.ravel(), out, True)
    np.testing.assert_allclose(out[:columns], 2 * x.sum(axis=0), rtol=tolerance(dtype), atol=10 * tolerance(dtype))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("width", "columns"), [(1, 1), (16, 16), (30, 30), (5, 9), (8, 8), (33, 40), (784, 784)])
def test_gathered_rows(width: int, columns: int, dtype: str) -> None:
    x = np.random.default_rng(0).normal(size=(11, columns)).astype(dtype)
    order = np.array([10, 0, 3, 3, 7, 9, 1], np.int64)
    out = np.full((6, width), 9, dtype)
    for ahead in (2, 32):
        gather(5, width, columns, x.ravel(), order, ahead, out.ravel())
        np.testing.assert_array_equal(out[:5], x[order[:5], :width])
        assert (out[5] == 9).all()
        out[:5] = 9
