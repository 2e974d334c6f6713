"""Models trained in Python threads of the user's own: nothing is mixed up, whatever the others do."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastann import Sequential
from fastann.layers import Conv2D, Dense, Dropout, Flatten, Input

RNG = np.random.default_rng(4)
X = RNG.normal(size=(200, 30)).astype(np.float32)
Y = (X[:, 0] > 0).astype(int)
THREADS = 4


def tiny(backend: str, seed: int) -> Sequential:
    layers = [Input((30,)), Dense(16, "relu"), Dropout(0.1), Dense(8, "relu"), Dense(1, "sigmoid")]
    model = Sequential(layers, seed=seed)
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"], backend=backend)
    return model


def at_once(work: Callable[[int], Any]) -> list[Any]:
    """Return work(0), ..., work(3), each from a thread of its own, all begun together."""
    found: list[Any] = [None] * THREADS
    gate = threading.Barrier(THREADS)

    def run(number: int) -> None:
        gate.wait()
        try:
            found[number] = work(number)
        except BaseException as error:  # shown by the comparison
            found[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    errors = [result for result in found if isinstance(result, BaseException)]
    assert not errors, errors
    return found


def test_four_models_in_four_threads_are_four_models_alone(backend: str) -> None:
    def train(number: int) -> tuple[Any, Any, Any]:
        model = tiny(backend, number)
        history = model.fit(X, Y, epochs=6, batch_size=32, verbose=0, validation_data=(X[:50], Y[:50]))
        return history.history, model.get_weights(), model.predict(X, verbose=0)

    expected = [train(number) for number in range(THREADS)]
    for (history, weights, outputs), (its_history, its_weights, its_outputs) in zip(
        at_once(train), expected, strict=True
    ):
        for key, values in its_history.items():
            np.testing.assert_allclose(history[key], values, rtol=1e-12)
        for mine, its in zip(weights, its_weights, strict=True):
            np.testing.assert_array_equal(mine, its)
        np.testing.assert_array_equal(outputs, its_outputs)


@pytest.mark.parametrize("team", ["1", "2"])
def test_different_networks_at_the_same_time(monkeypatch: pytest.MonkeyPatch, team: str) -> None:
    """Also those whose batches are enough work for a team of threads, which teams then take turns at."""
    pytest.importorskip("numba")
    monkeypatch.setenv("FASTANN_THREADS", team)
    images = RNG.normal(size=(64, 12, 12, 1)).astype(np.float32)

    def train(number: int) -> Any:
        if number % 2:
            model = Sequential([Input((12, 12, 1)), Conv2D(8, 3, activation="relu"), Flatten(), Dense(10)], seed=number)
            model.compile("adam", "mse", backend="numba")
            model.fit(images, np.zeros((64, 10)), epochs=3, batch_size=16, verbose=0)
        else:
            model = Sequential([Input((30,)), Dense(640 + number, "tanh"), Dense(700), Dense(1)], seed=number)
            model.compile("adam", "mse", backend="numba")
            model.fit(X, Y, epochs=2, batch_size=50, verbose=0)
        return model.get_weights()

    expected = [train(number) for number in range(THREADS)]
    for weights, its_weights in zip(at_once(train), expected, strict=True):
        for mine, its in zip(weights, its_weights, strict=True):
            np.testing.assert_allclose(mine, its, rtol=1e-5, atol=1e-6)
