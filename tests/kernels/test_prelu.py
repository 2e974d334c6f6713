"""`prelu`: y = x where x > 0, slope x elsewhere, with slopes shared along axes."""

from __future__ import annotations

import numpy as np
import pytest
from fastann_kernels.program import Instruction

from tests.operations import check_everywhere, check_gradients, gradient, network, parameter, predict
from tests.programs import Chain

SLOPES = [(3, 2, 4), (1, 1, 4), (3, 1, 1), (1, 2, 1), (1, 1, 1)]


def rectified(slopes, rows=7):
    chain = Chain(3, 2, 5)
    chain.dense(4)
    chain.emit("prelu", 1, (3, 2, 4), (chain.parameter("slopes", slopes),))
    return network(chain, rows)


@pytest.mark.parametrize("slopes", SLOPES, ids=str)
def test_values_and_gradients(backend, slopes):
    if backend == "jax" and slopes not in SLOPES[:2]:
        pytest.skip("JAX compiles every case")
    net = rectified(slopes)
    x = net.x.reshape(-1, 3, 2, 5) @ parameter(net, "dense_0/kernel") + parameter(net, "dense_0/bias")
    expected = np.where(x > 0, x, parameter(net, "slopes") * x)
    assert 0.2 < (x > 0).mean() < 0.8
    np.testing.assert_allclose(predict(net, backend), expected, rtol=1e-12, atol=1e-14)
    check_gradients(net, backend)


def test_the_derivative_at_zero_is_the_slope(backend):
    """With x = 0 everywhere, dL/db of the layer before is slope * dL/dy."""
    net = rectified((3, 2, 4))
    parameter(net, "dense_0/kernel")[:] = 0
    parameter(net, "dense_0/bias")[:] = 0
    out = parameter(net, "dense_3/kernel").reshape(3, 2, 4, 2)
    error = (parameter(net, "dense_3/bias") - net.y).mean(axis=0)  # (2,)
    expected = (parameter(net, "slopes")[..., None] * out * error).sum(axis=(0, 1, 3))
    np.testing.assert_allclose(parameter(net, "dense_0/bias", gradient(net, backend)), expected, rtol=1e-10)


def test_everywhere_the_same():
    check_everywhere(rectified((1, 2, 1)))


def test_slopes_that_two_instructions_share(backend):
    chain = Chain(4)
    chain.dense(4)
    slopes = chain.parameter("slopes", (1,))
    for _ in range(2):
        x = len(chain.values) - 1
        chain.values.append(chain.values[x])
        chain.instructions.append(Instruction("prelu", (x,), x + 1, (slopes,)))
    check_gradients(network(chain, 5), backend)
