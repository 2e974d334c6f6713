"""How a model runs: sessions that follow its targets, states that are exported and copied."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from fastann import Sequential
from fastann.layers import Dense, Dropout
from fastann.optimizers import Adam
from fastann.training.targets import Target
from tests.models.small import small


def test_the_session_follows_the_targets_and_keeps_what_was_trained(backend: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 3)).astype(np.float32), rng.integers(0, 2, 8)
    model = Sequential([Dense(4, "tanh"), Dense(2, "softmax")], seed=1)
    model.compile(Adam(0.1), "sparse_categorical_crossentropy", metrics=["accuracy"], backend=backend)
    bare = model.prepare(x.shape)
    assert model.built
    assert bare.program.losses == ()
    before = bare.predict(x, 8)
    session = model.prepare(x.shape, [Target(y.shape[1:], True)])
    assert session is model.session is not bare
    assert [m.op for m in session.program.metrics] == ["sparse_categorical_accuracy"]
    assert model.prepare(x.shape, [Target(y.shape[1:], True)]) is session
    assert model.prepare(x.shape, [Target((1,), True)]) is session
    assert model.prepare(x.shape) is session
    np.testing.assert_allclose(session.predict(x, 8), before, rtol=1e-6)
    session.train(session.put(x, y[:, None].astype(np.float32)), None, 4)
    assert model.iterations == 2
    assert model.state.slots.shape == (2, model.count_params())
    weights = model.get_weights()
    np.testing.assert_array_equal(model.state.params, np.concatenate([w.ravel() for w in weights]))
    model.compile(Adam(0.1), "sparse_categorical_crossentropy", backend=backend, precision="float64")
    assert model.iterations == 0
    assert model.state.slots.shape[0] == 0
    again = model.prepare(x.shape, [Target(y.shape[1:], True)])
    assert again.precision == "float64"
    for mine, expected in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(mine, expected.astype(np.float64))


def test_set_weights_while_a_session_runs(backend: str) -> None:
    model = small()
    model.compile("sgd", "mse", backend=backend)
    session = model.prepare((8, 3))
    model.set_weights([np.ones_like(w) for w in model.get_weights()])
    out = session.predict(np.ones((1, 3), np.float32), 1)
    np.testing.assert_allclose(out, [[17, 17]])  # 4 * relu(3 + 1) + 1
    assert model.session is session


def test_training_continues_from_an_exported_state(backend: str) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 3)).astype(np.float32), rng.normal(size=(20, 2)).astype(np.float32)

    def make(seed: int) -> Sequential:
        model = Sequential([Dense(4, "relu", input_shape=(3,)), Dropout(0.5), Dense(2)], seed=seed)
        model.compile(Adam(0.1), "mse", backend=backend)
        return model

    def run(model: Sequential, times: int) -> None:
        session = model.prepare(x.shape, [Target(y.shape[1:])])
        for _ in range(times):
            session.train(session.put(x, y), None, 6)

    whole, first, second = make(3), make(3), make(4)
    run(whole, 4)
    run(first, 2)
    first.learning_rate = 0.1
    second.set_weights(first.get_weights())
    second.set_training_state(first.training_state())
    assert (second.iterations, second.learning_rate, second.seed) == (8, 0.1, 3)
    run(second, 2)
    for mine, expected in zip(second.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, expected)


@pytest.mark.parametrize("way", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_goes_on_alone(backend: str, way: object) -> None:
    x, y = np.ones((4, 3), np.float32), np.ones((4, 2), np.float32)
    model = small()
    model.compile(Adam(0.1), "mse", backend=backend)
    session = model.prepare(x.shape, [Target(y.shape[1:])])
    session.train(session.put(x, y), None, 2)
    twin = way(model)  # type: ignore[operator]
    assert model.session is session
    assert twin.iterations == 2
    for mine, expected in zip(twin.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, expected)
    np.testing.assert_array_equal(twin.state.slots, model.state.slots)
    other = twin.prepare(x.shape, [Target(y.shape[1:])])
    other.train(other.put(x, y), None, 2)
    assert (twin.iterations, model.iterations) == (4, 2)
    assert not np.array_equal(twin.state.params, model.state.params)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"slots": np.zeros((1, 26))}, r"shape \(2, 26\), got \(1, 26\)"),
        ({"iterations": -1}, "iterations must be at least 0, got -1"),
        ({"seed": -1}, "seed must lie between"),
        ({"learning_rate": -0.1}, "learning_rate must lie in"),
    ],
)
def test_a_training_state_that_does_not_fit_is_refused(change: dict[str, object], message: str) -> None:
    model = small()
    model.compile("adam", "mse")
    state = {**model.training_state(), **change}
    assert state.keys() == {"seed", "iterations", "epochs_trained", "learning_rate", "slots"}
    with pytest.raises(ValueError, match=message):
        model.set_training_state(state)


def test_a_model_without_a_loss_cannot_be_prepared_for_targets() -> None:
    model = small()
    model.compile("sgd")
    with pytest.raises(ValueError, match="the model has no loss; give one to compile"):
        model.prepare((8, 3), [Target((2,))])


def test_a_function_as_loss_takes_the_targets_as_they_are() -> None:
    from fastann.models.compile import Target, resolve

    model = small()
    model.compile("sgd", lambda y_true, y_pred: y_pred, metrics=["mse"])
    program = resolve(model.graph, model.compile_spec, [Target((2,))]).program
    assert program.losses[0].target_shape == (2,)
    with pytest.raises(ValueError, match="one column of targets for each column of outputs"):
        resolve(model.graph, model.compile_spec, [Target((5,))])
