"""How a backend is compared with the reference: outputs, losses, metrics, gradients, and stretches of training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from fastann_kernels.backend import Executor, HostState, Steps, get_backend
from fastann_kernels.program import Program
from numpy.typing import NDArray

from tests import reference
from tests.programs import no_penalties, state_for
from tests.reference.types import Array, Data

#: Largest error of a single pass and of a few updates, relative to the largest entry of the array (or to 1). float64:
#: the rounding of some hundred operations, times the condition of the small networks here. float32: the same with unit
#: roundoff 6e-8, plus 3e-7 for exp and tanh as rational functions; an adaptive rule divides by roots of small numbers.
TOLERANCE = {"float64": (1e-12, 1e-10), "float32": (2e-5, 2e-4)}


def central_differences(function: Callable[[Array], float], x: Array, h: float = 1e-6) -> Array:
    """d function / d x_i, each by a step of h both ways; the error is of order h^2 + 1e-16 |f| / h."""
    slopes = np.empty_like(x)
    for i in range(x.size):
        above, below = x.copy(), x.copy()
        above[i] += h
        below[i] -= h
        slopes[i] = (function(above) - function(below)) / (2 * h)
    return slopes


def close(actual: object, expected: object, tolerance: float, what: str) -> None:
    """Assert equality within `tolerance` of the largest entry of `expected`, or of 1 if that is smaller."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, expected {expected.shape}"
    scale = max(1.0, float(np.abs(expected).max(initial=0.0)))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance * scale, err_msg=what)


def cast(data: Data, precision: str) -> tuple[NDArray[np.generic], Array | None, Array | None]:
    """Round data to `precision`, so that the reference sees the very numbers that the backend sees."""
    x, y, weights = data
    x = x if x.dtype == np.uint8 else np.ascontiguousarray(x, precision)
    rounded = (None if a is None else np.ascontiguousarray(a, precision) for a in (y, weights))
    return (x, *rounded)  # type: ignore[return-value]


class Comparison:
    """One program with parameters and data, on one backend and in one precision, next to the reference."""

    def __init__(self, backend: str, program: Program, params: Array, data: Data, precision: str = "float64") -> None:
        self.program, self.precision = program, precision
        self.executor: Executor = get_backend(backend).executor(program, precision)
        self.host: HostState = state_for(program, params, precision)
        self.data = cast(data, precision)
        self.once, self.after_updates = TOLERANCE[precision]

    def state(self, params: Array | None = None) -> object:
        params = self.host.params if params is None else np.asarray(params, self.precision)
        return self.executor.put_state(HostState(params.copy(), self.host.slots.copy()))

    def batches(self, batch_size: int) -> list[Data]:
        x, y, w = self.data
        cuts = [slice(i, i + batch_size) for i in range(0, len(x), batch_size)]
        return [(x[c], None if y is None else y[c], None if w is None else w[c]) for c in cuts]

    def check_predict(self, batch_size: int) -> None:
        values = reference.forward(self.program, self.host.params, self.data[0])
        expected = np.hstack([values[i].reshape(len(self.data[0]), -1) for i in self.program.outputs])
        got = self.executor.predict(self.state(), self.data[0], batch_size)
        assert got.dtype == self.precision
        close(got, expected, self.once, "predictions")

    def check_evaluate(self, batch_size: int, penalties: Array | None = None) -> None:
        penalties = no_penalties(self.program) if penalties is None else penalties
        data = self.executor.put_data(*self.data)
        record = self.executor.evaluate(self.state(), data, batch_size, penalties, collect_outputs=True)
        results = [
            reference.loss_and_gradient(self.program, self.host.params, b, penalties) for b in self.batches(batch_size)
        ]
        sums = [
            reference.metric_sums(self.program, values, b)
            for b, (_, _, values, _) in zip(self.batches(batch_size), results, strict=True)
        ]
        close(record.losses, [r[0] for r in results], self.once, "losses of evaluate")
        close(record.parts, [r[3] for r in results], self.once, "each loss of evaluate")
        close(record.rows, [len(b[0]) for b in self.batches(batch_size)], 0, "rows of evaluate")
        close(np.stack([record.metric_sums, record.metric_weights], -1), sums, self.once, "metrics of evaluate")
        close(record.outputs, self.executor.predict(self.state(), self.data[0], batch_size), self.once, "outputs")

    def check_gradients(
        self, penalties: Array | None = None, key: tuple[int, int] | None = None, differences: bool = False
    ) -> Array:
        """Compare loss and gradient; with `differences` also with central differences of the backend's own loss."""
        penalties = no_penalties(self.program) if penalties is None else penalties
        data = self.executor.put_data(*self.data)
        loss, gradient = self.executor.gradients(self.state(), data, penalties, key)
        step_key = None if key is None else reference.fold_in(key, 0)
        expected = reference.loss_and_gradient(self.program, self.host.params, self.data, penalties, step_key)
        close(loss, expected[0], self.once, "loss")
        close(gradient, expected[1], self.once, "gradient")
        if differences:

            def value(params: Array) -> float:
                return self.executor.gradients(self.state(params), data, penalties, key)[0]

            numeric = central_differences(value, self.host.params)
            size = np.linalg.norm(numeric)
            assert np.linalg.norm(gradient - numeric) <= 1e-6 * max(size, 1e-3), "gradient against central differences"
        return np.asarray(gradient)

    def check_train(self, steps: Steps, resumed: bool = False) -> None:
        """Run the steps in one call and, if `resumed`, again in two: both must end where the reference ends."""
        expected = reference.run_steps(self.program, self.host.params, self.host.slots, self.data, steps)
        data = self.executor.put_data(*self.data)
        state, record = self.executor.train(self.state(), data, replace(steps, collect_outputs=True))
        self._check_state(state, expected)
        close(record.losses, expected.losses, self.after_updates, "losses of train")
        metrics = np.stack([record.metric_sums, record.metric_weights], -1)
        close(metrics, expected.metrics, self.after_updates, "metrics of train")
        assert record.completed == len(expected.losses)
        assert steps.order is not None
        assert record.rows.sum() == len(record.outputs if record.outputs is not None else ()) == len(steps.order)
        if resumed:
            first, second = cut(steps, at=2)
            state, _ = self.executor.train(self.state(), data, first)
            state, _ = self.executor.train(state, data, second)
            self._check_state(state, expected)

    def _check_state(self, state: object, expected: reference.Run) -> None:
        host = self.executor.get_state(state)
        close(host.params, expected.params, self.after_updates, "parameters")
        close(host.slots, expected.slots, self.after_updates, "slots")


def cut(steps: Steps, at: int) -> tuple[Steps, Steps]:
    """Cut a stretch into the first `at` steps and the rest."""
    assert steps.order is not None
    row = at * steps.batch_size
    return (
        replace(steps, order=steps.order[:row].copy(), coefficients=steps.coefficients[:at].copy()),
        replace(
            steps,
            order=steps.order[row:].copy(),
            coefficients=steps.coefficients[at:].copy(),
            first_step=steps.first_step + at,
        ),
    )
