"""Advice on batch size and learning rate: what it says, what it costs, and that the model stays as it was."""

from __future__ import annotations

import dataclasses
import doctest
import json
import math
import os
import signal
from typing import Any

import numpy as np
import pytest

from fastann import Sequential
from fastann.layers import BatchNormalization, Dense, Dropout
from fastann.optimizers import SGD, Adam
from fastann.scaling import Advice, advice, advise, advising, course, line
from fastann.scaling.advice import critical_batch
from fastann.scaling.course import Course, ride
from fastann.scaling.line import fit_line
from fastann.scaling.race import Race
from fastann.schedules import CosineDecay
from fastann.training.preparing import with_targets
from fastann.training.session import Session

RNG = np.random.default_rng(3)
X = RNG.normal(size=(400, 6)).astype(np.float32)
Y = np.tanh(X @ RNG.normal(size=(6, 1)))
LABELS = (Y[:, 0] > 0).astype(np.int64)


def network(backend: str = "numba", optimizer: Any = "adam", classes: bool = False, seed: int = 1) -> Sequential:
    last = Dense(2, "softmax") if classes else Dense(1)
    model = Sequential([Dense(8, "relu", input_shape=(6,)), last], seed=seed)
    model.compile(optimizer, "sparse_categorical_crossentropy" if classes else "mse", backend=backend)
    return model


@pytest.mark.parametrize(("x", "y", "a", "b"), [
    ([1, 2, 4], [3, 4, 6], 2, 1), ([1, 2], [2, 4], 0, 2), ([1, 10], [5, 5], 5, 0), ([4], [8], 8, 0),
    ([1, 2, 3], [3, 2, 1], None, 0),
], ids=["line", "slope", "constant", "one", "falling"])  # fmt: skip
def test_lines(x: list[float], y: list[float], a: float | None, b: float) -> None:
    found = fit_line(x, y)
    assert found.b == pytest.approx(b, abs=1e-12)
    if a is not None:
        assert found.a == pytest.approx(a, abs=1e-12)


def test_critical_batch_by_hand() -> None:
    assert critical_batch({b: 70 * (1 + 300 / b) for b in (16, 64, 256)}) == pytest.approx(300)
    assert math.isinf(critical_batch({b: 1000 / b for b in (16, 64)})), "as many rows at every size"
    assert critical_batch({16: 50, 64: 50}) == pytest.approx(0, abs=1e-9), "as many steps at every size"


@pytest.mark.parametrize("classes", [False, True], ids=["regression", "classification"])
def test_advice_reaches_the_target_and_leaves_the_model_alone(backend: str, classes: bool) -> None:
    model, twin = network(backend, classes=classes), network(backend, classes=classes)
    y = LABELS if classes else Y
    for each in (model, twin):
        each.fit(X, y, batch_size=100, verbose=0)
    before = model.training_state()
    found = advise(model, X, y, target=0.4 if classes else 0.2, validation_data=(X[:200], y[:200]), seconds=5)
    assert found.reached
    assert found.batch_range == (found.batch_size // 2, 2 * found.batch_size)
    assert found.seconds.low < found.seconds.value < found.seconds.high
    assert found.probe_seconds > 0
    assert found.probe_samples >= sum(run.steps for run in found.evidence)
    assert found.step_seconds[found.batch_size] > 0
    assert (found.backend, found.optimizer, found.rule) == (backend, "Adam", "sqrt")
    after = model.training_state()
    assert after.keys() == before.keys()
    for key, value in before.items():
        np.testing.assert_array_equal(after[key], value, err_msg=key)
    # whatever it does next is what it would have done
    histories = [each.fit(X, y, batch_size=100, verbose=0).history for each in (model, twin)]
    assert histories[0] == histories[1]
    for mine, expected in zip(model.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, expected)


def test_what_is_advised_trains_to_the_target() -> None:
    model = network()
    found = advise(model, X, Y, target=0.1, validation_data=(X[:100], Y[:100]))
    assert found.reached
    model.recompile(Adam(found.learning_rate))
    model.fit(X, Y, batch_size=found.batch_size, epochs=200, verbose=0)
    assert model.evaluate(X[:100], Y[:100], verbose=0) < 0.1


def test_a_model_that_waits_for_its_input_still_waits() -> None:
    model = Sequential([Dense(1)])
    model.compile("sgd", "mse", backend="numba")
    found = advise(model, X, Y)
    assert not model.built
    assert (found.rule, found.optimizer) == ("linear", "SGD")


def test_rates_that_are_given_are_the_only_ones() -> None:
    found = advise(network(), X, Y, learning_rates=[0.003, 0.01])
    assert {run.learning_rate for run in found.evidence} <= {0.003, 0.01}
    assert found.rule == "given"


def test_networks_whose_rows_interact() -> None:
    layers = [Dense(8, "relu", input_shape=(6,)), BatchNormalization(), Dropout(0.2), Dense(1)]
    model = Sequential(layers, seed=1)
    model.compile("adam", "mse", backend="numba")
    found = advise(model, X, Y)
    assert math.isfinite(found.target)


def test_a_target_out_of_reach_ends_and_is_said() -> None:
    found = advise(network(), X, Y + RNG.normal(size=Y.shape), target=0.0, seconds=0.2)
    assert not found.reached
    assert math.isnan(found.seconds.value)
    assert "the probe did not get to a validation loss of 0" in str(found)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["seconds"]["value"] is None


def test_ctrl_c_stops_it_and_harms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = network(), []
    weights = model.get_weights()
    looked = course.evaluate_together

    def interrupted(given: Any) -> Any:
        calls.append(len(given))
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return looked(given)

    monkeypatch.setattr(course, "evaluate_together", interrupted)
    with pytest.raises(KeyboardInterrupt):
        advise(model, X, Y)
    assert len(calls) == 2
    for mine, expected in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(mine, expected)
    assert model.optimizer is not None
    assert model.optimizer.iterations == 0


def test_a_run_is_the_training_that_fit_makes() -> None:
    """The first pass of a rider on all rows has the weights of `fit`: same seed, order and formula."""
    model, twin = network(optimizer=Adam(0.01)), network(optimizer=Adam(0.01))
    session, data = with_targets(model, X, Y)
    _, held = with_targets(model, X[:50], Y[:50], session=session)
    rider = Course(session, data, held).rider(32, 0.01)
    ride([rider], [13], lambda: None)
    twin.fit(X, Y, batch_size=32, epochs=1, verbose=0)
    assert rider.looks == [(13, pytest.approx(twin.evaluate(X[:50], Y[:50], verbose=0), rel=1e-5))]


def test_crossings_lie_between_looks() -> None:
    session, data = with_targets(network(), X, Y)
    rider = Course(session, data).rider(32, 0.01)
    rider.looks = [(10, 3.0), (1000, 1.0)]
    assert rider.steps_to(2.0) == pytest.approx(100)
    assert rider.steps_to(3.5) == 10
    assert math.isinf(rider.steps_to(0.9))


def test_the_faster_of_two_wins() -> None:
    """At the same target the time counts, steps times the seconds of one, not the steps."""
    session, data = with_targets(network(), X, Y)
    raced = Race(Course(session, data), 1e-3, None, 0.5, 1.0, None, lambda: None)
    small, large = raced.course.rider(16, 0.01), raced.course.rider(64, 0.02)
    small.steps, small.looks, large.steps, large.looks = 100, [(100, 0.9)], 60, [(60, 0.5)]
    raced.riders, raced.clock = [large, small], {16: 1e-6, 64: 2e-6}
    assert raced.standings() == [small, large]
    large.lost = True
    raced.target = None
    assert raced.standings()[0] is small
    assert raced.scaled(0.01, 16, 64) == pytest.approx(0.02)


def test_fit_takes_the_advice(capsys: pytest.CaptureFixture[str]) -> None:
    model = network()
    history = model.fit(X, Y, batch_size="auto", epochs=2, validation_split=0.2, verbose=2)
    said = capsys.readouterr().out.splitlines()[0]
    assert said.startswith("batch_size='auto': batch ")
    assert f"learning rate {model.learning_rate:.3g} " in said
    assert model.learning_rate != pytest.approx(1e-3, rel=1e-6)
    assert len(history.history["val_loss"]) == 2
    assert model.iterations % 2 == 0
    assert f"(best {math.ceil(320 / (model.iterations // 2))})" in said or model.iterations > 2


def test_a_learning_rate_of_the_users_own_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    model = network(optimizer=SGD(0.05))
    model.fit(X, LABELS.astype(float), batch_size="auto", class_weight={0: 1.0, 1: 1.0}, verbose=0)
    assert model.learning_rate == pytest.approx(0.05)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("settings", "error", "message"), [
    ({"target": "low"}, TypeError, "target must be"),
    ({"seconds": 0}, ValueError, "seconds must lie in"),
    ({"learning_rates": []}, ValueError, "learning_rates must have at least one rate"),
    ({"learning_rates": [-1.0]}, ValueError, "each of learning_rates must lie in"),
    ({"validation_data": 3}, ValueError, "validation_data must be"),
], ids=["target", "seconds", "no rates", "rate", "validation"])  # fmt: skip
def test_wrong_settings_are_refused(settings: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        advise(network(), X, Y, **settings)


def test_what_cannot_be_probed_is_refused() -> None:
    with pytest.raises(ValueError, match="must be compiled first"):
        advise(Sequential([Dense(1, input_shape=(6,))]), X, Y)
    with pytest.raises(TypeError, match="x must be rows, which batches can be made of, got generator"):
        advise(network(), ((X, Y) for _ in range(3)), None)
    with pytest.raises(ValueError, match="at least 20 rows to probe with, got 10"):
        advise(network(), X[:10], Y[:10])
    with pytest.raises(ValueError, match="constant learning rate, got the schedule"):
        advise(network(optimizer=Adam(CosineDecay(0.01, 100))), X, Y)
    with pytest.raises(ValueError, match="the loss was not finite from the beginning"):
        advise(network(), X, np.full(Y.shape, 1e30))
    with pytest.raises(ValueError, match="batch_size must be a whole number or 'auto', got 'best'"):
        network().fit(X, Y, batch_size="best")


def test_squared_norms_of_some_rows_only(backend: str) -> None:
    """An order of fewer rows than there are data: two batches of 50, each as if it were alone."""
    session, data = with_targets(network(backend), X, Y)
    assert isinstance(session, Session)
    placed, order = session.put(data.x, data.y), np.arange(300, 400)
    found = session.gradient_squares(placed, order, 50)
    alone = [
        session.gradient_squares(session.put(data.x[a : a + 50], data.y[a : a + 50]), None, 50) for a in (300, 350)
    ]
    assert found.shape == (2, 2)
    np.testing.assert_allclose(found, np.concatenate(alone), rtol=1e-4)


def test_the_advice_is_frozen() -> None:
    found = advise(network(), X, Y)
    assert isinstance(found, Advice)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.batch_size = 3  # type: ignore[misc]


@pytest.mark.parametrize("module", [advice, advising, line])
def test_examples_in_docstrings(module: Any) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
