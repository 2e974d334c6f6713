"""`activity_penalty`: y = x, and a part of the loss with its gradient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.operations import (
    check_everywhere,
    check_gradients,
    evaluate,
    gradient,
    network,
    parameter,
    predict,
    train,
    training_batches,
)
from tests.programs import Chain


def penalized(read: bool = True):
    """A hidden layer with penalties; with `read` the penalized value goes on, else the layer before it does."""
    chain = Chain(3)
    hidden = chain.dense(5, "tanh")
    chain.emit("activity_penalty", hidden, (5,), l1=0.3, l2=0.1)
    second = chain.dense(4, x=2 if read else hidden)
    chain.emit("activity_penalty", second, (4,), l1=0.0, l2=0.2)
    return network(chain, 7)


def without(net):
    """The same network with penalties of zero."""
    instructions = tuple(
        replace(i, attributes=(("l1", 0.0), ("l2", 0.0))) if i.op == "activity_penalty" else i
        for i in net.program.instructions
    )
    return net._replace(program=replace(net.program, instructions=instructions))


def penalty(net, rows):
    h = np.tanh(net.x[rows] @ parameter(net, "dense_0/kernel") + parameter(net, "dense_0/bias"))
    z = h @ parameter(net, "dense_2/kernel") + parameter(net, "dense_2/bias")
    return (0.3 * np.abs(h).sum() + 0.1 * (h**2).sum() + 0.2 * (z**2).sum()) / len(rows)


def test_the_loss_of_each_batch_holds_the_penalty(backend):
    net = penalized()
    batches = [np.arange(i, min(i + 3, 7)) for i in range(0, 7, 3)]
    more = evaluate(net, backend).losses - evaluate(without(net), backend).losses
    np.testing.assert_allclose(more, [penalty(net, rows) for rows in batches], rtol=1e-12)
    more = train(net, backend, lr=0.0)[1].losses - train(without(net), backend, lr=0.0)[1].losses
    np.testing.assert_allclose(more, [penalty(net, rows) for rows in training_batches(net)], rtol=1e-12)


def test_each_loss_alone_does_not(backend):
    np.testing.assert_array_equal(evaluate(penalized(), backend).parts, evaluate(without(penalized()), backend).parts)


def test_the_value_is_not_changed(backend):
    np.testing.assert_array_equal(predict(penalized(), backend), predict(without(penalized()), backend))


def test_gradients(backend):
    check_gradients(penalized(), backend)
    check_gradients(penalized(), backend, key=None)


def test_a_value_that_nothing_else_reads_is_penalized_too(backend):
    check_gradients(penalized(read=False), backend)
    chain = Chain(3)
    trunk = chain.dense(4, "tanh")
    branch = chain.dense(5, x=trunk)
    chain.emit("activity_penalty", branch, (5,), l1=0.2, l2=0.1)  # the end of a branch
    chain.activation("relu", x=trunk)
    net = network(chain, 5)
    assert np.abs(parameter(net, "dense_1/kernel", check_gradients(net, backend))).max() > 1e-2


def test_the_derivative_of_the_absolute_value_at_zero_is_zero(backend):
    net = penalized()
    for name in ("dense_0/kernel", "dense_0/bias", "dense_2/kernel", "dense_2/bias", "dense_5/kernel"):
        parameter(net, name)[:] = 0
    np.testing.assert_array_equal(parameter(net, "dense_0/bias", gradient(net, backend)), 0)


def test_everywhere_the_same():
    check_everywhere(penalized())
