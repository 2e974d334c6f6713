"""Several models at once: a thread takes one after the other, and trains each by itself with BLAS at one thread."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any, TypeVar

from fastann_kernels.backend import Done, EvaluateJob, TrainJob
from fastann_kernels.machine import threads_allowed
from fastann_kernels.numba_backend.team import single_threaded_blas, team

Job = TypeVar("Job", TrainJob, EvaluateJob)


def train_many(jobs: Sequence[TrainJob]) -> list[Done]:
    """Run stretches of training; see `fastann_kernels.backend.Backend`."""

    def train(job: TrainJob, members: int | None) -> tuple[Any, Any]:
        state, record = job.executor.train(job.state, job.data, job.steps, members)
        return state, record

    return _run(jobs, train)


def evaluate_many(jobs: Sequence[EvaluateJob]) -> list[Done]:
    """Run evaluations; see `fastann_kernels.backend.Backend`."""

    def evaluate(job: EvaluateJob, members: int | None) -> tuple[Any, Any]:
        record = job.executor.evaluate(job.state, job.data, job.batch_size, job.penalties, job.collect_outputs, members)
        return job.state, record

    return _run(jobs, evaluate)


def _run(jobs: Sequence[Job], call: Callable[[Job, int | None], tuple[Any, Any]]) -> list[Done]:
    """Call every job, as many at a time as there are threads; a thread that is done with one takes the next.

    A lone job gets the team that it would have had by itself.
    """
    done: list[Done | None] = [None] * len(jobs)
    threads = min(threads_allowed(os.environ), len(jobs))
    members = None if len(jobs) == 1 else 1
    numbers = count()

    def work(_: int) -> None:
        while (number := next(numbers)) < len(jobs):
            began = time.perf_counter()
            state, record = call(jobs[number], members)
            done[number] = Done(state, record, time.perf_counter() - began)

    with single_threaded_blas():
        team.run(work, max(1, threads if members else 1))
    return [entry for entry in done if entry is not None]
