"""The JAX executor: the compiled functions of one program, and the traffic between host and device."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from fastann_kernels import orders
from fastann_kernels.backend import (
    Array,
    Done,
    EvaluateJob,
    HostState,
    Record,
    Steps,
    TrainJob,
    UnsupportedProgram,
    storage_dtype,
)
from fastann_kernels.jax_backend import activations, interpreter, losses, metrics, operations, updates
from fastann_kernels.jax_backend.eigen import EIGEN, eigen_wins
from fastann_kernels.jax_backend.interpreter import Data, Outcome
from fastann_kernels.jax_backend.many import evaluate_many, train_many
from fastann_kernels.jax_backend.passes import first_steps, passes_of, visited_rows
from fastann_kernels.jax_backend.placing import place
from fastann_kernels.jax_backend.records import (
    batch_sizes,
    empty_record,
    one_after_another,
    record_of,
    side_by_side,
    stopped_record,
)
from fastann_kernels.jax_backend.states import State, join, to_device, to_host
from fastann_kernels.program import Program

#: Steps in one turn of the loop over an epoch, by platform; 1 elsewhere. On a CPU more are slower (measured); on a GPU
#: a turn costs some microseconds beside its steps, and `python -m fastann.bench.gpu unroll` shows what pays.
UNROLL = {"gpu": 4}

#: Batches that `predict` runs in one call; the rest runs one by one, so that two compilations serve any length.
PREDICT_GROUP = 64


class JaxExecutor:
    """One program in one precision; see `fastann_kernels.backend.Executor`.

    A function is compiled once for each number of rows it visits, batch size and set of flags; all else is an argument.
    `traces` counts the compilations by name; `unroll` is how many steps of a training make one turn of its loop.
    """

    def __init__(self, program: Program, precision: str) -> None:
        self.program = program
        self.precision = precision
        self.dtype = storage_dtype(precision)
        self.traces: Counter[str] = Counter()
        self.unroll = UNROLL.get(jax.default_backend(), 1)
        sizes = ("rows", "batch_size", "collect")
        training = (*sizes, "unroll", "squares_every")
        # In place means half the memory, and no state to come back to after a non-finite loss.
        self._train = {
            (in_place, eigen): self._compile(interpreter.train, training, ("state",) if in_place else (), eigen)
            for in_place in (False, True)
            for eigen in (False, True)
        }
        self._evaluate = self._compile(interpreter.evaluate, sizes[1:])
        self._predict = self._compile(interpreter.predict)
        self._gradients = self._compile(interpreter.loss_and_gradient)
        self._gradient_squares = self._compile(interpreter.gradient_squares, sizes[:2])
        self._train_many = self._compile(interpreter.train_many, (*training, "stop"))
        self._evaluate_many = self._compile(interpreter.evaluate_many, sizes[1:])
        self._counts: dict[tuple[Any, ...], set[int]] = {}

    def put_state(self, host: HostState) -> State:
        """Copy `host` to the device."""
        with self._settings():
            return to_device(self.program, host, self.dtype)

    def get_state(self, state: State) -> HostState:
        """Return a copy of `state` as NumPy arrays."""
        slots = 0 if self.program.update is None else len(self.program.update.slots)
        return to_host(self.program, state, slots, self.dtype)

    def put_data(self, x: Array, y: Array | None = None, weights: Array | None = None) -> Data:
        """Bring a data set to the device, uint8 as it is. On a CPU arrays are shared where that is possible.

        So the arrays must keep their contents as long as the data set is in use. See `placing`.
        """
        y = np.zeros((len(x), 0), self.dtype) if y is None else self._array(y)
        with self._settings():
            shares = None if weights is None else place(self._array(weights))
            return Data(place(self._inputs(x)), place(y), shares)

    def train(self, state: State, data: Data, steps: Steps) -> tuple[State, Record]:
        """Run the steps and return the new state with the record."""
        if self.program.update is None:
            raise ValueError("expected a program with an update rule, got None: lower the model with an optimizer.")
        passes = passes_of(steps, data)
        if not passes:
            return state, empty_record(self.program, self.dtype, steps.collect_outputs)
        sizes = batch_sizes(visited_rows(passes[0], data), steps.batch_size, len(passes))
        with self._settings():
            eigen = eigen_wins(self.program, self.precision, min(steps.batch_size, visited_rows(passes[0], data)))
            run = self._train[not steps.stop_at_nonfinite, eigen]
            new, outcome = self._run_passes(run, state, data, passes)
            finite = np.isfinite(outcome.loss)
            if not steps.stop_at_nonfinite or finite.all():
                return new, record_of(outcome, sizes)
            # The steps before the bad one are made again, so that a good run pays for no test in each step.
            whole, good = divmod(int(np.argmin(finite)), len(sizes) // len(passes))
            again = passes[:whole]
            if good:
                again.append(first_steps(passes[whole], data, good))
            if again:
                state, _ = self._run_passes(run, state, data, again)
        return state, stopped_record(outcome, sizes)

    def evaluate(
        self,
        state: State,
        data: Data,
        batch_size: int,
        penalties: NDArray[np.float64],
        collect_outputs: bool = False,
    ) -> Record:
        """Run every row forward, in order and without dropout."""
        rows = data.x.shape[0]
        if rows == 0:
            return empty_record(self.program, self.dtype, collect_outputs)
        with self._settings():
            outcome = self._evaluate(
                tensors=state.tensors,
                data=data,
                penalties=self._array(penalties),
                batch_size=min(batch_size, rows),
                collect=collect_outputs,
            )
            return record_of(one_after_another(self.program, [outcome]), batch_sizes(rows, batch_size))

    def predict(self, state: State, x: Array, batch_size: int) -> Array:
        """Return float[N, output columns]. Short batches are filled up with zeros rather than compiled anew."""
        rows = len(x)
        size = min(batch_size, 1 << max(rows - 1, 0).bit_length())
        result = np.empty((rows, self.program.output_columns), self.dtype)
        start = 0
        with self._settings():
            while start < rows:
                batches = PREDICT_GROUP if rows - start >= PREDICT_GROUP * size else 1
                part = self._inputs(x[start : start + batches * size])
                count = len(part)
                if count < size:
                    part = np.concatenate([part, np.zeros((size - count, *part.shape[1:]), part.dtype)])
                block = part.reshape(batches, size, -1)
                out = jax.device_get(self._predict(tensors=state.tensors, x=block))
                result[start : start + count] = out.reshape(batches * size, -1)[:count]
                start += count
        return result

    def train_many(
        self, states: Sequence[State], data: Data, steps: Sequence[Steps]
    ) -> tuple[list[State], list[Record]]:
        """Run the steps of several states as one program; return what `train` would for each, in two lists.

        All visit as many rows, in batches of one size, and agree in what is recorded and in where they stop.
        """
        if self.program.update is None:
            raise ValueError("expected a program with an update rule, got None: lower the model with an optimizer.")
        first = steps[0]
        if first.pass_rows is not None:
            raise ValueError("expected one pass of each state, got pass_rows: train one pass after the other.")
        rows = visited_rows(first, data)
        if rows == 0:
            return list(states), [empty_record(self.program, self.dtype, first.collect_outputs) for _ in states]
        size, collect, stop = min(first.batch_size, rows), first.collect_outputs, first.stop_at_nonfinite
        kind = ("train", data.x.shape[0], rows, size, collect, stop, first.squares_every)
        padded = self._padded(len(states), kind)
        own = [self._arguments(data, each) for each in _repeated(steps, padded)]
        own = [{name: value for name, value in each.items() if name != "data"} for each in own]
        with self._settings():
            new, packed = self._train_many(
                states=tuple(_repeated(states, padded)), data=data, rows=rows, batch_size=size, collect=collect,
                unroll=self.unroll, stop=stop, squares_every=first.squares_every,
                **jax.tree.map(lambda *each: np.stack(each), *own),
            )  # fmt: skip
            jax.block_until_ready(new)  # type: ignore[no-untyped-call]
            outcomes = side_by_side(self.program, packed, len(states))
        to_record, sizes = stopped_record if stop else record_of, batch_sizes(rows, size)
        records = [to_record(each, sizes) for each in outcomes]
        return list(new[: len(states)]), records

    def evaluate_many(
        self,
        states: Sequence[State],
        data: Data,
        batch_size: int,
        penalties: Sequence[NDArray[np.float64]],
        collect_outputs: bool = False,
    ) -> list[Record]:
        """Run every row forward with each state, as one program; return what `evaluate` would for each."""
        rows = data.x.shape[0]
        if rows == 0:
            return [empty_record(self.program, self.dtype, collect_outputs) for _ in states]
        size = min(batch_size, rows)
        padded = self._padded(len(states), ("evaluate", rows, size, collect_outputs))
        with self._settings():
            packed = self._evaluate_many(
                networks=tuple(state.tensors for state in _repeated(states, padded)),
                data=data,
                penalties=np.stack([self._array(own) for own in _repeated(penalties, padded)]),
                batch_size=size,
                collect=collect_outputs,
            )
            outcomes = side_by_side(self.program, packed, len(states))
        return [record_of(each, batch_sizes(rows, size)) for each in outcomes]

    def _padded(self, count: int, kind: tuple[Any, ...]) -> int:
        """Return how many states to run: a number that was compiled before, if it is less than twice as many."""
        known = self._counts.setdefault(kind, set())
        padded = min((number for number in known if count <= number < 2 * count), default=count)
        known.add(padded)
        return padded

    def few_rows(self, state: State) -> None:
        """Return nothing: a call of JAX costs what it costs."""

    def gradients(
        self, state: State, data: Data, penalties: NDArray[np.float64], key: tuple[int, int] | None = None
    ) -> tuple[float, Array]:
        """Return loss and gradient float[P] of all rows as one batch; dropout only if a key is given (as in step 0)."""
        with self._settings():
            words = None if key is None else _words(key)
            found = self._gradients(tensors=state.tensors, data=data, penalties=self._array(penalties), key=words)
            loss, gradient = jax.device_get(found)
        return float(loss), join(self.program, gradient, self.dtype)

    def gradient_squares(
        self,
        state: State,
        data: Data,
        order: NDArray[np.int64] | None,
        batch_size: int,
        key: tuple[int, int] | None = None,
    ) -> NDArray[np.float64]:
        """Return the squared norms of gradients of batches of rows, float64[batches, 2]."""
        rows = data.x.shape[0] if order is None else len(order)
        with self._settings():
            found = self._gradient_squares(
                rows=rows,
                batch_size=min(batch_size, rows),
                tensors=state.tensors,
                data=data,
                order=None if order is None else order.astype(np.int32),
                key=None if key is None else _words(key),
            )
            return np.array(jax.device_get(found), np.float64)

    def _compile(
        self,
        function: Callable[..., Any],
        static: tuple[str, ...] = (),
        donated: tuple[str, ...] = (),
        by_eigen: bool = False,
    ) -> Callable[..., Any]:
        """Jit `function` of this program; its arguments are given by name. `by_eigen` as in `eigen`."""

        def traced(**arguments: Any) -> Any:
            self.traces[function.__name__] += 1
            return function(self.program, self.precision, **arguments)

        options = EIGEN if by_eigen else None
        return jax.jit(traced, static_argnames=static, donate_argnames=donated, compiler_options=options)

    @contextmanager
    def _settings(self) -> Iterator[None]:
        """Make the call independent of JAX's configuration, which stays as it is; tracing happens inside, too."""
        wide = self.precision == "float64"
        with jax.enable_x64(wide), jax.numpy_rank_promotion("allow"), jax.transfer_guard("allow"):
            yield

    def _array(self, values: Array) -> Array:
        return np.asarray(values, self.dtype)

    def _inputs(self, x: Array) -> Array:
        return np.asarray(x) if x.dtype == np.uint8 else self._array(x)

    def _arguments(self, data: Data, steps: Steps) -> dict[str, Any]:
        """Return what the steps need, in the dtypes of the trace."""
        assert self.program.update is not None
        return {
            "data": data,
            "order": None if steps.order is None else steps.order.astype(np.int32),
            "coefficients": self._array(updates.prepare(self.program.update, steps.coefficients)),
            "penalties": self._array(steps.penalties),
            "key": _words(steps.key),
            "first_step": np.uint32(steps.first_step & 0xFFFFFFFF),
        }

    def _run_passes(
        self, run: Callable[..., Any], state: State, data: Data, passes: Sequence[Steps]
    ) -> tuple[State, Outcome]:
        """Train on one pass after the other and wait for the last: each is prepared while those before it run."""
        stretches = []
        for steps in passes:
            rows = visited_rows(steps, data)
            state, packed = run(
                state=state, rows=rows, batch_size=min(steps.batch_size, rows), collect=steps.collect_outputs,
                unroll=self.unroll, squares_every=steps.squares_every, **self._arguments(data, steps),
            )  # fmt: skip
            stretches.append(packed)
        jax.block_until_ready(state)  # type: ignore[no-untyped-call]
        return state, one_after_another(self.program, stretches)


class JaxBackend:
    """See `fastann_kernels.backend.Backend`."""

    name = "jax"

    def executor(self, program: Program, precision: str = "float32") -> JaxExecutor:
        """Prepare `program`; the same program in the same precision gives the same executor, already compiled."""
        storage_dtype(precision)
        return _executor(program, precision)

    def train_many(self, jobs: Sequence[TrainJob]) -> list[Done]:
        """Run stretches of training, those alike as one program."""
        return train_many(jobs)

    def evaluate_many(self, jobs: Sequence[EvaluateJob]) -> list[Done]:
        """Run evaluations, those alike as one program."""
        return evaluate_many(jobs)

    def shuffle(self, generator: np.random.Generator, order: NDArray[np.int64]) -> None:
        """Write a shuffled 0 .. n - 1."""
        orders.shuffle(generator, order)

    def describe(self) -> dict[str, Any]:
        """Return versions, platform, devices and JAX's own 64-bit setting (which float64 here does not need)."""
        return {
            "jax": jax.__version__,
            "jaxlib": version("jaxlib"),
            "platform": jax.default_backend(),
            "devices": [f"{device.platform}:{device.id} ({device.device_kind})" for device in jax.devices()],
            "x64": bool(jax.config.jax_enable_x64),  # type: ignore[attr-defined]
        }


@lru_cache(maxsize=128)
def _executor(program: Program, precision: str) -> JaxExecutor:
    _check(program)
    return JaxExecutor(program, precision)


def _check(program: Program) -> None:
    """Raise `UnsupportedProgram` if the program holds an operation without a kernel here."""
    activation = [str(i.get("activation", "linear")) for i in program.instructions if i.op in ("dense", "activation")]
    used = {
        "operation": ({i.op for i in program.instructions}, operations.OPERATIONS.keys()),
        "activation": (set(activation), activations.FUNCTIONS.keys()),
        "loss": ({loss.op for loss in program.losses}, losses.OPERATIONS),
        "metric": ({metric.op for metric in program.metrics}, metrics.OPERATIONS),
        "update rule": ({program.update.op} if program.update else set(), updates.RULES.keys()),
    }
    for kind, (wanted, known) in used.items():
        if missing := sorted(wanted - known):
            choice = ", ".join(sorted(known))
            raise UnsupportedProgram(
                f"expected a {kind} of the jax backend ({choice}), got {missing[0]!r}: try backend='numba'."
            )


def _words(key: tuple[int, int]) -> tuple[np.uint32, np.uint32]:
    """Return the two 32-bit words of a root key."""
    return np.uint32(key[0]), np.uint32(key[1])


def _repeated(values: Sequence[Any], count: int) -> list[Any]:
    """Return `count` values: those given, and the last one again."""
    return [*values, *[values[-1]] * (count - len(values))]
