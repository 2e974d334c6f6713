"""Layers that stand in a network twice: their gradient is the sum over the places, whatever was there before."""

from __future__ import annotations

import numpy as np
import pytest
from fastann_kernels.backend import HostState, Steps
from fastann_kernels.program import Instruction, UpdateRule

from tests import reference
from tests.comparisons import Comparison, close
from tests.operations import check_everywhere, check_gradients, executor_for, network
from tests.programs import Chain, loss_on, parameters_for, state_for, steps_for


def repeat(chain: Chain, times: int = 1) -> int:
    """Apply the last instruction again to its own output."""
    for _ in range(times):
        last, x = chain.instructions[-1], len(chain.values) - 1
        chain.values.append(chain.values[x])
        chain.instructions.append(Instruction(last.op, (x,), x + 1, last.params, last.attributes))
    return len(chain.values) - 1


def dense_thrice():
    chain = Chain(4)
    chain.dense(4, "tanh")
    repeat(chain, 2)
    return chain


def dense_on_two_inputs():
    """Of the two towers one is read by a second layer as well; the bias belongs to one of them alone."""
    chain = Chain(3)
    second = chain.input(3)
    left = chain.dense(4, "sigmoid", x=0)
    right = chain.emit("dense", second, (4,), (0, 1), use_bias=True, activation="gelu", alpha=0.0)
    both = chain.emit("concatenate", (left, right), (8,), axis=0)
    chain.dense(4, x=both)
    chain.emit("add", (left, len(chain.values) - 1), (4,))
    return chain


def norms_twice():
    chain = Chain(4)
    chain.dense(4)
    params = (chain.parameter("gamma", (4,)), chain.parameter("beta", (4,)))
    moving = (chain.parameter("mean", (4,), False), chain.parameter("variance", (4,), False))
    settings = {"momentum": 0.7, "epsilon": 1e-3, "scale": True, "center": True, "frozen": False}
    chain.emit("batch_norm", 1, (4,), params + moving, **settings)
    repeat(chain)
    params = (chain.parameter("layer/gamma", (4,)), chain.parameter("layer/beta", (4,)))
    chain.emit("layer_norm", len(chain.values) - 1, (4,), params, axes=1, epsilon=1e-3, scale=True, center=True)
    repeat(chain)
    return chain


def convolution_twice():
    chain = Chain(4, 3, 2)
    params = (chain.parameter("kernel", (3, 3, 2, 2)), chain.parameter("bias", (2,)))
    settings = {"groups": 1, "stride_h": 1, "stride_w": 1, "dilation_h": 1, "dilation_w": 1}
    chain.emit("conv2d", 0, (4, 3, 2), params, use_bias=True, pad_top=1, pad_left=1, **settings)
    repeat(chain)
    return chain


CHAINS = {
    "dense thrice": dense_thrice,
    "dense on two inputs": dense_on_two_inputs,
    "norms twice": norms_twice,
    "convolution twice": convolution_twice,
}


@pytest.mark.parametrize("name", CHAINS)
def test_gradients_are_added(backend, name):
    check_gradients(network(CHAINS[name](), 5), backend)


@pytest.mark.parametrize("name", CHAINS)
def test_everywhere_the_same(name):
    check_everywhere(network(CHAINS[name](), 7), lr=0.005)


def test_dense_twice_against_the_reference(backend):
    chain = dense_thrice()
    program = chain.program((loss_on(chain, "mean_squared_error"),), update=UpdateRule("sgd", (0.0,), ("momentum",)))
    rng = np.random.default_rng(1)
    data = (rng.normal(size=(7, 4)), rng.normal(size=(7, 4)), None)
    comparison = Comparison(backend, program, parameters_for(program, rng), data)
    penalties = np.tile([0.01, 0.02], (len(program.parameters), 1))
    comparison.check_gradients(penalties, differences=True)
    numbers = {"lr": 0.1, "momentum": 0.8, "carried": 0.8}
    comparison.check_train(steps_for(program, 7, 3, epochs=2, numbers=numbers, penalties=penalties))


def test_penalties_do_not_pile_up_where_no_loss_arrives(backend):
    """Of two outputs one has no loss: its layer shrinks by lr (l1 sign(w) + 2 l2 w) a step."""
    chain = Chain(3)
    trained = chain.dense(2, x=0)
    chain.dense(2, x=0)
    loss = loss_on(chain, "mean_squared_error", trained)
    program = chain.program((loss,), update=UpdateRule("sgd"), outputs=(1, 2))
    rng = np.random.default_rng(2)
    data = (rng.normal(size=(6, 3)), rng.normal(size=(6, 2)), None)
    params, penalties = parameters_for(program, rng), np.tile([0.02, 0.1], (len(program.parameters), 1))
    steps = steps_for(program, 6, 2, epochs=2, numbers={"lr": 0.1}, penalties=penalties)
    comparison = Comparison(backend, program, params, data)
    comparison.check_train(steps)


def test_a_second_run_starts_from_a_clean_gradient(backend):
    """Buffers of gradients are kept between two calls of `train`."""
    net = network(dense_thrice(), 6)
    executor = executor_for(net, backend)
    data = executor.put_data(net.x, net.y)
    steps: Steps = steps_for(net.program, 6, 3, numbers={"lr": 0.1})
    ends: list[HostState] = []
    for _ in range(2):
        state, _ = executor.train(executor.put_state(state_for(net.program, net.params)), data, steps)
        ends.append(executor.get_state(state))
    np.testing.assert_array_equal(ends[0].params, ends[1].params)
    expected = reference.run_steps(net.program, net.params, np.zeros((0, net.params.size)), (net.x, net.y, None), steps)
    close(ends[0].params, expected.params, 1e-10, "parameters")
