"""Single units: truth tables, proofs, closed forms."""

from __future__ import annotations

import doctest
import importlib
import warnings
from typing import Any

import numpy as np
import pytest

from fastann.units import LinearRegressionUnit, LogisticRegressionUnit, Perceptron, separability
from fastann.units.separability import proof_of_line

TABLE = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
GATES = {"and": [0, 0, 0, 1], "or": [0, 1, 1, 1], "nand": [1, 1, 1, 0], "not first": [1, 1, 0, 0]}


@pytest.mark.parametrize("module", ["perceptron", "regression", "separability"])
def test_examples_in_docstrings(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"fastann.units.{module}"))
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize("gate", GATES)
def test_gates_are_learnt(gate: str) -> None:
    unit = Perceptron().fit(TABLE, GATES[gate])
    np.testing.assert_array_equal(unit.predict(TABLE), GATES[gate])
    assert unit.converged_
    assert unit.mistakes_[-1] == 0
    assert unit.score(TABLE, GATES[gate]) == 1.0


def test_the_rule_by_hand() -> None:
    """Rosenblatt's rule, row by row, as in a loop over rows that adds (target - prediction) times the row."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(700, 3))
    y = (x @ [1.0, -2.0, 0.5] + 0.3 > 0).astype(int)
    w = np.zeros(4)
    mistakes = []
    for _ in range(6):
        wrong = 0
        for row, target in zip(x, y, strict=True):
            inputs = np.append(row, 1)
            prediction = int(w @ inputs >= 0)
            w += 0.1 * (target - prediction) * inputs
            wrong += int(prediction != target)
        mistakes.append(wrong)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        unit = Perceptron(0.1, epochs=6).fit(x, y)
    assert unit.weights_ is not None
    np.testing.assert_allclose([*unit.weights_, unit.bias_], w, rtol=1e-12)
    assert unit.mistakes_ == mistakes


def test_a_line_that_was_found_is_proof_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scipy.optimize.linprog", lambda *_, **__: pytest.fail("no linear program is needed"))
    proof = Perceptron().fit(TABLE, GATES["and"]).separability_
    assert proof.separable
    assert proof.weights is not None
    values = TABLE @ proof.weights + proof.bias
    assert (np.where(GATES["and"], values, -values) >= 1 - 1e-12).all()


def test_weights_that_part_nothing_prove_nothing() -> None:
    second = np.array(GATES["and"], bool)
    assert proof_of_line(TABLE.astype(float), second, np.array([1.0, -1.0])) is None


@pytest.mark.parametrize("shape", [(4,), (4, 1)])
@pytest.mark.parametrize("classes", [["no", "yes"], [-1, 1], [0.5, 2.5], [False, True]])
def test_classes_are_named_as_they_came(classes: list[Any], shape: tuple[int, ...]) -> None:
    y = np.array(classes)[GATES["and"]].reshape(shape)
    unit = Perceptron().fit(TABLE, y)
    assert unit.classes_.tolist() == classes
    assert unit.predict(TABLE).tolist() == y.reshape(-1).tolist()
    assert unit.score(TABLE, y) == 1.0


@pytest.mark.parametrize("predicted", [7.0, 6.0])
def test_the_score_of_a_constant_is_that_of_scikit_learn(predicted: float) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    unit = LinearRegressionUnit()
    unit.weights_, unit.bias_ = np.zeros(2), predicted
    expected = metrics.r2_score(np.full(4, 7.0), np.full(4, predicted))
    assert unit.score(TABLE, np.full(4, 7.0)) == expected == float(predicted == 7)


def test_xor_is_reported_as_not_separable() -> None:
    with pytest.warns(UserWarning, match=r"not linearly separable: both have the point .0\.5, 0\.5. .*hidden layer"):
        unit = Perceptron(epochs=20).fit(TABLE, [0, 1, 1, 0])
    assert not unit.converged_
    assert not unit.separability_.separable
    assert len(unit.mistakes_) == 20


def test_too_few_epochs_are_told_from_the_impossible() -> None:
    x = np.array([[0.0], [0.9], [1.0], [5.0]])
    with pytest.warns(UserWarning, match="linearly separable, but 1 epochs were too few"):
        unit = Perceptron(epochs=1).fit(x, [0, 0, 1, 1])
    assert unit.separability_.separable


@pytest.mark.parametrize("separable", [True, False])
@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e6])
def test_proofs_hold(separable: bool, scale: float) -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(300, 4)) * scale
    side = x @ [1.0, 2.0, -1.0, 0.5] + 0.2 * scale
    keep = np.abs(side) > 0.05 * scale
    x, y = x[keep], side[keep] > 0
    if not separable:
        y[:5] = ~y[:5]
    answer = separability(x + 3 * scale, y)
    assert answer.separable == separable
    if separable:
        assert answer.weights is not None
        value = (x + 3 * scale) @ answer.weights + answer.bias
        assert (np.where(y, value, -value) >= 1 - 1e-6).all()
    else:
        assert answer.shares is not None
        assert (answer.shares >= 0).all()
        sums = [answer.shares[part].sum() for part in (y, ~y)]
        np.testing.assert_allclose(sums, 1, rtol=1e-6)
        points = [answer.shares[part] @ (x + 3 * scale)[part] for part in (y, ~y)]
        np.testing.assert_allclose(points[0], points[1], rtol=0, atol=1e-6 * scale)
        np.testing.assert_allclose(points[0], answer.point, rtol=0, atol=1e-6 * scale)


def test_linear_regression_against_least_squares(backend: str) -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(200, 3)) * [1.0, 100.0, 0.01] + [5.0, -300.0, 2.0]
    y = x @ [2.0, -0.03, 40.0] + 7 + rng.normal(size=200)
    unit = LinearRegressionUnit(epochs=400, backend=backend).fit(x, y)
    expected = np.linalg.lstsq(np.hstack([x, np.ones((200, 1))]), y, rcond=None)[0]
    np.testing.assert_allclose([*unit.weights_, unit.bias_], expected, rtol=1e-6)
    residual = y - unit.predict(x)
    assert unit.score(x, y) == pytest.approx(1 - residual @ residual / ((y - y.mean()) ** 2).sum())
    assert len(unit.history_.history["loss"]) == 400


def test_logistic_regression_against_scikit_learn(backend: str) -> None:
    linear_model = pytest.importorskip("sklearn.linear_model")
    rng = np.random.default_rng(3)
    x = rng.normal(size=(300, 2)) * [1.0, 30.0] + [2.0, 100.0]
    p = 1 / (1 + np.exp(-(1.5 * (x[:, 0] - 2) - 0.05 * (x[:, 1] - 100))))
    y = np.where(rng.random(300) < p, "yes", "no")
    unit = LogisticRegressionUnit(epochs=500, backend=backend).fit(x, y)
    expected = linear_model.LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(x, y)
    assert unit.weights_ is not None
    np.testing.assert_allclose(unit.weights_, expected.coef_[0], rtol=1e-3)
    np.testing.assert_allclose(unit.bias_, expected.intercept_[0], rtol=1e-3)
    np.testing.assert_allclose(unit.predict_proba(x), expected.predict_proba(x), atol=1e-3)
    assert unit.predict(x).tolist() == expected.predict(x).tolist()
    assert unit.score(x, y) == expected.score(x, y)


def test_mini_batches_come_near_as_well() -> None:
    x = np.linspace(-1, 1, 100)[:, None]
    unit = LinearRegressionUnit(learning_rate=0.05, epochs=40, batch_size=10).fit(x, 2 * x - 1)
    np.testing.assert_allclose([*unit.weights_, unit.bias_], [2, -1], atol=1e-3)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Perceptron(learning_rate=0), ValueError, "learning_rate must"),
        (lambda: Perceptron(epochs=0), ValueError, "epochs must be at least 1"),
        (lambda: Perceptron().predict(TABLE), ValueError, "must be fitted first"),
        (lambda: LinearRegressionUnit().predict(TABLE), ValueError, "must be fitted first"),
        (lambda: Perceptron().fit(TABLE, [0, 0, 0, 0]), ValueError, "two classes, got 1"),
        (lambda: Perceptron().fit(TABLE, [0, 1, 2, 0]), ValueError, "two classes, got 3"),
        (lambda: Perceptron().fit(TABLE, [0, 1]), ValueError, "as many rows as x, 4, got 2"),
        (lambda: Perceptron().fit([1, 2], [0, 1]), ValueError, r"x must have shape \(rows, columns\)"),
        (lambda: Perceptron().fit([[1.0], [np.nan]], [0, 1]), ValueError, "x must be finite"),
        (lambda: Perceptron().fit(TABLE, GATES["or"]).predict([[1]]), ValueError, "2 columns the unit was fitted on"),
        (lambda: LinearRegressionUnit().fit(TABLE, np.ones((4, 2))), ValueError, "one target a row"),
        (lambda: Perceptron().fit(TABLE, [None, 1, 0, 1]), TypeError, "y must hold real numbers"),
        (lambda: Perceptron().fit(TABLE, ["a", 1, 0, 1]), TypeError, "either strings or numbers"),
        (lambda: Perceptron().fit(TABLE, [[0], [1, 2], [0], [1]]), ValueError, "y must"),
        (lambda: Perceptron().fit(TABLE, GATES["or"]).score(TABLE, [1]), ValueError, "as many rows as x, 4, got 1"),
        (lambda: Perceptron().fit(TABLE, GATES["or"]).score(TABLE, TABLE[:2]), ValueError, "one target a row"),
        (lambda: LogisticRegressionUnit(epochs=1).fit(TABLE, GATES["or"]).score(TABLE, [1]), ValueError, "as many"),
        (lambda: LogisticRegressionUnit(batch_size=0), ValueError, "batch_size must"),
    ],
)
def test_what_does_not_fit_is_one_clear_sentence(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()
