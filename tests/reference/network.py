"""Forward and backward through the instructions, and whole stretches of training."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from fastann_kernels.backend import Steps
from fastann_kernels.program import Instruction, Program
from numpy.typing import NDArray

from .activations import activate, activate_back
from .losses import loss_values
from .metrics import metric_values
from .random import dropout_factors, fold_in
from .types import Array, Data, join, split
from .updates import update


def _pre_activation(i: Instruction, x: Array, tensors: list[Array]) -> Array:
    z = x @ tensors[i.params[0]]
    return z + tensors[i.params[1]] if i.get("use_bias") else z


def forward(program: Program, params: Array, x: NDArray[np.generic], key: tuple[int, int] | None = None) -> list[Array]:
    """Return every value of the program, each (B, *shape); dropout only if the key of the step is given."""
    tensors, rows = split(program, np.asarray(params, np.float64)), len(x)
    values = [np.zeros((rows, *v.shape)) for v in program.values]
    column = 0
    for i in program.inputs:
        values[i][:] = x[:, column : column + program.values[i].size].reshape(values[i].shape)
        column += program.values[i].size
    for i in program.instructions:
        a = values[i.inputs[0]]
        if i.op == "dense":
            a = activate(str(i.get("activation", "linear")), _pre_activation(i, a, tensors), float(i.get("alpha")))
        elif i.op == "activation":
            a = activate(str(i.get("activation")), a, float(i.get("alpha")))
        elif i.op == "dropout" and key is not None:
            a = a * dropout_factors(float(i.get("rate")), fold_in(key, int(i.get("stream"))), a.shape)
        values[i.output] = a.reshape(rows, *program.values[i.output].shape)
    return values


def backward(
    program: Program, params: Array, values: list[Array], grads: list[Array], key: tuple[int, int] | None
) -> Array:
    """Carry dL/d(value) back through the instructions, last to first, and return dL/d(params) float[P]."""
    tensors = split(program, params)
    slopes = [np.zeros_like(t) for t in tensors]
    for i in reversed(program.instructions):
        x, g = values[i.inputs[0]], grads[i.output]
        if i.op == "dense":
            z = _pre_activation(i, x, tensors)
            delta = activate_back(str(i.get("activation", "linear")), z, float(i.get("alpha")), g)
            slopes[i.params[0]] += np.einsum("bi,bo->io", x.reshape(-1, x.shape[-1]), delta.reshape(-1, z.shape[-1]))
            if i.get("use_bias"):
                slopes[i.params[1]] += delta.reshape(-1, z.shape[-1]).sum(0)
            g = delta @ tensors[i.params[0]].T
        elif i.op == "activation":
            g = activate_back(str(i.get("activation")), x, float(i.get("alpha")), g)
        elif i.op == "dropout" and key is not None:
            g = g * dropout_factors(float(i.get("rate")), fold_in(key, int(i.get("stream"))), x.shape)
        grads[i.inputs[0]] += g.reshape(x.shape)
    return join(program, slopes)


def _target(y: Array, column: int, shape: tuple[int, ...]) -> Array:
    return y[:, column : column + int(np.prod(shape, dtype=int))].reshape(len(y), *shape)


def loss_and_gradient(
    program: Program, params: Array, data: Data, penalties: Array, key: tuple[int, int] | None = None
) -> tuple[float, Array, list[Array], Array]:
    """Return (loss with penalties, its gradient float[P], all values, each loss alone) of `data` as one batch.

    `key` is the key of the step (the root key with the number of the update folded in), or None for no dropout.
    """
    x, y, weights = data
    params = np.asarray(params, np.float64)
    values = forward(program, params, x, key)
    grads = [np.zeros_like(v) for v in values]
    total, parts = 0.0, []
    for loss in program.losses:
        used = loss.logits if loss.logits >= 0 else loss.prediction
        each, slopes = loss_values(loss, _target(y, loss.column, loss.target_shape), values[used])
        w = np.ones(len(x)) if weights is None else weights[:, loss.weight_column].astype(np.float64)
        share = w.reshape(-1, *[1] * (each.ndim - 1)) / each.size
        parts.append((share * each).sum())
        total += loss.weight * parts[-1]
        grads[used] += loss.weight * share[..., None] * slopes
    gradient = backward(program, params, values, grads, key)
    for p, (l1, l2) in zip(program.parameters, penalties, strict=True):
        w = params[p.offset : p.offset + p.size]
        total += l1 * np.abs(w).sum() + l2 * (w**2).sum()
        gradient[p.offset : p.offset + p.size] += l1 * np.sign(w) + 2 * l2 * w
    return float(total), gradient, values, np.array(parts)


def metric_sums(program: Program, values: list[Array], data: Data) -> Array:
    """Return float64[metrics, 2]: for each metric the weighted sum over all positions, and the sum of the weights."""
    _, y, weights = data
    result = np.zeros((len(program.metrics), 2))
    for row, metric in zip(result, program.metrics, strict=True):
        used = metric.logits if metric.logits >= 0 else metric.prediction
        each = metric_values(metric, _target(y, metric.column, metric.target_shape), values[used])
        w = np.ones(len(y))
        if metric.weighted and weights is not None:
            w = weights[:, metric.weight_column].astype(np.float64)
        w = np.broadcast_to(w.reshape(-1, *[1] * (each.ndim - 1)), each.shape)
        row[:] = (w * each).sum(), w.sum()
    return result


class Run(NamedTuple):
    """What `run_steps` returns: final state, float64[steps] losses, float64[steps, metrics, 2] sums and weights."""

    params: Array
    slots: Array
    losses: Array
    metrics: Array


def run_steps(program: Program, params: Array, slots: Array, data: Data, steps: Steps) -> Run:
    """Run the steps of one call of `Executor.train` in float64."""
    x, y, weights = data
    params, slots = np.array(params, np.float64), np.array(slots, np.float64)
    order = np.arange(len(x)) if steps.order is None else steps.order
    losses, metrics = [], []
    for k in range(-(-len(order) // steps.batch_size)):
        rows = order[k * steps.batch_size : (k + 1) * steps.batch_size]
        batch = (x[rows], None if y is None else y[rows], None if weights is None else weights[rows])
        key = fold_in(steps.key, steps.first_step + k)
        loss, gradient, values, _ = loss_and_gradient(program, params, batch, steps.penalties, key)
        losses.append(loss)
        metrics.append(metric_sums(program, values, batch))
        if steps.stop_at_nonfinite and not np.isfinite(loss):
            break
        params, slots = update(program, params, slots, gradient, steps.coefficients[k])
    return Run(params, slots, np.array(losses), np.array(metrics))
