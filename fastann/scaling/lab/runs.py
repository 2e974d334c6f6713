"""Many trials on all cores, each kept as soon as it is over."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from fastann.scaling.lab.store import Store
from fastann.scaling.lab.trials import Trial, run_trial
from fastann.scaling.lab.workbench import Workbench

#: Told the stage at work, how many of its runs are done, and how many there are.
Report = Callable[[str, int, int], None]


class OutOfTime(Exception):
    """The time that the lab was given is over."""


class Runner:
    """Runs trials that the store does not have yet.

    On Numba a training releases the GIL, so as many run side by side as there are cores, each with one thread; JAX
    brings threads of its own and runs one at a time.

    Args:
        store: where runs are looked up and kept.
        bench: data and networks.
        deadline: by `time.perf_counter`, after which nothing new begins.
        report: told of the progress.
    """

    def __init__(
        self, store: Store, bench: Workbench, deadline: float, report: Report = lambda stage, done, total: None
    ) -> None:
        self.store, self.bench, self.deadline, self.report = store, bench, deadline, report
        self.ran = 0
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.workers = cores if bench.design.backend == "numba" else 1

    def find(self, trial: Trial) -> dict[str, Any] | None:
        """Return the run of a trial if there is one."""
        return self.store.runs.get(trial.key(self.bench))

    def run(self, stage: str, trials: Sequence[Trial]) -> list[dict[str, Any]]:
        """Return the runs of trials, in their order; those that are missing are run first.

        Args:
            stage: what to report.
            trials: what to run.

        Raises:
            OutOfTime: the deadline came before the last of them.
            KeyboardInterrupt: Ctrl-C; what had begun is finished and kept.
        """
        missing = list({t.key(self.bench): t for t in trials if self.find(t) is None}.values())
        self._complete(stage, missing)
        found = [self.find(trial) for trial in trials]
        if any(run is None for run in found):
            raise OutOfTime(stage)
        return [run for run in found if run is not None]

    def check(self, stage: str) -> None:
        """Raise OutOfTime if the deadline has come."""
        if perf_counter() >= self.deadline:
            raise OutOfTime(stage)

    def _complete(self, stage: str, trials: Sequence[Trial]) -> None:
        """Run trials and keep each as it ends."""
        if not trials:
            return
        queue, under_way, done = iter(trials), dict[Future[dict[str, Any]], Trial](), 0
        self.report(stage, 0, len(trials))
        with one_thread_a_run(), ThreadPoolExecutor(self.workers) as pool:
            try:
                while True:
                    while len(under_way) < self.workers + 1 and perf_counter() < self.deadline:
                        trial = next(queue, None)
                        if trial is None:
                            break
                        under_way[pool.submit(run_trial, trial, self.bench)] = trial
                    if not under_way:
                        return
                    for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                        self._keep(under_way.pop(future), future.result())
                        done += 1
                        self.report(stage, done, len(trials))
            except BaseException:
                for future, trial in under_way.items():
                    if not future.cancel() and future.exception() is None:
                        self._keep(trial, future.result())
                raise

    def _keep(self, trial: Trial, run: dict[str, Any]) -> None:
        self.store.add("run", key=trial.key(self.bench), **run)
        self.ran += 1


_environment = threading.Lock()


@contextmanager
def one_thread_a_run() -> Iterator[None]:
    """Give trainings that begin inside the block one thread each."""
    with _environment:
        before = os.environ.get("FASTANN_THREADS")
        os.environ["FASTANN_THREADS"] = "1"
        try:
            yield
        finally:
            if before is None:
                del os.environ["FASTANN_THREADS"]
            else:
                os.environ["FASTANN_THREADS"] = before
