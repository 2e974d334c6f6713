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
from fastann.scaling import Advice, advise, advising, course, line, race
from fastann.scaling.course import Course, ride
from fastann.scaling.line import fit_line
from fastann.scaling.race import Race, least_of_parabola
from fastann.schedules import CosineDecay
from fastann.training.preparing import with_targets
from fastann.training.session import Session

RNG = np.random.default_rng(3)
X = RNG.normal(size=(3000, 6)).astype(np.float32)
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


@pytest.mark.parametrize(("losses", "best", "expected"), [
    ([(r - 1.2) ** 2 for r in (0, 1, 2)], 1, 0.2), ([(r - 2.3) ** 2 for r in (0, 1, 2)], 2, 0.3),
    ([(r + 5) ** 2 for r in (0, 1, 2)], 0, -1), ([3, 2, 0.5], 2, 1), ([1, 2, math.inf], 0, -1),
    ([2, 1, math.inf], 1, -0.25), ([1, 2], 0, 0),
], ids=["inside", "near the end", "beyond", "falling", "end", "next to divergence", "two"])  # fmt: skip
def test_the_least_of_a_parabola(losses: list[float], best: int, expected: float) -> None:
    assert least_of_parabola(losses, best) == pytest.approx(expected)


@pytest.mark.parametrize("classes", [False, True], ids=["regression", "classification"])
def test_advice_reaches_the_target_and_leaves_the_model_alone(backend: str, classes: bool) -> None:
    model, twin = network(backend, classes=classes), network(backend, classes=classes)
    y = LABELS if classes else Y
    for each in (model, twin):
        each.fit(X, y, batch_size=100, verbose=0)
    before = model.training_state()
    found = advise(model, X, y, target=0.6 if classes else 0.4, validation_data=(X[:200], y[:200]))
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
    model.recompile(Adam(found.learning_rate))
    model.fit(X, Y, batch_size=found.batch_size, epochs=200, verbose=0)
    assert model.evaluate(X[:100], Y[:100], verbose=0) < 0.1


def test_a_model_that_waits_for_its_input_still_waits() -> None:
    model = Sequential([Dense(1)])
    model.compile("sgd", "mse", backend="numba")
    found = advise(model, X, Y)
    assert not model.built
    assert (found.rule, found.optimizer) == ("linear", "SGD")
    assert found.reached, "without a target it is the loss where the best run ended"
    assert found.seconds.low < found.seconds.value < found.seconds.high


def test_rates_that_are_given_are_the_only_ones() -> None:
    found = advise(network(), X, Y, learning_rates=[0.003, 0.01])
    assert {run.learning_rate for run in found.evidence} == {0.003, 0.01}
    assert found.learning_rate in (0.003, 0.01)
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


@pytest.mark.usefixtures("python_handler")
def test_ctrl_c_stops_it_and_harms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = network(), []
    weights = model.get_weights()
    train = course.train_together

    def interrupted(given: Any) -> Any:
        calls.append(len(given))
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return train(given)

    monkeypatch.setattr(course, "train_together", interrupted)
    with pytest.raises(KeyboardInterrupt):
        advise(model, X, Y)
    assert len(calls) == 2
    for mine, expected in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(mine, expected)
    assert model.optimizer is not None
    assert model.optimizer.iterations == 0


def test_a_run_is_the_training_that_fit_makes() -> None:
    """The first pass of a rider on all rows has the losses and weights of `fit`: same seed, order and formula."""
    model, twin = network(optimizer=Adam(0.01)), network(optimizer=Adam(0.01))
    session, data = with_targets(model, X, Y)
    _, held = with_targets(model, X[:50], Y[:50], session=session)
    rider = Course(session, data, held).rider(32, 0.01)
    for until in (40, 94):
        ride([rider], until, lambda: None)
    history = twin.fit(X, Y, batch_size=32, epochs=1, verbose=0).history
    assert rider.steps == 94
    assert np.average(rider.losses, weights=[32] * 93 + [24]) == pytest.approx(history["loss"][0], rel=1e-5)
    assert rider.look() == pytest.approx(twin.evaluate(X[:50], Y[:50], verbose=0), rel=1e-5)


def test_crossings_lie_between_windows() -> None:
    session, data = with_targets(network(), X, Y)
    rider = Course(session, data).rider(32, 0.01)
    rider.losses = [3.0] * 8 + [1.0] * 8
    assert rider.loss == 1.0
    (before, high), (after, low) = rider.windows()[3:5]
    assert (before, high, after, low) == (7.5, 3.0, 9.5, 1.0)
    assert rider.steps_to(2.0) == pytest.approx(math.sqrt(before * after))
    assert rider.steps_to(3.5) == 1.5
    assert math.isinf(rider.steps_to(0.9))
    guess = rider.steps_expected(0.9)
    assert 11 < guess.low * 2.5 < guess.value * 1.1 < guess.high
    assert rider.steps_expected(0.7).value > guess.value
    assert math.isnan(rider.steps_expected(0.3).value), "out of reach"


def proposal(size: int, step: dict[int, float], loss: dict[int, float]) -> tuple[Race, list[int]]:
    """Return a race that has settled a proposal, by made-up step times and losses, and the batch sizes that ran."""
    session, data = with_targets(network(), X, Y)
    raced = Race(Course(session, data), 1e-3, None, 0.5, math.inf, lambda: None)
    raced.step_seconds = step.__getitem__  # type: ignore[method-assign]
    best = raced.course.rider(64, 0.01)
    best.losses, best.seconds, raced.best, raced.batch_size, raced.rate = [1.0] * 64, step[64], best, 64, 0.01
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(course.Rider, "look", lambda rider: loss[rider.batch_size])
        raced._settle(size, math.inf)
    return raced, [rider.batch_size for rider in raced.riders]


def test_the_proposal_is_checked_against_the_anchor() -> None:
    flat = {64: 1e-4, 512: 1.5e-4}
    raced, ran = proposal(512, flat, {64: 0.6, 512: 0.5})
    assert ran == [512]
    assert (raced.batch_size, raced.rate) == (512, pytest.approx(0.01 * math.sqrt(8)))
    assert raced.best is not None
    assert raced.best.steps == 64, "as many as the least"
    raced, ran = proposal(512, flat, {64: 0.5, 512: 0.6})
    assert (raced.batch_size, raced.rate, ran) == (64, 0.01, [512])
    raced, ran = proposal(512, {64: 1e-4, 512: 8e-4}, {})
    assert (raced.batch_size, raced.rate, ran) == (64, 0.01, []), "too dear to check"


def test_few_rows_are_not_probed() -> None:
    found = advise(network(), X[:400], Y[:400], target=0.1)
    assert (found.evidence, found.reached) == ((), False)
    signal = (1 + found.b_crit.value / 64) / (1 + found.b_crit.value / found.batch_size)
    assert found.learning_rate == pytest.approx(1e-3 * math.sqrt(10 * signal), rel=0.01)
    assert found.probe_samples <= 1024
    assert "no training was tried" in str(found)
    assert "evidence: none, a probe of so few rows costs as much as a training" in str(found)
    own = advise(network(optimizer=Adam(0.02)), X[:400], Y[:400])
    assert own.learning_rate == pytest.approx(found.learning_rate * 20 / math.sqrt(10), rel=0.01)
    assert len(advise(network(), X[:400], Y[:400], learning_rates=[0.01, 0.02]).evidence) == 2


def test_the_probe_is_shorter_than_a_training() -> None:
    found = advise(network(), X, Y, target=1e-3)
    assert found.probe_samples <= 6 * len(X)


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


@pytest.mark.parametrize("module", [advising, line, race])
def test_examples_in_docstrings(module: Any) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert found.failed == 0
