"""The learning-rate range test: what it finds, and that the model is as it was."""

from __future__ import annotations

import doctest
import signal
from typing import Any

import numpy as np
import pytest

import fastann
from fastann import Sequential, finder
from fastann.layers import BatchNormalization, Dense, Dropout, Input
from fastann.optimizers import SGD, Adam
from fastann.schedules import CosineDecay
from fastann.training.session import Session

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 6)).astype(np.float32)
Y = (X @ RNG.normal(size=6) > 0).astype(int)


def network(backend: str, optimizer: Any = "sgd") -> Sequential:
    model = Sequential([Input((6,)), Dense(8, "relu"), BatchNormalization(), Dropout(0.1), Dense(1, "sigmoid")], seed=3)
    model.compile(optimizer, "binary_crossentropy", metrics=["accuracy"], backend=backend)
    return model


def everything(model: Sequential) -> tuple[Any, ...]:
    state = model.training_state()
    slots = state.pop("slots")
    return model.get_weights(), np.zeros(0) if slots is None else slots, state, model.compile_config()


def assert_same(before: tuple[Any, ...], after: tuple[Any, ...]) -> None:
    for mine, expected in zip(after[0], before[0], strict=True):
        np.testing.assert_array_equal(mine, expected)
    np.testing.assert_array_equal(after[1], before[1])
    assert after[2:] == before[2:]


@pytest.mark.parametrize("optimizer", [SGD(0.05, momentum=0.9), Adam(CosineDecay(0.01, 100))], ids=["sgd", "adam"])
def test_the_model_is_as_it_was_and_trains_on_as_it_would_have(optimizer: Any, backend: str) -> None:
    model, twin = network(backend, optimizer), network(backend, optimizer)
    for each in (model, twin):
        each.fit(X, Y, epochs=2, verbose=0)
    before = everything(model)
    search = fastann.find_learning_rate(model, X, Y, steps=40, verbose=0)
    assert_same(before, everything(model))
    assert len(search.rates) == len(search.losses) == len(search.smoothed) <= 40
    for each in (model, twin):
        each.fit(X, Y, epochs=1, verbose=0)
    for mine, expected in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, expected)


def test_an_untrained_model_stays_untrained(backend: str) -> None:
    model = network(backend)
    before = [w.copy() for w in model.get_weights()]
    fastann.find_learning_rate(model, X, Y, steps=20, verbose=0)
    assert model.iterations == model.epochs_trained == 0
    for mine, expected in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, expected)


def test_the_suggestion_lies_below_the_bound_of_a_known_problem(backend: str) -> None:
    """Gradient descent on the mean square of x w diverges above 2 / (2 mean x^2) = 1 for x^2 = 1."""
    x = np.sign(np.random.default_rng(1).normal(size=(256, 1)))
    model = Sequential([Dense(1, use_bias=False, kernel_initializer="ones", input_shape=(1,))])
    model.compile("adam", "mse", backend=backend)
    model.recompile(SGD())
    search = fastann.find_learning_rate(model, x, np.zeros(256), min_rate=1e-4, max_rate=1e3, steps=140, verbose=0)
    assert search.suggestion is not None
    assert 0.005 < search.suggestion < 1
    assert len(search.rates) < 140  # it diverged and ended early
    np.testing.assert_allclose(np.diff(np.log(search.rates)), np.log(1e7) / 139, rtol=1e-9)
    w, losses = 1.0, []
    for rate in search.rates:
        losses.append(w * w)
        w -= rate * 2 * w
    # beyond that the weight is 0 but for rounding, and rounding is what grows
    np.testing.assert_allclose(search.losses[:70], losses[:70], rtol=1e-3, atol=1e-7)


def test_the_average_is_that_of_adam() -> None:
    losses = np.array([3.0, 1.0, 2.0])
    expected = [3.0, (0.9 * 0.3 + 0.1) / 0.19, (0.9 * (0.9 * 0.3 + 0.1) + 0.2) / 0.271]
    np.testing.assert_allclose(finder.smoothed(losses, 0.9), expected)
    np.testing.assert_array_equal(finder.smoothed(losses, 0.0), losses)


@pytest.mark.usefixtures("python_handler")
@pytest.mark.parametrize("what", ["ctrl-c", "error"])
def test_an_end_midway_leaves_the_model_alone(what: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = network(backend, "adam")
    model.fit(X, Y, epochs=1, verbose=0)
    before, handler, train, calls = everything(model), signal.getsignal(signal.SIGINT), Session.train, []

    def interrupted(*args: Any, **settings: Any) -> Any:
        calls.append(len(calls))
        if len(calls) == 3 and what == "error":
            raise MemoryError
        record = train(*args, **settings)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return record

    monkeypatch.setattr(Session, "train", interrupted)
    with pytest.raises(KeyboardInterrupt if what == "ctrl-c" else MemoryError):
        fastann.find_learning_rate(model, X, Y, steps=40, verbose=0)
    assert len(calls) == 3
    assert signal.getsignal(signal.SIGINT) is handler
    assert_same(before, everything(model))


def test_a_loss_below_zero_is_followed_to_the_end() -> None:
    model = Sequential([Dense(8, "tanh", input_shape=(6,)), Dense(2)], seed=0)
    model.compile("sgd", "cosine_similarity", backend="numba")
    search = fastann.find_learning_rate(model, X, X[:, :2], steps=60, verbose=0)
    assert len(search.rates) == 60
    assert search.smoothed.min() < 0
    assert search.suggestion is not None
    assert 1e-4 < search.suggestion < 10


def test_no_rate_is_suggested_where_the_loss_never_falls() -> None:
    model = Sequential([Dense(1, use_bias=False, kernel_initializer="zeros", input_shape=(6,))])
    model.compile("sgd", "mse", backend="numba")
    search = fastann.find_learning_rate(model, X, np.zeros(400), steps=20, verbose=0)
    assert search.suggestion is None
    assert search.plot().axes[0].get_title() == "the loss never falls"


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"min_rate": 0}, ValueError, "min_rate must"),
        ({"min_rate": 1.0, "max_rate": 0.5}, ValueError, "max_rate must"),
        ({"steps": 5}, ValueError, "steps must be at least 10, got 5"),
        ({"smoothing": 1.0}, ValueError, "smoothing must"),
        ({"stop_at": 1}, ValueError, "stop_at must"),
        ({"batch_size": 0}, ValueError, "batch_size"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fastann.find_learning_rate(network("numba"), X, Y, verbose=0, **settings)


def test_a_model_that_is_not_compiled_is_refused() -> None:
    model = Sequential([Dense(1, input_shape=(6,))])
    with pytest.raises(ValueError, match="must be compiled first"):
        fastann.find_learning_rate(model, X, Y)
    with pytest.raises(ValueError, match="must be compiled first"):
        model.recompile("adam")


def test_a_loss_that_is_never_finite_is_named() -> None:
    model = Sequential([Dense(1, kernel_initializer="ones", input_shape=(1,))])
    model.compile("sgd", "mse", backend="numba")
    with pytest.raises(ValueError, match="not finite from the beginning"):
        fastann.find_learning_rate(model, np.full((64, 1), 1e30), np.zeros(64), verbose=0)


def test_the_picture_shows_both_curves_and_the_suggestion() -> None:
    pytest.importorskip("matplotlib")
    search = fastann.find_learning_rate(network("numba"), X, Y, verbose=0)
    axes = search.plot().axes[0]
    raw, smooth = axes.get_lines()[:2]
    np.testing.assert_array_equal(raw.get_ydata(), search.losses)
    np.testing.assert_array_equal(smooth.get_xdata(), search.rates)
    assert axes.get_xscale() == "log"
    assert f"{search.suggestion:.2g}" in axes.get_title()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "loss of each batch", "smoothed", "falls fastest",
    ]  # fmt: skip


def test_examples_in_docstrings() -> None:
    found = doctest.testmod(finder)
    assert found.attempted > 0
    assert found.failed == 0
