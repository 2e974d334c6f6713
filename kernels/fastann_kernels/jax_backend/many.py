"""Several models at once: those of one program, on the same data and in steps of the same sizes, as one `vmap`."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

from fastann_kernels.backend import Done, EvaluateJob, TrainJob

Job = TypeVar("Job", TrainJob, EvaluateJob)


def train_many(jobs: Sequence[TrainJob]) -> list[Done]:
    """Run stretches of training; see `fastann_kernels.backend.Backend`."""

    def kind(job: TrainJob) -> Hashable:
        steps = job.steps
        visited = None if steps.order is None else len(steps.order)
        sizes = (visited, steps.batch_size, steps.collect_outputs, steps.stop_at_nonfinite, steps.squares_every)
        return id(job.executor), id(job.data), sizes

    def train(group: Sequence[TrainJob]) -> list[tuple[Any, Any]]:
        first = group[0]
        if len(group) == 1:
            return [first.executor.train(first.state, first.data, first.steps)]
        states, records = first.executor.train_many(
            [job.state for job in group], first.data, [job.steps for job in group]
        )
        return list(zip(states, records, strict=True))

    return _by_kind(jobs, kind, train)


def evaluate_many(jobs: Sequence[EvaluateJob]) -> list[Done]:
    """Run evaluations; see `fastann_kernels.backend.Backend`."""

    def kind(job: EvaluateJob) -> Hashable:
        return id(job.executor), id(job.data), job.batch_size, job.collect_outputs

    def evaluate(group: Sequence[EvaluateJob]) -> list[tuple[Any, Any]]:
        first, states = group[0], [job.state for job in group]
        settings = (first.data, first.batch_size)
        if len(group) == 1:
            records = [first.executor.evaluate(*states, *settings, first.penalties, first.collect_outputs)]
        else:
            penalties = [job.penalties for job in group]
            records = first.executor.evaluate_many(states, *settings, penalties, first.collect_outputs)
        return list(zip(states, records, strict=True))

    return _by_kind(jobs, kind, evaluate)


def _by_kind(
    jobs: Sequence[Job], kind: Callable[[Job], Hashable], call: Callable[[Sequence[Job]], list[tuple[Any, Any]]]
) -> list[Done]:
    """Call the jobs of each kind together; each has an equal share of the time that it took."""
    groups: dict[Hashable, list[int]] = {}
    for number, job in enumerate(jobs):
        groups.setdefault(kind(job), []).append(number)
    done: dict[int, Done] = {}
    for numbers in groups.values():
        began = time.perf_counter()
        results = call([jobs[number] for number in numbers])
        share = (time.perf_counter() - began) / len(numbers)
        for number, (state, record) in zip(numbers, results, strict=True):
            done[number] = Done(state, record, share)
    return [done[number] for number in range(len(jobs))]
