"""From arrays, lists and tables to matrices: values, types, copies and refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from fastann.training import data as data_module
from fastann.training.arrays import read_array
from fastann.training.data import inputs, matrix
from tests.programs import Chain, loss_on

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
VALUES = [[1, 2, 3], [4, 5, 6]]


def program(*shape: int):
    chain = Chain(*shape)
    chain.dense(2)
    return chain.program((loss_on(chain, "mean_squared_error"),))


DTYPES = ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32",
          "float64", "longdouble", ">f4", ">f8", ">i4"]  # fmt: skip


@pytest.mark.parametrize("layout", ["c", "fortran", "strided", "reversed", "unaligned", "read-only"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("precision", [F32, F64])
def test_every_type_and_layout_becomes_the_same_matrix(dtype, layout, precision):
    plain = np.array([[0, 1, 3], [1, 0, 2]]).astype(dtype)
    if layout == "fortran":
        given = np.asfortranarray(plain)
    elif layout == "strided":
        given = np.repeat(np.repeat(plain, 2, axis=0), 3, axis=1)[::2, ::3]
    elif layout == "reversed":
        given = plain[::-1, ::-1].copy()[::-1, ::-1]
    elif layout == "unaligned":
        space = np.zeros(plain.nbytes + 1, np.uint8)
        given = space[1:].view(plain.dtype).reshape(plain.shape)
        given[:] = plain
    else:
        given = plain.copy()
        given.flags.writeable = layout != "read-only"
    made, deferred = inputs([read_array(given, "x")], program(3), precision)
    assert not deferred
    assert made.dtype == (np.uint8 if dtype == "uint8" else precision)
    assert made.flags.c_contiguous
    assert made.flags.aligned
    np.testing.assert_array_equal(made, plain.astype(np.float64))


@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_what_fits_is_not_copied(dtype):
    given = np.ones((4, 2, 3), dtype)
    made, _ = inputs([read_array(given, "x")], program(2, 3), F32)
    assert np.shares_memory(made, given)
    assert made.shape == (4, 6)


def test_memory_maps_that_fit_stay_on_disk(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(12, dtype=np.float32).reshape(4, 3))
    given = np.load(tmp_path / "x.npy", mmap_mode="r")
    made, deferred = inputs([read_array(given, "x")], program(3), F32)
    assert np.shares_memory(made, given)
    assert not deferred


def test_large_memory_maps_of_another_type_are_converted_later(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", np.arange(12, dtype=np.float64).reshape(4, 3))
    given = np.load(tmp_path / "x.npy", mmap_mode="r")
    made, deferred = inputs([given], program(3), F32)
    assert not deferred
    assert made.dtype == F32
    monkeypatch.setattr(data_module, "copy_limit", lambda: 40)
    made, deferred = inputs([given], program(3), F32)
    assert deferred
    assert made is given
    # an array in memory is converted whole
    assert not inputs([np.asarray(given).copy()], program(3), F32)[1]


def test_large_memory_maps_are_checked_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(data_module, "copy_limit", lambda: 40)
    monkeypatch.setattr(data_module, "CHECK_BYTES", 48)
    values = np.arange(30, dtype=np.float64).reshape(10, 3)
    values[7, 1] = np.nan
    np.save(tmp_path / "x.npy", values)
    given = np.load(tmp_path / "x.npy", mmap_mode="r")
    with pytest.raises(ValueError, match="got nan in row 7, column 1"):
        inputs([given], program(3), F32)


def test_the_memory_of_the_machine_is_known():
    assert data_module.copy_limit() > 1 << 20


@pytest.mark.parametrize(
    ("given", "shape"),
    [((5, 3), (3,)), ((5, 3, 1), (3,)), ((5,), (1,)), ((5, 1), (1,)), ((5, 2, 3), (2, 3)), ((5, 2), (2, 1))],
)
def test_a_last_axis_of_length_one_may_come_or_go(given, shape):
    made, _ = inputs([np.ones(given)], program(*shape), F32)
    assert made.shape == (5, int(np.prod(shape)))


@pytest.mark.parametrize(
    ("given", "shape", "message"),
    [
        ((5, 4), (3,), r"x must have shape \(rows, 3\), got \(5, 4\); give the first layer"),
        ((3,), (3,), r"x.reshape\(1, 3\)"),
        ((5, 28, 28), (784,), r"x.reshape\(-1, 784\), or begin the model with Flatten"),
        ((5, 6), (2, 3), r"x.reshape\(-1, 2, 3\)"),
        ((5, 3, 2), (2, 3), r"x.reshape\(-1, 2, 3\)"),
        ((5,), (3,), "give the first layer"),
    ],
)
def test_other_shapes_are_refused_with_a_way_out(given, shape, message):
    with pytest.raises(ValueError, match=message):
        inputs([np.ones(given)], program(*shape), F32)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("place", [(0, 0), (2000, 2), (2999, 1)])
def test_values_that_are_not_finite_are_found_and_located(bad, dtype, place):
    given = np.ones((3000, 3), dtype)
    given[place] = bad
    with pytest.raises(ValueError, match=f"x must be finite, got {bad} in row {place[0]}, column {place[1]}; fill"):
        inputs([given], program(3), F32)


def test_finite_values_with_an_infinite_sum_pass():
    given = np.full((100, 3), 3e38, np.float32)
    made, _ = inputs([given], program(3), F32)
    assert made is not None


def test_opposite_infinities_do_not_cancel():
    given = np.ones((2, 3))
    given[0] = [np.inf, -np.inf, 1]
    with pytest.raises(ValueError, match="row 0, column 0"):
        inputs([given], program(3), F64)


def test_values_too_large_for_float32_are_told_from_infinite_ones():
    given = np.ones((2, 3))
    given[1, 2] = 1e300
    with pytest.raises(
        ValueError, match=r"must fit into float32, got 1e\+300 in row 1, column 2; .*precision='float64'"
    ):
        inputs([given], program(3), F32)
    assert inputs([given], program(3), F64)[0][1, 2] == 1e300


def test_matrix_of_more_axes_is_in_c_order():
    given = np.asfortranarray(np.arange(24.0).reshape(2, 3, 4))
    np.testing.assert_array_equal(matrix(given, F32), np.arange(24.0).reshape(2, 12))


TABLES = {
    "list": VALUES,
    "list of tuples": [tuple(row) for row in VALUES],
    "list of arrays": [np.array(row) for row in VALUES],
    "range": [range(1, 4), range(4, 7)],
    "masked array without mask": np.ma.masked_array(VALUES),
    "pandas": pd.DataFrame(VALUES, columns=list("abc")),
    "pandas mixed": pd.DataFrame({"a": [1, 4], "b": np.array([2, 5], np.float32), "c": [3.0, 6.0]}),
    "pandas nullable": pd.DataFrame(VALUES, columns=list("abc")).astype("Int64"),
    "pandas nullable float": pd.DataFrame(VALUES, columns=list("abc")).convert_dtypes().astype("Float32"),
    "pandas arrow": pd.DataFrame(VALUES, columns=list("abc")).astype("int64[pyarrow]"),
    "pandas with an index": pd.DataFrame(VALUES, columns=list("abc"), index=["r", "s"]),
    "polars": pl.DataFrame(VALUES, schema=list("abc"), orient="row"),
    "polars mixed": pl.DataFrame({"a": [1, 4], "b": [2.0, 5.0], "c": [3, 6]}),
    "polars decimal": pl.DataFrame(VALUES, schema=list("abc"), orient="row").cast(pl.Decimal(10, 2)),
    "pyarrow": pa.table({"a": [1, 4], "b": [2, 5], "c": [3.0, 6.0]}),
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_and_lists_are_read(kind):
    array = read_array(TABLES[kind], "x")
    assert array.dtype.kind in "iuf"
    np.testing.assert_array_equal(array, VALUES)


@pytest.mark.parametrize(
    "column",
    [
        pd.Series([1, 0, 2]),
        pd.Series([1, 0, 2], dtype="int8", name="label"),
        pd.Series([1, 0, 2], dtype="UInt8"),
        pd.Index([1, 0, 2]),
        pl.Series([1, 0, 2]),
        pl.Series("label", [1, 0, 2], dtype=pl.UInt16),
        pa.array([1, 0, 2]),
        pa.chunked_array([[1], [0, 2]]),
        [1, 0, 2],
    ],
    ids=lambda column: f"{type(column).__module__}.{type(column).__name__}",
)
def test_columns_keep_their_integer_type(column):
    array = read_array(column, "y")
    assert array.dtype.kind in "iu"
    assert array.tolist() == [1, 0, 2]


@pytest.mark.parametrize("column", [pd.Series([True, False]), pl.Series([True, False]), pa.array([True, False])])
def test_columns_of_booleans_are_read(column):
    assert read_array(column, "y").tolist() == [True, False]


def test_a_table_of_bytes_stays_bytes():
    assert read_array(pd.DataFrame({"a": [1, 2], "b": [3, 4]}, dtype="uint8"), "x").dtype == np.uint8
    assert read_array(pl.DataFrame({"a": [1, 2]}, schema={"a": pl.UInt8}), "x").dtype == np.uint8


def test_bfloat16_is_read():
    ml_dtypes = pytest.importorskip("ml_dtypes")
    given = np.array(VALUES, ml_dtypes.bfloat16)
    np.testing.assert_array_equal(inputs([read_array(given, "x")], program(3), F32)[0], VALUES)


def test_anything_with_an_array_inside_is_read():
    class Wrapped:
        def __array__(self, dtype=None, copy=None):
            return np.array(VALUES)

    np.testing.assert_array_equal(read_array(Wrapped(), "x"), VALUES)


REFUSED = [
    (None, TypeError, "got None"),
    ((np.ones((2, 3)), np.ones(2)), TypeError, r"a tuple of 2; .*fit\(x, y\)"),
    ({"a": [1]}, TypeError, "got dict"),
    ("data.csv", TypeError, "got str"),
    (b"12", TypeError, "got bytes"),
    ({1, 2}, TypeError, "got set"),
    ((i for i in range(3)), TypeError, "got an iterator"),
    (iter([1]), TypeError, "got an iterator"),
    (3.0, ValueError, "single number 3.0"),
    (np.array(3), ValueError, "single number"),
    ([], ValueError, r"at least one row and one column, got shape \(0,\)"),
    (np.ones((0, 3)), ValueError, r"\(0, 3\)"),
    (np.ones((3, 0)), ValueError, r"\(3, 0\)"),
    ([[]], ValueError, r"\(1, 0\)"),
    ([[1, 2], [3]], ValueError, "list: "),
    ([["a", "b"]], TypeError, "dtype <U1"),
    ([[1, "b"]], TypeError, "dtype <U"),
    ([[1, None]], TypeError, "dtype object"),
    ([[1j, 2]], TypeError, "complex128; split"),
    (np.array(["2020-01-01"], "M8[D]"), TypeError, "turn times into numbers"),
    (np.array([1], "m8[s]"), TypeError, "turn times into numbers"),
    (np.array([(1, 2.0)], dtype=[("a", int), ("b", float)]), TypeError, "real numbers"),
    (np.array([object()]), TypeError, "dtype object"),
    ([10**400], TypeError, "dtype object"),
    (object(), TypeError, "dtype object"),
    (lambda: 1, TypeError, "dtype object"),
    (np.ma.masked_array([1.0, 2.0], [True, False]), ValueError, "masked array"),
    (pd.DataFrame({"a": ["x", "y"]}), TypeError, "column 'a' of x must hold numbers, but has type"),
    (pd.DataFrame({"a": [1, 2], "b": pd.Categorical(["u", "v"])}), TypeError, "column 'b' of x .* categorical"),
    (pd.DataFrame({"a": [1.0, None]}), ValueError, "column 'a' of x must have no missing values, but has 1"),
    (pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}), ValueError, "missing values"),
    (pd.DataFrame({"a": pd.to_datetime(["2020-01-01"])}), TypeError, "has type Datetime"),
    (pd.DataFrame({"a": [object()]}), TypeError, "column 'a' of x"),
    (pd.DataFrame({"a": []}), ValueError, "at least one row|must hold numbers"),
    (pd.DataFrame(index=[1, 2]), ValueError, "at least one row"),
    (pd.DataFrame(VALUES, columns=list("aab")), ValueError, "different name for each column"),
    (pd.Timestamp("2020-01-01"), TypeError, "table or column in memory, got Timestamp"),
    (pd.Series(["u", "v"], dtype="category"), TypeError, "categorical"),
    (pd.Series(["u", "v"], name="kind"), TypeError, "column 'kind' of x"),
    (pl.DataFrame({"a": ["x"]}), TypeError, "has type String"),
    (pl.DataFrame({"a": [1, None]}), ValueError, "missing values"),
    (pl.Series(["u"], dtype=pl.Categorical), TypeError, "categorical"),
    (pl.Series(["u"], dtype=pl.Enum(["u"])), TypeError, "categorical"),
    (pl.DataFrame({"a": [1]}).lazy(), TypeError, "collect or compute"),
    (pl.DataFrame({"a": [[1, 2]]}), TypeError, "has type List"),
    (pa.table({"a": ["x"]}), TypeError, "has type String"),
    (pa.array(["x"]), TypeError, "has type String"),
    (pa.array([1, None]), ValueError, "missing values"),
]


@pytest.mark.parametrize(("given", "kind", "message"), REFUSED)
def test_what_is_no_array_of_numbers_is_refused(given, kind, message):
    with pytest.raises(kind, match=message) as caught:
        read_array(given, "x")
    assert str(caught.value).startswith(("x ", "column "))


def test_sparse_matrices_are_told_apart():
    scipy_sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(TypeError, match="toarray"):
        read_array(scipy_sparse.eye(3).tocsr(), "x")


def test_strings_as_targets_are_told_how_to_encode():
    with pytest.raises(TypeError, match="y must hold real numbers, got dtype <U3; encode labels as integers"):
        read_array(["cat", "dog"], "y")


def test_a_large_read_only_array_is_looked_through_once(monkeypatch):
    looked = []
    original = data_module._first_bad
    monkeypatch.setattr(data_module, "_first_bad", lambda *given: looked.append(given) or original(*given))
    rows = np.ones((data_module.CHECK_BYTES // 4, 1), np.float32)
    rows[5] = np.nan
    rows.flags.writeable = False
    for _ in range(2):
        with pytest.raises(ValueError, match="row 5"):
            inputs([rows], program(1), F32)
    assert len(looked) == 4
    rows.flags.writeable = True
    rows[5] = 0
    inputs([rows], program(1), F32)
    inputs([rows], program(1), F32)
    assert len(looked) == 8
    rows.flags.writeable = False
    inputs([rows], program(1), F32)
    assert len(looked) == 10
    inputs([rows], program(1), F32)
    inputs([rows.reshape(1, -1).T], program(1), F32)
    assert len(looked) == 10
