"""`batch_norm` and `layer_norm` against NumPy, and the moving statistics of a run against their recurrence."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fastann_kernels.backend import HostState, Record

from tests.comparisons import close
from tests.operations import (
    Network,
    check_everywhere,
    check_gradients,
    executor_for,
    network,
    parameter,
    predict,
    train,
    training_batches,
    training_values,
)
from tests.programs import Chain, state_for, steps_for

EPSILON, MOMENTUM = 1e-2, 0.7


def batch_normed(
    rows: int = 7, shape: tuple[int, ...] = (), scale: bool = True, center: bool = True, frozen: bool = False
) -> Network:
    """Dense without activation, then batch_norm over values (*shape, 4)."""
    chain = Chain(*shape, 3)
    chain.dense(4)
    names = ["gamma"] * scale + ["beta"] * center
    params = tuple(chain.parameter(name, (4,)) for name in names)
    params += (chain.parameter("mean", (4,), False), chain.parameter("variance", (4,), False))
    chain.emit(
        "batch_norm", 1, (*shape, 4), params,
        momentum=MOMENTUM, epsilon=EPSILON, scale=scale, center=center, frozen=frozen,
    )  # fmt: skip
    return network(chain, rows)


SETTINGS = {
    "rows": {},
    "images": {"shape": (3, 2)},
    "without scale": {"scale": False},
    "without center": {"center": False},
    "neither": {"scale": False, "center": False, "shape": (2,)},
    "frozen": {"frozen": True},
}


def dense(net: Network, rows=slice(None)):
    x = net.x[rows].reshape(-1, *net.program.values[0].shape)
    return x @ parameter(net, "dense_0/kernel") + parameter(net, "dense_0/bias")


def finished(net: Network, x, mean, variance):
    """gamma (x - mean) / sqrt(variance + epsilon) + beta."""
    names = {p.name for p in net.program.parameters}
    gamma = parameter(net, "gamma") if "gamma" in names else 1.0
    beta = parameter(net, "beta") if "beta" in names else 0.0
    return gamma * (x - mean) / np.sqrt(variance + EPSILON) + beta


def moving(net: Network, batch_size: int = 3):
    """The moving mean and variance after `train` with a rate of 0."""
    mean, variance = parameter(net, "mean").copy(), parameter(net, "variance").copy()
    for rows in training_batches(net, batch_size):
        x = dense(net, rows).reshape(-1, 4)
        mean = MOMENTUM * mean + (1 - MOMENTUM) * x.mean(axis=0)
        variance = MOMENTUM * variance + (1 - MOMENTUM) * x.var(axis=0)
    return mean, variance


@pytest.mark.parametrize("name", SETTINGS)
def test_batch_norm_outside_of_training(backend, name):
    net = batch_normed(**SETTINGS[name])
    expected = finished(net, dense(net), parameter(net, "mean"), parameter(net, "variance"))
    np.testing.assert_allclose(predict(net, backend), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", SETTINGS)
def test_batch_norm_in_training(backend, name):
    net = batch_normed(**SETTINGS[name])
    for rows, y in zip(training_batches(net), training_values(net, backend), strict=True):
        x = dense(net, rows)
        flat = x.reshape(-1, 4)
        statistics = flat.mean(axis=0), flat.var(axis=0)
        if name == "frozen":
            statistics = parameter(net, "mean"), parameter(net, "variance")
        np.testing.assert_allclose(y, finished(net, x, *statistics), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", SETTINGS)
def test_gradients_of_batch_norm(backend, name):
    net = batch_normed(**SETTINGS[name])
    check_gradients(net, backend)
    check_gradients(net, backend, key=None)


@pytest.mark.parametrize("name", SETTINGS)
def test_batch_norm_is_the_same_everywhere(name):
    check_everywhere(batch_normed(**SETTINGS[name]))


@pytest.mark.parametrize("shape", [(), (3, 2)], ids=["rows", "images"])
def test_moving_statistics(backend, shape):
    net = batch_normed(shape=shape)
    mean, variance = moving(net)
    params = train(net, backend, lr=0.0)[0].params
    np.testing.assert_allclose(parameter(net, "mean", params), mean, rtol=1e-12)
    np.testing.assert_allclose(parameter(net, "variance", params), variance, rtol=1e-12)


@pytest.mark.parametrize("name", ["images", "frozen"])
def test_nothing_moves_but_in_training(backend, name):
    net = batch_normed(**SETTINGS[name])
    executor = executor_for(net, backend)
    state = executor.put_state(state_for(net.program, net.params))
    data = executor.put_data(net.x, net.y)
    executor.evaluate(state, data, 3, np.zeros((len(net.program.parameters), 2)))
    executor.predict(state, net.x, 3)
    executor.gradients(state, data, np.zeros((len(net.program.parameters), 2)), (1, 2))
    np.testing.assert_array_equal(executor.get_state(state).params, net.params)
    if name == "frozen":
        params = train(net, backend)[0].params
        np.testing.assert_array_equal(parameter(net, "mean", params), parameter(net, "mean"))
        np.testing.assert_array_equal(parameter(net, "variance", params), parameter(net, "variance"))


def stopped(net: Network, backend: str, stop: bool) -> tuple[HostState, Record]:
    """Train in the order of the rows, the fifth of which holds a NaN: with batches of 2 step 2 has it."""
    net.x[4, 0] = np.nan
    executor = executor_for(net, backend)
    steps = steps_for(net.program, len(net.x), 2, numbers={"lr": 0.1})
    steps = replace(steps, order=np.arange(len(net.x)), stop_at_nonfinite=stop)
    state = executor.put_state(state_for(net.program, net.params))
    state, record = executor.train(state, executor.put_data(net.x, net.y), steps)
    return executor.get_state(state), record


def test_a_step_that_is_stopped_leaves_the_statistics(backend):
    net = batch_normed(rows=8)
    state, record = stopped(net, backend, stop=True)
    assert record.completed == 2
    first = net._replace(x=net.x[:4], y=net.y[:4])
    executor = executor_for(first, backend)
    steps = replace(steps_for(net.program, 4, 2, numbers={"lr": 0.1}), order=np.arange(4))
    expected, _ = executor.train(
        executor.put_state(state_for(net.program, net.params)), executor.put_data(first.x, first.y), steps
    )
    close(state.params, executor.get_state(expected).params, 1e-13, "parameters")
    assert np.isfinite(state.params).all()


def test_a_step_that_is_not_stopped_takes_its_statistics(backend):
    net = batch_normed(rows=8)
    state, record = stopped(net, backend, stop=False)
    assert record.completed == 4
    assert np.isnan(parameter(net, "mean", state.params)).all()


def test_a_mean_far_from_zero_costs_no_digits():
    """x about 1e6 with a variance of 1, in float64: the two-pass variance keeps ten digits; also for a team."""
    net = batch_normed(rows=40)
    parameter(net, "dense_0/bias")[:] = 1e6
    for members in (1, 2):
        outputs = train(net, "numba", batch_size=40, lr=0.0, members=members)[1].outputs
        assert outputs is not None
        x = dense(net, training_batches(net, 40)[0])
        expected = finished(net, x, x.mean(axis=0), x.var(axis=0))
        np.testing.assert_allclose(outputs[:40], expected, rtol=0, atol=1e-8)


def layer_normed(axes: int, scale: bool = True, center: bool = True, rows: int = 7) -> Network:
    chain = Chain(3, 2, 5)
    chain.dense(4)
    shape = (3, 2, 4)[3 - axes :]
    params: tuple[int, ...] = ()
    if scale:
        params += (chain.parameter("gamma", shape),)
    if center:
        params += (chain.parameter("beta", shape),)
    chain.emit("layer_norm", 1, (3, 2, 4), params, axes=axes, epsilon=EPSILON, scale=scale, center=center)
    return network(chain, rows)


LAYERS = [(1, True, True), (2, True, False), (3, False, True), (1, False, False)]


@pytest.mark.parametrize("settings", LAYERS, ids=str)
def test_layer_norm(backend, settings):
    net = layer_normed(*settings)
    x = dense(net)
    axes = tuple(range(4 - settings[0], 4))
    expected = finished(net, x, x.mean(axis=axes, keepdims=True), x.var(axis=axes, keepdims=True))
    np.testing.assert_allclose(predict(net, backend), expected, rtol=1e-11, atol=1e-12)
    for rows, y in zip(training_batches(net), training_values(net, backend), strict=True):
        np.testing.assert_allclose(y, expected[rows], rtol=1e-11, atol=1e-12)
    check_gradients(net, backend)


@pytest.mark.parametrize("settings", LAYERS[1:3], ids=str)
def test_layer_norm_is_the_same_everywhere(settings):
    check_everywhere(layer_normed(*settings))
