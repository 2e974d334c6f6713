"""How many steps a call takes."""

from __future__ import annotations

import pytest

from fastann.training.pace import COMPILED_CALL, CompiledPace, GrowingPace, SingleSteps, make_pace, step_seconds
from tests.programs import Chain
from tests.training.fakes import linear_program

#: A hundred steps of it are as long as a call may be.
STEP = COMPILED_CALL / 100


def play(pace, epoch_steps, step_seconds, epochs=1, compile_seconds=0.0):
    """Return the lengths of the calls of some epochs in which every step takes so long."""
    known, calls = set(), []
    for _ in range(epochs):
        remaining = epoch_steps
        calls.append([])
        while remaining:
            steps = pace.steps(remaining)
            assert 1 <= steps <= remaining
            pace.report(steps, steps * step_seconds + (0 if steps in known else compile_seconds))
            known.add(steps)
            calls[-1].append(steps)
            remaining -= steps
        pace.end_epoch()
    return calls


def test_cheap_calls_grow_until_they_take_a_tenth_of_a_second():
    calls = play(GrowingPace(), 100_000, 1e-5, epochs=2)
    assert calls[0][:6] == [16, 32, 64, 128, 256, 512]
    assert max(calls[0]) == 16384  # the first power above 0.1 s
    assert set(calls[1][:-1]) == {16384}


def test_cheap_calls_shrink_when_they_take_too_long():
    assert play(GrowingPace(), 10, 1.0)[0] == [10]
    assert play(GrowingPace(), 40, 1.0)[0] == [16, 8, 4, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]


def test_a_slow_first_call_does_not_keep_calls_short():
    pace = GrowingPace()
    pace.report(16, 5.0)  # compiling
    assert max(play(pace, 10_000, 1e-5)[0]) >= 2048


def test_short_epochs_are_one_call_and_do_not_make_calls_longer():
    pace = GrowingPace()
    assert play(pace, 14, 1e-6, epochs=50) == [[14]] * 50
    assert pace.steps(1000) == 16


def test_short_compiled_epochs_are_one_call():
    assert play(CompiledPace(1000, 1e-4), 1000, 1e-4, epochs=3) == [[1000]] * 3


def test_compiled_epochs_of_more_are_cut_into_one_power_of_two():
    calls = play(CompiledPace(1000, STEP), 1000, STEP, epochs=3)
    assert calls == [[64] * 15 + [40]] * 3


def test_a_wrong_guess_is_put_right_once_by_measuring_without_the_compile():
    # a GPU: guessed 25 ms a step, takes 10 us
    calls = play(CompiledPace(1000, STEP), 1000, 1e-5, epochs=4, compile_seconds=3.0)
    assert calls == [[64] * 15 + [40], [1000], [1000], [1000]]
    # a busy machine: guessed 1 ms, takes 50 ms; the first epoch is its compile, the second one is measured
    calls = play(CompiledPace(1000, 0.001), 1000, 2 * STEP, epochs=4, compile_seconds=3.0)
    assert calls[:2] == [[1000], [1000]]
    assert calls[2] == calls[3] == [32] * 31 + [8]


def test_a_guess_that_is_nearly_right_is_kept():
    assert play(CompiledPace(1000, STEP), 1000, STEP / 2, epochs=3) == [[64] * 15 + [40]] * 3


def test_every_batch_means_every_batch():
    assert play(SingleSteps(), 5, 0.0) == [[1] * 5]


@pytest.mark.parametrize(
    ("backend", "every_batch", "kind"),
    [
        ("numba", False, GrowingPace),
        ("jax", False, CompiledPace),
        ("numba", True, SingleSteps),
        ("jax", True, SingleSteps),
    ],
)
def test_each_backend_has_its_pace(backend, every_batch, kind):
    assert isinstance(make_pace(backend, linear_program(), 32, 10, every_batch), kind)


def test_what_an_earlier_run_measured_is_no_guess():
    pace = CompiledPace(1000, 0.01)
    play(pace, 1000, 1e-5, epochs=2, compile_seconds=3.0)
    assert pace.measured == pytest.approx(1e-5)
    again = make_pace("jax", linear_program(), 10**9, 1000, False, pace.measured)
    assert play(again, 1000, 1e-5) == [[1000]]


def test_the_first_call_of_a_large_network_is_a_single_step():
    assert make_pace("numba", linear_program(), 10**9, 100, False).steps(100) == 1
    assert make_pace("numba", linear_program(), 32, 100, False).steps(100) == 16


def test_a_step_is_guessed_from_rows_and_multiplications():
    assert step_seconds(linear_program(), 100) == pytest.approx(6 * 100 * 3 / 3e10)


def test_weights_count_at_every_position():
    chain = Chain(7, 5, 3)
    chain.dense(2)  # 35 positions
    chain.emit("conv2d", 1, (4, 4, 6), (chain.parameter("kernel", (2, 3, 2, 6)),), use_bias=False)
    chain.reshape(96)
    chain.dense(1)
    assert step_seconds(chain.program(), 10) == pytest.approx(6 * 10 * (35 * 6 + 16 * 72 + 96) / 3e10)
