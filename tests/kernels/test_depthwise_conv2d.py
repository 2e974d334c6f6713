"""Convolution of each channel on its own, against scipy's correlation and PyTorch's gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.signal import correlate

from tests.images import Case, behind_dense, check_against_torch, images, torch_pad
from tests.operations import check_everywhere, check_gradients, network, parameter, predict
from tests.programs import Chain

# `outputs` are those of one channel.
CASES = {
    "three taps": Case((5, 6, 7), (3, 3), outputs=1),
    "same, two outputs a channel": Case((5, 4, 3), (3, 2), padding="same", outputs=2),
    "two outputs a channel, stride 2": Case((6, 7, 3), (3, 3), (2, 2), outputs=2),
    "several stretches of a line": Case((3, 9, 300), (2, 3), padding="same", outputs=1),
    "several stretches of a line, stride 2": Case((4, 13, 120), (3, 3), (2, 2), padding="same", outputs=2),
    "four taps, stride 2": Case((7, 8, 2), (4, 4), (2, 2), padding="same", outputs=1),
    "seven taps": Case((8, 9, 3), (2, 7), (1, 2), padding="same", outputs=1),
    "dilation": Case((9, 8, 2), (3, 3), dilation=(2, 2), padding="same", outputs=1),
    "window larger than the image": Case((2, 3, 2), (5, 7), padding="same", outputs=3),
    "window of one cell": Case((3, 3, 4), (1, 1), (2, 2), outputs=1),
}


def emit(chain: Chain, case: Case, bias: bool = True) -> int:
    """Append the convolution of a case to the chain's last value."""
    width = case.shape[2] * case.outputs
    params = (chain.parameter("kernel", (*case.window, case.shape[2], case.outputs)),)
    params += (chain.parameter("bias", (width,)),) if bias else ()
    return chain.emit(
        "depthwise_conv2d", len(chain.values) - 1, (*case.places, width), params, use_bias=bias,
        dilation_h=case.dilation[0], dilation_w=case.dilation[1], **case.attributes,
    )  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_values(backend, name):
    if backend == "jax" and list(CASES).index(name) > 1:
        pytest.skip("JAX compiles every case")
    case, chain = CASES[name], Chain(*CASES[name].shape)
    emit(chain, case)
    net = images(chain, case.shape)
    x, kernel = case.pad(net.x.reshape(-1, *case.shape)), parameter(net, "kernel")
    spread = np.zeros((*case._reaches, *kernel.shape[2:]))
    spread[:: case.dilation[0], :: case.dilation[1]] = kernel
    expected = np.empty((len(x), *case.places, kernel.shape[2] * kernel.shape[3]))
    for n, c, m in np.ndindex(len(x), *kernel.shape[2:]):
        whole = correlate(x[n, :, :, c], spread[:, :, c, m], "valid", "direct")
        expected[n, :, :, c * kernel.shape[3] + m] = whole[:: case.stride[0], :: case.stride[1]]
    np.testing.assert_allclose(predict(net, backend), expected + parameter(net, "bias"), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("bias", [True, False])
def test_gradients_are_those_of_pytorch(name, bias):
    torch = pytest.importorskip("torch")
    case, chain = CASES[name], behind_dense(CASES[name].shape)
    emit(chain, case, bias)

    def layer(x: Any, kernel: Any, b: Any = None) -> Any:
        W = kernel.reshape(*case.window, 1, -1).permute(3, 2, 0, 1)
        x = torch_pad(case, x)
        return torch.nn.functional.conv2d(x, W, b, case.stride, 0, case.dilation, groups=case.shape[2])

    check_against_torch(network(chain, 3), layer, case.shape)


def test_gradients(backend):
    case = CASES["same, two outputs a channel"]
    chain = Chain(*case.shape)
    emit(chain, case)
    check_gradients(images(chain, case.shape), backend)


def test_everywhere_the_same():
    chain = behind_dense((4, 5, 2))
    emit(chain, Case((4, 5, 2), (3, 3), padding="same", outputs=2))
    emit(chain, Case((4, 5, 4), (3, 3), (2, 2), outputs=1))
    check_everywhere(network(chain, 5))
