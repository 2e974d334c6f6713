"""A backend of a few lines of NumPy that notes every call, and a model around it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from fastann_kernels.backend import HostState, Record, Steps
from fastann_kernels.program import Loss, Metric, Program

from fastann.optimizers import SGD
from fastann.training.session import MetricEntry, Session
from tests.programs import Chain, loss_on

COLUMNS = 3


@dataclass
class FakeData:
    x: np.ndarray
    y: np.ndarray | None
    weights: np.ndarray | None


@dataclass
class FakeState:
    params: np.ndarray
    slots: np.ndarray
    alive: bool = True


@dataclass
class FakeExecutor:
    """y = x W by gradient descent on the mean squared error, in float64; W has one column and there is no bias.

    A state that went into `train` is dead afterwards, as on JAX.
    """

    program: Program
    precision: str = "float64"
    calls: list[Any] = field(default_factory=list)
    puts: list[FakeData] = field(default_factory=list)

    def put_state(self, host: HostState) -> FakeState:
        self.calls.append(("put_state",))
        return FakeState(host.params.copy(), host.slots.copy())

    def get_state(self, state: FakeState) -> HostState:
        assert state.alive
        self.calls.append(("get_state",))
        return HostState(state.params.copy(), state.slots.copy())

    def put_data(self, x: np.ndarray, y: np.ndarray | None = None, weights: np.ndarray | None = None) -> FakeData:
        for array in (x, y, weights):
            assert array is None or (array.ndim == 2 and array.flags.c_contiguous and array.flags.aligned)
        assert x.dtype in (np.uint8, np.dtype(self.precision))
        self.puts.append(FakeData(x, y, weights))
        return self.puts[-1]

    def train(self, state: FakeState, data: FakeData, steps: Steps) -> tuple[FakeState, Record]:
        assert state.alive
        state.alive = False
        w = state.params.copy()
        order = np.arange(len(data.x)) if steps.order is None else steps.order
        batches = [
            a_pass[i : i + steps.batch_size]
            for a_pass in _passes(order, steps.pass_rows)
            for i in range(0, len(a_pass), steps.batch_size)
        ]
        assert len(steps.coefficients) == len(batches)
        self.calls.append(("train", len(batches), None if steps.order is None else order.copy(), steps))
        record, completed = _Recorder(self.program), 0
        for batch, coefficients in zip(batches, steps.coefficients, strict=True):
            assert data.y is not None
            x, y = data.x[batch].astype(float), data.y[batch]
            factor = 1.0 if data.weights is None else data.weights[batch]
            loss = record.add(x @ w[:, None], y, factor)
            if steps.stop_at_nonfinite and not np.isfinite(loss):
                break
            with np.errstate(all="ignore"):
                w = w - coefficients[6] * (2 * x * factor * (x @ w[:, None] - y)).mean(axis=0)
            completed += 1
        return FakeState(w, state.slots), record.done(completed, steps.collect_outputs)

    def evaluate(
        self, state: FakeState, data: FakeData, batch_size: int, penalties: np.ndarray, collect_outputs: bool = False
    ) -> Record:
        assert state.alive
        self.calls.append(("evaluate", len(data.x), batch_size))
        record = _Recorder(self.program)
        for first in range(0, len(data.x), batch_size):
            rows = slice(first, first + batch_size)
            assert data.y is not None
            factor = 1.0 if data.weights is None else data.weights[rows]
            record.add(data.x[rows].astype(float) @ state.params[:, None], data.y[rows], factor)
        return record.done(len(record.losses), collect_outputs)

    def few_rows(self, state: FakeState) -> None:
        """Return nothing quicker than `predict`."""

    def predict(self, state: FakeState, x: np.ndarray, batch_size: int) -> np.ndarray:
        assert state.alive
        self.calls.append(("predict", len(x), batch_size))
        return x.astype(float) @ state.params[:, None]

    def gradients(
        self, state: FakeState, data: FakeData, penalties: np.ndarray, key: tuple[int, int] | None = None
    ) -> tuple[float, np.ndarray]:
        assert data.y is not None
        error = data.x @ state.params[:, None] - data.y
        return float((error**2).mean()), (2 * data.x * error).mean(axis=0)

    @property
    def trained(self) -> list[int]:
        """Steps of each call of `train`."""
        return [call[1] for call in self.calls if call[0] == "train"]

    @property
    def orders(self) -> list[Any]:
        """Order of each call of `train`, and of each pass where a call is of several."""
        trained = [(order, steps) for name, _, order, steps in (c for c in self.calls if c[0] == "train")]
        return [part for order, steps in trained for part in _passes(order, steps.pass_rows)]


def _passes(order: Any, rows: int | None) -> list[Any]:
    """Cut an order of several passes, of `rows` rows each, into them."""
    return [order] if rows is None else [order[i : i + rows] for i in range(0, len(order), rows)]


class _Recorder:
    def __init__(self, program: Program) -> None:
        self.losses: list[float] = []
        self.rows: list[int] = []
        self.sums: list[float] = []
        self.outputs: list[np.ndarray] = []
        self.metrics = len(program.metrics)

    def add(self, output: np.ndarray, y: np.ndarray, weights: Any) -> float:
        with np.errstate(all="ignore"):
            self.losses.append(float((weights * (output - y) ** 2).mean()))
            self.sums.append(float(np.abs(output - y).sum()))
        self.rows.append(len(y))
        self.outputs.append(output)
        return self.losses[-1]

    def done(self, completed: int, collect: bool) -> Record:
        rows = np.array(self.rows, np.int64)
        return Record(
            losses=np.array(self.losses),
            rows=rows,
            metric_sums=np.repeat(np.array(self.sums)[:, None], self.metrics, axis=1),
            metric_weights=np.repeat(rows.astype(float)[:, None], self.metrics, axis=1),
            parts=np.array(self.losses)[:, None],
            outputs=np.concatenate(self.outputs) if collect else None,
            completed=completed,
        )


class StreamedMetric:
    """The mean absolute error, as the backend computes it."""

    op = "mean_absolute_error"
    name = "mean_absolute_error"

    def finalize(self, mean: float) -> float:
        return mean


class LargestError:
    """The largest error so far, which no backend computes."""

    op = None
    name = "largest"
    by_batch = False

    def __init__(self) -> None:
        self.value = 0.0
        self.seen: list[tuple[np.ndarray, np.ndarray, Any]] = []

    def reset_state(self) -> None:
        self.value, self.seen = 0.0, []

    def update_state(self, y_true: np.ndarray, y_pred: np.ndarray, sample_weight: Any = None) -> None:
        assert y_true.shape == y_pred.shape
        self.seen.append((y_true, y_pred, sample_weight))
        self.value = max(self.value, float(np.abs(y_true - y_pred).max()))

    def result(self) -> float:
        return self.value


def linear_program(metrics: int = 0, optimizer: Any = None, loss: str = "mean_squared_error") -> Program:
    chain = Chain(COLUMNS)
    output = chain.dense(1, bias=False)
    terms = tuple(Metric("mean_absolute_error", output, target_shape=(1,)) for _ in range(metrics))
    losses: tuple[Loss, ...] = (loss_on(chain, loss),)
    return chain.program(losses, terms, (optimizer or SGD(0.05)).update_rule())


def make_session(
    metrics: tuple[MetricEntry, ...] = (), optimizer: Any = None, backend: str = "numba", **settings: Any
) -> Session:
    """Return a session on a `FakeExecutor`, with weights zero."""
    optimizer = optimizer or SGD(0.05)
    program = linear_program(
        sum(entry.streamed for entry in metrics), optimizer, settings.pop("loss", "mean_squared_error")
    )
    slots = np.zeros((len(program.update.slots), COLUMNS))  # type: ignore[union-attr]
    return Session(
        program=program,
        backend=backend,
        precision="float64",
        host=HostState(np.zeros(COLUMNS), slots),
        seed=settings.pop("seed", 11),
        optimizer=optimizer,
        penalties=np.zeros((1, 2)),
        metrics=metrics,
        executor=FakeExecutor(program),
        **settings,
    )


class FakeOptimizer:
    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def learning_rate(self) -> float:
        return self._session.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._session.learning_rate = value


class FakeModel:
    """What loops and callbacks ask of a model."""

    def __init__(self, session: Session | None = None) -> None:
        self.session = make_session() if session is None else session
        self.history: Any = None
        self.stop_training = False
        self.built = self.compiled = True
        self.input_shape = (None, COLUMNS)
        self.optimizer = FakeOptimizer(self.session)
        self.saved: list[tuple[str, str, np.ndarray]] = []

    @property
    def executor(self) -> FakeExecutor:
        assert isinstance(self.session.executor, FakeExecutor)
        return self.session.executor

    input_names = ("input_layer",)
    output_names = ("dense",)

    def prepare(self, x_shape: Any, targets: Any = None) -> Session:
        return self.session

    def arranged(self, values: Any) -> Any:
        (value,) = values
        return value

    def get_weights(self) -> list[np.ndarray]:
        return [self.session.state.params.reshape(COLUMNS, 1).copy()]

    def set_weights(self, weights: list[np.ndarray]) -> None:
        self.session.set_params(np.concatenate([w.ravel() for w in weights]))

    def save(self, path: Any) -> None:
        self.saved.append(("model", str(path), self.session.state.params.copy()))

    def save_weights(self, path: Any) -> None:
        self.saved.append(("weights", str(path), self.session.state.params.copy()))


def regression(rows: int = 40, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return x (rows, 3) and y = x w without noise."""
    x = np.random.default_rng(seed).normal(size=(rows, COLUMNS))
    return x, x @ np.array([1.0, -2.0, 0.5])
