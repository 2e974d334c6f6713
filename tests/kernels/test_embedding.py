"""`embedding`: rows of a table."""

from __future__ import annotations

import numpy as np
import pytest
from fastann_kernels.backend import available_backends

from tests.operations import check_everywhere, check_gradients, network, parameter, predict, train
from tests.programs import Chain


def embedded(rows=7, trainable=True, twice=False):
    """Four numbers a row, some of them more than once; row 5 of the table is never read."""
    chain = Chain(4)
    table = chain.parameter("table", (6, 3), trainable)
    chain.emit("embedding", 0, (4, 3), (table,))
    if twice:
        second = chain.input(2)
        again = chain.emit("embedding", second, (2, 3), (table,))
        chain.emit("concatenate", (1, again), (6, 3), axis=0)
    columns = 6 if twice else 4
    return network(chain, np.random.default_rng(1).integers(0, 5, (rows, columns)).astype(float))


def test_values(backend):
    net = embedded()
    np.testing.assert_array_equal(predict(net, backend), parameter(net, "table")[net.x.astype(int)])


@pytest.mark.parametrize("twice", [False, True], ids=["one instruction", "two with one table"])
def test_gradients(backend, twice):
    net = embedded(twice=twice)
    gradient = parameter(net, "table", check_gradients(net, backend))
    assert np.abs(gradient[:5]).min() > 0
    np.testing.assert_array_equal(gradient[5], 0)


def test_rows_that_a_batch_does_not_read_stay(backend):
    """The gradient of one batch is gone in the next."""
    net = embedded()
    state, _ = train(net, backend, batch_size=1)
    after = parameter(net, "table", state.params)
    np.testing.assert_array_equal(after[5], parameter(net, "table")[5])
    assert (after[:5] != parameter(net, "table")[:5]).all()


def test_a_table_that_is_not_trained(backend):
    net = embedded(trainable=False)
    np.testing.assert_array_equal(parameter(net, "table", train(net, backend)[0].params), parameter(net, "table"))


def test_everywhere_the_same():
    check_everywhere(embedded())
    check_everywhere(embedded(twice=True))


@pytest.mark.parametrize("number", [-1.0, 6.0, 1e30, np.nan, -np.inf])
def test_a_number_beside_the_table_reads_nothing(number):
    """Numba: the values are NaN, which stops a training, and nobody else's memory is touched."""
    if "numba" not in available_backends():
        pytest.skip("numba is not installed")
    net = embedded()
    net.x[4, 2] = number
    got = predict(net, "numba")
    assert np.isnan(got[4, 2]).all()
    assert np.isnan(got).sum() == 3
    _, record = train(net, "numba")
    assert record.completed < len(record.losses)


def test_a_number_that_was_computed_has_no_derivative(backend):
    """0 x + 2, whatever x is: the layer before it gets a gradient of zero."""
    chain = Chain(4)
    chain.dense(3)
    chain.emit("scale", 1, (3,), scale=0.0, offset=2.0)
    chain.emit("embedding", 2, (3, 2), (chain.parameter("table", (4, 2)),))
    net = network(chain, 5)
    np.testing.assert_array_equal(check_gradients(net, backend)[:15], 0)
