"""CSV and TSV."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from fastann.datasets import load


def table(tmp_path: Path, text: str, name: str = "t.csv") -> Path:
    path = tmp_path / name
    data = text.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


GOOD = "a,b,label\n1,2.5,x\n-3e2,.5,y\n0,7,x\n"


@pytest.mark.parametrize("target", ["label", -1, 2, "2", "-1"])
def test_a_table_with_names(tmp_path: Path, target: str | int) -> None:
    data = load(table(tmp_path, GOOD), target)
    np.testing.assert_array_equal(data.x, [[1, 2.5], [-300, 0.5], [0, 7]])
    np.testing.assert_array_equal(data.y, [0, 1, 0])
    assert data.class_names == ("x", "y")
    assert data.feature_names == ("a", "b")
    assert data.description == "3 rows of t.csv; predicts 'label'."


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (GOOD.replace(",", ";"), "t.csv"),
        (GOOD.replace(",", "\t"), "t.tsv"),
        (GOOD, "t.csv.gz"),
        (GOOD.replace("\n", "\r\n"), "T.CSV"),
        ("\ufeff" + GOOD, "t.csv"),
        (GOOD.replace("\n", "\n\n"), "t.csv"),
        ('"a", "b", "label"\n"1","2.5","x"\n-3e2, .5, y\n0,7,x', "t.csv"),
    ],
)
def test_other_ways_to_write_it(tmp_path: Path, text: str, name: str) -> None:
    data = load(table(tmp_path, text, name), "label")
    np.testing.assert_array_equal(data.x, [[1, 2.5], [-300, 0.5], [0, 7]])
    np.testing.assert_array_equal(data.y, [0, 1, 0])
    assert data.feature_names == ("a", "b")


def test_without_names_columns_go_by_number(tmp_path: Path) -> None:
    data = load(table(tmp_path, "1,2,0.5\n3,4,1.5\n"), 0)
    np.testing.assert_array_equal(data.x, [[2, 0.5], [4, 1.5]])
    np.testing.assert_array_equal(data.y, [0, 1])
    assert data.class_names == ("1", "3")
    assert data.feature_names == ("1", "2")


def test_task_can_be_said(tmp_path: Path) -> None:
    path = table(tmp_path, "a,n\n1,3\n2,4\n3,4\n")
    assert load(path, "n").task == "classification"
    data = load(path, "n", "regression")
    assert data.task == "regression"
    np.testing.assert_array_equal(data.y, [3.0, 4.0, 4.0])


@pytest.mark.parametrize(
    ("text", "target", "message"),
    [
        (GOOD, None, "name the column to predict as the target; there are a, b, label"),
        (GOOD, "c", "there is no column 'c' to predict; there are a, b, label"),
        (GOOD, 3, "there is no column 3 to predict"),
        ("a,a,b\n1,2,3\n", "a", "2 columns are called 'a'; give the target by its number"),
        ("a,b,l\n1,2,0\n1,red,1\n", "l", "line 3, column 'b': expected a number, got 'red'; encode, fill or drop it"),
        ("a,b,l\n1,2,0\n\n\n,3,1\n", "l", "line 5, column 'a': expected a number, the cell is empty"),
        ("l,a,b\n1,2,0\n1,2,1_x\n", "l", "line 3, column 'b': expected a number, got '1_x'"),
        ("a,b,l\n1,2,0\n1,nan,1\n", "l", "row 2 of data, column 'b': expected a finite number, got nan"),
        ("l,a,b\n1,2,0\n1,-inf,1\n", "l", "row 2 of data, column 'a': expected a finite number, got -inf"),
        ("a,b,l\n1,2,0\n1,2\n", "l", "line 3: expected 3 cells, got 2"),
        ("a,b,l\n1,2,\n", "l", "row 1 of data, column 'l': the target is empty"),
        ("a,b,l\n", "l", "expected rows below the names"),
        ("", "l", "got an empty file"),
        ("l\n1\n2\n", "l", "at least two columns"),
    ],
)
def test_refused(tmp_path: Path, text: str, target: str | int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(table(tmp_path, text), target)


def test_no_text_at_all(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n1,\xff\n")
    with pytest.raises(ValueError, match="expected UTF-8 text, got the byte 0xff"):
        load(path, "b")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(GOOD.encode())[:-6])
    with pytest.raises(ValueError, match="damaged or cut short"):
        load(tmp_path / "t.csv.gz", "label")
    (tmp_path / "u.csv.gz").write_bytes(b"a,b\n1,2\n")
    with pytest.raises(ValueError, match="damaged or cut short"):
        load(tmp_path / "u.csv.gz", "a")
    path.write_bytes(b'a,b\n1,"' + b"x" * 200_000 + b'"\n')
    with pytest.raises(ValueError, match="not a readable table"):
        load(path, "b")


def test_a_real_table(data_folder: Path) -> None:
    data = load(data_folder / "tabular" / "credit_default.csv.gz", "default")
    assert data.x.shape == (24000, 23)
    assert np.bincount(data.y).tolist() == [18694, 5306]
    with pytest.raises(ValueError, match="line 2, column 'Name': expected a number"):
        load(data_folder / "tabular" / "titanic.csv.gz", "Survived")
