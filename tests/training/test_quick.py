"""Predictions of few rows take a shorter way, and it leads to the same place."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from fastann import Sequential
from fastann.layers import Dense, Dropout, Flatten, Input
from fastann.models import Model
from fastann.training.quick import QuickPrediction


def rows(count: int, columns: int = 5, dtype: str = "float32") -> Any:
    return np.random.default_rng(count).standard_normal((count, columns)).astype(dtype)


def network(backend: str = "numba", precision: str = "float32") -> Sequential:
    model = Sequential([Input((5,)), Dense(7, "tanh"), Dropout(0.5), Dense(3, "softmax")], seed=1)
    model.compile("sgd", "sparse_categorical_crossentropy", backend=backend, precision=precision)
    return model


def settle(model: Model, x: Any) -> None:
    """Predict often enough for the shorter way."""
    for _ in range(3):
        model.predict(x, verbose=0)


def long_way(model: Model, x: Any) -> Any:
    return model.predict(x, verbose=0, batch_size=1000)


@pytest.fixture(autouse=True)
def needs_numba() -> None:
    pytest.importorskip("numba")


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("count", [1, 2, 8, 63, 64, 65, 300])
def test_the_same_predictions(count: int, precision: str) -> None:
    model, x = network(precision=precision), rows(count, dtype=precision)
    settle(model, rows(1, dtype=precision))
    quick = model.session.quick
    assert isinstance(quick, QuickPrediction)
    assert (quick(x) is not None) == (count <= 64)
    found = model.predict(x, verbose=0)
    assert found.dtype == np.dtype(precision)
    np.testing.assert_array_equal(found, long_way(model, x))
    np.testing.assert_array_equal(model.predict(x[::-1], verbose=0), long_way(model, x)[::-1])


def test_results_are_the_callers_own() -> None:
    model, x = network(), rows(4)
    settle(model, x)
    first = model.predict(x, verbose=0)
    kept = first.copy()
    model.predict(-x, verbose=0)
    np.testing.assert_array_equal(first, kept)


def test_every_change_of_weights_is_seen() -> None:
    model, x, y = network(), rows(8), np.zeros(8, int)
    changes: list[Any] = [
        lambda: model.fit(x, y, verbose=0),
        lambda: model.train_on_batch(x, y),
        lambda: model.set_weights([w + 1 for w in model.get_weights()]),
        lambda: model.layers[0].set_weights([w * 2 for w in model.layers[0].get_weights()]),
    ]
    for change in changes:
        settle(model, x)
        before = model.predict(x, verbose=0)
        change()
        after = model.predict(x, verbose=0)
        assert np.abs(after - before).max() > 1e-4
        np.testing.assert_array_equal(after, long_way(model, x))
        settle(model, x)
        np.testing.assert_array_equal(model.predict(x, verbose=0), after)


def test_what_another_model_learns_is_seen() -> None:
    x, y = rows(8), np.zeros(8, int)
    inputs = Input((5,))
    hidden = Dense(4, "tanh")(inputs)
    first, second = (
        Model(inputs, Dense(3, "softmax")(hidden), seed=1),
        Model(inputs, Dense(3, "softmax")(hidden), seed=2),
    )
    for model in (first, second):
        model.compile("sgd", "sparse_categorical_crossentropy", backend="numba")
    settle(first, x)
    before = first.predict(x, verbose=0)
    second.fit(x, y, epochs=3, verbose=0)
    after = first.predict(x, verbose=0)
    assert np.abs(after - before).max() > 1e-4
    np.testing.assert_array_equal(after, long_way(first, x))


def test_compiling_anew_changes_the_precision() -> None:
    model, x = network(), rows(3)
    settle(model, x)
    model.compile("sgd", "mse", backend="numba", precision="float64")
    assert model.predict(x, verbose=0).dtype == np.float64


def test_malformed_rows_get_their_sentence() -> None:
    model = network()
    settle(model, rows(2))
    with pytest.raises(ValueError, match="5"):
        model.predict(rows(2, columns=4), verbose=0)
    with pytest.raises((ValueError, TypeError)):
        model.predict(np.array([["a"] * 5]), verbose=0)
    assert model.predict(rows(2).astype(np.float64), verbose=0).shape == (2, 3)
    assert model.predict(rows(2).tolist(), verbose=0).shape == (2, 3)


@pytest.mark.parametrize("model", ["image", "jax"])
def test_other_networks_take_the_usual_way(model: str) -> None:
    if model == "jax":
        pytest.importorskip("jax")
        built, x = network("jax"), rows(2)
    else:
        built, x = Sequential([Input((2, 3)), Flatten(), Dense(2)], seed=1), np.ones((2, 2, 3), np.float32)
        built.compile("sgd", "mse", backend="numba")
    settle(built, x)
    quick = built.session.quick
    assert quick is not None
    assert quick(x) is None
    np.testing.assert_array_equal(built.predict(x, verbose=0), long_way(built, x))


def test_threads_predict_while_one_trains() -> None:
    """A prediction is that of the weights before or after a call of training, never of a mixture."""
    model, x, y = network(), rows(6), np.zeros(6, int)
    settle(model, x)
    seen: list[Any] = []
    trained = [model.predict(x, verbose=0)]
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            seen.append(model.predict(x, verbose=0))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(30):
        model.train_on_batch(x, y)
        trained.append(long_way(model, x))
    done.set()
    for thread in threads:
        thread.join()
    assert seen
    possible = {outputs.tobytes() for outputs in trained}
    assert all(outputs.tobytes() in possible for outputs in seen)
