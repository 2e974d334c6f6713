"""Whether losses fit the outputs of networks and the targets given: what passes, what warns, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastann import losses


@pytest.mark.parametrize(
    ("name", "output", "target", "activation"),
    [
        ("mse", (3,), (3,), "linear"),
        ("mse", (1,), (), "linear"),
        ("mse", (5, 1), (5,), "relu"),
        ("binary_crossentropy", (1,), (), "sigmoid"),
        ("binary_crossentropy", (4,), (4,), "sigmoid"),
        ("categorical_crossentropy", (4,), (4,), "softmax"),
        ("sparse_categorical_crossentropy", (4,), (), "softmax"),
        ("sparse_categorical_crossentropy", (4,), (1,), "softmax"),
        ("sparse_categorical_crossentropy", (5, 4), (5,), "softmax"),
        ("kl_divergence", (4,), (4,), "softmax"),
        ("hinge", (1,), (1,), "tanh"),
    ],
)
def test_losses_that_fit(name: str, output: tuple[int, ...], target: tuple[int, ...], activation: str) -> None:
    losses.check_fits(losses.get(name), output, target, activation)


@pytest.mark.parametrize(
    ("loss", "output", "target", "message"),
    [
        ("categorical_crossentropy", (1,), (1,), "one column for each class .* use binary_crossentropy"),
        ("sparse_categorical_crossentropy", (1,), (), "one column for each class .* use binary_crossentropy"),
        ("categorical_hinge", (1,), (1,), "one column for each class .* use hinge"),
        ("mse", (3,), (2,), r"target of shape \(3,\) .* got \(2,\); reshape the targets"),
        ("mse", (3,), (), r"target of shape \(3,\) .* got \(\)"),
        ("binary_crossentropy", (1,), (4,), r"target of shape \(1,\) .* got \(4,\)"),
        ("sparse_categorical_crossentropy", (4,), (4,), "use categorical_crossentropy for one column a class"),
        ("sparse_categorical_crossentropy", (4,), (3,), r"target of shape \(\) .* got \(3,\)"),
        ("categorical_crossentropy", (4,), (), "to_categorical, or use sparse_categorical_crossentropy"),
        ("categorical_crossentropy", (4,), (1,), "to_categorical, or use sparse_categorical_crossentropy"),
        ("categorical_hinge", (4,), (), "encode class labels with to_categorical"),
        (losses.SparseCategoricalCrossentropy(ignore_class=0), (4,), (), "ignore_class=None .* sample weight 0"),
    ],
)
def test_losses_that_do_not_fit(loss: Any, output: Any, target: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        losses.check_fits(losses.get(loss), output, target, "softmax", "price")
    assert "'price'" in str(caught.value)


@pytest.mark.parametrize(
    ("loss", "columns", "activation", "message"),
    [
        ("binary_crossentropy", 1, "relu", "expects probabilities .* after relu.*sigmoid.*or from_logits=True"),
        ("binary_crossentropy", 1, "linear", "use sigmoid as the last activation"),
        ("categorical_crossentropy", 3, "linear", "use softmax as the last activation, or from_logits=True"),
        ("categorical_crossentropy", 3, "relu", "expects probabilities"),
        ("kl_divergence", 3, "tanh", "use softmax as the last activation[.]"),
        (losses.CategoricalCrossentropy(from_logits=True), 3, "softmax", "before its activation"),
        (losses.BinaryCrossentropy(from_logits=True), 1, "sigmoid", "before its activation"),
        ("binary_crossentropy", 1, "softmax", "always 1"),
    ],
)
def test_outputs_that_are_no_probabilities_warn(loss: Any, columns: int, activation: str, message: str) -> None:
    with pytest.warns(UserWarning, match=message):
        losses.check_fits(losses.get(loss), (columns,), (columns,), activation)


def test_functions_fit_anything() -> None:
    loss = losses.get(lambda y_true, y_pred: y_true - y_pred)
    losses.check_fits(loss, (1,), (7, 3), "linear")
    losses.check_targets(loss, [np.nan], 1)


@pytest.mark.parametrize(
    ("name", "y"),
    [
        ("mse", [[-1e9], [2.5]]),
        ("mse", np.array([[1, 2], [3, 4]], np.uint8)),
        ("mse", [[True], [False]]),
        ("sparse_categorical_crossentropy", [0, 1, 2, 3]),
        ("sparse_categorical_crossentropy", np.array([0, 3], np.uint8)),
        ("sparse_categorical_crossentropy", [[0.0], [3.0]]),
        ("binary_crossentropy", [0, 1, 0.5]),
        ("categorical_crossentropy", [[0.0, 1.0]]),
        ("hinge", [-1, 1]),
        ("hinge", [0, 1]),
        ("hinge", [1, 1]),
        ("squared_hinge", [-1.0, -1.0]),
        ("poisson", [0, 5]),
        ("msle", [0.0, 0.5]),
        ("mse", np.zeros((0, 2))),
    ],
)
def test_targets_that_are_right(name: str, y: Any) -> None:
    losses.check_targets(losses.get(name), y, 4)


@pytest.mark.parametrize(
    ("name", "y", "message"),
    [
        ("mse", [[0.0, 1.0], [np.nan, 1.0]], "y must hold finite numbers, got nan in row 1"),
        ("mse", [np.inf], "finite numbers, got inf in row 0"),
        ("sparse_categorical_crossentropy", [0, 1, 4], "class labels from 0 to 3 .* got 4 in row 2"),
        ("sparse_categorical_crossentropy", [0, -1], "class labels from 0 to 3 .* got -1 in row 1"),
        ("sparse_categorical_crossentropy", [0.0, 1.5], "whole class labels from 0 to 3 .* got 1.5 in row 1"),
        ("sparse_categorical_crossentropy", [np.nan], "finite numbers"),
        ("binary_crossentropy", [[0.0], [2.0]], r"numbers in \[0, 1\] for loss 'binary_crossentropy', got 2 in row 1"),
        ("binary_crossentropy", [-1, 1], r"numbers in \[0, 1\] .* got -1 in row 0"),
        ("categorical_crossentropy", [[0, 2]], r"numbers in \[0, 1\]"),
        ("hinge", [0, 1, 2], "labels -1 and 1, or 0 and 1, .* got 2 in row 2"),
        ("hinge", [-1, 0, 1], "labels -1 and 1, or 0 and 1, .* got 0 in row 1"),
        ("poisson", [1, -1], "not negative .* got -1 in row 1"),
        ("msle", [1, -0.5], "not negative .* got -0.5 in row 1"),
    ],
)
def test_targets_that_are_wrong(name: str, y: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        losses.check_targets(losses.get(name), y, 4)


def test_ignored_class_may_stand_in_targets() -> None:
    losses.check_targets(losses.SparseCategoricalCrossentropy(ignore_class=-1), [0, -1], 4)


def test_targets_of_strings_are_refused() -> None:
    with pytest.raises(TypeError, match="labels must hold real numbers"):
        losses.check_targets(losses.get("mse"), ["a"], 1, name="labels")
