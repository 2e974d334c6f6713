"""The time of a step from the calls of a fit."""

from __future__ import annotations

import pytest

from fastann.training.timing import StepTime, StepTimes


def test_nothing_was_timed_yet() -> None:
    assert StepTimes(32, compiles=True).mean is None
    times = StepTimes(32, compiles=False)
    times.add("a", 0, 0.5)
    assert times.mean is None, "a call whose first step failed"


def test_all_calls_count_where_nothing_compiles() -> None:
    times = StepTimes(32, compiles=False)
    times.add("a", 16, 1.0)
    times.add("b", 32, 2.0)
    times.add("a", 16, 5.0)
    assert times.mean == StepTime(32, 64, 8.0 / 64)


def test_calls_that_compile_stand_apart() -> None:
    times = StepTimes(32, compiles=True)
    times.add("a", 10, 5.0)
    assert times.mean == StepTime(32, 10, 0.5, compiled=True)
    times.add("b", 10, 7.0)
    assert times.mean == StepTime(32, 20, 0.6, compiled=True)
    times.add("a", 10, 1.0)
    times.add("b", 10, 3.0)
    assert times.mean == StepTime(32, 20, 0.2)


def test_a_later_fit_knows_what_was_compiled() -> None:
    first = StepTimes(32, compiles=True)
    first.add("a", 10, 5.0)
    second = StepTimes(32, compiles=True, before=first)
    assert second.mean is None
    second.add("a", 10, 1.0)
    assert second.mean == StepTime(32, 10, pytest.approx(0.1))
    other = StepTimes(64, compiles=True, before=second)
    other.add("a", 10, 5.0)
    assert other.mean is not None
    assert other.mean.compiled, "another batch size compiles anew"
