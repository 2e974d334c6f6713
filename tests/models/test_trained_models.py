"""Models at work: against hand and Keras, backend against backend, built by data, frozen, saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fastann_kernels.backend import UnsupportedProgram

from fastann import Input, Sequential, load_model
from fastann.layers import Dense, Dropout, Flatten
from fastann.optimizers import SGD, Adam
from fastann.regularizers import L1L2
from tests.models.small import small


def test_the_worked_example(backend: str) -> None:
    """One step of SGD on a linear 2-3-1 network, computed by hand."""
    model = Sequential([Input((2,)), Dense(3), Dense(1)])
    model.compile(SGD(0.1), "half_squared_error", backend=backend, precision="float64")
    model.set_weights([[[0.5, 0.3, 0.6], [0.2, 0.8, 0.4]], [0.1] * 3, [[0.4], [0.3], [0.2]], [0.1]])
    x, y = np.array([[1.0, 2.0]]), np.array([[1.0]])
    np.testing.assert_allclose(model.predict_on_batch(x), [[1.4]], rtol=1e-12)
    loss, gradients = model.loss_and_gradients(x, y)
    assert loss == pytest.approx(0.08, rel=1e-12)
    expected = [[[0.16, 0.12, 0.08], [0.32, 0.24, 0.16]], [0.16, 0.12, 0.08], [[0.4], [0.8], [0.6]], [0.4]]
    for mine, hand in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(mine, hand, rtol=1e-12)
    assert model.train_on_batch(x, y) == pytest.approx(0.08, rel=1e-12)
    after = [[[0.484, 0.288, 0.592], [0.168, 0.776, 0.384]], [0.084, 0.088, 0.092], [[0.36], [0.22], [0.14]], [0.06]]
    for mine, hand in zip(model.get_weights(), after, strict=True):
        np.testing.assert_allclose(mine, hand, rtol=1e-12)


def test_training_gives_what_keras_gives(backend: str) -> None:
    """Three epochs with penalties, decoupled decay and a short last batch; values recorded with Keras 3.15."""
    x, y = np.sin(np.arange(30)).reshape(10, 3).astype(np.float32), np.arange(10) % 3
    model = Sequential([Input((3,)), Dense(4, "tanh", kernel_regularizer=L1L2(0.01, 0.02)), Dense(3, "softmax")])
    model.compile(
        Adam(0.1, weight_decay=0.01), "sparse_categorical_crossentropy", metrics=["accuracy"], backend=backend
    )
    kernels = [np.linspace(-1, 1, 12).reshape(3, 4), np.linspace(1, -1, 12).reshape(4, 3)]
    model.set_weights([kernels[0], np.linspace(-0.1, 0.1, 4), kernels[1], np.zeros(3)])
    history = model.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["loss"], [1.3457706, 1.1342628, 1.1176215], rtol=2e-6)
    np.testing.assert_allclose(history["accuracy"], [0.3, 0.4, 0.4], rtol=1e-6)
    bias, kernel = model.get_weights()[1:3]
    np.testing.assert_allclose(bias, [0.1405914, 0.2434529, 0.3231787, 0.3870745], rtol=1e-5)
    np.testing.assert_allclose(kernel[3], [-1.0145192, -1.1249163, -0.5794207], rtol=1e-5)
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0), [1.1106704, 0.4], rtol=2e-6)


def test_a_model_is_built_by_the_first_data_it_sees(backend: str) -> None:
    x, y = np.ones((6, 2, 3), np.float32), np.zeros(6)
    model = Sequential([Flatten(), Dense(4, "relu"), Dense(1)], seed=2)
    model.compile("sgd", "mse", backend=backend)
    model.fit(x, y, verbose=0)
    assert model.input_shape == (None, 2, 3)
    trained = model.get_weights()
    model.add(Dense(3))
    assert model.output_shape == (None, 3)
    for mine, expected in zip(model.get_weights(), trained, strict=False):
        np.testing.assert_array_equal(mine, expected)
    assert model.predict(x, verbose=0).shape == (6, 3)


def test_the_backends_agree_with_dropout_and_shuffling() -> None:
    pytest.importorskip("numba")
    pytest.importorskip("jax")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 4)), rng.normal(size=(50, 2))
    losses = []
    for backend in ("numba", "jax"):
        model = Sequential([Dense(8, "gelu", kernel_regularizer="l2"), Dropout(0.3), Dense(2)], seed=6)
        model.compile("adam", "mse", backend=backend, precision="float64")
        losses.append(model.fit(x, y, batch_size=16, epochs=4, verbose=0).history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-10)


def test_frozen_layers_keep_their_weights(backend: str) -> None:
    rng = np.random.default_rng(0)
    model = Sequential([Dense(4, "relu", trainable=False, kernel_regularizer="l2"), Dense(2)], seed=6)
    model.compile(Adam(0.1, weight_decay=0.1), "mse", backend=backend)
    model.build((None, 3))
    before = model.get_weights()
    model.fit(rng.normal(size=(10, 3)), rng.normal(size=(10, 2)), epochs=2, verbose=0)
    changed = [not np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True)]
    assert changed == [False, False, True, True]


def test_a_function_as_loss_needs_jax() -> None:
    def squared(y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
        return ((y_true - y_pred) ** 2).mean(axis=-1)

    pytest.importorskip("jax")
    x, y = np.ones((4, 3)), np.zeros((4, 2))
    own, known = small(), small()
    own.compile("sgd", squared)
    known.compile("sgd", "mse", backend="jax")
    histories = [model.fit(x, y, epochs=3, verbose=0).history["loss"] for model in (own, known)]
    np.testing.assert_allclose(histories[0], histories[1], rtol=1e-6)
    own.compile("sgd", squared, backend="numba")
    with pytest.raises(UnsupportedProgram, match="jax"):
        own.fit(x, y, verbose=0)


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda model, x, y: model.fit(x, y), "must be compiled first"),
        (lambda model, x, y: model.evaluate(x, y), "must be compiled first"),
        (lambda model, x, y: model.train_on_batch(x, y), "must be compiled first"),
        (lambda model, x, y: model.test_on_batch(x, y), "must be compiled first"),
        (lambda model, x, y: model.loss_and_gradients(x, y), "must be compiled first"),
    ],
)
def test_training_needs_compile(work: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        work(small(), np.ones((4, 3)), np.ones((4, 2)))  # type: ignore[operator]


def test_predicting_needs_no_compile() -> None:
    model = small()
    assert model.predict(np.ones((4, 3)), verbose=0).shape == (4, 2)
    np.testing.assert_array_equal(model.predict_on_batch(np.ones((2, 3))), model.predict(np.ones((2, 3)), verbose=0))


def test_saving_goes_through_files(backend: str, tmp_path: Path) -> None:
    model = small()
    model.compile("adam", "mse", backend=backend)
    x, y = np.ones((4, 3), np.float32), np.zeros((4, 2), np.float32)
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model.fastann")
    again = load_model(tmp_path / "model.fastann")
    assert again.iterations == 1
    model.save_weights(tmp_path / "weights.safetensors")
    other = small()
    other.load_weights(tmp_path / "weights.safetensors")
    for mine, loaded, given in zip(model.get_weights(), again.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, loaded)
        np.testing.assert_array_equal(mine, given)
