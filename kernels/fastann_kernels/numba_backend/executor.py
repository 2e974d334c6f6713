"""Running programs: buffers, arguments and results around the one jitted function."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from fastann_kernels.backend import Array, HostState, Record, Steps, UnsupportedProgram, storage_dtype
from fastann_kernels.machine import threads_allowed
from fastann_kernels.numba_backend import arguments as A
from fastann_kernels.numba_backend import blas, operations, units
from fastann_kernels.numba_backend.building import addresses
from fastann_kernels.numba_backend.calls import CALL_SIZE
from fastann_kernels.numba_backend.direct import DirectCall, at
from fastann_kernels.numba_backend.plan import L_POSITIONS, L_WIDTH, N_WEIGHT, make_plan
from fastann_kernels.numba_backend.team import single_threaded_blas, team
from fastann_kernels.numba_backend.vectors import VECTOR_BYTES
from fastann_kernels.per_example import interacting, separable
from fastann_kernels.program import Program

_NO_ORDER = np.zeros(0, np.int64)
_NO_ROWS = np.zeros((0, 0))
_NO_PENALTIES = np.zeros((0, 2))

#: Floating-point operations a step that make one more thread worth while: about 15 microseconds of one core.
_WORK_PER_THREAD = 1.5e6

#: Floating-point operations of a call without training that make it worth while to wake threads: two milliseconds of
#: one core, half of which are saved; setting up the call, waking and meeting take most of a millisecond.
_WORK_TO_WAKE = 2e8

#: Multiplications of a product up to which ours beats the library, and of one whose first factor is transposed, by
#: library and bytes of the processor's vectors (measured in trainings on Intel with AVX-512, and on AMD with AVX2).
_SMALL_PRODUCT = {
    ("scipy", 64): (1 << 30, 1 << 33),
    ("mkl", 64): (1 << 18, 1 << 18),
    ("scipy", 32): (1 << 27, 1 << 27),
    ("mkl", 32): (1 << 26, 1 << 26),
}

#: The same where it has not been measured, and where ours always does.
_UNKNOWN_VECTORS, _ALWAYS = (1 << 18, 1 << 18), (1 << 62, 1 << 62)

#: Rows of a larger batch that a member works on at once: buffers are as small as they can be without loss (measured).
_ROWS_AT_ONCE, _NO_PARTS = 1024, 1 << 40

#: Rows and multiplications up to which a prediction is made at once, without a team.
_FEW_ROWS, _FEW_MULTIPLICATIONS = 64, 1 << 26


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


@dataclass
class Call:
    """One run of the jitted function, before its results are allocated."""

    arguments: NDArray[np.int64]
    visited: int
    order: NDArray[np.int64]
    coefficients: NDArray[np.float64]
    penalties: NDArray[np.float64]
    collect: bool
    members: int


class Workspace:
    """The buffers of a team for batches of up to `capacity` rows.

    Args:
        executor: whose buffers they are.
        capacity: rows.
        members: of the team.

    Attributes:
        buffers: what each member is given: values, their gradients, scratch, halves, half parameters and partial
            products are the team's, the rest its own.
        tables: rows of the table of arrays, for the buffers of each member.
    """

    def __init__(self, executor: NumbaExecutor, capacity: int, members: int) -> None:
        plan, program, dtype = executor.plan, executor.program, executor.dtype
        tables = np.concatenate([plan.losses, plan.metrics])
        positions = tables[:, L_POSITIONS].max(initial=1)
        widest = (tables[:, L_POSITIONS] * tables[:, L_WIDTH]).max(initial=1)
        self.capacity = capacity
        self.rows = -(-capacity // members)

        def room(*columns: int, rows: int) -> list[Array]:
            return [np.empty(rows * n, dtype) for n in columns]

        together = room(plan.value_columns, plan.delta_columns, plan.scratch_columns, rows=capacity)
        # two numbers in bfloat16 take the room of one: those of all values, of their gradients and of the parameters
        halves = capacity * (plan.value_columns + plan.delta_columns), program.parameter_count
        half = [np.empty(-(-n // 2) if executor.bfloat16 else 0, dtype) for n in halves]
        partial = np.empty((members - 1) * plan.partial(capacity), dtype)
        # sample weights of one loss, scratch of losses, targets, sample weights
        own = 1, int(positions + widest), program.target_columns, max(1, len(program.outputs))
        self.buffers = [
            (*together, *room(*own, rows=self.rows), np.empty(plan.workspace, dtype), *half, partial)
            for _ in range(members)
        ]
        self.tables = [A.words(buffers) for buffers in self.buffers]


class Once:
    """What one thread needs to predict a few rows, made at its first call.

    Attributes:
        arguments: what the loop is told, number of rows and their address left out.
        call: the loop, parameters and outputs left out.
    """

    def __init__(self, executor: NumbaExecutor) -> None:
        program = executor.program
        self.arguments = np.zeros(A.ARGUMENTS, np.int64)
        self.arguments[[A.SMALL, A.SMALL_TURNED]] = executor._small
        self.arguments[[A.MODE, A.X_COLUMNS, A.CAPACITY, A.PART, A.MEMBERS, A.COLLECT]] = (
            A.PREDICT, program.input_columns, executor.few, executor.few, 1, 1,
        )  # fmt: skip
        losses, metrics = len(program.losses), len(program.metrics)
        params, nowhere = np.zeros(0, executor.dtype), np.zeros((0, 0), executor.dtype)
        given = (
            np.zeros(1, np.int64), self.arguments, _NO_ORDER, _NO_ROWS, _NO_PENALTIES, params, executor._no_gradients,
            nowhere, np.empty(executor.plan.shared, executor.dtype), np.zeros(1),
            *(np.zeros((1, 1, n)) for n in (losses + 1, metrics, metrics, 2)), nowhere,
        )  # fmt: skip
        self.call = executor._call(0, Workspace(executor, executor.few, 1), np.zeros(CALL_SIZE, np.int64), given)


class FewRows:
    """Predicts few rows of one state, in microseconds; for one thread at a time.

    Attributes:
        rows: the most there may be.
    """

    def __init__(self, executor: NumbaExecutor, state: State, rows: int) -> None:
        once, program = Once(executor), executor.program
        self.rows = rows
        self._x = np.zeros((rows, program.input_columns), executor.dtype)
        self._outputs = np.zeros((rows, program.output_columns), executor.dtype)
        self._arguments = once.arguments
        self._arguments[[A.X_ADDRESS, A.X_IS_BYTES]] = self._x.ctypes.data, 0
        self._count = 0
        self._params = state.params
        self._call = once.call
        self._call.put(A.PARAMS, self._params)
        self._call.put(A.COLLECTED, self._outputs)

    def __call__(self, x: Array) -> Array:
        """Return float[N, output columns] for x (N, input columns), N at most `rows`."""
        count = len(x)
        if count != self._count:
            self._arguments[[A.N_ROWS, A.BATCH, A.PASS_ROWS]] = self._count = count
        self._x[:count] = x
        self._call()
        return self._outputs[:count].copy()


class NumbaExecutor:
    """One program in one precision on the CPU; see `fastann_kernels.backend.Executor`.

    Calls from several threads are safe: each thread has buffers of its own, and the loop runs without the GIL.

    Attributes:
        few: rows up to which a prediction is made at once.
        rows_at_once: rows of a batch that a member works on at once.
    """

    def __init__(self, program: Program, precision: str = "float32") -> None:
        _check(program, precision)
        self._small = _small_product(blas.bind())
        self.program = program
        self.precision = precision
        self.few = min(_FEW_ROWS, _FEW_MULTIPLICATIONS // max(1, program.multiplications))
        self.dtype = storage_dtype(precision)
        self.plan = make_plan(program)
        self._separable = separable(program)
        self._only_dense = _only_dense(program)
        self.rows_at_once = _rows_at_once(program)
        self._local = threading.local()
        # what compiles does so here, where nobody takes times and Ctrl-C is heard at once
        run = f"{units.RUN}.{self.dtype.name}"
        calls, own = operations.names(program, self.dtype), units.names(program, self.dtype)
        found = addresses([run, *own, *chain(*calls)])
        self._loop = at(found[run])
        self._tables = (
            *self.plan.tables,
            np.array([found.get(name, 0) for name in chain(*calls)], np.int64).reshape(-1, 3),
            np.array([found.get(name, 0) for name in own], np.int64),
        )
        self._threads = threads_allowed(os.environ)
        self._no_gradients = np.zeros((1, 0), self.dtype)
        self.bfloat16 = precision == "bfloat16"
        self._rows = A.words(self._tables)

    def put_state(self, host: HostState) -> State:
        slots = np.array(host.slots, self.dtype, order="C").reshape(len(host.slots), self.program.parameter_count)
        return State(np.array(host.params, self.dtype, order="C"), slots)

    def get_state(self, state: State) -> HostState:
        return HostState(state.params.copy(), state.slots.copy())

    def put_data(self, x: Array, y: Array | None = None, weights: Array | None = None) -> Data:
        return Data(x, y, weights, len(x), _address(x), _address(y), _address(weights))

    def train(self, state: State, data: Data, steps: Steps, members: int | None = None) -> tuple[State, Record]:
        """Run the steps and return the state with the record; `members` threads share each batch, if it is given."""
        if self.program.update is None:
            raise ValueError("expected a program with an update rule, got None: lower the model with an optimizer.")
        order = _NO_ORDER if steps.order is None else np.ascontiguousarray(steps.order, np.int64)
        visited = data.rows if steps.order is None else order.size
        a_pass = visited if steps.pass_rows is None else steps.pass_rows
        arguments = self._arguments(A.TRAIN, data, min(steps.batch_size, a_pass))
        arguments[A.PASS_ROWS] = a_pass
        arguments[A.FIRST_STEP] = steps.first_step & 0xFFFFFFFF
        arguments[A.KEY_0], arguments[A.KEY_1] = steps.key
        arguments[A.STOP] = int(steps.stop_at_nonfinite)
        arguments[A.ORDERED] = int(steps.order is not None)
        arguments[A.SQUARES_EVERY] = steps.squares_every
        members = members or self._members(int(arguments[A.BATCH]))
        call = Call(arguments, visited, order, steps.coefficients, steps.penalties, steps.collect_outputs, members)
        return state, self._run(call, state, self._gradients(members))

    def evaluate(
        self,
        state: State,
        data: Data,
        batch_size: int,
        penalties: NDArray[np.float64],
        collect_outputs: bool = False,
        members: int | None = None,
    ) -> Record:
        """Run every row forward; `members` threads share each batch, if it is given."""
        arguments = self._arguments(A.EVALUATE, data, min(batch_size, data.rows))
        members = members or self._members_forward(int(arguments[A.BATCH]), data.rows)
        call = Call(arguments, data.rows, _NO_ORDER, _NO_ROWS, penalties, collect_outputs, members)
        return self._run(call, state, self._no_gradients)

    def predict(self, state: State, x: Array, batch_size: int) -> Array:
        if 0 < len(x) <= self.few:
            return self._predict_at_once(state, x)
        data = self.put_data(x)
        arguments = self._arguments(A.PREDICT, data, min(batch_size, data.rows))
        members = self._members_forward(int(arguments[A.BATCH]), data.rows)
        call = Call(arguments, data.rows, _NO_ORDER, _NO_ROWS, _NO_PENALTIES, True, members)
        outputs = self._run(call, state, self._no_gradients).outputs
        assert outputs is not None
        return outputs

    def few_rows(self, state: State) -> FewRows | None:
        """Return what predicts few rows of a state without the cost of a call; None where that is not its main part."""
        return FewRows(self, state, self.few) if self.few > 0 else None

    def _predict_at_once(self, state: State, x: Array) -> Array:
        """Return what `predict` does for a few rows, where allocating and holding BLAS would be most of the time.

        One thread does it: MKL has no more, and where BLAS is OpenBLAS, dense layers of so few rows are for the kernel
        for small matrices. What is left to OpenBLAS, large convolutions, may take its threads.
        """
        once: Once | None = getattr(self._local, "once", None)
        if once is None:
            once = self._local.once = Once(self)
        arguments = once.arguments
        arguments[A.N_ROWS] = arguments[A.BATCH] = arguments[A.PASS_ROWS] = len(x)
        arguments[A.X_ADDRESS], arguments[A.X_IS_BYTES] = _address(x), x.dtype == np.uint8
        outputs = np.empty((len(x), self.program.output_columns), self.dtype)
        once.call.put(A.PARAMS, state.params)
        once.call.put(A.COLLECTED, outputs)
        once.call()
        return outputs

    def gradients(
        self, state: State, data: Data, penalties: NDArray[np.float64], key: tuple[int, int] | None = None
    ) -> tuple[float, Array]:
        arguments = self._arguments(A.GRADIENTS, data, data.rows)
        if key is not None:
            arguments[A.DROP] = 1
            arguments[A.KEY_0], arguments[A.KEY_1] = key
        grads = np.zeros((1, self.program.parameter_count), self.dtype)
        record = self._run(Call(arguments, data.rows, _NO_ORDER, _NO_ROWS, penalties, False, 1), state, grads)
        return float(record.losses[0]), grads[0]

    def gradient_squares(
        self,
        state: State,
        data: Data,
        order: NDArray[np.int64] | None,
        batch_size: int,
        key: tuple[int, int] | None = None,
    ) -> NDArray[np.float64]:
        rows = _NO_ORDER if order is None else np.ascontiguousarray(order, np.int64)
        visited = data.rows if order is None else rows.size
        arguments = self._arguments(A.GRADIENTS, data, min(batch_size, visited))
        arguments[A.ORDERED], arguments[A.SQUARES_EVERY] = int(order is not None), 1
        arguments[A.PASS_ROWS] = visited
        if key is not None:
            arguments[A.DROP] = 1
            arguments[A.KEY_0], arguments[A.KEY_1] = key
        members = self._members(int(arguments[A.BATCH]))
        penalties = np.zeros((len(self.program.parameters), 2))
        call = Call(arguments, visited, rows, _NO_ROWS, penalties, False, members)
        squares = self._run(call, state, self._gradients(members)).gradient_squares
        assert squares is not None
        return squares

    def _members(self, batch: int) -> int:
        """Return how many threads share a batch: more than one only where the work outweighs waiting for each other.

        They may be more than rows where all gradients can be shared otherwise; elsewhere a member without rows would
        have gradients of its own, all zero, to be added up.
        """
        work = 6.0 * batch * self.program.multiplications
        most = self._threads if self._only_dense else min(self._threads, batch)
        return max(1, min(most, int(work / _WORK_PER_THREAD)))

    def _members_forward(self, batch: int, rows: int) -> int:
        """Return how many threads share a batch of a call that runs so many rows forward and no more.

        Training must not look at the length of a call: the same epoch in other calls has the same sums.
        """
        work = 2.0 * self.program.multiplications
        if rows * work < _WORK_TO_WAKE:
            return 1
        return max(1, min(self._threads, batch, int(batch * work / _WORK_PER_THREAD)))

    def _gradients(self, members: int) -> Array:
        """Return this thread's float[members, P], made anew only when the team grows."""
        grads: Array | None = getattr(self._local, "grads", None)
        if grads is None or len(grads) != members:
            grads = self._local.grads = np.zeros((members, self.program.parameter_count), self.dtype)
        return grads

    def _arguments(self, mode: int, data: Data, batch: int) -> NDArray[np.int64]:
        arguments = np.zeros(A.ARGUMENTS, np.int64)
        arguments[A.MODE] = mode
        arguments[A.N_ROWS] = data.rows
        arguments[A.BATCH] = max(batch, 1)
        arguments[A.PASS_ROWS] = data.rows
        arguments[[A.SMALL, A.SMALL_TURNED]] = self._small
        arguments[A.FLAGS] = self.plan.flags
        arguments[A.X_ADDRESS], arguments[A.X_IS_BYTES] = data.x_address, int(data.x.dtype == np.uint8)
        arguments[A.X_COLUMNS] = data.x.shape[1]
        if data.y is not None:
            arguments[A.Y_ADDRESS], arguments[A.Y_COLUMNS] = data.y_address, data.y.shape[1]
        if data.weights is not None:
            arguments[A.W_ADDRESS], arguments[A.W_COLUMNS] = data.weights_address, data.weights.shape[1]
        return arguments

    def _run(self, call: Call, state: State, grads: Array) -> Record:
        """Allocate the results, run the team and cut the results to the steps that ran."""
        arguments, batch = call.arguments, int(call.arguments[A.BATCH])
        a_pass = int(arguments[A.PASS_ROWS])
        steps = -(-a_pass // batch)  # of a pass
        count = call.visited // max(a_pass, 1) * steps
        arguments[A.PART] = min(batch, self.rows_at_once * call.members)
        space = self._workspace(int(arguments[A.PART]), call.members)
        arguments[A.CAPACITY], arguments[A.MEMBERS] = space.capacity, call.members
        arguments[A.COLLECT] = int(call.collect)
        losses = np.zeros(count)
        parts = np.zeros((call.members, count, len(self.program.losses) + 1))
        sums, totals = np.zeros((2, call.members, count, len(self.program.metrics)))
        measured = bool(arguments[A.SQUARES_EVERY])
        squares = np.full((call.members, count if measured else 0, 2), np.nan)
        outputs = np.empty((call.visited if call.collect else 0, self.program.output_columns), self.dtype)
        coefficients = np.ascontiguousarray(call.coefficients, np.float64)
        penalties = np.ascontiguousarray(call.penalties, np.float64)
        barrier = np.zeros(1, np.int64)
        calls = np.zeros((call.members, CALL_SIZE), np.int64)
        shared = np.empty(call.members * self.plan.shared, self.dtype)
        given = (
            barrier, arguments, call.order, coefficients, penalties, state.params, grads, state.slots, shared, losses,
            parts, sums, totals, squares, outputs,
        )  # fmt: skip
        work = [self._call(member, space, calls[member], given) for member in range(call.members)]
        with single_threaded_blas():
            team.run(lambda member: work[member](), call.members, barrier)
        completed = work[0].completed
        if arguments[A.MODE] == A.EVALUATE:
            weights = self.plan.loss_numbers[:, N_WEIGHT]
            together = parts.sum(axis=0)
            losses = together[:, :-1] @ weights + together[:, -1] + self._penalty(state.params, penalties)
        rows = np.full(count, batch, np.int64)
        rows[steps - 1 :: max(steps, 1)] = a_pass - (steps - 1) * batch
        ran = min(completed + 1, count)
        return Record(
            losses[:ran], rows[:ran], _over_members(sums)[:ran], _over_members(totals)[:ran],
            _over_members(parts)[:ran, :-1],
            outputs[: int(rows[:ran].sum())] if call.collect else None, completed,
            self._squares(squares.sum(axis=0)[:ran], rows[:ran]) if measured else None,
        )  # fmt: skip

    def _call(self, member: int, space: Workspace, call: NDArray[np.int64], given: Sequence[Array]) -> DirectCall:
        """Return the loop as a member of a team calls it; `given`: from arguments.BARRIER on."""
        grads = given[A.GRADS - A.BARRIER]
        own = call, grads[min(member, len(grads) - 1)]
        table = [0, member, 0, 0, *self._rows, *space.tables[member], *A.words((*own, *given))]
        return DirectCall(self._loop, table, (self._tables, space, call, given))

    def _squares(self, sums: NDArray[np.float64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Turn the sums of the kernels, made with the gradients of mean losses, into what `Record` holds."""
        sums[:, 0] *= rows if self._separable else np.nan
        return sums

    def _penalty(self, params: Array, penalties: NDArray[np.float64]) -> float:
        """Return the sum of all penalties."""
        total = 0.0
        for parameter, (l1, l2) in zip(self.program.parameters, penalties, strict=True):
            if l1 or l2:
                w = params[parameter.offset : parameter.offset + parameter.size].astype(np.float64)
                total += float(l1 * np.abs(w).sum() + l2 * np.square(w).sum())
        return total

    def _workspace(self, rows: int, members: int) -> Workspace:
        """Return this thread's buffers, made anew only when more rows or a larger team come."""
        space: Workspace | None = getattr(self._local, "space", None)
        if space is None or space.capacity < rows or len(space.buffers) < members or space.rows * members < rows:
            space = self._local.space = Workspace(self, rows, members)
        return space


def _small_product(provider: str) -> tuple[int, int]:
    """Return up to how many multiplications a product, and one with a transposed first factor, is for `small_gemm`."""
    if provider == "mkl" and blas.mkl_is_slow():
        return _ALWAYS
    return _SMALL_PRODUCT.get((provider, VECTOR_BYTES), _UNKNOWN_VECTORS)


def _only_dense(program: Program) -> bool:
    """Return whether all parameters are those of dense layers."""
    return all(i.op == "dense" for i in program.instructions if i.params)


def _rows_at_once(program: Program) -> int:
    """Return how many rows a member takes through forward and backward pass at once: all where rows interact, or where
    gradients are not of the kind that is added up part by part."""
    return _ROWS_AT_ONCE if _only_dense(program) and not interacting(program) else _NO_PARTS


def _over_members(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum over the first axis."""
    return shares[0] if len(shares) == 1 else shares.sum(axis=0)


def _address(array: Array | None) -> int:
    if array is None:
        return 0
    if not array.flags.c_contiguous:
        raise ValueError(f"data must be C-contiguous, got strides {array.strides}; use numpy.ascontiguousarray.")
    return int(array.ctypes.data)


def _check(program: Program, precision: str) -> None:
    storage_dtype(precision)
    if precision == "bfloat16" and (reason := blas.why_no_halves()) is not None:
        raise UnsupportedProgram(
            f"the Numba backend has no products of bfloat16 here: {reason}; use backend='jax' or precision='float32'."
        )
    if any(loss.op == "callable" for loss in program.losses):
        raise UnsupportedProgram(
            "the Numba backend cannot differentiate a Python function as a loss; "
            "use backend='jax', or one of the named losses."
        )
    for instruction in program.instructions:
        if instruction.op not in operations.CORE and not operations.known(instruction.op):
            raise UnsupportedProgram(f"the Numba backend does not know the operation {instruction.op!r}.")
