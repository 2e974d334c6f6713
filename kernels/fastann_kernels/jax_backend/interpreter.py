"""A `Program` as pure functions: forward, the loss of a batch, and whole stretches of steps as one `lax.scan`.

The instructions are unrolled at trace time: programs and sizes are Python values, arrays are tracers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jax import lax

from fastann_kernels.backend import storage_dtype
from fastann_kernels.jax_backend.context import Context
from fastann_kernels.jax_backend.dropout import Key, fold_in
from fastann_kernels.jax_backend.losses import absolute, callable_values, loss_values
from fastann_kernels.jax_backend.measuring import squared_norms, zero_shifts
from fastann_kernels.jax_backend.metrics import metric_values
from fastann_kernels.jax_backend.operations import OPERATIONS
from fastann_kernels.jax_backend.states import State, Tensors
from fastann_kernels.jax_backend.updates import update
from fastann_kernels.per_example import separable
from fastann_kernels.program import Loss, Metric, Program

Array = jax.Array
Values = dict[int, Array]
Carry = TypeVar("Carry")
#: In the middle of a stretch: the state, and whether all losses so far were finite.
Trained = tuple[State, Array]


class Data(NamedTuple):
    """Rows on the device: x (N, input columns), y (N, target columns), weights (N, outputs) or None."""

    x: Array
    y: Array
    weights: Array | None


class Outcome(NamedTuple):
    """Of one batch, or of many with a leading axis: loss with penalties, each loss alone, metrics, network outputs,
    squared norms of gradients (2,) where they are measured."""

    loss: Array
    parts: Array
    metric_sums: Array
    metric_weights: Array
    outputs: Array | None
    squares: Array | None = None


#: An `Outcome` on its way to the host: its numbers side by side, a row for each of many batches, and the outputs.
Packed = tuple[Array, Array | None]


def pack(outcome: Outcome) -> Packed:
    """Put the numbers of one batch into one array: each that a step writes, or leaves the device, costs its time."""
    loss, parts, sums, weights, collected, squares = outcome
    measured = [] if squares is None else [squares]
    return jnp.concatenate([loss[None], parts, sums, weights, *measured]), collected


def unpack(program: Program, packed: Packed) -> Outcome:
    """Undo `pack` for many batches; works on NumPy arrays as well."""
    numbers, collected = packed
    after_parts = 1 + len(program.losses)
    after_sums = after_parts + len(program.metrics)
    after_weights = after_sums + len(program.metrics)
    parts, sums = numbers[:, 1:after_parts], numbers[:, after_parts:after_sums]
    squares = numbers[:, after_weights:] if numbers.shape[1] > after_weights else None
    return Outcome(numbers[:, 0], parts, sums, numbers[:, after_sums:after_weights], collected, squares)


def _stack(values: Sequence[Array], dtype: jnp.dtype) -> Array:
    return jnp.stack(values) if values else jnp.zeros((0,), dtype)


def forward(program: Program, tensors: Tensors, x: Array, context: Context, dtype: jnp.dtype) -> dict[int, Array]:
    """Return every value (B, *shape) by number; x (B, input columns). What else comes of it is left in `context`."""
    rows, column = x.shape[0], 0
    values: dict[int, Array] = {}
    for i in program.inputs:
        part = x[:, column : column + program.values[i].size].astype(dtype)
        values[i] = part.reshape(rows, *program.values[i].shape)
        column += program.values[i].size
    for instruction in program.instructions:
        context.shape = (rows, *program.values[instruction.output].shape)
        inputs = [values[v] for v in instruction.inputs]
        own = [tensors[p] for p in instruction.params]
        values[instruction.output] = OPERATIONS[instruction.op](instruction, inputs, own, context)
    return values


def outputs(program: Program, values: dict[int, Array]) -> Array:
    """Return (B, output columns): the outputs side by side."""
    rows = [values[i].reshape(values[i].shape[0], -1) for i in program.outputs]
    return rows[0] if len(rows) == 1 else jnp.concatenate(rows, axis=1)


def _target(spec: Loss | Metric, y: Array) -> Array:
    block = y[:, spec.column : spec.column + math.prod(spec.target_shape)]
    return block.reshape(y.shape[0], *spec.target_shape)


def _weights(spec: Loss | Metric, data: Data, like: Array) -> Array:
    """Return the sample weights (B, 1...), ready to multiply with values (B, positions...)."""
    if data.weights is None:
        return jnp.ones((like.shape[0],) + (1,) * (like.ndim - 1), like.dtype)
    return data.weights[:, spec.weight_column].reshape(-1, *[1] * (like.ndim - 1))


def _part(loss: Loss, values: dict[int, Array], data: Data) -> Array:
    """sum_i w_i l_i / (B positions)"""
    p = values[loss.logits if loss.logits >= 0 else loss.prediction]
    y = _target(loss, data.y)
    each = callable_values(loss, y, p) if loss.op == "callable" else loss_values(loss, y, p)
    return each.mean() if data.weights is None else (_weights(loss, data, each) * each).mean()


def _metric(metric: Metric, values: dict[int, Array], data: Data) -> tuple[Array, Array]:
    """Return sum w_i m_i and sum w_i over all positions."""
    p = values[metric.logits if metric.logits >= 0 else metric.prediction]
    each = metric_values(metric, _target(metric, data.y), p)
    if not metric.weighted or data.weights is None:
        return each.sum(), jnp.asarray(each.size, each.dtype)
    weights = jnp.broadcast_to(_weights(metric, data, each), each.shape)
    return (weights * each).sum(), weights.sum()


def penalty(program: Program, tensors: Tensors, penalties: Array) -> Array:
    """Return l1 sum |w| + l2 sum w^2 over the penalized tensors; `penalties` (parameters, 2)."""
    total = jnp.zeros((), penalties.dtype)
    for row, (parameter, w) in enumerate(zip(program.parameters, tensors, strict=True)):
        if parameter.penalized:
            total = total + penalties[row, 0] * absolute(w).sum() + penalties[row, 1] * jnp.square(w).sum()
    return total


def batch_loss(
    tensors: Tensors,
    program: Program,
    precision: str,
    data: Data,
    penalties: Array,
    key: Key | None,
    collect: bool,
    shifts: Values | None = None,
) -> tuple[Array, tuple[Outcome, Values, Values]]:
    """Return the loss of one batch, which is what is differentiated, everything that is recorded of it, new values of
    parameters that no gradient changes, by their number, and the inputs of the layers that have shifts."""
    dtype, context = penalties.dtype, Context(key, precision, shifts={} if shifts is None else shifts)
    values = forward(program, tensors, data.x, context, dtype)
    parts = [_part(loss, values, data) for loss in program.losses]
    total = penalty(program, tensors, penalties)
    for loss, part in zip(program.losses, parts, strict=True):
        total = total + float(loss.weight) * part
    for penalty_of_values in context.added:
        total = total + penalty_of_values
    metrics = [_metric(metric, values, data) for metric in program.metrics]
    sums, weights = (_stack([pair[side] for pair in metrics], dtype) for side in (0, 1))
    collected = outputs(program, values) if collect else None
    outcome = Outcome(total, _stack(parts, dtype), sums, weights, collected)
    hidden = {i.output: values[i.inputs[0]] for i in program.instructions if i.output in context.shifts}
    return total, (outcome, context.updates, hidden)


def loss_and_gradient(
    program: Program, precision: str, tensors: Tensors, data: Data, penalties: Array, key: Key | None
) -> tuple[Array, Tensors]:
    """Return loss and gradient of `data` as one batch; `key` is that of the run, or None for no dropout."""
    step_key = None if key is None else fold_in(key, 0)
    differentiated = jax.value_and_grad(batch_loss, has_aux=True)
    (loss, _), grads = differentiated(tensors, program, precision, data, penalties, step_key, False)
    return loss, grads


def gradient_and_squares(
    tensors: Tensors,
    program: Program,
    precision: str,
    data: Data,
    penalties: Array,
    key: Key | None,
    collect: bool,
) -> tuple[Outcome, Values, Tensors, Callable[[], Array]]:
    """Return what `batch_loss` leaves beside the loss, its gradient, and a function that computes the squared norms.

    These are (2,), as `Executor.gradient_squares` describes them: without penalties, before clipping.
    """
    shifts = zero_shifts(program, data.x.shape[0], penalties.dtype) if separable(program) else {}
    gradient = jax.value_and_grad(batch_loss, argnums=(0, 7), has_aux=True)
    found = gradient(tensors, program, precision, data, penalties, key, collect, shifts)
    (_, (outcome, moved, hidden)), (grads, deltas) = found

    def squares() -> Array:
        pulls = jax.grad(penalty, argnums=1)(program, tensors, penalties)
        own = [g - pull for g, pull in zip(grads, pulls, strict=True)]
        return squared_norms(program, hidden, deltas, own)

    return outcome, moved, grads, squares


def take(data: Data, order: Array | None, start: Array, size: int) -> Data:
    """Return the rows order[start : start + size] of `data`, or start : start + size without an order."""
    rows = None if order is None else lax.dynamic_slice_in_dim(order, start, size)

    def pick(a: Array) -> Array:
        return lax.dynamic_slice_in_dim(a, start, size) if rows is None else a.at[rows].get(mode="clip")

    return Data(pick(data.x), pick(data.y), None if data.weights is None else pick(data.weights))


def over_batches(
    step: Callable[[Carry, Array, int], tuple[Carry, Packed]],
    carry: Carry,
    rows: int,
    batch_size: int,
    unroll: int = 1,
) -> tuple[Carry, Packed]:
    """Run step(carry, number of the step, its rows) over `rows` rows; the last step may be short.

    Full batches are one scan, `unroll` of them a turn of its loop; a short one is a step of its own in the same trace,
    and so is a lone batch.
    """
    full, rest = divmod(rows, batch_size)
    if (full, rest) == (1, 0):
        full, rest = 0, batch_size
    stretches: list[Packed] = []
    if full:
        steps = jnp.arange(full, dtype=jnp.int32)
        carry, (numbers, collected) = lax.scan(
            lambda c, k: step(c, k, batch_size), carry, steps, unroll=min(unroll, full)
        )
        stretches.append((numbers, _rows_first(collected)))
    if rest:
        carry, (numbers, collected) = step(carry, jnp.asarray(full, jnp.int32), rest)
        stretches.append((numbers[None], collected))
    if len(stretches) == 1:
        return carry, stretches[0]
    return carry, jax.tree.map(lambda a, b: jnp.concatenate([a, b]), *stretches)


def _rows_first(collected: Array | None) -> Array | None:
    """Join the first two axes, steps and rows."""
    return None if collected is None else collected.reshape(-1, collected.shape[-1])


def train(
    program: Program,
    precision: str,
    rows: int,
    batch_size: int,
    collect: bool,
    unroll: int,
    state: State,
    data: Data,
    order: Array | None,
    coefficients: Array,
    penalties: Array,
    key: Key,
    first_step: Array,
    stop: bool = False,
    squares_every: int = 0,
) -> tuple[State, Packed]:
    """Train on `rows` rows in the given order: a step is loss, gradient and update of one batch.

    `coefficients` are those of `updates.prepare`, (steps, columns); `first_step` is a uint32 scalar. With `stop` the
    state stays as it is from the first step on whose loss is not finite. `squares_every` is that of
    `fastann_kernels.backend.Steps`.
    """
    rule, dtype = program.update, penalties.dtype
    if rule is None:
        raise ValueError("the program has no update rule.")
    gradient = jax.value_and_grad(batch_loss, has_aux=True)

    def step(carry: Trained, k: Array, size: int) -> tuple[Trained, Packed]:
        before, finite = carry
        tensors, slots = before
        batch = take(data, order, k * batch_size, size)
        step_key = fold_in(key, first_step + k.astype(jnp.uint32))
        given = (tensors, program, precision, batch, penalties, step_key, collect)
        if squares_every:
            outcome, moved, grads, squares = gradient_and_squares(*given)
            due = (first_step + k.astype(jnp.uint32)) % squares_every == 0
            measured = lax.cond(due, squares, lambda: jnp.full((2,), jnp.nan, dtype))
            outcome = outcome._replace(squares=measured)
        else:
            (_, (outcome, moved, _)), grads = gradient(*given)
        row = lax.dynamic_index_in_dim(coefficients, k, keepdims=False)
        tensors, slots = update(rule, program.parameters, tensors, slots, grads, row)
        after = State(tuple(moved.get(p, tensor) for p, tensor in enumerate(tensors)), slots)
        if stop:
            finite = finite & jnp.isfinite(outcome.loss)
            after = jax.tree.map(partial(jnp.where, finite), after, before)
        return (after, finite), pack(outcome)

    (trained, _), packed = over_batches(step, (state, jnp.asarray(True)), rows, batch_size, unroll)
    return trained, packed


def train_many(
    program: Program,
    precision: str,
    rows: int,
    batch_size: int,
    collect: bool,
    unroll: int,
    stop: bool,
    squares_every: int,
    states: tuple[State, ...],
    data: Data,
    order: Array | None,
    coefficients: Array,
    penalties: Array,
    key: Key,
    first_step: Array,
) -> tuple[tuple[State, ...], Packed]:
    """Train K states as one program, each as `train` alone; all but `data` has a leading axis K."""

    def alone(
        state: State, order: Array | None, coefficients: Array, penalties: Array, key: Key, first_step: Array
    ) -> tuple[State, Packed]:
        return train(
            program, precision, rows, batch_size, collect, unroll, state, data, order, coefficients, penalties, key,
            first_step, stop, squares_every,
        )  # fmt: skip

    together = jax.tree.map(lambda *each: jnp.stack(each), *states)
    new, packed = jax.vmap(alone)(together, order, coefficients, penalties, key, first_step)
    return tuple(jax.tree.map(lambda a, k=k: a[k], new) for k in range(len(states))), packed


def evaluate_many(
    program: Program,
    precision: str,
    batch_size: int,
    collect: bool,
    networks: tuple[Tensors, ...],
    data: Data,
    penalties: Array,
) -> Packed:
    """Evaluate K sets of parameters as one program, each as `evaluate` alone; `penalties` (K, parameters, 2)."""

    def alone(own: Tensors, its_penalties: Array) -> Packed:
        return evaluate(program, precision, batch_size, collect, own, data, its_penalties)

    return jax.vmap(alone)(jax.tree.map(lambda *each: jnp.stack(each), *networks), penalties)


def gradient_squares(
    program: Program,
    precision: str,
    rows: int,
    batch_size: int,
    tensors: Tensors,
    data: Data,
    order: Array | None,
    key: Key | None,
) -> Array:
    """Return (batches, 2), the squared norms of gradients of batches at the same parameters."""
    penalties = jnp.zeros((len(program.parameters), 2), storage_dtype(precision))

    def step(carry: None, k: Array, size: int) -> tuple[None, Packed]:
        batch = take(data, order, k * batch_size, size)
        step_key = None if key is None else fold_in(key, k.astype(jnp.uint32))
        _, _, _, squares = gradient_and_squares(tensors, program, precision, batch, penalties, step_key, False)
        return None, (squares(), None)

    return over_batches(step, None, rows, batch_size)[1][0]


def evaluate(
    program: Program,
    precision: str,
    batch_size: int,
    collect: bool,
    tensors: Tensors,
    data: Data,
    penalties: Array,
) -> Packed:
    """Run every row forward in order, without dropout."""

    def step(carry: None, k: Array, size: int) -> tuple[None, Packed]:
        batch = take(data, None, k * batch_size, size)
        return None, pack(batch_loss(tensors, program, precision, batch, penalties, None, collect)[1][0])

    return over_batches(step, None, data.x.shape[0], batch_size)[1]


def predict(program: Program, precision: str, tensors: Tensors, x: Array) -> Array:
    """Return (batches, B, output columns) for x (batches, B, input columns), one batch at a time."""
    dtype = jnp.dtype(storage_dtype(precision))

    def batch(rows: Array) -> Array:
        return outputs(program, forward(program, tensors, rows, Context(precision=precision), dtype))

    return batch(x[0])[None] if x.shape[0] == 1 else lax.map(batch, x)
