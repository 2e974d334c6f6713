"""One door to every kind of data."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from fastann.datasets import BUILTIN, load


@pytest.mark.parametrize(
    ("name", "rows", "features", "task", "classes"),
    [
        ("breast_cancer", 569, 30, "classification", 2),
        ("digits", 1797, 64, "classification", 10),
        ("diabetes", 442, 10, "regression", 0),
        ("wine", 178, 13, "classification", 3),
        ("iris", 150, 4, "classification", 3),
    ],
)
def test_builtin(name: str, rows: int, features: int, task: str, classes: int) -> None:
    pytest.importorskip("sklearn")
    data = load(name)
    assert data.name == name
    assert data.x.shape == (rows, features)
    assert data.y.shape == (rows,)
    assert (data.task, data.classes) == (task, classes)
    assert len(data.feature_names) == features
    assert str(f"{rows:,}") in data.description
    if classes:
        assert sorted(np.unique(data.y)) == list(range(classes))


def test_builtin_are_the_original_numbers() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    data, bunch = load("breast-cancer"), datasets.load_breast_cancer()
    np.testing.assert_array_equal(data.x, bunch.data)
    np.testing.assert_array_equal(data.y, bunch.target)
    assert data.class_names == ("malignant", "benign")
    assert data.feature_names[0] == "mean radius"


def test_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"comes with scikit-learn, .* pip install 'fastann\[sklearn\]'"):
        load("iris")


def test_unknown_sources(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=f"the built-in data sets are {', '.join(BUILTIN)}"):
        load("irises")
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"expected a \.npz, \.csv or \.tsv file or a folder"):
        load(tmp_path / "a.xlsx")


def test_arguments_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="task must be 'auto', 'classification' or 'regression', got 'clustering'"):
        load("iris", task="clustering")
    with pytest.raises(ValueError, match="target is for tables"):
        load("iris", target="species")


def test_a_builtin_as_the_other_task() -> None:
    pytest.importorskip("sklearn")
    data = load("digits", task="regression")
    assert data.y.dtype == np.float64
    assert data.class_names == ()


def test_a_folder_with_the_name_of_a_builtin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="expected the idx files"):
        load("./digits")
