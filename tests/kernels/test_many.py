"""Jobs that a backend runs together do what each does alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fastann_kernels.backend import Done, EvaluateJob, HostState, Record, Steps, TrainJob, get_backend
from fastann_kernels.program import Instruction, Loss, Metric, Parameter, Program, UpdateRule, Value
from numpy.typing import NDArray

ROWS, BATCH = 45, 11
PROGRAM = Program(
    values=(Value((6,)), Value((5,)), Value((5,)), Value((3,))),
    inputs=(0,),
    outputs=(3,),
    instructions=(
        Instruction("dense", (0,), 1, (0, 1), (("use_bias", True), ("activation", "tanh"), ("alpha", 0.0))),
        Instruction("dropout", (1,), 2, (), (("rate", 0.25), ("stream", 0))),
        Instruction("dense", (2,), 3, (2, 3), (("use_bias", True), ("activation", "linear"), ("alpha", 0.0))),
    ),
    parameters=(
        Parameter("a/kernel", (6, 5), 0, penalized=True),
        Parameter("a/bias", (5,), 30),
        Parameter("b/kernel", (5, 3), 35),
        Parameter("b/bias", (3,), 50),
    ),
    losses=(Loss("mean_squared_error", 3, target_shape=(3,)),),
    metrics=(Metric("mean_absolute_error", 3, target_shape=(3,)),),
    update=UpdateRule("sgd", (0.0,), ("momentum",)),
)
RNG = np.random.default_rng(5)
X, TARGETS = RNG.standard_normal((ROWS, 6)), RNG.standard_normal((ROWS, 3))


def steps(number: int, rows: int = ROWS, rate: float = 0.05, **settings: Any) -> Steps:
    """Steps that differ from job to job in all that may differ."""
    count = settings.pop("count", -(-rows // BATCH))
    assert PROGRAM.update is not None
    coefficients = np.zeros((count, len(PROGRAM.update.columns)))
    for name, value in (("lr", rate * (1 + number)), ("momentum", 0.5)):
        coefficients[:, PROGRAM.update.columns.index(name)] = value
    penalties = np.array([[0.0, 1e-3 * number], [0, 0], [0, 0], [0, 0]])
    order = np.random.default_rng(number).permutation(ROWS)[:rows]
    return Steps(order, BATCH, 7 * number, coefficients, penalties, (1, number), **settings)


def job(executor: Any, data: Any, number: int, own: Steps) -> TrainJob:
    start = np.random.default_rng(100 + number).standard_normal(PROGRAM.parameter_count)
    state = executor.put_state(HostState(start, np.zeros((1, PROGRAM.parameter_count))))
    return TrainJob(executor, state, data, own)


def alike(record: Record, other: Record) -> None:
    assert record.completed == other.completed
    for name in ("losses", "rows", "metric_sums", "metric_weights", "parts"):
        np.testing.assert_allclose(getattr(record, name), getattr(other, name), rtol=1e-10, err_msg=name)
    assert (record.outputs is None) == (other.outputs is None)
    if record.outputs is not None and other.outputs is not None:
        np.testing.assert_allclose(record.outputs, other.outputs, rtol=1e-10)


def check(backend: str, executor: Any, data: Any, own: list[Steps]) -> list[Done]:
    """Train together and alone, compare, and return the former."""
    together = get_backend(backend).train_many([job(executor, data, k, each) for k, each in enumerate(own)])
    for number, (done, each) in enumerate(zip(together, own, strict=True)):
        one = job(executor, data, number, each)
        state, record = executor.train(one.state, data, each)
        alike(done.record, record)
        mine, its = executor.get_state(done.state), executor.get_state(state)
        np.testing.assert_allclose(mine.params, its.params, rtol=1e-10)
        np.testing.assert_allclose(mine.slots, its.slots, rtol=1e-9, atol=1e-12)
        assert done.seconds > 0
    return together


@pytest.fixture
def executor(backend: str) -> Any:
    return get_backend(backend).executor(PROGRAM, "float64")


@pytest.fixture
def data(executor: Any) -> Any:
    return executor.put_data(X, TARGETS)


def test_jobs_are_what_they_are_alone(backend: str, executor: Any, data: Any) -> None:
    own = [steps(number, collect_outputs=True) for number in range(3)]
    check(backend, executor, data, own)


def test_jobs_may_visit_different_numbers_of_rows(backend: str, executor: Any, data: Any) -> None:
    check(backend, executor, data, [steps(0, 45), steps(1, 20), steps(2, 45), steps(3, 20)])


def test_a_job_that_diverges_stops_by_itself(backend: str, executor: Any, data: Any) -> None:
    own = [steps(0), steps(1, rate=1e200), steps(2)]
    done = check(backend, executor, data, own)
    assert [each.record.completed for each in done] == [5, done[1].record.completed, 5]
    assert 0 < done[1].record.completed < 5


def test_evaluations_are_what_they_are_alone(backend: str, executor: Any, data: Any) -> None:
    jobs = []
    for number in range(3):
        penalties = np.full((4, 2), 0.01 * number)
        jobs.append(EvaluateJob(executor, job(executor, data, number, steps(0)).state, data, 20, penalties, True))
    for done, one in zip(get_backend(backend).evaluate_many(jobs), jobs, strict=True):
        assert done.state is one.state
        alike(done.record, executor.evaluate(one.state, data, 20, one.penalties, True))


def test_fewer_jobs_take_the_program_of_more() -> None:
    """Trainings that end early cost no compilation each; half as many get a program of their own."""
    pytest.importorskip("jax")
    executor: Any = get_backend("jax").executor(replace(PROGRAM, metrics=()), "float64")
    placed = executor.put_data(X, TARGETS)
    before = executor.traces["train_many"]
    for count in (4, 3, 2, 2):
        check("jax", executor, placed, [steps(number) for number in range(count)])
    assert executor.traces["train_many"] - before == 2


@pytest.mark.parametrize(("backend", "members"), [("numba", (1,)), ("numba", (2,)), ("jax", ())])
def test_several_passes_in_a_call_are_as_many_calls(backend: str, members: tuple[int, ...]) -> None:
    pytest.importorskip(backend)
    executor: Any = get_backend(backend).executor(PROGRAM, "float64")
    placed = executor.put_data(X, TARGETS)
    first, second = steps(1, 25), steps(1, 25, count=3)
    second = replace(second, order=second.order[::-1].copy(), first_step=7 + 3)  # type: ignore[index]
    state, one = executor.train(job(executor, placed, 0, first).state, placed, first, *members)
    state, two = executor.train(state, placed, second, *members)
    expected = executor.get_state(state)
    order: NDArray[np.int64] = np.concatenate([first.order, second.order])  # type: ignore[list-item]
    both = replace(first, order=order, pass_rows=25, coefficients=np.tile(first.coefficients, (2, 1)))
    its, record = executor.train(job(executor, placed, 0, both).state, placed, both, *members)
    np.testing.assert_allclose(executor.get_state(its).params, expected.params, rtol=1e-13)
    assert record.rows.tolist() == [11, 11, 3, 11, 11, 3]
    np.testing.assert_allclose(record.losses, [*one.losses, *two.losses], rtol=1e-13)
    assert record.completed == 6


@pytest.mark.parametrize("bad", [0, 2, 3, 5, 6, 8])
@pytest.mark.parametrize("backend", ["numba", "jax"])
def test_several_passes_stop_where_single_ones_do(backend: str, bad: int) -> None:
    """Step `bad` of three passes of three steps sees a row whose target is infinite."""
    pytest.importorskip(backend)
    executor: Any = get_backend(backend).executor(PROGRAM, "float64")
    targets = TARGETS.copy()
    targets[-1] = np.inf
    placed = executor.put_data(X, targets)
    order = np.concatenate([np.random.default_rng(number).permutation(25) for number in range(3)])
    order[bad // 3 * 25 + bad % 3 * BATCH] = ROWS - 1
    one = steps(1, 25)
    several = replace(one, order=order, pass_rows=25, coefficients=np.tile(one.coefficients, (3, 1)))
    its, record = executor.train(job(executor, placed, 0, several).state, placed, several)
    assert record.completed == bad
    assert len(record.losses) == len(record.rows) == bad + 1
    assert np.isfinite(record.losses).tolist() == [True] * bad + [False]

    state = job(executor, placed, 0, one).state
    for number in range(3):
        its_order = order[number * 25 : (number + 1) * 25]
        state, alone = executor.train(
            state, placed, replace(one, order=its_order, first_step=one.first_step + 3 * number)
        )
        if alone.completed < 3:
            break
    assert 3 * number + alone.completed == bad
    np.testing.assert_allclose(executor.get_state(its).params, executor.get_state(state).params, rtol=1e-13)


def test_states_side_by_side_take_one_pass_a_call() -> None:
    pytest.importorskip("jax")
    executor: Any = get_backend("jax").executor(PROGRAM, "float64")
    placed = executor.put_data(X, TARGETS)
    jobs = [job(executor, placed, number, steps(number, pass_rows=45)) for number in range(2)]
    with pytest.raises(ValueError, match="one pass of each state, got pass_rows"):
        executor.train_many([each.state for each in jobs], placed, [each.steps for each in jobs])
