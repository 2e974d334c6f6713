"""Running programs: buffers, arguments and results around the one jitted function."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastann_kernels.backend import PRECISIONS, Array, HostState, Record, Steps, UnsupportedProgram
from fastann_kernels.numba_backend import blas
from fastann_kernels.numba_backend import interpreter as I
from fastann_kernels.numba_backend.announce import compile_for
from fastann_kernels.numba_backend.plan import L_POSITIONS, L_WIDTH, make_plan
from fastann_kernels.program import OPERATIONS, Program

_NO_ORDER = np.zeros(0, np.int64)


@dataclass
class Data:
    """Rows on the host with their addresses; the arrays are kept alive, not copied."""

    x: Array
    y: Array | None
    weights: Array | None
    rows: int
    x_address: int
    y_address: int
    weights_address: int


@dataclass
class State:
    """Parameters float[P] and slots float[S, P], changed in place by `train`."""

    params: Array
    slots: Array


class Workspace:
    """The buffers of one call, for batches of up to `capacity` rows."""

    def __init__(self, executor: NumbaExecutor, capacity: int) -> None:
        plan, program, dtype = executor.plan, executor.program, executor.dtype
        tables = np.concatenate([plan.losses, plan.metrics])
        positions = tables[:, L_POSITIONS].max(initial=1)
        widest = (tables[:, L_POSITIONS] * tables[:, L_WIDTH]).max(initial=1)
        self.capacity = capacity
        self.values = np.empty(capacity * plan.value_columns, dtype)
        self.deltas = np.empty(capacity * plan.delta_columns, dtype)
        self.scratch = np.empty(capacity * plan.scratch_columns, dtype)
        self.spare = np.empty(capacity, dtype)
        self.top = np.empty(capacity * int(positions + widest), dtype)
        self.y = np.empty(capacity * program.target_columns, dtype)
        self.weights = np.empty(capacity * max(1, len(program.outputs)), dtype)


class NumbaExecutor:
    """One program in one precision on the CPU; see `fastann_kernels.backend.Executor`.

    Calls from several threads are safe: each thread has buffers of its own and the jitted function releases the GIL.
    """

    def __init__(self, program: Program, precision: str = "float32") -> None:
        _check(program, precision)
        blas.bind()
        self.program = program
        self.precision = precision
        self.dtype = np.dtype(precision)
        self.plan = make_plan(program)
        self._local = threading.local()
        self._grads = np.zeros(0, self.dtype)
        compile_for(I.run, self.dtype, self.plan.tables)

    def put_state(self, host: HostState) -> State:
        slots = np.array(host.slots, self.dtype, order="C").reshape(-1, self.program.parameter_count)
        return State(np.array(host.params, self.dtype, order="C"), slots)

    def get_state(self, state: State) -> HostState:
        return HostState(state.params.copy(), state.slots.copy())

    def put_data(self, x: Array, y: Array | None = None, weights: Array | None = None) -> Data:
        return Data(x, y, weights, len(x), _address(x), _address(y), _address(weights))

    def train(self, state: State, data: Data, steps: Steps) -> tuple[State, Record]:
        order = _NO_ORDER if steps.order is None else np.ascontiguousarray(steps.order, np.int64)
        visited = data.rows if steps.order is None else order.size
        arguments = self._arguments(I.TRAIN, data, min(steps.batch_size, visited))
        arguments[I.BATCH] = steps.batch_size
        arguments[I.FIRST_STEP] = steps.first_step & 0xFFFFFFFF
        arguments[I.KEY_0], arguments[I.KEY_1] = steps.key
        arguments[I.STOP] = int(steps.stop_at_nonfinite)
        arguments[I.ORDERED] = int(steps.order is not None)
        record = self._run(
            arguments, visited, state, np.zeros(self.program.parameter_count, self.dtype), order,
            steps.coefficients, steps.penalties, steps.collect_outputs,
        )  # fmt: skip
        return state, record

    def evaluate(
        self, state: State, data: Data, batch_size: int, penalties: NDArray[np.float64], collect_outputs: bool = False
    ) -> Record:
        arguments = self._arguments(I.EVALUATE, data, min(batch_size, data.rows))
        return self._run(arguments, data.rows, state, self._grads, _NO_ORDER, None, penalties, collect_outputs)

    def predict(self, state: State, x: Array, batch_size: int) -> Array:
        data = self.put_data(x)
        arguments = self._arguments(I.PREDICT, data, min(batch_size, data.rows))
        record = self._run(arguments, data.rows, state, self._grads, _NO_ORDER, None, None, True)
        assert record.outputs is not None
        return record.outputs

    def gradients(
        self, state: State, data: Data, penalties: NDArray[np.float64], key: tuple[int, int] | None = None
    ) -> tuple[float, Array]:
        arguments = self._arguments(I.GRADIENTS, data, data.rows)
        if key is not None:
            arguments[I.DROP] = 1
            arguments[I.KEY_0], arguments[I.KEY_1] = key
        grads = np.zeros(self.program.parameter_count, self.dtype)
        record = self._run(arguments, data.rows, state, grads, _NO_ORDER, None, penalties, False)
        return float(record.losses[0]), grads

    def _arguments(self, mode: int, data: Data, batch: int) -> NDArray[np.int64]:
        arguments = np.zeros(20, np.int64)
        arguments[I.MODE] = mode
        arguments[I.N_ROWS] = data.rows
        arguments[I.BATCH] = arguments[I.CAPACITY] = batch
        arguments[I.RULE], arguments[I.FLAGS] = self.plan.rule, self.plan.flags
        arguments[I.X_ADDRESS], arguments[I.X_IS_BYTES] = data.x_address, int(data.x.dtype == np.uint8)
        arguments[I.X_COLUMNS] = data.x.shape[1]
        if data.y is not None:
            arguments[I.Y_ADDRESS], arguments[I.Y_COLUMNS] = data.y_address, data.y.shape[1]
        if data.weights is not None:
            arguments[I.W_ADDRESS], arguments[I.W_COLUMNS] = data.weights_address, data.weights.shape[1]
        return arguments

    def _run(
        self,
        arguments: NDArray[np.int64],
        visited: int,
        state: State,
        grads: Array,
        order: NDArray[np.int64],
        coefficients: NDArray[np.float64] | None,
        penalties: NDArray[np.float64] | None,
        collect: bool,
    ) -> Record:
        """Allocate the results, call the jitted function and cut the results to the steps that ran."""
        batch = int(arguments[I.BATCH])
        count = -(-visited // batch) if visited else 0
        space = self._workspace(int(arguments[I.CAPACITY]))
        arguments[I.CAPACITY] = space.capacity
        arguments[I.COLLECT] = int(collect)
        losses = np.zeros(count)
        parts = np.zeros((count, len(self.program.losses)))
        sums, totals = np.zeros((2, count, len(self.program.metrics)))
        outputs = np.empty((visited if collect else 0, self.program.output_columns), self.dtype)
        if coefficients is None:
            coefficients = np.zeros((0, 0))
        if penalties is None:
            penalties = np.zeros((0, 2))
        completed = I.run(
            arguments, self.plan.tables, order, np.ascontiguousarray(coefficients, np.float64),
            np.ascontiguousarray(penalties, np.float64), state.params, grads, state.slots,
            space.values, space.deltas, space.scratch, space.spare, space.top, space.y, space.weights,
            losses, parts, sums, totals, outputs,
        )  # fmt: skip
        rows = np.full(count, batch, np.int64)
        if count:
            rows[-1] = visited - (count - 1) * batch
        ran = min(completed + 1, count)
        return Record(
            losses[:ran], rows[:ran], sums[:ran], totals[:ran], parts[:ran],
            outputs[: int(rows[:ran].sum())] if collect else None, int(completed),
        )  # fmt: skip

    def _workspace(self, capacity: int) -> Workspace:
        """Return this thread's buffers, made anew only when a larger batch comes."""
        space: Workspace | None = getattr(self._local, "space", None)
        if space is None or space.capacity < capacity:
            space = self._local.space = Workspace(self, capacity)
        return space


def _address(array: Array | None) -> int:
    if array is None:
        return 0
    if not array.flags.c_contiguous:
        raise ValueError(f"data must be C-contiguous, got strides {array.strides}; use numpy.ascontiguousarray.")
    return int(array.ctypes.data)


def _check(program: Program, precision: str) -> None:
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(map(repr, PRECISIONS))}, got {precision!r}.")
    if any(loss.op == "callable" for loss in program.losses):
        raise UnsupportedProgram(
            "the Numba backend cannot differentiate a Python function as a loss; use backend='jax', or one of the named losses."
        )
    for instruction in program.instructions:
        if instruction.op not in OPERATIONS:
            raise UnsupportedProgram(f"the Numba backend does not know the operation {instruction.op!r}.")
