"""A training that is saved and resumed is the training that was never interrupted, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastann import Sequential, load_model
from fastann.callbacks import LambdaCallback
from fastann.layers import Dense, Dropout, Input
from fastann.optimizers import SGD, Adam, AdamW, Lion, Nadam, RMSprop
from fastann.schedules import CosineDecay, ExponentialDecay

RNG = np.random.default_rng(5)
X = RNG.normal(size=(70, 6)).astype(np.float32)
Y = (X[:, 0] * X[:, 1] > 0).astype(np.float32)

OPTIMIZERS = {
    "adam, schedule": lambda: Adam(CosineDecay(0.02, 60, alpha=0.1), amsgrad=True),
    "sgd, momentum": lambda: SGD(0.05, momentum=0.9, nesterov=True, clipnorm=0.5),
    "adamw, schedule": lambda: AdamW(ExponentialDecay(0.01, 5, 0.8, staircase=True)),
    "rmsprop, centered": lambda: RMSprop(0.01, centered=True, momentum=0.5),
    "nadam": lambda: Nadam(0.01),
    "lion": lambda: Lion(0.001),
}


def network(optimizer: Any, backend: str, precision: str = "float32") -> Sequential:
    layers = [
        Input((6,)),
        Dense(12, "tanh", kernel_regularizer="l2"),
        Dropout(0.3),
        Dense(8, "relu"),
        Dropout(0.1),
        Dense(1, "sigmoid"),
    ]
    model = Sequential(layers, seed=99)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"], backend=backend, precision=precision)
    return model


def assert_equal_models(found: Sequential, expected: Sequential) -> None:
    for weight, other in zip(found.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, other)
    state, other_state = found.training_state(), expected.training_state()
    np.testing.assert_array_equal(state.pop("slots"), other_state.pop("slots"))
    assert state == other_state


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_five_and_five_epochs_are_ten(tmp_path: Path, backend: str, name: str) -> None:
    whole = network(OPTIMIZERS[name](), backend)
    history = whole.fit(X, Y, epochs=10, batch_size=16, verbose=0).history
    half = network(OPTIMIZERS[name](), backend)
    first = half.fit(X, Y, epochs=5, batch_size=16, verbose=0).history
    half.save(tmp_path / "half.fastann")
    resumed = load_model(tmp_path / "half.fastann")
    second = resumed.fit(X, Y, epochs=10, initial_epoch=5, batch_size=16, verbose=0).history
    assert first["loss"] + second["loss"] == history["loss"]
    assert first["accuracy"] + second["accuracy"] == history["accuracy"]
    assert_equal_models(resumed, whole)
    assert whole.iterations == 50


def averaging() -> Adam:
    """Return an optimizer whose averages become the weights at the end of `fit`, and every seven updates before."""
    return Adam(ExponentialDecay(0.02, 10, 0.9), use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=7)


def test_averaged_weights_from_the_middle_of_a_fit(tmp_path: Path, backend: str) -> None:
    whole = network(averaging(), backend)

    def save(epoch: int, logs: Any) -> None:
        if epoch == 4:
            whole.save(tmp_path / "half")

    whole.fit(X, Y, epochs=10, batch_size=16, verbose=0, callbacks=[LambdaCallback(on_epoch_end=save)])
    resumed = load_model(tmp_path / "half")
    assert resumed.epochs_trained == 5
    resumed.fit(X, Y, epochs=10, initial_epoch=5, batch_size=16, verbose=0)
    assert_equal_models(resumed, whole)


def test_averaged_weights_after_a_fit(tmp_path: Path, backend: str) -> None:
    kept, saved = network(averaging(), backend), network(averaging(), backend)
    for model in (kept, saved):
        model.fit(X, Y, epochs=5, batch_size=16, verbose=0)
    saved.save(tmp_path / "half")
    resumed = load_model(tmp_path / "half")
    for model in (kept, resumed):
        model.fit(X, Y, epochs=5, batch_size=16, verbose=0)
    assert_equal_models(resumed, kept)


def test_in_double_precision(tmp_path: Path, backend: str) -> None:
    whole, half = network("adam", backend, "float64"), network("adam", backend, "float64")
    whole.fit(X, Y, epochs=4, batch_size=32, verbose=0)
    half.fit(X, Y, epochs=2, batch_size=32, verbose=0)
    half.save(tmp_path / "half")
    resumed = load_model(tmp_path / "half")
    resumed.fit(X, Y, epochs=2, batch_size=32, verbose=0)
    assert_equal_models(resumed, whole)


def test_a_learning_rate_set_by_hand_is_kept(tmp_path: Path, backend: str) -> None:
    whole, half = network(SGD(0.1, momentum=0.9), backend), network(SGD(0.1, momentum=0.9), backend)
    for model in (whole, half):
        model.fit(X, Y, epochs=1, verbose=0)
        model.optimizer.learning_rate = 0.037
    whole.fit(X, Y, epochs=2, verbose=0)
    half.save(tmp_path / "half")
    resumed = load_model(tmp_path / "half")
    resumed.fit(X, Y, epochs=2, verbose=0)
    assert resumed.optimizer.learning_rate == 0.037
    assert_equal_models(resumed, whole)


def test_saving_does_not_disturb_the_training(tmp_path: Path, backend: str) -> None:
    whole, saved = network("adam", backend), network("adam", backend)
    whole.fit(X, Y, epochs=4, verbose=0)
    saved.fit(X, Y, epochs=2, verbose=0)
    saved.save(tmp_path / "m")
    saved.fit(X, Y, epochs=2, verbose=0)
    assert_equal_models(saved, whole)


def test_a_file_of_one_backend_is_read_by_the_other(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    model = network("adam", "numba")
    model.fit(X, Y, epochs=2, verbose=0)
    model.save(tmp_path / "m")
    other = load_model(tmp_path / "m")
    config = {**other.compile_config(), "backend": "jax"}
    state = other.training_state()
    other.compile_from_config(config)
    other.set_training_state(state)
    np.testing.assert_allclose(other.predict(X, verbose=0), model.predict(X, verbose=0), rtol=1e-5)
    first = model.fit(X, Y, epochs=2, verbose=0).history["loss"]
    assert other.fit(X, Y, epochs=2, verbose=0).history["loss"] == pytest.approx(first, rel=1e-4)
