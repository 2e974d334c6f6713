"""Targets, sample weights, class weights and the split for validation."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from fastann.training.data import Dataset
from fastann.training.splits import split_off
from fastann.training.targets import class_labels, targets
from fastann.training.weights import sample_weights, with_class_weights
from tests.programs import Chain, loss_on

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


def program(loss: str = "mean_squared_error", units: int = 1):
    chain = Chain(3)
    chain.dense(units)
    return chain.program((loss_on(chain, loss),))


def sparse(units: int = 3):
    return program("sparse_categorical_crossentropy", units)


def onehot(units: int = 3):
    return program("categorical_crossentropy", units)


@pytest.mark.parametrize(
    ("given", "made_for"),
    [
        ([0, 1, 2], sparse()),
        ([[0], [1], [2]], sparse()),
        ([0.0, 1.0, 2.0], sparse()),
        ([True, False, True], program("binary_crossentropy")),
        ([0.25, 1, 0], program("binary_crossentropy")),
        (np.eye(3), onehot()),
        ([-7.5, 1e6, 0], program()),
        ([1, -1, 1], program("hinge")),
    ],
)
def test_targets_that_fit_become_a_matrix(given, made_for):
    array = np.asarray(given)
    made = targets([array], made_for, F64)
    assert made.dtype == F64
    assert made.ndim == 2
    np.testing.assert_array_equal(made.ravel(), array.astype(float).ravel())


@pytest.mark.parametrize(
    ("given", "made_for", "message"),
    [
        ([0, 1, 3], sparse(), "labels from 0 to 2, got 3; shift"),
        ([0, -1, 2], sparse(), "labels from 0 to 2, got -1"),
        ([0, 1.5, 2], sparse(), "whole numbers as labels, got 1.5"),
        (np.eye(3), sparse(), "use loss='categorical_crossentropy'"),
        ([0, 1, 2], onehot(), "sparse_categorical_crossentropy' or fastann.utils.to_categorical"),
        ([[0], [1]], onehot(), "sparse_categorical_crossentropy"),
        (np.eye(4), onehot(), r"y must have shape \(rows, 3\) for loss 'categorical_crossentropy', got \(4, 4\)"),
        ([1, 2, 1], program("binary_crossentropy"), "between 0 and 1 for loss 'binary_crossentropy', got 2"),
        ([1, -1, 1], program("binary_crossentropy"), "got -1; recode"),
        (np.eye(3) * 5, onehot(), "got 5"),
        (np.ones((4, 2)), program(), r"shape \(rows, 1\)"),
        (np.ones((4, 1, 2)), program(), r"got \(4, 1, 2\)"),
        ([1.0, np.nan], program(), "y must be finite, got nan in row 1; fill"),
        ([1.0, np.inf], sparse(), "y must be finite, got inf"),
    ],
)
def test_targets_that_do_not_fit_are_refused(given, made_for, message):
    with pytest.raises(ValueError, match=message):
        targets([np.asarray(given)], made_for, F32)


def test_classes_of_targets():
    assert class_labels(np.array([[0.0], [2.0]]), sparse()).tolist() == [0, 2]
    assert class_labels(np.eye(3)[[2, 0]], onehot()).tolist() == [2, 0]
    assert class_labels(np.array([[1.0], [0.0]]), program("binary_crossentropy")).tolist() == [1, 0]
    assert class_labels(np.array([[0.5], [0.0]]), program()) is None


def test_sample_weights_become_one_column_an_output():
    made = sample_weights([[1, 2, 0]], 3, F32)
    assert made.dtype == F32
    assert made.tolist() == [[1], [2], [0]]
    assert sample_weights([None], 3, F32) is None
    assert sample_weights([np.ones((3, 1))], 3, F32).shape == (3, 1)


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ([1, 2], ValueError, "sample_weight must have as many rows as x, 3, got 2"),
        ([1, 2, -1], ValueError, "must not be negative, got -1"),
        ([1, 2, np.nan], ValueError, "sample_weight must be finite"),
        (np.ones((3, 2)), ValueError, r"shape \(rows,\)"),
        ("balanced", TypeError, "got str"),
        ([1, 2, "x"], TypeError, "real numbers"),
        (1.0, ValueError, "single number"),
    ],
)
def test_sample_weights_that_are_none(given, kind, message):
    with pytest.raises(kind, match=message):
        sample_weights([given], 3, F32)


def test_class_weights_by_label_default_to_one():
    y = np.array([[0.0], [1.0], [2.0], [1.0]])
    made = with_class_weights(None, {1: 3, np.int64(2): 0.5}, y, sparse())
    assert made.tolist() == [[1], [3], [0.5], [3]]
    assert with_class_weights(None, None, y, sparse()) is None


def test_class_weights_multiply_sample_weights():
    y = np.array([[0.0], [1.0]])
    made = with_class_weights(np.array([[2.0], [5.0]]), {1: 3}, y, program("binary_crossentropy"))
    assert made.tolist() == [[2], [15]]
    assert made.flags.c_contiguous


def test_balanced_class_weights():
    sklearn = pytest.importorskip("sklearn.utils.class_weight")
    labels = np.random.default_rng(0).choice([0, 1, 3], 100, p=[0.7, 0.2, 0.1])
    expected = sklearn.compute_sample_weight("balanced", labels)
    for y, made_for in ((labels[:, None].astype(float), sparse(4)), (np.eye(4)[labels], onehot(4))):
        made = with_class_weights(None, "balanced", y, made_for)
        np.testing.assert_allclose(made[:, 0], expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ("uniform", TypeError, "dict from label to weight or 'balanced', got 'uniform'"),
        ([1, 2], TypeError, "dict from label"),
        ({"a": 1}, TypeError, "whole numbers as labels, got 'a'"),
        ({0.5: 1}, TypeError, "whole numbers as labels"),
        ({5: 1}, ValueError, "labels from 0 to 2, got 5"),
        ({-1: 1}, ValueError, "got -1"),
        ({0: -1}, ValueError, "not negative, got -1 for label 0"),
        ({0: np.nan}, ValueError, "finite weights"),
        ({0: "x"}, ValueError, "got 'x'"),
        ({0: None}, ValueError, "got None"),
    ],
)
def test_class_weights_that_are_none(given, kind, message):
    with pytest.raises(kind, match=message):
        with_class_weights(None, given, np.array([[0.0], [1.0]]), sparse())


def test_class_weights_need_classes():
    with pytest.raises(ValueError, match="use sample_weight instead"):
        with_class_weights(None, {0: 1}, np.array([[0.5]]), program())


def data(labels, weights=False):
    y = np.asarray(labels, float)[:, None]
    return Dataset(np.arange(len(y) * 3.0).reshape(-1, 3), y, y + 1 if weights else None)


def test_the_last_rows_are_split_off_without_a_copy():
    whole = data([0, 1, 0, 1, 1, 0, 0, 1, 0, 1], weights=True)
    first, last = split_off(whole, 0.25, sparse())
    assert (first.rows, last.rows) == (7, 3)  # floor(10 * 0.75), as Keras has it
    np.testing.assert_array_equal(np.concatenate([first.x, last.x]), whole.x)
    assert np.shares_memory(last.x, whole.x)
    assert last.y.ravel().tolist() == [1, 0, 1]
    assert last.weights.ravel().tolist() == [2, 1, 2]


@pytest.mark.parametrize(("labels", "fraction"), [([0], 0.5), ([0, 1], 0.9), ([1], 0.01)])
def test_a_split_with_an_empty_part_is_refused(labels, fraction):
    with pytest.raises(ValueError, match="must leave rows in both parts"):
        split_off(data(labels), fraction, sparse())


def test_a_split_of_sorted_classes_warns():
    with pytest.warns(
        UserWarning, match="training part has no row of class 2 and the validation part has no row of class 0"
    ):
        split_off(data([0, 0, 1, 1, 2, 2]), 0.5, sparse())


def test_a_split_of_a_regression_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        split_off(data([0, 1, 2, 3]), 0.5, program())
        split_off(data([0, 1, 1, 0]), 0.5, sparse())
