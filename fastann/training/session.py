"""A model at work on a backend: one program, its state, and the counters that go with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from fastann_kernels.backend import (
    Array,
    EvaluateJob,
    Executor,
    HostState,
    Record,
    Steps,
    TrainJob,
    get_backend,
    storage_dtype,
)
from numpy.typing import NDArray

from fastann.random import root_key
from fastann.training.rates import CoefficientTable, LearningRate
from fastann.training.timing import StepTimes

if TYPE_CHECKING:
    from fastann_kernels.backend import FewRows
    from fastann_kernels.program import Program

    from fastann.metrics import Metric
    from fastann.optimizers import Optimizer
    from fastann.schedules import Run

ON_NONFINITE = ("raise", "ignore")


@dataclass(frozen=True)
class MetricEntry:
    """One metric of a compiled model.

    Those whose `metric.op` is not None stand in `program.metrics`, in this order; the others are computed in Python
    from what the network puts out.

    Attributes:
        key: its name in `History`.
        metric: the stateful metric.
        weighted: whether sample weights count.
        output: number of the output it looks at.
    """

    key: str
    metric: Metric
    weighted: bool = False
    output: int = 0

    @property
    def streamed(self) -> bool:
        """Whether the backend computes it."""
        return self.metric.op is not None


def stamp() -> int:
    """Return a number larger than all before it, also those of earlier processes: when something changed."""
    global _last_stamp
    _last_stamp = max(_last_stamp + 1, time.time_ns())
    return _last_stamp


def last_stamp() -> int:
    """Return the number of the last change of any weights in this process."""
    return _last_stamp


_last_stamp = 0


@dataclass(frozen=True)
class PlacedData:
    """Rows that a backend holds: its own object and how many rows it has."""

    handle: Any
    rows: int


class Session:
    """One program in training: the backend's state, the number of updates and the learning rate.

    The state lives where the backend works. It is copied there when first needed and back when somebody asks, so a loop
    over epochs moves nothing. Every method may be called from any thread; a call waits for the one under way.

    Args:
        program: what to run.
        backend: "numba" or "jax".
        precision: one of `fastann_kernels.backend.PRECISIONS`.
        host: the state to start from.
        seed: of the order of rows and of dropout.
        optimizer: None for a model that is not to be trained.
        penalties: float64[parameters, 2], L1 and L2 of each parameter.
        metrics: the streamed ones in the order of `program.metrics`, others anywhere between.
        on_nonfinite: "raise" to stop at a loss that is NaN or infinite, "ignore" to go on.
        iterations: updates made so far.
        epochs_trained: orders of the rows used so far.
        learning_rate: in place of the optimizer's own, if that is a number.
        run: the last `fit`, if the optimizer's schedule asked to know it.
        last_rate: learning rate of the last update, for an optimizer that corrects its momentum.
        loss_keys: names in `History` of the losses of single outputs; none for a program with one output.
        executor: runs the program; by default one of `backend`.

    Attributes:
        changed: `stamp` of the last change of the parameters.
        step_seconds: what a step took in earlier runs of `fit`, by batch size, for the pace of the next.
        last_rate: as above; None before the first update, and where no optimizer needs it.
        times: of the steps of the last `fit`; None before the first.
        quick: see `fastann.training.quick`; None until two predictions without a change between them.
        predicted: `last_stamp` at the last prediction of few rows.
        lock: whoever uses the state holds it.
    """

    def __init__(
        self,
        program: Program,
        backend: str,
        precision: str,
        host: HostState,
        seed: int,
        optimizer: Optimizer | None,
        penalties: NDArray[np.float64],
        metrics: Sequence[MetricEntry] = (),
        on_nonfinite: str = "raise",
        iterations: int = 0,
        epochs_trained: int = 0,
        learning_rate: float | None = None,
        loss_keys: Sequence[str] = (),
        executor: Executor | None = None,
        run: Run | None = None,
        last_rate: float | None = None,
    ) -> None:
        if on_nonfinite not in ON_NONFINITE:
            raise ValueError(f"on_nonfinite must be 'raise' or 'ignore', got {on_nonfinite!r}.")
        self.program = program
        self.backend = backend
        self.precision = precision
        self.dtype = storage_dtype(precision)
        self.executor = get_backend(backend).executor(program, precision) if executor is None else executor
        self.seed = seed
        self.key = root_key(seed)
        self.optimizer = optimizer
        self.penalties = np.asarray(penalties, dtype=np.float64).reshape(len(program.parameters), 2)
        self.metrics = tuple(metrics)
        self.loss_keys = tuple(loss_keys)
        self.changed = 0
        self.step_seconds: dict[int, float] = {}
        self.times: StepTimes | None = None
        self.quick: Callable[[Any], Array | None] | None = None
        self.predicted = -1
        self.on_nonfinite = on_nonfinite
        self.iterations = iterations
        self.epochs_trained = epochs_trained
        self.last_rate = last_rate
        self._rate: LearningRate | None = None
        self._table: CoefficientTable | None = None
        if optimizer is not None:
            self._rate = LearningRate(optimizer.learning_rate, learning_rate, run)
            self._table = CoefficientTable(optimizer, self._rate)
        self._host: HostState | None = self._checked(host)
        self._state: Any = None
        self.lock = threading.Lock()
        self._queue = threading.Lock()

    # ---- state

    @property
    def state(self) -> HostState:
        """The state as NumPy arrays, copied from the backend if training changed it; not to be written to."""
        with self.turn():
            return self._pulled()

    def set_state(self, host: HostState) -> None:
        """Replace parameters and slots."""
        host = self._checked(host)
        with self.turn():
            self._host, self._state, self.changed = host, None, stamp()

    def set_params(self, params: Array) -> None:
        """Replace the flat parameter vector and keep the slots."""
        with self.turn():
            host = self._checked(HostState(params, self._pulled().slots))
            self._host, self._state, self.changed = host, None, stamp()

    def overwrite_with_average(self) -> None:
        """Make the trainable weights their moving average, as Keras does at the end of `fit` with `use_ema=True`.

        Training that continues later starts from the average. Without an average, and before the first update,
        nothing happens.
        """
        update = self.program.update
        if update is None or "ema" not in update.flags or self.iterations == 0:
            return
        with self.turn():
            host = self._pulled()
            params = host.params.copy()
            for parameter in self.program.parameters:
                if parameter.trainable:
                    part = slice(parameter.offset, parameter.offset + parameter.size)
                    params[part] = host.slots[-1, part]
            self._host, self._state, self.changed = HostState(params, host.slots), None, stamp()

    # ---- learning rate

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next update; settable unless the optimizer follows a schedule."""
        return self._learning_rate.at(self.iterations)

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._learning_rate.set(value)

    def rate_at(self, step: int) -> float:
        """Return the learning rate of the update that follows `step` others, as things stand."""
        return self._learning_rate.at(step)

    @property
    def scheduled(self) -> bool:
        """Whether the learning rate is a function of the number of updates."""
        return self._rate is not None and self._rate.scheduled

    @property
    def run(self) -> Run | None:
        """The last `fit`, if the schedule asked to know it."""
        return None if self._rate is None else self._rate.run

    def begin_run(self, batch_size: int, steps_per_epoch: int | None) -> None:
        """Tell the schedule, if there is one, of a `fit` that begins.

        Args:
            batch_size: rows of most batches.
            steps_per_epoch: None if that is not known.

        Raises:
            ValueError: the schedule must know it.
        """
        if self._rate is not None:
            self._rate.begin_run(batch_size, steps_per_epoch, self.iterations)

    @property
    def _learning_rate(self) -> LearningRate:
        if self._rate is None:
            raise ValueError("the model has no optimizer and so no learning rate; compile it with one.")
        return self._rate

    # ---- work

    def put(self, x: Array, y: Array | None = None, weights: Array | None = None) -> PlacedData:
        """Give matrices as `fastann.training.data` makes them to the backend."""
        return PlacedData(self.executor.put_data(x, y, weights), len(x))

    def train(
        self,
        data: PlacedData,
        order: NDArray[np.int64] | None,
        batch_size: int,
        collect_outputs: bool = False,
        stop_at_nonfinite: bool | None = None,
        pass_rows: int | None = None,
        squares_every: int = 0,
    ) -> Record:
        """Take one update for each batch of the rows that `order` names (all rows, in order, if it is None).

        Args:
            data: rows, with targets.
            order: int64[n].
            batch_size: rows an update; the last one may have fewer.
            collect_outputs: also return what the network put out.
            stop_at_nonfinite: by default whether `on_nonfinite` is "raise".
            pass_rows: rows of a pass, of which the order has several; see `fastann_kernels.backend.Steps`.
            squares_every: also measure squared norms of gradients, at every that many updates; 0: never.
        """
        with self.turn():
            job = self.train_job(data, order, batch_size, collect_outputs, stop_at_nonfinite, pass_rows, squares_every)
            return self.take(*self.executor.train(job.state, job.data, job.steps))

    def train_job(
        self,
        data: PlacedData,
        order: NDArray[np.int64] | None,
        batch_size: int,
        collect_outputs: bool = False,
        stop_at_nonfinite: bool | None = None,
        pass_rows: int | None = None,
        squares_every: int = 0,
    ) -> TrainJob:
        """Return what `train` is to do, inside a `turn`; `take` has to be told what came of it.

        The order may be of several passes of `pass_rows` rows each, see `fastann_kernels.backend.Steps`.
        """
        if self._table is None:
            raise ValueError("the model has no optimizer; compile it with one before training.")
        rows = data.rows if order is None else len(order)
        count = -(-rows // batch_size) if pass_rows is None else rows // pass_rows * -(-pass_rows // batch_size)
        steps = Steps(
            order=order,
            batch_size=batch_size,
            first_step=self.iterations,
            coefficients=self._table.over(self.iterations, count, self.last_rate),
            penalties=self.penalties,
            key=self.key,
            collect_outputs=collect_outputs,
            stop_at_nonfinite=self.on_nonfinite == "raise" if stop_at_nonfinite is None else stop_at_nonfinite,
            pass_rows=pass_rows,
            squares_every=squares_every,
        )
        state = self._placed()
        self._host, self.changed = None, stamp()
        return TrainJob(self.executor, state, data.handle, steps)

    def take(self, state: Any, record: Record) -> Record:
        """Go on with what came of a training, inside the `turn` in which it was begun; return the record."""
        self._state = state
        self.iterations += record.completed
        if self.optimizer is not None and self.optimizer.corrects_momentum and record.completed:
            self.last_rate = self._learning_rate.at(self.iterations - 1)
        return record

    def evaluate_job(self, data: PlacedData, batch_size: int, collect_outputs: bool = False) -> EvaluateJob:
        """Return what `evaluate` is to do, inside a `turn`."""
        return EvaluateJob(self.executor, self._placed(), data.handle, batch_size, self.penalties, collect_outputs)

    def evaluate(self, data: PlacedData, batch_size: int, collect_outputs: bool = False) -> Record:
        """Run all rows forward, without dropout, and return losses and metrics."""
        with self.turn():
            return self.executor.evaluate(self._placed(), data.handle, batch_size, self.penalties, collect_outputs)

    def predict(self, x: Array, batch_size: int) -> Array:
        """Return float[N, output columns]."""
        with self.turn():
            return self.executor.predict(self._placed(), x, batch_size)

    def few_rows(self) -> FewRows | None:
        """Return what predicts few rows of the state at hand; None where the backend has nothing special for them."""
        with self.turn():
            return self.executor.few_rows(self._placed())

    def gradients(
        self, data: PlacedData, training: bool = False, penalties: bool = True, draw: int = 0
    ) -> tuple[float, Array]:
        """Return loss and gradient float[P] of all rows as one batch, with penalties unless they are not wanted.

        With `training`, layers behave as in training: dropout draws a mask, batch normalisation takes the statistics of
        these rows. No weight and no moving statistic changes. Each `draw` is another mask.
        """
        with self.turn():
            pulls = self.penalties if penalties else np.zeros_like(self.penalties)
            return self.executor.gradients(self._placed(), data.handle, pulls, self._key(draw) if training else None)

    def gradient_squares(
        self, data: PlacedData, order: NDArray[np.int64] | None, batch_size: int, training: bool = False, draw: int = 0
    ) -> NDArray[np.float64]:
        """Return float64[batches, 2]: squared norms of gradients, of single rows on average and of each batch.

        Penalties do not count; see `fastann_kernels.backend.Executor.gradient_squares`. With `training`, layers behave
        as in training, with masks that differ from those of the next updates and from those of another `draw`.
        """
        with self.turn():
            key = self._key(1 + self.iterations + draw) if training else None
            return self.executor.gradient_squares(self._placed(), data.handle, order, batch_size, key)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the session; whoever came first is served first, so that a training loop starves nobody."""
        with self._queue:
            self.lock.acquire()
        try:
            yield
        finally:
            self.lock.release()

    def _key(self, draw: int) -> tuple[int, int]:
        """Return the key of a stream beside that of the updates, which is number 0."""
        return self.key[0], (self.key[1] + draw) & 0xFFFFFFFF

    def _placed(self) -> Any:
        if self._state is None:
            assert self._host is not None
            self._state = self.executor.put_state(self._host)
        return self._state

    def _pulled(self) -> HostState:
        if self._host is None:
            self._host = self.executor.get_state(self._state)
        return self._host

    def _checked(self, host: HostState) -> HostState:
        """Return a copy of `host` in the session's precision."""
        count = self.program.parameter_count
        slots = 0 if self.program.update is None else len(self.program.update.slots)
        params = np.array(host.params, dtype=self.dtype)
        if params.shape != (count,):
            raise ValueError(f"the model has {count} parameters, got a vector of shape {params.shape}.")
        state = np.array(host.slots, dtype=self.dtype)
        if state.shape != (slots, count):
            raise ValueError(f"the optimizer's state must have shape {(slots, count)}, got {state.shape}.")
        return HostState(params, state)
