"""What is particular to the JAX executor: short batches, stopping, compilations, configuration, threads."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from fastann_kernels.backend import HostState, UnsupportedProgram
from fastann_kernels.program import Instruction, Loss, Metric, UpdateRule

from tests.programs import Chain, loss_on, no_penalties, parameters_for, state_for, steps_for

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")

from fastann_kernels.jax_backend import backend, states  # noqa: E402

SGD = UpdateRule("sgd")
STEEP = {"lr": 0.1}


@pytest.fixture(autouse=True)
def strict_promotion():
    """No implicit mixing of dtypes in anything that is traced here."""
    with jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def linear(update=SGD, metrics=(), outputs=1):
    """Return the program of y = x @ W + b, three inputs, trained on the mean squared error."""
    chain = Chain(3)
    chain.dense(outputs)
    return chain.program((loss_on(chain, "mean_squared_error"),), metrics, update)


def dropped(rate=0.4):
    """Return the program of two dense layers with dropout between them."""
    chain = Chain(3)
    chain.dense(8, "tanh")
    chain.dropout(rate, stream=3)
    chain.dense(2)
    return chain.program((loss_on(chain, "mean_squared_error"),), update=SGD)


def started(program, params, data, precision="float64"):
    """Return (executor, state, data on the device)."""
    executor = backend.executor(program, precision)
    x, *rest = data
    x = x if x.dtype == np.uint8 else x.astype(precision)
    on_device = executor.put_data(x, *(None if a is None else a.astype(precision) for a in rest))
    return executor, executor.put_state(state_for(program, params, precision)), on_device


def trained(program, params, data, steps, precision="float64"):
    """Return (params after the steps, record)."""
    executor, state, on_device = started(program, params, data, precision)
    state, record = executor.train(state, on_device, steps)
    return executor.get_state(state).params, record


# One step and many


def numpy_epoch(params, x, y, weights, order, batch_size, lr):
    """Train `linear` by hand; returns (params, losses, outputs)."""
    w, b, losses, outputs = params[:3].copy(), params[3], [], []
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        z = x[rows] @ w + b
        error = z - y[rows, 0]
        losses.append((weights[rows, 0] * error**2).mean())
        outputs.append(z)
        slope = 2 * weights[rows, 0] * error / len(rows)
        w, b = w - lr * slope @ x[rows], b - lr * slope.sum()
    return np.append(w, b), np.array(losses), np.concatenate(outputs)


@pytest.mark.parametrize(("rows", "batch_size"), [(11, 4), (8, 4), (3, 5)])
def test_an_epoch_is_the_loop_it_stands_for(rng, rows, batch_size):
    x, y, weights = rng.normal(size=(rows, 3)), rng.normal(size=(rows, 1)), rng.uniform(0.5, 2, (rows, 1))
    params, program = rng.normal(size=4), linear()
    steps = replace(steps_for(program, rows, batch_size, numbers=STEEP), collect_outputs=True)
    got, record = trained(program, params, (x, y, weights), steps)
    expected, expected_losses, outputs = numpy_epoch(params, x, y, weights, steps.order, batch_size, 0.1)
    np.testing.assert_allclose(got, expected, rtol=1e-13)
    np.testing.assert_allclose(record.losses, expected_losses, rtol=1e-13)
    np.testing.assert_allclose(record.parts[:, 0], expected_losses, rtol=1e-13)
    np.testing.assert_allclose(record.outputs[:, 0], outputs, rtol=1e-13)
    assert record.rows.sum() == rows
    assert record.completed == len(record.losses) == -(-rows // batch_size)


@pytest.mark.parametrize("unroll", [2, 16])
def test_steps_may_share_a_turn_of_the_loop(rng, unroll):
    data, params, program = (rng.normal(size=(22, 3)), rng.normal(size=(22, 1)), None), rng.normal(size=4), linear()
    steps = steps_for(program, 22, 4, numbers=STEEP)
    expected, record = trained(program, params, data, steps)
    executor, state, on_device = started(program, params, data)
    executor.unroll, plain = unroll, executor.unroll
    try:
        state, found = executor.train(state, on_device, steps)
    finally:
        executor.unroll = plain
    np.testing.assert_allclose(executor.get_state(state).params, expected, rtol=1e-14)
    np.testing.assert_allclose(found.losses, record.losses, rtol=1e-14)


def test_no_order_is_the_order_of_the_rows(rng):
    data, params, program = (rng.normal(size=(11, 3)), rng.normal(size=(11, 1)), None), rng.normal(size=4), linear()
    steps = replace(steps_for(program, 11, 4, numbers=STEEP), order=np.arange(11))
    by_order, one = trained(program, params, data, steps)
    as_stored, other = trained(program, params, data, replace(steps, order=None))
    np.testing.assert_array_equal(by_order, as_stored)
    np.testing.assert_array_equal(one.losses, other.losses)


def test_two_calls_are_one_long_call(rng):
    program = dropped()
    params = parameters_for(program, rng)
    data = (rng.normal(size=(12, 3)), rng.normal(size=(12, 2)), None)
    whole = steps_for(program, 12, 4, epochs=2, numbers=STEEP, key=(5, 6))
    expected, _ = trained(program, params, data, whole)
    executor, state, on_device = started(program, params, data)
    for first in (0, 3):
        part = replace(whole, order=whole.order[first * 4 : first * 4 + 12], first_step=first)
        state, _ = executor.train(state, on_device, replace(part, coefficients=whole.coefficients[first : first + 3]))
    np.testing.assert_allclose(executor.get_state(state).params, expected, rtol=1e-14)


def test_bytes_are_converted_after_they_are_gathered(rng):
    x, y, params, program = rng.integers(0, 256, (9, 3), np.uint8), rng.normal(size=(9, 1)), np.full(4, 0.01), linear()
    steps = steps_for(program, 9, 4, numbers={"lr": 1e-6})
    executor, _, on_device = started(program, params, (x, y, None))
    assert on_device.x.dtype == np.uint8
    expected, _ = trained(program, params, (x.astype(float), y, None), steps)
    np.testing.assert_array_equal(trained(program, params, (x, y, None), steps)[0], expected)
    state = executor.put_state(state_for(program, params))
    np.testing.assert_allclose(executor.predict(state, x, 4)[:, 0], x @ params[:3] + params[3], rtol=1e-14)


def test_evaluation_and_prediction_are_plain_numpy(rng):
    chain = Chain(2, 3)
    chain.dense(4, "relu")
    chain.dropout(0.5)
    chain.reshape(8)
    chain.dense(3, "softmax")
    top = Metric("sparse_categorical_accuracy", 5)
    program = chain.program((loss_on(chain, "sparse_categorical_crossentropy", logits=4),), (top,))
    params = parameters_for(program, rng)
    x, y = rng.normal(size=(10, 6)), rng.integers(0, 3, (10, 1))
    W1, b1, W2, b2 = (params[p.offset : p.offset + p.size].reshape(p.shape) for p in program.parameters)
    z = np.maximum(x.reshape(10, 2, 3) @ W1 + b1, 0).reshape(10, 8) @ W2 + b2
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    executor, state, data = started(program, params, (x, y, None))
    np.testing.assert_allclose(executor.predict(state, x, 4), p, rtol=1e-12)
    record = executor.evaluate(state, data, 4, no_penalties(program), collect_outputs=True)
    np.testing.assert_allclose(record.outputs, p, rtol=1e-12)
    each = -np.log(p[np.arange(10), y[:, 0]])
    np.testing.assert_allclose(record.losses, [each[:4].mean(), each[4:8].mean(), each[8:].mean()], rtol=1e-12)
    assert record.metric_sums.sum() == (p.argmax(1) == y[:, 0]).sum()
    np.testing.assert_array_equal(record.metric_weights[:, 0], [4, 4, 2])


def test_nothing_to_do_is_done(rng):
    program, none = linear(), np.zeros((0, 3))
    executor, state, data = started(program, np.ones(4), (none, np.zeros((0, 1)), None))
    steps = replace(steps_for(program, 0, 4), collect_outputs=True)
    state, record = executor.train(state, data, steps)
    assert record.outputs.shape == (0, 1)
    assert len(executor.evaluate(state, data, 4, no_penalties(program)).losses) == 0
    assert executor.predict(state, none, 4).shape == (0, 1)


def test_a_network_without_parameters_runs():
    chain = Chain(2)
    chain.activation("tanh")
    program = chain.program((loss_on(chain, "mean_squared_error"),), update=SGD)
    params, record = trained(program, np.zeros(0), (np.zeros((3, 2)), np.ones((3, 2)), None), steps_for(program, 3, 2))
    assert params.shape == (0,)
    np.testing.assert_array_equal(record.losses, [1, 1])


# Gradients


def test_gradients_are_central_differences(rng):
    program = dropped()
    params, penalties = parameters_for(program, rng), rng.uniform(0, 0.1, (4, 2))
    x, y, weights = rng.normal(size=(6, 3)), rng.normal(size=(6, 2)), rng.uniform(0.5, 2, (6, 1))
    executor, state, data = started(program, params, (x, y, weights))
    _, gradient = executor.gradients(state, data, penalties, key=(1, 2))

    def value(vector):
        return executor.gradients(executor.put_state(state_for(program, vector)), data, penalties, key=(1, 2))[0]

    for i, unit in enumerate(np.eye(len(params)) * 1e-6):
        assert (value(params + unit) - value(params - unit)) / 2e-6 == pytest.approx(gradient[i], rel=1e-6, abs=1e-8)
    assert executor.gradients(state, data, penalties)[0] != value(params)


def test_a_weight_of_zero_feels_no_penalty(rng):
    program = replace(linear(), parameters=tuple(replace(p, penalized=True) for p in linear().parameters))
    executor, state, data = started(program, np.array([0.0, 2, -2, 0]), (np.zeros((2, 3)), np.zeros((2, 1)), None))
    loss, gradient = executor.gradients(state, data, np.array([[0.5, 0.25], [7, 7]]))
    assert loss == 0.5 * 4 + 0.25 * 8
    np.testing.assert_array_equal(gradient, [0, 1.5, -1.5, 0])


@pytest.mark.parametrize("scalar", [False, True])
def test_a_function_of_the_user_is_a_loss(rng, scalar):
    def loss(y_true, y_pred):
        each = jnp.abs(y_true - y_pred).sum(-1)
        return each.mean() if scalar else each

    chain = Chain(3)
    chain.dense(2)
    program = chain.program((Loss("callable", 1, target_shape=(2,), function=loss, weight=2.0),))
    params, x, y, w = rng.normal(size=8), rng.normal(size=(5, 3)), rng.normal(size=(5, 2)), rng.uniform(1, 2, (5, 1))
    executor, state, data = started(program, params, (x, y, w))
    each = np.abs(x @ params[:6].reshape(3, 2) + params[6:] - y).sum(1)
    expected = each.mean() * w.mean() if scalar else (each * w[:, 0]).mean()
    assert executor.gradients(state, data, no_penalties(program))[0] == pytest.approx(2 * expected, rel=1e-13)


# Metrics and masks


def test_counts_and_weights_of_metrics(rng):
    shares = (Metric("accuracy", 1, target_shape=(1,)), Metric("accuracy", 1, target_shape=(1,), weighted=True))
    program = linear(None, shares)
    x, y, w = np.zeros((7, 3)), np.array([[1.0], [1], [0], [1], [1], [0], [1]]), np.arange(7.0)[:, None]
    executor, state, data = started(program, np.array([0.0, 0, 0, 1]), (x, y, w), "float32")
    record = executor.evaluate(state, data, 4, no_penalties(program))
    np.testing.assert_array_equal(record.metric_sums, [[3, 4], [2, 10]])
    np.testing.assert_array_equal(record.metric_weights, [[4, 6], [3, 15]])


def test_masks_follow_update_and_stream():
    chain = Chain(50)
    chain.dropout(0.5, stream=9)
    program = chain.program((loss_on(chain, "mean_squared_error"),), update=SGD)
    x = np.ones((7, 50))
    steps = replace(steps_for(program, 7, 3), key=(3, 4), first_step=2**32 - 1, collect_outputs=True, order=None)
    _, record = trained(program, np.zeros(0), (x, x, None), steps)
    root = jax.random.wrap_key_data(np.array([3, 4], np.uint32), impl="threefry2x32")
    with jax.threefry_partitionable(True):
        for k, update in enumerate((2**32 - 1, 0, 1)):
            key = jax.random.fold_in(jax.random.fold_in(root, np.uint32(update)), 9)
            rows = record.outputs[3 * k : 3 * k + 3]
            bits = np.asarray(jax.random.bits(key, rows.shape, "uint32"))
            np.testing.assert_array_equal(rows, np.where(bits >= 2**31, 2.0, 0.0))


# Stopping


@pytest.mark.parametrize("bad", [0, 2, 3])
def test_a_loss_that_is_not_finite_stops_before_its_update(rng, bad):
    x, y, params, program = rng.normal(size=(11, 3)), rng.normal(size=(11, 1)), rng.normal(size=4), linear()
    y[min(bad * 3 + 1, 10)] = np.inf
    steps = steps_for(program, 11, 3, numbers=STEEP, order=np.arange(11), collect_outputs=True)
    got, record = trained(program, params, (x, y, None), steps)
    expected, expected_losses, _ = numpy_epoch(params, x, y, np.ones((11, 1)), np.arange(bad * 3), 3, 0.1) if bad else (
        params, np.zeros(0), None,
    )  # fmt: skip
    np.testing.assert_allclose(got, expected, rtol=1e-13)
    np.testing.assert_allclose(record.losses[:-1], expected_losses, rtol=1e-13)
    assert record.completed == bad
    assert not np.isfinite(record.losses[-1])
    assert record.rows.tolist() == [3, 3, 3, 2][: bad + 1]
    assert len(record.outputs) == record.rows.sum()
    assert len(record.parts) == len(record.metric_sums) == len(record.losses) == bad + 1


def test_going_on_in_spite_of_it(rng):
    x, y, program = rng.normal(size=(8, 3)), np.full((8, 1), np.inf), linear()
    steps = steps_for(program, 8, 4, numbers=STEEP, stop_at_nonfinite=False)
    got, record = trained(program, np.ones(4), (x, y, None), steps)
    assert record.completed == 2
    assert not np.isfinite(got).any()


# Compilations


def test_numbers_do_not_recompile(rng):
    program = dropped(0.25)
    params = parameters_for(program, rng)
    executor, state, data = started(program, params, (rng.normal(size=(10, 3)), rng.normal(size=(10, 2)), None))
    steps = steps_for(program, 10, 4, numbers=STEEP)
    before = executor.traces.copy()
    for n in range(3):
        changed = replace(
            steps,
            order=np.roll(steps.order, n),
            coefficients=steps.coefficients * (1 + n),
            penalties=np.full((4, 2), 0.01 * n),
            key=(n, n),
            first_step=3 * n,
        )
        state, _ = executor.train(state, data, changed)
        executor.evaluate(state, data, 4, changed.penalties)
        executor.gradients(state, data, changed.penalties, key=(n, 1))
    assert executor.traces - before == {"train": 1, "evaluate": 1, "loss_and_gradient": 1}


def test_predictions_of_many_lengths_compile_seldom(rng):
    chain = Chain(2)
    chain.dense(1, "sigmoid")
    program = chain.program()
    executor = backend.executor(program)
    params = rng.normal(size=3).astype(np.float32)
    state = executor.put_state(HostState(params, np.zeros((0, 3), np.float32)))
    for rows in (1, 2, 3, 4, 5, 7, 8, 9, 20, 511, 512, 1000, 1100):
        x = rng.normal(size=(rows, 2)).astype(np.float32)
        expected = 1 / (1 + np.exp(-(x @ params[:2] + params[2])))
        np.testing.assert_allclose(executor.predict(state, x, 8)[:, 0], expected, rtol=2e-6)
    assert executor.traces["predict"] == 5  # 1, 2, 4 and 8 rows, and a group of batches


def test_a_program_has_one_executor_in_each_precision():
    first, second = backend.executor(linear()), backend.executor(linear())
    assert first is second
    assert backend.executor(linear(), "float64") is not first
    with pytest.raises(ValueError, match=r"precision must be one of 'float32', .*'bfloat16', got 'float16'\."):
        backend.executor(linear(), "float16")


def test_what_is_unknown_is_refused():
    chain = Chain(2)
    chain.dense(2)
    for program, what in (
        (replace(chain.program(), instructions=(Instruction("conv9d", (0,), 1),)), "operation"),
        (chain.program((Loss("surprise", 1, target_shape=(2,)),)), "loss"),
        (chain.program(metrics=(Metric("surprise", 1),)), "metric"),
        (chain.program(update=UpdateRule("guess")), "update rule"),
    ):
        with pytest.raises(UnsupportedProgram, match=f"expected a {what} of the jax backend"):
            backend.executor(program)


def test_training_needs_a_rule():
    executor, state, data = started(linear(None), np.ones(4), (np.ones((2, 3)), np.ones((2, 1)), None))
    with pytest.raises(ValueError, match="expected a program with an update rule"):
        executor.train(state, data, steps_for(linear(), 2, 2))


# What is around it


def test_states_are_copies(rng):
    executor = backend.executor(linear())
    params = rng.normal(size=4).astype(np.float32)
    state = executor.put_state(HostState(params, np.zeros((0, 4), np.float32)))
    kept, params[:] = params.copy(), 0
    back = executor.get_state(state)
    np.testing.assert_array_equal(back.params, kept)
    back.params[:] = 1
    np.testing.assert_array_equal(executor.get_state(state).params, kept)


def run_everything(precision):
    """Train, predict and differentiate; return the numbers."""
    rng = np.random.default_rng(1)
    chain = Chain(3)
    chain.dense(4, "tanh")
    chain.dropout(0.4)
    program = chain.program((loss_on(chain, "mean_squared_error"),), update=SGD)
    params = parameters_for(program, rng)
    x = rng.normal(size=(8, 3))
    executor, state, data = started(program, params, (x, rng.normal(size=(8, 4)), None), precision)
    _, gradient = executor.gradients(state, data, no_penalties(program), key=(1, 1))
    state, record = executor.train(state, data, steps_for(program, 8, 4, numbers=STEEP, key=(8, 9)))
    predicted = executor.predict(state, x.astype(precision), 8)
    assert predicted.dtype == gradient.dtype == executor.get_state(state).params.dtype == precision
    return np.concatenate([gradient, record.losses, predicted.ravel(), executor.get_state(state).params])


def settings():
    return dict(jax.config.values)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_configuration_has_no_influence_and_stays(precision):
    plain, before = run_everything(precision), settings()
    with (
        jax.enable_x64(True),
        jax.threefry_partitionable(False),
        jax.numpy_rank_promotion("raise"),
        jax.default_matmul_precision("bfloat16"),
        jax.transfer_guard("disallow"),
    ):
        np.testing.assert_array_equal(run_everything(precision), plain)
    assert settings() == before


def test_another_thread_gets_the_same_numbers():
    plain, found = run_everything("float64"), []
    threads = [threading.Thread(target=lambda: found.append(run_everything("float64"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    for numbers in found:
        np.testing.assert_array_equal(numbers, plain)


def test_single_precision_follows_double():
    np.testing.assert_allclose(run_everything("float32"), run_everything("float64"), rtol=1e-4, atol=1e-5)


def test_the_description_names_versions_and_devices():
    facts = backend.describe()
    assert facts["jax"] == jax.__version__
    assert facts["platform"] == jax.default_backend()
    assert len(facts["devices"]) == len(jax.devices())
    assert facts["x64"] is bool(jax.config.jax_enable_x64)


def test_the_vector_is_cut_and_joined_by_offset(rng):
    program = linear(outputs=2)
    first, second = program.parameters
    swapped = replace(program, parameters=(replace(first, offset=2), replace(second, offset=0)))
    flat = rng.normal(size=8).astype(np.float32)
    tensors = states.split(swapped, flat)
    np.testing.assert_array_equal(tensors[1], flat[:2])
    np.testing.assert_array_equal(states.join(swapped, tensors, flat.dtype), flat)
