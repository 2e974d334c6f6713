"""Squared norms of gradients, of single rows and of batches, against per-example gradients by `jax.vmap(jax.grad)`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest
from fastann_kernels.backend import TrainJob, available_backends, get_backend, storage_dtype
from fastann_kernels.per_example import interacting, separable
from fastann_kernels.program import Loss, Program, UpdateRule

from tests import reference
from tests.programs import Chain, loss_on, no_penalties, parameters_for, state_for, steps_for, targets_for

if "jax" not in available_backends():
    pytest.skip("the per-example gradients to compare with come from jax", allow_module_level=True)

import jax
import jax.numpy as jnp

ROWS, BATCH, KEY = 20, 8, (5, 6)
#: Updates before, and how often it is measured, of trainings that are made together.
FAMILY = ((0, 2), (1, 2), (0, 0))
SGD = UpdateRule("sgd")

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "linear": lambda z: z,
    "tanh": jnp.tanh,
    "relu": lambda z: jnp.maximum(z, 0),
    "sigmoid": lambda z: 1 / (1 + jnp.exp(-z)),
    "softplus": lambda z: jnp.log1p(jnp.exp(z)),
}
#: Loss of one row from what the last dense layer puts out.
LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "mean_squared_error": lambda y, z: jnp.mean((z - y) ** 2),
    "huber": lambda y, z: jnp.mean(jnp.where(jnp.abs(z - y) < 1, 0.5 * (z - y) ** 2, jnp.abs(z - y) - 0.5)),
    "binary_crossentropy": lambda y, z: jnp.mean(jnp.log1p(jnp.exp(z)) - y * z),
    "sparse_categorical_crossentropy": lambda y, z: jnp.log(jnp.exp(z).sum()) - z[y[0].astype(int)],
}
ENDS = {"binary_crossentropy": "sigmoid", "sparse_categorical_crossentropy": "softmax"}


class Case(NamedTuple):
    """A network 5 - 6 - 4 - 3; see `build`."""

    hidden: str
    loss: str
    dropout: float = 0.0
    weighted: bool = False
    bias: bool = True
    frozen: bool = False
    precision: str = "float64"


CASES = [
    Case("tanh", "mean_squared_error", precision="float32"),
    Case("relu", "sparse_categorical_crossentropy", dropout=0.4, precision="float32"),
    Case("sigmoid", "binary_crossentropy", weighted=True, bias=False),
    Case("softplus", "huber", dropout=0.25, weighted=True, frozen=True),
]


def build(case: Case) -> tuple[Program, tuple[Any, Any, Any], Any]:
    """Return the program, its data and parameters."""
    chain = Chain(5)
    chain.dense(6, case.hidden, bias=case.bias)
    if case.dropout:
        chain.dropout(case.dropout, stream=3)
    chain.dense(4, case.hidden, bias=case.bias, trainable=not case.frozen)
    logits = chain.dense(3)
    fused = case.loss in ENDS
    prediction = chain.activation(ENDS[case.loss]) if fused else logits
    loss = loss_on(chain, case.loss, prediction, logits=logits if fused else -1, weight=0.7)
    rng = np.random.default_rng(3)
    program = chain.program((loss,), update=SGD)
    weights = rng.uniform(0.2, 2, (ROWS, 1)) if case.weighted else None
    data = rng.normal(size=(ROWS, 5)), targets_for(loss, 3, ROWS, rng), weights
    return program, data, parameters_for(program, rng)


def per_example_gradients(case: Case, program: Program, data: Any, params: Any, rows: Any, step: int) -> Any:
    """Return float64[B, P], the gradient of each row's loss with respect to the trainable parameters."""
    x, y, weights = data
    masks = np.ones((len(rows), 6))
    if case.dropout:
        key = reference.fold_in(reference.fold_in(KEY, step), 3)
        masks = reference.dropout_factors(case.dropout, key, masks.shape)
    trained = np.concatenate([np.full(p.size, float(p.trainable)) for p in program.parameters])

    def loss(flat, row, target, weight, mask):
        h, place = row, iter(program.parameters)
        layers = [(case.hidden, case.bias), (case.hidden, case.bias), ("linear", True)]
        for layer, (activation, bias) in enumerate(layers):
            kernel = next(place)
            h = h @ flat[kernel.offset : kernel.offset + kernel.size].reshape(kernel.shape)
            if bias:
                b = next(place)
                h = h + flat[b.offset : b.offset + b.size]
            h = ACTIVATIONS[activation](h)
            h = h * mask if layer == 0 else h
        return 0.7 * weight * LOSSES[case.loss](target, h)

    share = np.ones(len(rows)) if weights is None else weights[rows, 0]
    with jax.enable_x64(True):
        gradients = jax.vmap(jax.grad(loss), (None, 0, 0, 0, 0))
        found = gradients(*(jnp.asarray(a) for a in (params, x[rows], y[rows], share, masks)))
    return np.asarray(found) * trained


def expected(case: Case, program: Program, data: Any, params: Any, order: Any, first_step: int = 0) -> Any:
    """Return the mean squared norm and the squared norm of the mean of each batch's gradients."""
    result = []
    for k, start in enumerate(range(0, len(order), BATCH)):
        g = per_example_gradients(case, program, data, params, order[start : start + BATCH], first_step + k)
        result.append(((g**2).sum(1).mean(), (g.mean(0) ** 2).sum()))
    return np.array(result)


def put(executor: Any, case: Case, program: Program, data: Any, params: Any) -> tuple[Any, Any]:
    dtype = storage_dtype(case.precision)
    x, y, weights = (None if a is None else a.astype(dtype) for a in data)
    return executor.put_state(state_for(program, params, dtype.name)), executor.put_data(x, y, weights)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_norms_are_those_of_per_example_gradients(backend: str, case: Case) -> None:
    program, data, params = build(case)
    executor = get_backend(backend).executor(program, case.precision)
    state, placed = put(executor, case, program, data, params)
    order = np.random.default_rng(1).permutation(ROWS)
    want = expected(case, program, data, params, order)
    tolerance = 1e-5 if case.precision == "float32" else 1e-10
    found = executor.gradient_squares(state, placed, order, BATCH, KEY)
    np.testing.assert_allclose(found, want, rtol=tolerance)
    # at a learning rate of 0 training visits the same weights; penalties and clipping do not count
    steps = steps_for(program, ROWS, BATCH, seed=1, key=KEY, squares_every=1)
    steps = replace(steps, order=order, penalties=np.full((len(program.parameters), 2), 0.01))
    record = executor.train(state, placed, steps)[1]
    np.testing.assert_allclose(record.gradient_squares, want, rtol=10 * tolerance)


@pytest.mark.skipif("numba" not in available_backends(), reason="numba is not installed")
@pytest.mark.parametrize("rows_at_once", [2, ROWS])
@pytest.mark.parametrize("members", [1, 2, 3])
def test_norms_do_not_depend_on_the_team(members: int, rows_at_once: int) -> None:
    from fastann_kernels.numba_backend.executor import NumbaExecutor

    case = CASES[3]
    program, data, params = build(case)
    executor = NumbaExecutor(program, "float64")
    executor._members, executor.rows_at_once = lambda batch: members, rows_at_once  # type: ignore[method-assign]
    state, placed = put(executor, case, program, data, params)
    order = np.random.default_rng(1).permutation(ROWS)
    want = expected(case, program, data, params, order)
    np.testing.assert_allclose(executor.gradient_squares(state, placed, order, BATCH, KEY), want, rtol=1e-10)
    clipped = replace(program, update=UpdateRule("sgd", flags=("global_clipnorm",)))
    executor = NumbaExecutor(clipped, "float64")
    executor._members, executor.rows_at_once = lambda batch: members, rows_at_once  # type: ignore[method-assign]
    steps = steps_for(clipped, ROWS, BATCH, numbers={"global_clipnorm": 1e-3}, key=KEY, squares_every=1)
    steps = replace(steps, order=order, penalties=np.full((len(program.parameters), 2), 0.01))
    record = executor.train(executor.put_state(state_for(program, params)), placed, steps)[1]
    np.testing.assert_allclose(record.gradient_squares, want, rtol=1e-10)


@pytest.mark.parametrize("case", [CASES[1], CASES[3]], ids=str)
def test_norms_of_rounded_factors_are_near_those_of_exact_ones(rounding: str, case: Case) -> None:
    program, data, params = build(case)
    case = case._replace(precision="bfloat16")
    executor = get_backend(rounding).executor(program, "bfloat16")
    state, placed = put(executor, case, program, data, params)
    want = expected(case, program, data, params, np.arange(ROWS))
    found = executor.gradient_squares(state, placed, None, BATCH, KEY)
    np.testing.assert_allclose(found, want, rtol=0.05)
    assert np.abs(found / want - 1).max() > 1e-4
    steps = replace(steps_for(program, ROWS, BATCH, key=KEY, squares_every=1), order=None)
    record = executor.train(state, placed, steps)[1]
    np.testing.assert_allclose(record.gradient_squares, found, rtol=1e-5)


def test_trainings_made_together_measure_what_each_does_alone(backend: str) -> None:
    """One measures in its even steps, one in its odd ones, one never."""
    case = CASES[3]
    program, data, params = build(case)
    module = get_backend(backend)
    executor = module.executor(program, case.precision)
    all_steps = [steps_for(program, ROWS, BATCH, key=KEY, first_step=n, squares_every=every) for n, every in FAMILY]
    alone, jobs = [], []
    for factor, steps in enumerate(all_steps, 1):
        state, placed = put(executor, case, program, data, factor * params)
        alone.append(executor.train(state, placed, steps)[1].gradient_squares)
    shared = put(executor, case, program, data, params)[1]
    for factor, steps in enumerate(all_steps, 1):
        jobs.append(TrainJob(executor, put(executor, case, program, data, factor * params)[0], shared, steps))
    together = [done.record.gradient_squares for done in module.train_many(jobs)]
    for one, other in zip(together[:2], alone[:2], strict=True):
        assert np.isnan(other).any()
        np.testing.assert_allclose(one, other, rtol=1e-10)
    assert together[2] is alone[2] is None


@pytest.mark.parametrize("precision", ["float32", "float64", "bfloat16"])
def test_measuring_changes_no_bit_of_what_is_trained(
    request: pytest.FixtureRequest, backend: str, precision: str
) -> None:
    if precision == "bfloat16":
        request.getfixturevalue("rounding")
    case = Case("relu", "sparse_categorical_crossentropy", dropout=0.4, weighted=True, precision=precision)
    program, data, params = build(case)
    adam = UpdateRule("adam", (0.0, 0.0))
    program = replace(program, update=adam)
    executor = get_backend(backend).executor(program, precision)
    numbers = {"alpha": 0.01, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-7}
    trained = []
    for every in (0, 2):
        state, placed = put(executor, case, program, data, params)
        steps = steps_for(program, ROWS, BATCH, 3, numbers, key=KEY, first_step=1, squares_every=every)
        state, record = executor.train(state, placed, steps)
        trained.append((executor.get_state(state), record.losses))
    np.testing.assert_array_equal(trained[0][0].params, trained[1][0].params)
    np.testing.assert_array_equal(trained[0][0].slots, trained[1][0].slots)
    np.testing.assert_array_equal(trained[0][1], trained[1][1])
    # 8 steps, the first of them update number 1
    assert record.gradient_squares is not None
    np.testing.assert_array_equal(np.isnan(record.gradient_squares[:, 0]), [True, False] * 4)


def test_a_step_that_is_not_taken_is_not_measured(backend: str) -> None:
    case = CASES[0]
    program, data, params = build(case)
    executor = get_backend(backend).executor(program, "float64")
    data[0][12] = np.inf
    state, placed = put(executor, case._replace(precision="float64"), program, data, params)
    steps = replace(steps_for(program, ROWS, BATCH, squares_every=1), order=np.arange(ROWS))
    _, record = executor.train(state, placed, steps)
    assert record.completed == 1
    assert record.gradient_squares is not None
    assert record.gradient_squares.shape == (2, 2)
    assert np.isfinite(record.gradient_squares[0]).all()


def test_networks_of_other_layers_give_only_the_norms_of_batches(backend: str) -> None:
    """With PReLU behind a dense layer, rows are batches of one; a batch is the mean of its rows."""
    chain = Chain(4)
    chain.dense(3)
    chain.emit("prelu", 1, (3,), (chain.parameter("prelu/alpha", (3,)),))
    program = chain.program((loss_on(chain, "mean_squared_error"),), update=SGD)
    assert not separable(program)
    rng = np.random.default_rng(0)
    x, y, params = rng.normal(size=(6, 4)), rng.normal(size=(6, 3)), parameters_for(program, rng)
    executor = get_backend(backend).executor(program, "float64")
    state, placed = executor.put_state(state_for(program, params)), executor.put_data(x, y)
    whole = executor.gradient_squares(state, placed, None, 6)
    gradient = executor.gradients(state, placed, no_penalties(program))[1]
    assert np.isnan(whole[0, 0])
    np.testing.assert_allclose(whole[0, 1], gradient @ gradient, rtol=1e-12)
    single = executor.gradient_squares(state, placed, None, 1)
    rows = [executor.put_data(x[i : i + 1], y[i : i + 1]) for i in range(6)]
    own = [executor.gradients(state, row, no_penalties(program))[1] for row in rows]
    np.testing.assert_allclose(single[:, 1], [g @ g for g in own], rtol=1e-12)


def _normalized(frozen: bool) -> Program:
    chain = Chain(4)
    chain.dense(3)
    params = tuple(chain.parameter(name, (3,), trainable=False) for name in ("moving_mean", "moving_variance"))
    chain.emit("batch_norm", 1, (3,), params, momentum=0.9, epsilon=1e-3, scale=False, center=False, frozen=frozen)
    return chain.program((Loss("mean_squared_error", 2, target_shape=(3,)),))


def test_which_programs_are_separable() -> None:
    assert separable(build(CASES[0])[0])
    assert interacting(_normalized(frozen=False))
    assert not separable(_normalized(frozen=False))
    assert separable(_normalized(frozen=True))
    positions = Chain(2, 4)
    positions.dense(3)
    assert not separable(positions.program())
    twice = Chain(4)
    twice.dense(4)
    twice.emit("dense", 1, (4,), (0, 1), use_bias=True, activation="linear", alpha=0.0)
    assert not separable(twice.program())
