"""Convolution against scipy's correlation, PyTorch's gradients and both backends against each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.signal import correlate

from tests.images import Case, behind_dense, check_against_torch, images, torch_pad
from tests.operations import Array, check_everywhere, check_gradients, network, parameter, predict
from tests.programs import Chain

CASES = {
    "one channel": Case((7, 6, 1), (3, 3), outputs=5),
    "same": Case((5, 6, 3), (3, 2), padding="same"),
    "many channels": Case((5, 4, 9), (3, 3), padding="same", stride=(2, 1)),
    "stride 2, same": Case((7, 6, 2), (3, 3), (2, 2), padding="same"),
    "stride 3 over a window of 2": Case((8, 7, 1), (2, 2), (3, 3)),
    "dilation": Case((9, 8, 2), (3, 2), dilation=(2, 3)),
    "dilation, same": Case((6, 7, 8), (3, 3), dilation=(2, 2), padding="same"),
    "dilation as long as the stride": Case((9, 9, 2), (2, 3), (2, 2), (2, 2), "same"),
    "window larger than the image": Case((2, 3, 2), (5, 7), padding="same"),
    "window larger than the image, many channels": Case((2, 1, 8), (5, 5), padding="same"),
    "window as large as the image": Case((4, 5, 2), (4, 5)),
    "window of one cell": Case((4, 3, 2), (1, 1)),
    "window of one cell, many channels": Case((4, 3, 10), (1, 1)),
    "window of one cell with a stride": Case((5, 4, 8), (1, 1), (2, 2)),
    "two groups": Case((5, 5, 4), (3, 3), padding="same", groups=2),
    "two groups of many channels": Case((5, 4, 16), (3, 2), padding="same", groups=2, outputs=6),
    "two groups of one cell": Case((3, 4, 16), (1, 1), groups=2, outputs=2),
    "a group a channel": Case((5, 4, 3), (3, 3), (2, 1), padding="same", groups=3, outputs=6),
    "lines in several parts": Case((13, 13, 32), (3, 3), outputs=3),
    "large kernel": Case((3, 4, 128), (3, 3), padding="same", outputs=128),
}


def emit(chain: Chain, case: Case, bias: bool = True) -> int:
    """Append the convolution of a case to the chain's last value."""
    params = (chain.parameter("kernel", (*case.window, case.shape[2] // case.groups, case.outputs)),)
    params += (chain.parameter("bias", (case.outputs,)),) if bias else ()
    return chain.emit(
        "conv2d", len(chain.values) - 1, (*case.places, case.outputs), params, use_bias=bias, groups=case.groups,
        dilation_h=case.dilation[0], dilation_w=case.dilation[1], **case.attributes,
    )  # fmt: skip


def correlated(case: Case, x: Array, kernel: Array) -> Array:
    """The convolution by scipy: every group, image and pair of channels on its own, then every stride-th cell."""
    spread = np.zeros((*case._reaches, *kernel.shape[2:]))
    spread[:: case.dilation[0], :: case.dilation[1]] = kernel
    x = case.pad(x)
    inputs, outputs = kernel.shape[2], case.outputs // case.groups
    y = np.zeros((len(x), *case.places, case.outputs))
    for n in range(len(x)):
        for o in range(case.outputs):
            for c in range(inputs):
                whole = correlate(x[n, :, :, o // outputs * inputs + c], spread[:, :, c, o], "valid", "direct")
                y[n, :, :, o] += whole[:: case.stride[0], :: case.stride[1]]
    return y


@pytest.mark.parametrize("name", [name for name in CASES if name != "large kernel"])
def test_values(backend, name):
    if backend == "jax" and list(CASES).index(name) > 3:
        pytest.skip("JAX compiles every case")
    case, chain = CASES[name], Chain(*CASES[name].shape)
    emit(chain, case)
    net = images(chain, case.shape, rows=4)
    expected = correlated(case, net.x.reshape(-1, *case.shape), parameter(net, "kernel")) + parameter(net, "bias")
    np.testing.assert_allclose(predict(net, backend), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("bias", [True, False])
def test_gradients_are_those_of_pytorch(name, bias):
    torch = pytest.importorskip("torch")
    case, chain = CASES[name], behind_dense(CASES[name].shape)
    emit(chain, case, bias)

    def layer(x: Any, kernel: Any, b: Any = None) -> Any:
        x, W = torch_pad(case, x), kernel.permute(3, 2, 0, 1)
        return torch.nn.functional.conv2d(x, W, b, case.stride, 0, case.dilation, case.groups)

    check_against_torch(network(chain, 3), layer, case.shape)


@pytest.mark.parametrize("name", ["same", "many channels"])
def test_gradients(backend, name):
    if backend == "jax" and name != "same":
        pytest.skip("JAX compiles every case")
    chain = Chain(*CASES[name].shape)
    emit(chain, CASES[name])
    check_gradients(images(chain, CASES[name].shape), backend)


def test_everywhere_the_same():
    chain = behind_dense((6, 5, 1))
    emit(chain, Case((6, 5, 1), (3, 3), padding="same", outputs=8))
    emit(chain, Case((6, 5, 8), (3, 3), (2, 2)))
    check_everywhere(network(chain, 5), lr=1e-3)


def test_one_image_used_twice():
    """Gradients of an input that two instructions read are added up."""
    case = CASES["same"]
    chain = behind_dense(case.shape)
    image = len(chain.values) - 1
    first, second = emit(chain, case), chain.emit("scale", image, case.shape, scale=2.0, offset=0.0)
    chain.emit("concatenate", (first, second), (*case.shape[:2], case.outputs + case.shape[2]), axis=2)
    check_gradients(network(chain, 2), "numba")


def test_one_kernel_used_twice():
    """Gradients of a kernel that two instructions share are added up."""
    case = Case((4, 4, 3), (3, 3), padding="same", outputs=3)
    chain = behind_dense(case.shape)
    emit(chain, case)
    again = chain.instructions[-1]
    chain.emit("conv2d", again.output, case.shape, again.params, **dict(again.attributes))
    check_gradients(network(chain, 2), "numba")
