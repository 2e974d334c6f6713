"""Sessions: state, counters, learning rates."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from fastann_kernels.backend import HostState, Steps

from fastann import schedules
from fastann.optimizers import SGD, Adam
from fastann.random import root_key
from fastann.training.session import Session
from tests.training.fakes import COLUMNS, FakeExecutor, make_session, regression


def placed(session, rows=40):
    x, y = regression(rows)
    return session.put(x, y[:, None])


def arguments(session) -> list[Steps]:
    return [call[3] for call in session.executor.calls if call[0] == "train"]


def test_state_is_placed_once_and_pulled_once():
    session = make_session()
    data = placed(session)
    for _ in range(3):
        session.train(data, None, 10)
    assert session.state is session.state
    names = [call[0] for call in session.executor.calls]
    assert names == ["put_state", "train", "train", "train", "get_state"]
    session.train(data, None, 10)
    assert [call[0] for call in session.executor.calls][5:] == ["train"]


def test_set_params_keeps_slots_and_set_state_replaces_both():
    session = make_session(optimizer=SGD(0.1, momentum=0.9))
    session.set_state(HostState(np.ones(COLUMNS), np.full((1, COLUMNS), 2.0)))
    session.set_params(np.arange(3))
    assert session.state.params.tolist() == [0, 1, 2]
    assert session.state.slots.tolist() == [[2, 2, 2]]


def test_state_is_copied_on_the_way_in():
    session = make_session()
    vector = np.ones(COLUMNS)
    session.set_params(vector)
    vector[:] = 7
    assert session.state.params.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("params", "slots", "message"),
    [(np.zeros(4), np.zeros((0, 3)), "3 parameters"), (np.zeros(3), np.zeros((1, 3)), r"shape \(0, 3\)")],
)
def test_states_of_another_shape_are_refused(params, slots, message):
    with pytest.raises(ValueError, match=message):
        make_session().set_state(HostState(params, slots))


def test_counters_and_key_go_with_every_call():
    session = make_session(seed=2**40 + 5, iterations=7)
    data = placed(session)
    session.train(data, None, 16)
    session.train(data, np.arange(5), 5)
    first, second = arguments(session)
    assert (first.first_step, second.first_step, session.iterations) == (7, 10, 11)
    assert first.key == root_key(2**40 + 5) == (256, 5)


def test_coefficients_are_those_of_the_optimizer():
    optimizer = Adam(0.01, beta_1=0.8)
    session = make_session(optimizer=optimizer, iterations=3)
    session.train(placed(session), None, 10)
    expected = optimizer.coefficients(3, np.full(4, 0.01))
    np.testing.assert_array_equal(arguments(session)[0].coefficients, expected)


def test_schedules_are_evaluated_at_every_step():
    schedule = schedules.ExponentialDecay(0.1, 10, 0.5)
    session = make_session(optimizer=SGD(schedule), iterations=5)
    assert session.scheduled
    assert session.learning_rate == pytest.approx(0.1 * 0.5**0.5)
    session.train(placed(session), None, 10)
    rates = arguments(session)[0].coefficients[:, 6]
    np.testing.assert_allclose(rates, [0.1 * 0.5 ** (k / 10) for k in range(5, 9)], rtol=1e-14)


def test_functions_and_own_schedules_get_python_ints():
    seen = []

    def rate(step):
        seen.append(step)
        return 0.1 / (step + 1)

    class Own(schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.5 if step < 6 else 0.25  # ambiguous for an array

    session = make_session(optimizer=SGD(rate), iterations=4)
    session.train(placed(session), None, 20)
    assert seen == [4, 5]
    assert all(type(step) is int for step in seen)
    session = make_session(optimizer=SGD(Own()), iterations=4)
    session.train(placed(session), None, 10)
    assert arguments(session)[0].coefficients[:, 6].tolist() == [0.5, 0.5, 0.25, 0.25]


def test_schedule_that_returns_nan_names_the_step():
    session = make_session(optimizer=SGD(lambda step: float("nan") if step == 2 else 0.1))
    with pytest.raises(ValueError, match="finite numbers, got nan at step 2"):
        session.train(placed(session), None, 10)
    assert session.iterations == 0


def test_learning_rate_can_be_set_unless_scheduled():
    session = make_session(optimizer=SGD(0.1), learning_rate=0.05)
    assert session.learning_rate == 0.05
    session.learning_rate = np.float32(0.25)
    session.train(placed(session), None, 40)
    assert arguments(session)[0].coefficients[:, 6].tolist() == [0.25]
    for optimizer in (SGD(schedules.CosineDecay(0.1, 10)), SGD(lambda step: 0.1)):
        with pytest.raises(TypeError, match="follows a schedule"):
            make_session(optimizer=optimizer).learning_rate = 0.1


@pytest.mark.parametrize("value", ["fast", None, [0.1], True, np.array([0.1]), 1j])
def test_learning_rate_must_be_a_number(value):
    with pytest.raises(TypeError, match="learning_rate must be a number"):
        make_session().learning_rate = value


@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_learning_rate_must_be_finite_and_not_negative(value):
    with pytest.raises(ValueError, match="finite and not negative"):
        make_session().learning_rate = value


def test_average_replaces_weights_only_with_ema_and_after_an_update():
    session = make_session(optimizer=SGD(0.1, use_ema=True))
    session.set_state(HostState(np.ones(3), np.full((1, 3), 5.0)))
    session.overwrite_with_average()
    assert session.state.params.tolist() == [1, 1, 1]
    session.iterations = 1
    session.overwrite_with_average()
    assert session.state.params.tolist() == [5, 5, 5]
    assert session.state.slots.tolist() == [[5, 5, 5]]
    plain = make_session(iterations=1)
    plain.overwrite_with_average()
    assert plain.state.params.tolist() == [0, 0, 0]


def test_a_thread_can_pull_the_state_while_another_trains(monkeypatch):
    session = make_session()
    data = placed(session)
    train = FakeExecutor.train

    def slow(self, state, data, steps):
        time.sleep(0.002)
        return train(self, state, data, steps)

    monkeypatch.setattr(FakeExecutor, "train", slow)
    stop = threading.Event()
    pulled, errors = [], []

    def look():
        try:
            while not stop.is_set() and len(pulled) < 20:
                pulled.append(session.state.params.copy())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        for _ in range(200):
            session.train(data, None, 20)
    finally:
        stop.set()
        thread.join()
    assert errors == []
    # served between the calls, not only after the last one
    assert len(pulled) == 20
    assert session.iterations == 400


def test_unknown_policy_is_refused():
    with pytest.raises(ValueError, match="'raise' or 'ignore'"):
        make_session(on_nonfinite="stop")


def test_a_session_without_optimizer_predicts_but_does_not_train():
    made = make_session()
    session = Session(
        made.program, made.backend, made.precision, made.state, made.seed, None, made.penalties, made.metrics,
        executor=made.executor,
    )  # fmt: skip
    with pytest.raises(ValueError, match="no optimizer"):
        session.train(placed(session), None, 10)
    assert session.predict(regression()[0], 10).shape == (40, 1)


def test_every_backend_trains_and_keeps_its_counters(backend):
    from tests.training.fakes import linear_program

    program = linear_program(optimizer=SGD(0.1, momentum=0.5))
    host = HostState(np.zeros(3), np.zeros((1, 3)))
    session = Session(program, backend, "float64", host, 1, SGD(0.1, momentum=0.5), np.zeros((1, 2)))
    x, y = regression(20)
    data = session.put(x, y[:, None])
    record = session.train(data, np.arange(20)[::-1].copy(), 8)
    w, v = np.zeros(3), np.zeros(3)
    for rows in np.split(np.arange(20)[::-1], [8, 16]):
        v = 0.5 * v - 0.1 * (2 * x[rows] * (x[rows] @ w - y[rows])[:, None]).mean(axis=0)
        w = w + v
    np.testing.assert_allclose(session.state.params, w, rtol=1e-12)
    np.testing.assert_allclose(session.state.slots, [v], rtol=1e-12)
    assert record.rows.tolist() == [8, 8, 4]
    assert session.iterations == 3
