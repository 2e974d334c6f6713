"""What goes wrong when batches grow, after Goyal et al. 2017, section 3: none of it does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastann import Sequential
from fastann.callbacks import Callback
from fastann.layers import Dense
from fastann.optimizers import SGD, Adam
from fastann.regularizers import L2
from fastann.scaling import LinearScaling, scale_optimizer
from fastann.schedules import StepDecay

RNG = np.random.default_rng(8)
X = RNG.normal(size=(22, 3))
Y = RNG.normal(size=(22, 1))
START = RNG.normal(size=(3, 1))


def network(optimizer: Any, backend: str, regularizer: Any = None) -> Sequential:
    """y = x W, float64."""
    model = Sequential([Dense(1, use_bias=False, kernel_regularizer=regularizer, input_shape=(3,))], seed=1)
    model.compile(optimizer, "mse", backend=backend, precision="float64")
    model.set_weights([START])
    return model


def gradient(w: np.ndarray, rows: slice) -> np.ndarray:
    """Of the mean of (x w - y)^2 over some rows."""
    x, y = X[rows], Y[rows]
    return 2 * x.T @ (x @ w - y) / len(x)


def test_the_loss_is_the_mean_over_the_whole_batch(backend: str) -> None:
    """Pitfall 3: one step on 2B rows is the step of the averaged gradients of its halves."""
    model = network(SGD(0.1), backend)
    model.train_on_batch(X[:16], Y[:16])
    halves = (gradient(START, slice(8)) + gradient(START, slice(8, 16))) / 2
    np.testing.assert_allclose(model.get_weights()[0], START - 0.1 * halves, rtol=1e-12)


def test_a_short_last_batch_is_the_mean_over_its_own_rows(backend: str) -> None:
    model = network(SGD(0.1), backend)
    model.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
    w = START
    for rows in (slice(8), slice(8, 16), slice(16, 22)):
        w = w - 0.1 * gradient(w, rows)
    np.testing.assert_allclose(model.get_weights()[0], w, rtol=1e-12)


def test_the_linear_rule_is_exact_where_gradients_do_not_move(backend: str) -> None:
    """Equation 4: with the same gradient at every step, kappa steps at lr are one step at kappa lr."""
    target = X @ START + 1.0  # far from the weights, so that tiny steps leave the gradient as it is
    many, one = network(SGD(1e-9), backend), network(scale_optimizer(SGD(1e-9), 4, 16), backend)
    many.fit(X[:16], target[:16], batch_size=4, shuffle=False, verbose=0)
    one.fit(X[:16], target[:16], batch_size=16, shuffle=False, verbose=0)
    moved = [model.get_weights()[0] - START for model in (many, one)]
    np.testing.assert_allclose(moved[1], moved[0], rtol=1e-5)


@pytest.mark.parametrize(("weight_decay", "penalty"), [(0.02, None), (None, 0.01)], ids=["decoupled", "L2"])
def test_weight_decay_is_scaled_once(backend: str, weight_decay: float | None, penalty: float | None) -> None:
    """Pitfall 1: on data without a gradient a step takes lr * 0.02 of the weights, kappa times that when scaled."""
    base = SGD(0.1, weight_decay=weight_decay)
    for optimizer, factor in ((base, 1), (scale_optimizer(base, 8, 32), 4)):
        model = network(optimizer, backend, None if penalty is None else L2(penalty))
        model.train_on_batch(np.zeros((8, 3)), np.zeros((8, 1)))
        np.testing.assert_allclose(model.get_weights()[0], START * (1 - factor * 0.1 * 0.02), rtol=1e-12)


def test_decoupled_decay_follows_the_rate_of_a_schedule(backend: str) -> None:
    """Whatever the rate is, a step takes rate * weight_decay of the weights."""
    model = network(SGD(LinearScaling(0.1, base_batch=4, warmup_epochs=2), weight_decay=0.02), backend)
    model.fit(np.zeros((32, 3)), np.zeros((32, 1)), batch_size=16, epochs=3, verbose=0)
    rates = [0.1, 0.175, 0.25, 0.325, 0.4, 0.4]
    np.testing.assert_allclose(model.get_weights()[0], START * np.prod([1 - 0.02 * r for r in rates]), rtol=1e-12)


def velocity_without_rate(rates: list[float], batches: list[slice], momentum: float, nesterov: bool) -> np.ndarray:
    """Return the weights after u <- m u + g; w <- w - lr u, or w - lr (g + m u): the rate is not in the velocity."""
    w, u = START, np.zeros_like(START)
    for rate, rows in zip(rates, batches, strict=True):
        g = gradient(w, rows)
        u = momentum * u + g
        w = w - rate * (g + momentum * u if nesterov else u)
    return w


def velocity_with_rate(rates: list[float], batches: list[slice], momentum: float) -> np.ndarray:
    """Return the weights after v <- m v - lr g; w <- w + v: Keras' form, uncorrected."""
    w, v = START, np.zeros_like(START)
    for rate, rows in zip(rates, batches, strict=True):
        v = momentum * v - rate * gradient(w, rows)
        w = w + v
    return w


BATCHES = [slice(8), slice(8, 16), slice(16, 22)]


@pytest.mark.parametrize("nesterov", [False, True], ids=["plain", "nesterov"])
def test_momentum_is_corrected_for_changes_of_the_rate(backend: str, nesterov: bool) -> None:
    """Pitfall 2, over warm-up, a drop to a tenth, a second fit and batches of another size in it."""
    rates = [0.01 * (1 + 3 * step / 6) for step in range(6)] + [0.04] * 3 + [0.004] * 3 + [0.005 * 22 / 11] * 2
    batches = BATCHES * 4 + [slice(11), slice(11, 22)]
    schedule = LinearScaling(StepDecay(0.01, drop_every=3, factor=0.1), base_batch=2, warmup_epochs=2)
    model = network(SGD(schedule, momentum=0.9, nesterov=nesterov), backend)
    model.fit(X, Y, batch_size=8, epochs=4, shuffle=False, verbose=0)
    expected = velocity_without_rate(rates[:12], batches[:12], 0.9, nesterov)
    np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-11)
    model.fit(X, Y, batch_size=11, epochs=1, shuffle=False, verbose=0)
    expected = velocity_without_rate(rates[:12] + [0.0055] * 2, batches, 0.9, nesterov)
    np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-11)


def test_the_correction_spans_calls_and_can_be_chosen(backend: str) -> None:
    """One batch a call; a schedule that does not ask is corrected for if `SGD` is told, and left as in Keras if not."""
    rates = [0.04, 0.04, 0.01, 0.01, 0.0025, 0.0025]
    drop, batches = StepDecay(0.04, drop_every=2, factor=0.25), BATCHES * 2
    corrected = network(SGD(drop, momentum=0.9, momentum_correction=True), backend)
    as_keras = network(SGD(drop, momentum=0.9), backend)
    for rows in batches:
        corrected.train_on_batch(X[rows], Y[rows])
        as_keras.train_on_batch(X[rows], Y[rows])
    without, with_rate = velocity_without_rate(rates, batches, 0.9, False), velocity_with_rate(rates, batches, 0.9)
    np.testing.assert_allclose(corrected.get_weights()[0], without, rtol=1e-11)
    np.testing.assert_allclose(as_keras.get_weights()[0], with_rate, rtol=1e-11)
    assert np.abs(without - with_rate).max() > 1e-3, "the two differ"
    assert not SGD(LinearScaling(), momentum=0.9, momentum_correction=False).corrects_momentum


def test_a_rate_set_by_hand_is_corrected_for() -> None:
    model = network(SGD(0.04, momentum=0.9, momentum_correction=True), "numba")
    for rate in (0.04, 0.01):
        model.optimizer.learning_rate = rate
        model.fit(X, Y, batch_size=8, shuffle=False, verbose=0)
    expected = velocity_without_rate([0.04] * 3 + [0.01] * 3, BATCHES * 2, 0.9, False)
    np.testing.assert_allclose(model.get_weights()[0], expected, rtol=1e-11)


def test_coefficients_of_the_correction() -> None:
    optimizer = SGD(momentum=0.5, momentum_correction=True)
    column = optimizer.update_rule().columns.index("carried")
    rates = np.array([0.1, 0.2, 0.0, 0.3])
    assert optimizer.coefficients(0, rates)[:, column].tolist() == [0.5, 1.0, 0.0, 0.5]
    assert optimizer.coefficients(7, rates, 0.4)[:, column].tolist() == [0.125, 1.0, 0.0, 0.5]
    assert optimizer.coefficients(7, rates[:0], 0.4).shape == (0, len(optimizer.update_rule().columns))
    assert SGD(momentum=0.5).coefficients(7, rates, 0.4)[:, column].tolist() == [0.5] * 4
    assert not SGD(LinearScaling()).corrects_momentum, "there is none"
    assert SGD(LinearScaling(), momentum=0.9).corrects_momentum
    assert not Adam(LinearScaling()).corrects_momentum
    with pytest.raises(TypeError, match="momentum_correction must be True or False, got 1"):
        SGD(momentum_correction=1)  # type: ignore[arg-type]


class Sums(Callback):
    """Notes the sum of squared errors of all batches so far."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.totals = [0.0]

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.totals.append(logs["loss"] * self.size * (batch + 1))  # the mean over the epoch so far


@pytest.mark.parametrize("size", [1, 4])
def test_one_shuffle_an_epoch(backend: str, size: int) -> None:
    """Pitfall 4: every row once an epoch, in another order in each, for large batches as for small ones.

    With a rate of 0 and rows of zeros a batch's sum of squared errors tells its rows: row k has the target 2^(k / 2).
    """
    rows = 12
    x, y = np.zeros((rows, 3)), np.sqrt(2.0 ** np.arange(rows))[:, None]
    model, orders = network(SGD(0.0), backend), []
    for _ in range(3):
        sums = Sums(size)
        model.fit(x, y, batch_size=size, verbose=0, callbacks=[sums])
        totals = np.round(np.diff(sums.totals)).astype(int)
        batches = [[k for k in range(rows) if total >> k & 1] for total in totals]
        assert sorted(k for batch in batches for k in batch) == list(range(rows))
        assert all(len(batch) == size for batch in batches)
        orders.append(batches)
    assert orders[0] != orders[1] != orders[2] != orders[0]
