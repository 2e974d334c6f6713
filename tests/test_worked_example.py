"""One step of gradient descent on a 2-3-1 network, against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from fastann import layers, optimizers
from fastann.models import Sequential

X, Y = np.array([[1.0, 2.0]]), np.array([[1.0]])
WEIGHTS = [
    np.array([[0.5, 0.3, 0.6], [0.2, 0.8, 0.4]]),
    np.array([0.1, 0.1, 0.1]),
    np.array([[0.4], [0.3], [0.2]]),
    np.array([0.1]),
]
AFTER_ONE_STEP = [
    np.array([[0.484, 0.288, 0.592], [0.168, 0.776, 0.384]]),
    np.array([0.084, 0.088, 0.092]),
    np.array([[0.36], [0.22], [0.14]]),
    np.array([0.06]),
]


@pytest.fixture
def model(backend: str) -> Sequential:
    network = Sequential([layers.Dense(3, input_shape=(2,)), layers.Dense(1)])
    network.compile(optimizers.SGD(0.1), "half_squared_error", backend=backend, precision="float64")
    network.set_weights(WEIGHTS)
    return network


def test_forward_pass(model: Sequential) -> None:
    np.testing.assert_allclose(model.predict(X, verbose=0), [[1.4]], rtol=0, atol=1e-12)


def test_loss_and_gradients(model: Sequential) -> None:
    loss, gradients = model.loss_and_gradients(X, Y)
    assert loss == pytest.approx(0.08, abs=1e-12)
    for weight, gradient, after in zip(WEIGHTS, gradients, AFTER_ONE_STEP, strict=True):
        np.testing.assert_allclose(weight - 0.1 * gradient, after, rtol=0, atol=1e-12)


def test_one_step(model: Sequential) -> None:
    history = model.fit(X, Y, epochs=1, batch_size=1, verbose=0)
    assert history.history["loss"] == [pytest.approx(0.08, abs=1e-12)]
    for weight, after in zip(model.get_weights(), AFTER_ONE_STEP, strict=True):
        np.testing.assert_allclose(weight, after, rtol=0, atol=1e-12)
