"""Raw arrays become a data set, or a sentence that says why not."""

from __future__ import annotations

import numpy as np
import pytest

from fastann.datasets.dataset import make_dataset

X = np.arange(12.0).reshape(6, 2)


@pytest.mark.parametrize(
    ("y", "task", "classes"),
    [
        ([0, 1, 0, 1, 0, 1], "classification", ("0", "1")),
        ([3.0, 7.0, 3.0, 7.0, 3.0, 5.0], "classification", ("3", "5", "7")),
        ([-1, 1, -1, 1, -1, 1], "classification", ("-1", "1")),
        ([True, False, True, True, True, False], "classification", ("False", "True")),
        (["b", "a", "b", "c", "a", "a"], "classification", ("a", "b", "c")),
        ([0.5, 1.0, 2.0, 3.0, 4.0, 5.0], "regression", ()),
        ([[1, 2]] * 6, "regression", ()),
        ([[1], [2], [1], [2], [1], [2]], "classification", ("1", "2")),
    ],
)
def test_task_and_classes(y, task: str, classes: tuple[str, ...]) -> None:
    data = make_dataset("d", X, np.array(y))
    assert data.task == task
    assert data.class_names == classes
    if classes:
        flat = np.array(y).reshape(-1)
        expected = [classes.index(str(int(v)) if flat.dtype.kind == "f" else str(v)) for v in flat]
        np.testing.assert_array_equal(data.y, expected)
        assert data.y.dtype == np.int64
    else:
        np.testing.assert_array_equal(data.y, np.array(y, float))


def test_many_whole_numbers_are_a_regression() -> None:
    x = np.zeros((21, 1))
    assert make_dataset("d", x, np.arange(21)).task == "regression"
    assert make_dataset("d", x, np.arange(21) % 20).task == "classification"
    assert make_dataset("d", x, np.arange(21), "classification").classes == 21


def test_images_are_flattened_and_stay_bytes() -> None:
    data = make_dataset("d", np.zeros((6, 2, 3), np.uint8), np.arange(6))
    assert data.x.shape == (6, 6)
    assert data.x.dtype == np.uint8
    assert data.feature_names == ("x0", "x1", "x2", "x3", "x4", "x5")


def test_the_test_part_uses_the_same_classes() -> None:
    data = make_dataset("d", X, np.array(list("abcabc")), test=(X[:2], np.array(["c", "b"])))
    assert data.test is not None
    np.testing.assert_array_equal(data.test.y, [2, 1])
    assert data.test.class_names == data.class_names
    with pytest.raises(ValueError, match="the label 'z' stands in the test part but not in the other"):
        make_dataset("d", X, np.array(list("abcabc")), test=(X[:2], np.array(["c", "z"])))
    with pytest.raises(ValueError, match="must have the same columns, got 2 to train and 1 to test"):
        make_dataset("d", X, np.array(list("abcabc")), test=(X[:2, :1], np.array(["c", "b"])))


BAD = X.copy()
BAD[3, 1] = np.nan
ODD = np.arange(6.0)
ODD[2] = np.inf


@pytest.mark.parametrize(
    ("x", "y", "task", "message"),
    [
        (X[:0], np.zeros(0), "auto", r"at least one row and one column, got x of shape \(0, 2\)"),
        (X[:, :0], np.zeros(6), "auto", r"got x of shape \(6, 0\)"),
        (X.astype(str), np.zeros(6), "auto", "x must hold numbers"),
        (X.astype(complex), np.zeros(6), "auto", "x must hold numbers, got an array of type complex128"),
        (BAD, np.zeros(6), "auto", r"got nan in row 3, column 1 \(1 such values\)"),
        (X, np.zeros(5), "auto", "as many rows, got 6 and 5"),
        (X, np.zeros((6, 2, 2)), "auto", r"got \(6, 2, 2\)"),
        (X, ODD, "auto", "got inf in row 2"),
        (X, np.array([object()] * 6), "auto", "y must hold numbers or labels"),
        (X, np.zeros(6), "classification", "at least two classes, got only '0.0'"),
        (X, np.eye(6), "classification", "needs one label a row"),
        (X, np.arange(6) / 2, "classification", "whole numbers or text, got 0.5"),
        (X, np.array([1e300] * 3 + [0.0] * 3), "auto", "whole numbers or text, got 1e[+]300"),
        (X, np.array(list("abcabc")), "regression", "needs numbers to predict, got the label 'a'"),
    ],
)
def test_refused(x, y, task: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^d: .*{message}"):
        make_dataset("d", x, y, task)
