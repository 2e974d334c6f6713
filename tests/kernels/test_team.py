"""Several threads that share a batch do what one thread does."""

from __future__ import annotations

import _thread
import os
import threading
import time
from dataclasses import replace
from queue import SimpleQueue
from typing import Any

import numpy as np
import pytest
from fastann_kernels.backend import HostState, Record, Steps, available_backends
from fastann_kernels.program import Instruction, Loss, Metric, Parameter, Program, UpdateRule, Value
from numpy.typing import NDArray

if "numba" not in available_backends():
    pytest.skip("numba is not installed", allow_module_level=True)

import numba
from fastann_kernels.machine import threads_allowed
from fastann_kernels.numba_backend.blas import why_no_halves
from fastann_kernels.numba_backend.executor import NumbaExecutor
from fastann_kernels.numba_backend.team import Team, meet, wait_for_all

ROWS, BATCH = 45, 11  # the last batch has one row: fewer than there are members


def _program(flags: tuple[str, ...] = ()) -> Program:
    """6 -> 8 relu -> dropout -> 3 softmax, with an accuracy."""
    return Program(
        values=(Value((6,)), Value((8,)), Value((8,)), Value((3,)), Value((3,))),
        inputs=(0,),
        outputs=(4,),
        instructions=(
            Instruction("dense", (0,), 1, (0, 1), (("use_bias", True), ("activation", "relu"), ("alpha", 0.0))),
            Instruction("dropout", (1,), 2, (), (("rate", 0.25), ("stream", 0))),
            Instruction("dense", (2,), 3, (2, 3), (("use_bias", True), ("activation", "linear"), ("alpha", 0.0))),
            Instruction("activation", (3,), 4, (), (("activation", "softmax"), ("alpha", 0.0))),
        ),
        parameters=(
            Parameter("a/kernel", (6, 8), 0, penalized=True),
            Parameter("a/bias", (8,), 48),
            Parameter("b/kernel", (8, 3), 56, trainable=False),
            Parameter("b/bias", (3,), 80),
        ),
        losses=(Loss("sparse_categorical_crossentropy", 4, 3),),
        metrics=(Metric("sparse_categorical_accuracy", 4),),
        update=UpdateRule("adam", (0.0, 0.0), flags),
    )


def _data() -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(2)
    return rng.standard_normal((ROWS, 6)), rng.integers(0, 3, (ROWS, 1)).astype(float), rng.random((ROWS, 1))


def _train(
    members: int,
    flags: tuple[str, ...] = (),
    rate: float = 0.01,
    batch: int = BATCH,
    rows_at_once: int = ROWS,
    precision: str = "float64",
) -> tuple[HostState, Record]:
    """Train three epochs with a team of a given size."""
    program = _program(flags)
    executor = NumbaExecutor(program, precision)
    executor.rows_at_once = rows_at_once
    executor._members = lambda batch: members  # type: ignore[method-assign]
    x, y, weights = (array.astype(executor.dtype) for array in _data())
    start = np.random.default_rng(3).standard_normal(program.parameter_count)
    state = executor.put_state(HostState(start, np.zeros((2, program.parameter_count))))
    data = executor.put_data(x, y, weights)
    assert program.update is not None
    count = -(-ROWS // batch)
    for epoch in range(3):
        coefficients = np.zeros((count, len(program.update.columns)))
        columns = {
            "decay": 1e-3,
            "global_clipnorm": 0.1,
            "alpha": rate,
            "beta_1": 0.9,
            "beta_2": 0.999,
            "epsilon": 1e-7,
        }
        for name, value in columns.items():
            coefficients[:, program.update.columns.index(name)] = value
        penalties = np.array([[1e-3, 1e-2], [0, 0], [0, 0], [0, 0]])
        order = np.random.default_rng(epoch).permutation(ROWS)
        state, record = executor.train(
            state, data, Steps(order, batch, epoch * count, coefficients, penalties, (1, 2), collect_outputs=True)
        )
    return executor.get_state(state), record


# in batches of up to 3 the team shares what has to do with the first kernel by the rows of the kernel, with the second,
# and the gradient of its input, in those of up to 2; in batches of 11 by those of the batch; of one row, most members
# have none
@pytest.mark.parametrize("batch", [1, 2, 3, BATCH])
@pytest.mark.parametrize("rows_at_once", [ROWS, 2, 1])
@pytest.mark.parametrize("members", [1, 2, 3])
@pytest.mark.parametrize("flags", [(), ("decay", "global_clipnorm")], ids=["plain", "clipped"])
def test_training_does_not_depend_on_the_team(
    members: int, flags: tuple[str, ...], batch: int, rows_at_once: int
) -> None:
    alone, alone_record = _train(1, flags, batch=batch)
    team, record = _train(members, flags, batch=batch, rows_at_once=rows_at_once)
    np.testing.assert_allclose(team.params, alone.params, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(team.slots, alone.slots, rtol=1e-10, atol=1e-14)
    np.testing.assert_allclose(record.losses, alone_record.losses, rtol=1e-12)
    np.testing.assert_array_equal(record.metric_sums, alone_record.metric_sums)
    np.testing.assert_array_equal(record.metric_weights, alone_record.metric_weights)
    assert record.outputs is not None
    np.testing.assert_allclose(record.outputs, alone_record.outputs, rtol=1e-10)


@pytest.mark.skipif(why_no_halves() is not None, reason="no products of bfloat16 here")
@pytest.mark.parametrize("batch", [3, BATCH])
@pytest.mark.parametrize("rows_at_once", [ROWS, 2])
@pytest.mark.parametrize("members", [1, 2, 3])
def test_training_in_bfloat16_does_not_depend_on_the_team(members: int, batch: int, rows_at_once: int) -> None:
    alone = _train(1, batch=batch, precision="bfloat16")[1].losses
    team = _train(members, batch=batch, rows_at_once=rows_at_once, precision="bfloat16")[1].losses
    np.testing.assert_allclose(team, alone, rtol=1e-3)  # sums in float32, some rounded otherwise on the way


def test_training_wants_an_update_rule() -> None:
    program = replace(_program(), update=None)
    executor = NumbaExecutor(program, "float64")
    state = executor.put_state(HostState(np.zeros(program.parameter_count), np.zeros((0, program.parameter_count))))
    steps = Steps(None, 4, 0, np.zeros((4, 0)), np.zeros((4, 2)), (1, 2))
    with pytest.raises(ValueError, match="expected a program with an update rule"):
        executor.train(state, executor.put_data(*_data()), steps)


def test_a_team_repeats_itself_bit_for_bit() -> None:
    np.testing.assert_array_equal(_train(2)[0].params, _train(2)[0].params)


def test_the_whole_team_stops_at_a_loss_that_is_not_finite() -> None:
    _state, record = _train(2, rate=np.inf)
    assert record.completed < len(record.losses)
    assert not np.isfinite(record.losses[record.completed])


def test_evaluation_and_prediction_do_not_depend_on_the_team() -> None:
    program = _program()
    x, y, weights = _data()
    start = np.random.default_rng(3).standard_normal(program.parameter_count)
    results = []
    for members in (1, 2):
        executor = NumbaExecutor(program, "float64")
        executor.rows_at_once = 3
        state = executor.put_state(HostState(start, np.zeros((2, program.parameter_count))))
        record = executor.evaluate(
            state, executor.put_data(x, y, weights), BATCH, np.full((4, 2), 0.01), members=members
        )
        results.append((record.losses, record.metric_sums, executor.predict(state, x, BATCH)))
    for one, two in zip(*results, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-12)


def test_calls_from_several_threads_at_once() -> None:
    expected = _train(2)[0].params
    found: dict[int, NDArray[Any]] = {}

    def work(number: int) -> None:
        found[number] = _train(1 + number % 2)[0].params

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        np.testing.assert_allclose(found[number], expected, rtol=1e-12, atol=1e-14)


def test_blas_gets_its_threads_back() -> None:
    from threadpoolctl import threadpool_info

    before = {p["filepath"]: p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"}
    _train(2)
    after = {p["filepath"]: p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"}
    assert {path: after[path] for path in before} == before


def test_the_size_of_a_team_may_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTANN_THREADS", "3")
    assert threads_allowed(os.environ) == 3
    monkeypatch.setenv("FASTANN_THREADS", "0")
    with pytest.raises(ValueError, match="FASTANN_THREADS must be a positive whole number, got '0'"):
        threads_allowed(os.environ)
    monkeypatch.delenv("FASTANN_THREADS")
    assert threads_allowed(os.environ) >= 1


@numba.njit(nogil=True)
def _meet(counter: Any, size: int) -> bool:
    """Come together, work, and come together again."""
    if not meet(counter, size):
        return False
    wait_for_all(counter, size)
    return True


def test_a_team_grows() -> None:
    team = Team()
    for size in (1, 2, 4, 3):
        barrier, arrived = np.zeros(1, np.int64), []

        def call(member: int, size: int = size, barrier: Any = barrier, arrived: list[int] = arrived) -> int:
            arrived.append(member)
            assert _meet(barrier, size)
            return size

        assert team.run(call, size, barrier) == size
        assert sorted(arrived) == list(range(size))


def test_an_interrupt_before_the_work_sends_the_team_home() -> None:
    team, barrier, found = Team(), np.zeros(1, np.int64), SimpleQueue[bool]()

    def call(member: int) -> None:
        if member == 0:
            raise KeyboardInterrupt
        found.put(_meet(barrier, 3))

    with pytest.raises(KeyboardInterrupt):
        team.run(call, 3, barrier)
    assert [found.get(timeout=10), found.get(timeout=10)] == [False, False]
    barrier = np.zeros(1, np.int64)
    assert team.run(lambda member: _meet(barrier, 3), 3, barrier) is True


def test_a_member_that_fails_keeps_nobody_waiting() -> None:
    team, barrier = Team(), np.zeros(1, np.int64)

    def call(member: int) -> bool:
        if member == 1:
            raise MemoryError("no room")
        return bool(_meet(barrier, 3))

    with pytest.raises(MemoryError, match="no room"):
        team.run(call, 3, barrier)


def test_calls_that_do_not_wait_for_one_another_are_waited_for() -> None:
    team, done = Team(), []

    def call(member: int) -> int:
        time.sleep(0.05 * member)
        done.append(member)
        if member == 2:
            raise MemoryError("no room")
        return member

    with pytest.raises(MemoryError, match="no room"):
        team.run(call, 3)
    assert sorted(done) == [0, 1, 2]
    assert team.run(lambda member: member + 5, 2) == 5


def _train_until_interrupted() -> None:
    threading.Timer(0.05, _thread.interrupt_main).start()
    while True:
        _train(2)


@pytest.mark.usefixtures("python_handler")
def test_a_signal_during_the_work_is_raised_after_it() -> None:
    with pytest.raises(KeyboardInterrupt):
        _train_until_interrupted()
    np.testing.assert_array_equal(_train(2)[0].params, _train(2)[0].params)
