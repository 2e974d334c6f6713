"""Several sessions at work at the same time, in one call of their backend."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from fastann_kernels.backend import Record, get_backend
from numpy.typing import NDArray

from fastann.training.session import PlacedData, Session


@dataclass(frozen=True, eq=False)
class TrainCall:
    """One call of `Session.train`; of several passes if `pass_rows` is given, as `Session.train_job` has it."""

    session: Session
    data: PlacedData
    order: NDArray[np.int64] | None
    batch_size: int
    collect_outputs: bool
    stop_at_nonfinite: bool
    pass_rows: int | None = None


@dataclass(frozen=True, eq=False)
class EvaluateCall:
    """One call of `Session.evaluate`."""

    session: Session
    data: PlacedData
    batch_size: int
    collect_outputs: bool


def train_together(calls: Sequence[TrainCall]) -> list[tuple[Record, float]]:
    """Make several calls of `Session.train` at once; return each one's record and the seconds that it took.

    The sessions are different ones, of one backend.
    """
    with ExitStack() as turns:
        for call in calls:
            turns.enter_context(call.session.turn())
        jobs = [
            call.session.train_job(
                call.data, call.order, call.batch_size, call.collect_outputs, call.stop_at_nonfinite, call.pass_rows
            )
            for call in calls
        ]
        done = get_backend(calls[0].session.backend).train_many(jobs)
        return [(call.session.take(d.state, d.record), d.seconds) for call, d in zip(calls, done, strict=True)]


def evaluate_together(calls: Sequence[EvaluateCall]) -> list[tuple[Record, float]]:
    """Make several calls of `Session.evaluate` at once; return each one's record and the seconds that it took."""
    with ExitStack() as turns:
        for call in calls:
            turns.enter_context(call.session.turn())
        jobs = [call.session.evaluate_job(call.data, call.batch_size, call.collect_outputs) for call in calls]
        done = get_backend(calls[0].session.backend).evaluate_many(jobs)
    return [(d.record, d.seconds) for d in done]
