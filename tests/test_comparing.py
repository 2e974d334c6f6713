"""Trainings side by side: each is the one that the same model alone would have had."""

from __future__ import annotations

import doctest
from typing import Any

import numpy as np
import pytest

import fastann
from fastann import Sequential, comparing
from fastann.callbacks import LambdaCallback, WeightPath, weight_path
from fastann.layers import Dense, Dropout, Input
from fastann.optimizers import SGD, Adam, RMSprop

RNG = np.random.default_rng(0)
X = RNG.normal(size=(90, 4)).astype(np.float32)
Y = (X @ RNG.normal(size=4) > 0).astype(int)


def network(backend: str, optimizer: Any = "sgd") -> Sequential:
    model = Sequential([Input((4,)), Dense(6, "relu"), Dropout(0.2), Dense(1, "sigmoid")], seed=3)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"], backend=backend)
    return model


def same(mine: dict[str, list[float]], its: dict[str, list[float]]) -> None:
    """All models of one program at once differ from each alone by rounding only."""
    assert list(mine) == list(its)
    for key, values in its.items():
        np.testing.assert_allclose(mine[key], values, rtol=1e-5, atol=1e-6)


def test_what_only_fit_can_do_is_done_one_after_the_other() -> None:
    ended: list[int] = []
    watch = LambdaCallback(on_epoch_end=lambda epoch, logs: ended.append(epoch))
    histories = fastann.compare_optimizers(
        network("numba"), X, Y, optimizers=["sgd", "adam"], epochs=2, callbacks=watch
    )
    assert ended == [0, 1, 0, 1]
    at_once = fastann.compare_optimizers(network("numba"), X, Y, optimizers=["sgd", "adam"], epochs=2)
    for name in ("sgd", "adam"):
        same(at_once[name].history, histories[name].history)


def test_each_training_is_that_of_the_model_alone(backend: str) -> None:
    model, choices = network(backend), {"slow": SGD(0.01), "Adam": Adam(0.01)}
    model.fit(X, Y, epochs=1, verbose=0)
    before, updates = model.get_weights(), model.iterations
    histories = fastann.compare_optimizers(model, X, Y, optimizers=choices, epochs=2, batch_size=16)
    assert list(histories) == ["slow", "Adam"]
    for name, optimizer in choices.items():
        alone = network(backend)
        alone.fit(X, Y, epochs=1, verbose=0)
        alone.recompile(optimizer)
        expected = alone.fit(X, Y, epochs=2, batch_size=16, verbose=0)
        same(histories[name].history, expected.history)
    assert model.iterations == updates
    for mine, expected_weights in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, expected_weights)


def test_learning_rates_replace_that_of_the_optimizer() -> None:
    model = network("numba", SGD(0.5, momentum=0.9))
    histories = fastann.compare_learning_rates(model, X, Y, rates=[0.001, 0.1], epochs=2, validation_data=(X, Y))
    assert list(histories) == [0.001, 0.1]
    alone = network("numba", SGD(0.1, momentum=0.9))
    same(histories[0.1].history, alone.fit(X, Y, epochs=2, verbose=0, validation_data=(X, Y)).history)
    assert "val_loss" in histories[0.001].history


def test_a_training_that_diverges_is_a_result() -> None:
    model = Sequential([Dense(1, input_shape=(4,))], seed=1)
    model.compile("sgd", "mse", backend="numba")
    histories = fastann.compare_learning_rates(model, X, Y, rates=[0.01, 50.0], epochs=30)
    assert np.isfinite(histories[0.01].history["loss"]).all()
    assert len(histories[50.0].history["loss"]) == 30
    assert not np.isfinite(histories[50.0].history["loss"][-1])
    assert model.compile_spec.on_nonfinite == "raise"


def test_names_stand_for_optimizers_with_their_defaults() -> None:
    histories = fastann.compare_optimizers(network("numba"), X, Y, optimizers=["rmsprop"])
    expected = fastann.compare_optimizers(network("numba"), X, Y, optimizers={"rmsprop": RMSprop()})
    assert histories["rmsprop"].history == expected["rmsprop"].history


@pytest.mark.parametrize(
    ("optimizers", "error", "message"),
    [
        ({}, ValueError, "at least one optimizer"),
        ([], ValueError, "at least one optimizer"),
        ("adam", TypeError, "got 'adam'; put it in a list"),
        ([SGD()], TypeError, "a dict of optimizers by name"),
        (["nope"], ValueError, "'nope'"),
    ],
)
def test_wrong_optimizers_are_refused(optimizers: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fastann.compare_optimizers(network("numba"), X, Y, optimizers=optimizers)


def test_wrong_rates_models_and_rows_are_refused() -> None:
    for rates, message in (([], "at least one learning rate"), ([0.1, 0.0], "a learning rate must")):
        with pytest.raises(ValueError, match=message):
            fastann.compare_learning_rates(network("numba"), X, Y, rates=rates)
    bare = Sequential([Dense(1, input_shape=(4,))])
    with pytest.raises(ValueError, match="must be compiled first"):
        fastann.compare_optimizers(bare, X, Y, optimizers=["sgd"])
    with pytest.raises(TypeError, match="got an iterator"):
        fastann.compare_optimizers(network("numba"), iter([(X, Y)]), optimizers=["sgd"])


# ---- paths


def test_a_path_is_that_of_gradient_descent(backend: str) -> None:
    a = np.array([[1.0, 0.4], [-2.2, 5.5], [0.3, 0.1]])
    model = Sequential([Dense(1, use_bias=False, input_shape=(2,))], seed=1)
    model.set_weights([[[-2.5], [1.0]]])
    model.compile(SGD(0.01), "mse", backend=backend, precision="float64")
    path = WeightPath()
    assert path.points.shape == (0, 0)
    model.fit(a, np.zeros(3), epochs=4, batch_size=3, verbose=0, callbacks=[path])
    assert path.points.shape == (5, 2)
    w = np.array([-2.5, 1.0])
    for point in path.points:
        np.testing.assert_allclose(point, w, rtol=1e-10)
        w = w - 0.01 * 2 / 3 * a.T @ (a @ w)
    model.fit(a, np.zeros(3), epochs=1, batch_size=1, verbose=0, callbacks=[path])
    assert path.points.shape == (4, 2)


def test_a_path_holds_all_weights_in_order() -> None:
    model = network("numba")
    path = WeightPath()
    model.fit(X, Y, batch_size=45, verbose=0, callbacks=[path])
    assert path.points.shape == (3, 4 * 6 + 6 + 6 + 1)
    np.testing.assert_array_equal(path.points[-1], np.concatenate([w.ravel() for w in model.get_weights()]))


@pytest.mark.parametrize("module", [comparing, weight_path])
def test_examples_in_docstrings(module: Any) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
