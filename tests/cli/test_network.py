"""Networks for data sets, and the scores of what they say."""

from __future__ import annotations

import numpy as np
import pytest

from fastann.cli.network import Recipe, build_model, class_scores, fold_scaling, predicted_classes, r_squared, targets
from fastann.datasets import Scaling
from fastann.datasets.dataset import make_dataset

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 5))


@pytest.mark.parametrize(
    ("y", "units", "activation", "loss"),
    [
        (np.arange(60) % 2, 1, "sigmoid", "binary_crossentropy"),
        (np.arange(60) % 3, 3, "softmax", "sparse_categorical_crossentropy"),
        (RNG.normal(size=60), 1, "linear", "mean_squared_error"),
        (RNG.normal(size=(60, 2)), 2, "linear", "mean_squared_error"),
    ],
)
def test_the_last_layer_fits_the_task(y, units: int, activation: str, loss: str) -> None:
    data = make_dataset("d", X, y)
    model = build_model(data, Recipe((7, 4), "tanh", dropout=0.25, l2=0.01, optimizer="sgd", learning_rate=0.5, seed=3))
    assert [layer.class_name for layer in model.layers] == ["Dense", "Dropout", "Dense", "Dropout", "Dense"]
    assert model.output_shape == (None, units)
    assert model.layers[-1].spec.activation.name == activation
    assert model.layers[0].spec.activation.name == "tanh"
    assert model.layers[1].spec.rate == 0.25
    assert model.layers[0].spec.kernel_regularizer.l2 == 0.01
    assert model.compile_spec.losses[0].op == loss
    assert model.optimizer.learning_rate == 0.5
    assert type(model.optimizer.spec).__name__ == "SGD"
    assert model.seed == 3


def test_the_optimizers_own_learning_rate_is_the_default() -> None:
    model = build_model(make_dataset("d", X, np.arange(60) % 2), Recipe((), optimizer="rmsprop"))
    assert model.optimizer.learning_rate == 1e-3
    assert len(model.layers) == 1


def test_targets_are_labels_or_scaled_columns() -> None:
    labels = make_dataset("d", X, np.arange(60) % 2)
    assert targets(labels, None) is labels.y
    numbers = make_dataset("d", X, np.arange(60) * 0.5 + 100)
    scaled = targets(numbers, Scaling.fit(numbers.y[:, None]))
    assert scaled.shape == (60, 1)
    assert scaled.std() == pytest.approx(1, rel=1e-5)


def test_predicted_classes() -> None:
    np.testing.assert_array_equal(predicted_classes(np.array([[0.2], [0.7], [0.5]])), [0, 1, 0])
    np.testing.assert_array_equal(predicted_classes(np.array([[0.2, 0.5, 0.3], [0.9, 0.1, 0.0]])), [1, 0])


def test_scores_against_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    y, p = RNG.integers(0, 4, 200), RNG.integers(0, 4, 200)
    found = class_scores(y, p, "abcd")
    expected = metrics.precision_recall_fscore_support(y, p)
    for row, score in zip(zip(*expected, strict=True), found, strict=True):
        assert (score.precision, score.recall, score.f1, score.rows) == pytest.approx(row)
    a, b = RNG.normal(size=(50, 2)), RNG.normal(size=(50, 2))
    assert r_squared(a, b) == pytest.approx(metrics.r2_score(a, b))
    assert r_squared(a[:, 0], b[:, :1]) == pytest.approx(metrics.r2_score(a[:, 0], b[:, 0]))


def test_scores_without_cases() -> None:
    (first, second) = class_scores(np.zeros(3, int), np.zeros(3, int), ("a", "b"))
    assert (first.precision, first.recall, first.f1) == (1, 1, 1)
    assert (second.precision, second.recall, second.f1, second.rows) == (0, 0, 0, 0)
    assert np.isnan(r_squared(np.ones(3), np.ones(3)))


@pytest.mark.parametrize("hidden", [(), (6,), (6, 3)])
def test_folding_the_scaling_into_the_weights(hidden: tuple[int, ...]) -> None:
    x, y = RNG.normal([5, -2, 300, 0, 1e-3], [2, 1, 50, 1, 1e-4], (60, 5)), RNG.normal(70, 20, (60, 2))
    data = make_dataset("d", x, y)
    model = build_model(data, Recipe(hidden, precision="float64", backend="numba", seed=1))
    inputs, outputs = Scaling.fit(x), Scaling.fit(y)
    before = outputs.undo(model.predict((x - inputs.mean) / inputs.scale, verbose=0))
    fold_scaling(model, inputs, outputs)
    np.testing.assert_allclose(model.predict(x, verbose=0), before, rtol=1e-9)
