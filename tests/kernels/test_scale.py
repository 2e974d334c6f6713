"""`scale` and `normalize` against their formulas."""

from __future__ import annotations

import numpy as np
import pytest

from tests.operations import check_everywhere, check_gradients, network, parameter, predict
from tests.programs import Chain


def scaled():
    chain = Chain(3)
    chain.dense(4)
    chain.emit("scale", 1, (4,), scale=-0.3, offset=1.5)
    return network(chain, 7)


def normalized(channels: int = 4, invert: bool = False, rows: int = 7):
    """The last channel's variance is below epsilon squared."""
    chain = Chain(2, 3)
    chain.dense(channels)
    params = (chain.parameter("mean", (channels,), False), chain.parameter("variance", (channels,), False))
    chain.emit("normalize", 1, (2, channels), params, epsilon=0.1, invert=invert)
    net = network(chain, rows)
    parameter(net, "variance")[-1] = 1e-4
    return net


def dense(net):
    channels = net.program.parameters[0].shape[1]
    x = net.x.reshape(-1, *net.program.values[0].shape)
    return x @ net.params[: 3 * channels].reshape(3, channels) + net.params[3 * channels : 4 * channels]


def test_scale(backend):
    net = scaled()
    np.testing.assert_allclose(predict(net, backend), 1.5 - 0.3 * dense(net), rtol=1e-12, atol=1e-14)
    check_gradients(net, backend)


@pytest.mark.parametrize("invert", [False, True], ids=["forth", "back"])
def test_normalize(backend, invert):
    for channels in (4, 1, 70) if backend == "numba" else (4,):
        net = normalized(channels, invert)
        mean, s = parameter(net, "mean"), np.maximum(np.sqrt(parameter(net, "variance")), 0.1)
        expected = mean + s * dense(net) if invert else (dense(net) - mean) / s
        np.testing.assert_allclose(predict(net, backend), expected, rtol=1e-12, atol=1e-13)
        check_gradients(net, backend)


def test_everywhere_the_same():
    check_everywhere(scaled())
    check_everywhere(normalized(), lr=0.005)
