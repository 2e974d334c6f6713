"""The batch size that a machine runs best: larger and larger batches until memory or throughput has no more to give."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from fastann_kernels.backend import get_backend

from fastann.scaling.memory import available_bytes, data_bytes, out_of_memory, readable, training_bytes
from fastann.spec import bounded, whole
from fastann.training.arguments import verbosity
from fastann.training.interrupt import Interrupt
from fastann.training.passes import Stretch
from fastann.training.preparing import with_targets
from fastann.training.progress import make_progress
from fastann.training.source import make_source
from fastann.training.streams import is_stream

if TYPE_CHECKING:
    from fastann.models import Model
    from fastann.training.data import Dataset
    from fastann.training.progress import Progress
    from fastann.training.session import Session

#: Throughput is saturated when this many doublings in a row have not brought so much more than the best before them.
_DOUBLINGS, _GAIN = 2, 1.1

#: Least runs of a batch size, of which the fastest counts.
_RUNS = 3

#: Part of the available memory that a training may take.
_SHARE = 0.8


@dataclass(frozen=True)
class BatchSizeTrial:
    """One batch size in a `BatchSizeSearch`.

    Attributes:
        batch_size: rows.
        bytes: about what a training with it takes, data included.
        seconds_per_step: of the fastest run; None if the memory was not enough, or not asked for so much.
    """

    batch_size: int
    bytes: int
    seconds_per_step: float | None

    @property
    def samples_per_second(self) -> float | None:
        """Rows trained on in a second, or None."""
        return None if self.seconds_per_step is None else self.batch_size / self.seconds_per_step

    def __str__(self) -> str:
        speed = self.samples_per_second
        if self.seconds_per_step is None or speed is None:
            return f"{self.batch_size:>10,}  {'does not fit':>12}  {'':>12}  {readable(self.bytes):>10}"
        return f"{self.batch_size:>10,}  {speed:>12,.0f}  {self.seconds_per_step:>12.3g}  {readable(self.bytes):>10}"


@dataclass(frozen=True)
class BatchSizeSearch:
    """What `find_batch_size` found; `str` of it is a table with the choice and the reason below.

    Attributes:
        batch_size: the smallest batch that comes within `share` of the best throughput; `fit` ran with it.
        trials: every size looked at, from the smallest.
        reason: why no larger sizes were tried.
        memory_limit: bytes that a training was allowed to take; None for no limit but that of the device.
    """

    batch_size: int
    trials: tuple[BatchSizeTrial, ...]
    reason: str
    memory_limit: int | None

    def __str__(self) -> str:
        head = f"{'batch size':>10}  {'samples/s':>12}  {'seconds/step':>12}  {'memory':>10}"
        rows = "\n".join(str(trial) + (" *" if trial.batch_size == self.batch_size else "") for trial in self.trials)
        return f"{head}\n{rows}\nbatch size {self.batch_size}: {self.reason}."


def find_batch_size(
    model: Model,
    x: Any,
    y: Any = None,
    *,
    min_batch_size: int = 8,
    max_batch_size: int | None = None,
    share: float = 0.95,
    memory_limit: int | None = None,
    seconds: float = 0.2,
    sample_weight: Any = None,
    verbose: str | int = "auto",
) -> BatchSizeSearch:
    """Find the batch size from which on larger batches train no more rows a second, or take more memory than there is.

    Sizes are doubled. Steps of each are taken by a copy of the model, with a learning rate of 0, on the data given, and
    the model itself is not touched. The search ends where two doublings in a row bring less than 10 % more throughput,
    where a training would take more than 80 % of the memory available, where memory runs out in spite of that (as on a
    GPU, whose memory is not asked about), or at the end of the rows. At last `fit` takes two steps of another copy with
    the size chosen, and if that fails, with the next smaller one: a size that does not run is never returned.

    The result says what the machine does best. Which batch size *trains* best is another question: beyond the critical
    batch size larger ones need as many steps. With the size, scale the learning rate (`scale_learning_rate`).

    Args:
        model: compiled.
        x, y, sample_weight: rows with targets, as for `fit`; the speed depends on their number of columns, the memory
            on that of rows, too.
        min_batch_size: where to begin; fewer rows than that are one batch.
        max_batch_size: where to end; by default the number of rows.
        share: in (0, 1]: of the best throughput, for which a smaller batch is preferred.
        memory_limit: bytes that a training may take, data included; by default 80 % of what is available.
        seconds: time to measure each size for; on JAX the compilation of each comes on top.
        verbose: as in `fit`.

    Raises:
        ValueError, TypeError: the model is not compiled, the data do not fit, or a setting is out of bounds.
        MemoryError: not even the smallest size can be trained.

    >>> from fastann import Sequential
    >>> from fastann.layers import Dense
    >>> x = np.random.default_rng(0).normal(size=(200, 3))
    >>> model = Sequential([Dense(1, input_shape=(3,))], seed=1)
    >>> model.compile("sgd", "mse", backend="numba")
    >>> search = find_batch_size(model, x, x @ [1.0, -2.0, 0.5], seconds=0.01, verbose=0)
    >>> search.batch_size in (8, 16, 32, 64, 128)
    True
    """
    least, part = whole(min_batch_size, "min_batch_size", 1), bounded(share, "share", 0, 1, above=True)
    most = None if max_batch_size is None else whole(max_batch_size, "max_batch_size", least)
    limit = None if memory_limit is None else whole(memory_limit, "memory_limit", 1)
    duration, shown = bounded(seconds, "seconds", above=True), verbosity(verbose)
    if not model.compiled:
        raise ValueError("the model must be compiled first: call model.compile(optimizer, loss).")
    if is_stream(x):
        raise TypeError(f"x must be rows, which batches can be made of, got {type(x).__name__}, which brings its own.")
    twin = copy.deepcopy(model)
    assert twin.compile_spec.optimizer is not None
    twin.recompile(replace(twin.compile_spec.optimizer, learning_rate=0.0))
    session, data = with_targets(twin, x, y, sample_weight)
    search = _Search(session, data, _default_limit(session, data) if limit is None else limit, duration)
    progress = make_progress(shown)
    try:
        with Interrupt() as interrupt:
            trials, reason = search.run(_sizes(data.rows, least, most), most, interrupt, progress)
    finally:
        progress.close()
    return _verified(model, (x, y, sample_weight), BatchSizeSearch(0, trials, reason, search.limit), part)


def _sizes(rows: int, least: int, most: int | None) -> list[int]:
    """Return least, 2 least, 4 least, ... as far as there are rows for them."""
    sizes, end = [min(least, rows)], rows if most is None else min(rows, most)
    while 2 * sizes[-1] <= end:
        sizes.append(2 * sizes[-1])
    return sizes


def _default_limit(session: Session, data: Dataset) -> int | None:
    """Return the bytes a training may take; the data are here already, and no longer counted as available."""
    if session.backend == "jax" and get_backend("jax").describe()["platform"] != "cpu":
        return None
    available = available_bytes()
    return None if available is None else int(_SHARE * available) + data_bytes(session, data)


class _Search:
    """Trials of one session on one set of data."""

    def __init__(self, session: Session, data: Dataset, limit: int | None, seconds: float) -> None:
        self.limit = limit
        self._session = session
        self._data = data
        self._source = make_source(session, data)
        self._order = np.random.default_rng(0).permutation(data.rows)
        self._seconds = seconds

    def run(
        self, sizes: Sequence[int], most: int | None, interrupt: Interrupt, progress: Progress
    ) -> tuple[tuple[BatchSizeTrial, ...], str]:
        """Try sizes until one is too large or no faster; return the trials and why they end."""
        trials: list[BatchSizeTrial] = []
        progress.start("Batch sizes", len(sizes))
        reason = "for more rows there are no data"
        if most is not None and 2 * sizes[-1] > most:
            reason = f"larger ones were not asked for (max_batch_size={most})"
        for number, size in enumerate(sizes):
            needed = training_bytes(self._session, self._data, size)
            if self.limit is not None and needed > self.limit:
                trials.append(BatchSizeTrial(size, needed, None))
                reason = f"{size} rows take about {readable(needed)} of memory, with {readable(self.limit)} allowed"
                break
            try:
                trials.append(BatchSizeTrial(size, needed, self._seconds_per_step(size, interrupt)))
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                trials.append(BatchSizeTrial(size, needed, None))
                reason = f"memory ran out with {size} rows"
                break
            progress.update(number + 1, dict)
            if _saturated(trials):
                reason = f"throughput has hardly grown since {trials[-1 - _DOUBLINGS].batch_size} rows"
                break
        progress.finish({})
        return tuple(trials), reason

    def _seconds_per_step(self, size: int, interrupt: Interrupt) -> float:
        """Return seconds a step of the fastest run; what is compiled or allocated for the size comes before."""
        self._time(size, 1, interrupt)
        single = self._time(size, 1, interrupt)
        limit = self._data.rows // size
        if self._source.longest is not None:
            limit = max(1, min(limit, self._source.longest // size))
        steps = max(1, min(limit, int(self._seconds / _RUNS / single)))
        if steps > 1:
            self._time(size, steps, interrupt)
        runs: list[float] = []
        began = time.perf_counter()
        while len(runs) < _RUNS or time.perf_counter() - began < self._seconds:
            runs.append(self._time(size, steps, interrupt))
        return min(runs) / steps

    def _time(self, size: int, steps: int, interrupt: Interrupt) -> float:
        """Return the seconds of a call of so many steps."""
        rows = size * steps
        placed, order = self._source.stretch(Stretch(self._order[:rows], 0, rows, steps))
        began = time.perf_counter()
        with interrupt.shield():
            record = self._session.train(placed, order, size)
        took = time.perf_counter() - began
        if interrupt.requested:
            raise KeyboardInterrupt
        if record.completed < steps:
            raise ValueError("the loss was not finite from the beginning; scale the data, or look for NaN in them.")
        return took


def _saturated(trials: Sequence[BatchSizeTrial]) -> bool:
    """Return whether the last doublings have brought too little more than the best of those before."""
    speeds = [trial.samples_per_second or 0.0 for trial in trials]
    return len(speeds) > _DOUBLINGS and max(speeds[-_DOUBLINGS:]) < _GAIN * max(speeds[:-_DOUBLINGS])


def _chosen(trials: Sequence[BatchSizeTrial], share: float) -> int:
    """Return the place of the smallest size that comes within the share of the best throughput, or -1 if none ran."""
    speeds = [trial.samples_per_second or 0.0 for trial in trials]
    enough = [place for place, speed in enumerate(speeds) if speed > 0 and speed >= share * max(speeds)]
    return enough[0] if enough else -1


def _verified(model: Model, rows: tuple[Any, Any, Any], search: BatchSizeSearch, share: float) -> BatchSizeSearch:
    """Return the search with a size that `fit` runs with; those that it fails with are marked among the trials."""
    x, y, weights = rows
    trials, reason = search.trials, search.reason
    while (place := _chosen(trials, share)) >= 0:
        size = trials[place].batch_size
        twin = copy.deepcopy(model)
        twin.compile_spec = replace(twin.compile_spec, on_nonfinite="ignore")
        try:
            twin.fit(x, y, sample_weight=weights, batch_size=size, steps_per_epoch=2, verbose=0)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            failed = (replace(trial, seconds_per_step=None) for trial in trials[place:])
            trials, reason = (*trials[:place], *failed), f"fit ran out of memory with {size} rows"
        else:
            return replace(search, batch_size=size, trials=trials, reason=reason)
    raise MemoryError(f"not even batches of {trials[0].batch_size} rows can be trained: {reason}.")
