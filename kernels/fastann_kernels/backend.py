"""What a backend is, which ones this machine has, and how one is chosen."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from fastann_kernels.calibration import costs, device_of, threads_of
from fastann_kernels.cost import work_of
from fastann_kernels.machine import gpu_in_reach
from fastann_kernels.program import Program

Array = NDArray[Any]

BACKENDS = ("numba", "jax")
PRECISIONS = ("float32", "float64", "tensorfloat32", "bfloat16")

#: The batch size that a backend is chosen for: `fit` alone knows the real one, and this is its default.
USUAL_BATCH = 32

#: JAX is chosen where its predicted time is below this share of Numba's: it compiles every program and every length of
#: an epoch for a second or more, and predictions are off by such a factor.
WORTH_COMPILING = 0.75


@dataclass(frozen=True)
class Steps:
    """The run-time arguments of a stretch of training: everything that may differ between two calls of one program.

    Attributes:
        order: int64[n], the rows of the data in the order they are visited, or None for 0..rows-1. Step k takes
            order[k * batch_size : (k + 1) * batch_size]; the last step may be short.
        batch_size: B.
        first_step: updates made before this call; step k draws its dropout masks for update `first_step + k`.
        coefficients: float64[steps, len(update.columns)], a row a step.
        penalties: float64[len(parameters), 2], L1 and L2 of each parameter: loss += l1 sum|w| + l2 sum w^2.
        key: two 32-bit words, the root key of the random streams.
        collect_outputs: also return what the network put out for every row visited (before that step's update).
        stop_at_nonfinite: stop before the update of the first step whose loss is NaN or infinite.
        pass_rows: rows of a pass, of which `order` has several, one after the other: the last step of each may be
            short. None for one pass.
        squares_every: measure the squared norms of gradients in every step whose number of updates made before is a
            multiple of this; 0: in none.
    """

    order: NDArray[np.int64] | None
    batch_size: int
    first_step: int
    coefficients: NDArray[np.float64]
    penalties: NDArray[np.float64]
    key: tuple[int, int] = (0, 0)
    collect_outputs: bool = False
    stop_at_nonfinite: bool = True
    pass_rows: int | None = None
    squares_every: int = 0


@dataclass(frozen=True)
class Record:
    """What happened in a stretch of steps, one entry a step (evaluation: a step is a batch).

    Attributes:
        losses: float64[steps], mean loss of the batch, penalties included.
        rows: int64[steps], rows of the batch.
        metric_sums, metric_weights: float64[steps, metrics].
        parts: float64[steps, losses], each loss of its own: weight and penalties left out.
        outputs: float[rows visited, output columns], or None if not collected.
        completed: steps whose update was made; below `steps` only if step `completed` had a non-finite loss.
        gradient_squares: float64[steps, 2], or None if none were to be measured; see `Executor.gradient_squares`. NaN
            in steps that were not measured.
    """

    losses: NDArray[np.float64]
    rows: NDArray[np.int64]
    metric_sums: NDArray[np.float64]
    metric_weights: NDArray[np.float64]
    parts: NDArray[np.float64]
    outputs: Array | None = None
    completed: int = 0
    gradient_squares: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class HostState:
    """The state of a training as NumPy arrays: params float[P], slots float[S, P]."""

    params: Array
    slots: Array


@dataclass(frozen=True)
class TrainJob:
    """One stretch of training among several that are made together; `executor.train(state, data, steps)`."""

    executor: Any
    state: Any
    data: Any
    steps: Steps


@dataclass(frozen=True)
class EvaluateJob:
    """One evaluation among several that are made together; `executor.evaluate` with the other attributes."""

    executor: Any
    state: Any
    data: Any
    batch_size: int
    penalties: NDArray[np.float64]
    collect_outputs: bool = False


@dataclass(frozen=True)
class Done:
    """What became of one job.

    Attributes:
        state: the new one of a training, as `Executor.train` returns it; the old one of an evaluation.
        record: what happened.
        seconds: that the job took, or its share of the time of those it was made with.
    """

    state: Any
    record: Record
    seconds: float


class FewRows(Protocol):
    """Predicts few rows of one state without the cost of a call of `Executor.predict`; for one thread at a time.

    Attributes:
        rows: the most there may be.
    """

    rows: int

    def __call__(self, x: Array) -> Array:
        """Return float[N, output columns] for x (N, input columns) of the executor's dtype, N at most `rows`."""


class Executor(Protocol):
    """One program, ready to run in one precision; its dtype is `storage_dtype(precision)`.

    States and data sets are the backend's own objects: arrays on the host for Numba, on the device for JAX. A state
    that went into `train` must not be used afterwards; use the one that came out.
    """

    program: Program
    precision: str

    def put_state(self, host: HostState) -> Any:
        """Take a copy of `host` to where the backend works."""

    def get_state(self, state: Any) -> HostState:
        """Return a copy of `state` as NumPy arrays."""

    def put_data(self, x: Array, y: Array | None = None, weights: Array | None = None) -> Any:
        """Make a data set of x (N, input columns), y (N, target columns) and weights (N, outputs).

        x is of the executor's dtype or uint8, y and weights of its dtype; all C-contiguous. Labels of classes stand
        in y as whole numbers.
        Nothing is copied that need not be: a memory map stays one.
        """

    def train(self, state: Any, data: Any, steps: Steps) -> tuple[Any, Record]:
        """Run the steps and return the new state with the record."""

    def evaluate(
        self, state: Any, data: Any, batch_size: int, penalties: NDArray[np.float64], collect_outputs: bool = False
    ) -> Record:
        """Run every row forward, in order and without dropout; losses and metrics as in `train`."""

    def predict(self, state: Any, x: Array, batch_size: int) -> Array:
        """Return float[N, output columns] for x (N, input columns)."""

    def few_rows(self, state: Any) -> FewRows | None:
        """Return what predicts few rows of `state`, which follows it where it is trained in place; None for nothing
        quicker than `predict`."""

    def gradients(
        self, state: Any, data: Any, penalties: NDArray[np.float64], key: tuple[int, int] | None = None
    ) -> tuple[float, Array]:
        """Return loss and gradient float[P] of all rows as one batch; dropout only if a key is given (as in step 0)."""

    def gradient_squares(
        self,
        state: Any,
        data: Any,
        order: NDArray[np.int64] | None,
        batch_size: int,
        key: tuple[int, int] | None = None,
    ) -> NDArray[np.float64]:
        """Return float64[batches, 2] for batches of rows in `order`, all at the same parameters, none of which changes.

        For a batch of B rows with g_i the gradient of w_i l_i, the loss of row i (with `Loss.weight` and penalties on
        activations, without those on parameters) times its sample weight, over the trainable parameters:

            column 0: (1 / B) sum_i |g_i|^2, or NaN unless `per_example.separable(program)`
            column 1: |(1 / B) sum_i g_i|^2

        Layers behave as in training if a key is given: batch k draws the dropout masks of step k. With factors that are
        rounded to bfloat16, column 0 is computed from what they were before.
        """


class Backend(Protocol):
    """A module of this package: `numba_backend` or `jax_backend`."""

    name: str

    def executor(self, program: Program, precision: str = "float32") -> Executor:
        """Prepare `program`; raises `UnsupportedProgram` if it, or the precision, needs what this backend cannot do."""

    def train_many(self, jobs: Sequence[TrainJob]) -> list[Done]:
        """Run stretches of training of this backend's executors at the same time; each as `Executor.train` alone.

        Jobs may differ in everything, and what those of one executor have in common makes them fast: the data set,
        the number of rows they visit, the batch size. No two may have one state.
        """

    def evaluate_many(self, jobs: Sequence[EvaluateJob]) -> list[Done]:
        """Run evaluations of this backend's executors at the same time; each as `Executor.evaluate` alone."""

    def shuffle(self, generator: np.random.Generator, order: NDArray[np.int64]) -> None:
        """Do what `fastann_kernels.orders.shuffle` does, number by number; the generator is new, and not used again."""

    def describe(self) -> dict[str, Any]:
        """Return versions, devices, threads and libraries, for `fastann info`."""


def storage_dtype(precision: str) -> np.dtype[Any]:
    """Return the type that weights, optimizer state, data, losses and sums have in a precision.

    "tensorfloat32" and "bfloat16" say how the factors of matrix products and convolutions may be rounded; what is
    stored and added up stays float32.

    >>> storage_dtype("bfloat16")
    dtype('float32')

    Raises:
        ValueError: there is no such precision.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {', '.join(map(repr, PRECISIONS))}, got {precision!r}.")
    return np.dtype("float64" if precision == "float64" else "float32")


class UnsupportedProgram(ValueError):
    """A program needs something the backend cannot do; the message names the backend that can."""


class BackendNotInstalled(ImportError):
    """The library a backend needs is missing; the message says how to install it."""


@dataclass(frozen=True)
class Choice:
    """A backend and why it was chosen."""

    name: str
    reasons: tuple[str, ...] = field(default_factory=tuple)

    def __str__(self) -> str:
        return f"backend {self.name!r}: " + "; ".join(self.reasons)


def available_backends() -> tuple[str, ...]:
    """Return the names of the backends whose library is installed, without importing it."""
    return tuple(name for name in BACKENDS if importlib.util.find_spec(name) is not None)


def get_backend(name: str) -> Backend:
    """Return the backend called `name` ("numba" or "jax"), importing its library on first use."""
    if name not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(map(repr, BACKENDS))}, got {name!r}.")
    if importlib.util.find_spec(name) is None:
        raise BackendNotInstalled(
            f"backend {name!r} needs the package {name}, which is not installed: pip install 'fastann[{name}]'."
        )
    module = importlib.import_module(f"fastann_kernels.{name}_backend")
    return module.backend  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Prediction:
    """What the cost model says of one backend.

    Attributes:
        backend, device: such as "jax" and "jax-cpu".
        batch_size: rows of a step.
        seconds: of a training step inside a long call.
        source: where the model's figures come from.
    """

    backend: str
    device: str
    batch_size: int
    seconds: float
    source: str


def predict_step(
    backend: str,
    program: Program,
    batch_size: int = USUAL_BATCH,
    precision: str = "float32",
    environ: Mapping[str, str] | None = None,
) -> Prediction:
    """Predict the time of a training step, see `fastann_kernels.cost`; neither Numba nor JAX is imported."""
    environment = os.environ if environ is None else environ
    device, known = device_of(backend, environment), costs(environment)
    work = work_of(program, batch_size, precision, threads_of(device, environment))
    return Prediction(backend, device, batch_size, work.seconds(known.units[device]), known.source(device))


def choose_backend(
    program: Program | None = None,
    environ: Mapping[str, str] | None = None,
    batch_size: int = USUAL_BATCH,
    precision: str = "float32",
) -> Choice:
    """Choose what `backend="auto"` means on this machine, with the reasons.

    Where both backends are installed and the program has instructions, the cost model decides; files, environment and
    arguments are all that counts, so the answer stays the same.
    """
    environment = os.environ if environ is None else environ
    wish = environment.get("FASTANN_BACKEND", "").strip().lower()
    if wish and wish != "auto":
        if wish not in BACKENDS:
            names = ", ".join(map(repr, BACKENDS))
            raise ValueError(f"FASTANN_BACKEND must be 'auto' or one of {names}, got {wish!r}.")
        return Choice(wish, ("the environment variable FASTANN_BACKEND asks for it",))
    installed = available_backends()
    if program is not None and any(loss.op == "callable" for loss in program.losses):
        return Choice("jax", ("the loss is a Python function, which only JAX can differentiate",))
    if "numba" not in installed:
        return Choice("jax", ("numba is not installed",))
    if "jax" not in installed:
        return Choice("numba", ("on a CPU whole epochs run fastest in the Numba kernels", "JAX is not installed"))
    if program is not None and program.instructions:
        numba, jax = (predict_step(name, program, batch_size, precision, environment) for name in BACKENDS)
        return _faster(numba, jax)
    if gpu_in_reach(environment):
        return Choice("jax", ("a GPU and JAX's plugin for it are present",))
    return Choice(
        "numba", ("on a CPU whole epochs run fastest in the Numba kernels", "JAX is installed, but no GPU plugin")
    )


def _faster(numba: Prediction, jax: Prediction) -> Choice:
    times = (
        f"predicted for a step of batch size {numba.batch_size}: numba {1e6 * numba.seconds:,.1f} us, "
        f"{jax.device} {1e6 * jax.seconds:,.1f} us"
    )
    if jax.seconds < WORTH_COMPILING * numba.seconds:
        return Choice("jax", ("it is predicted to be faster", times))
    if jax.seconds < numba.seconds:
        return Choice("numba", ("what JAX is predicted to gain does not make up for compiling", times))
    return Choice("numba", ("it is predicted to be faster", times))
