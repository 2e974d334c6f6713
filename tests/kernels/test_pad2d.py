"""Zeros around images."""

from __future__ import annotations

import numpy as np
import pytest

from tests.images import behind_dense, images
from tests.operations import check_everywhere, check_gradients, network, predict
from tests.programs import Chain

#: (top, bottom), (left, right)
MARGINS = [((1, 2), (3, 0)), ((0, 0), (0, 0)), ((0, 1), (0, 2))]


def emit(chain: Chain, margins: tuple[tuple[int, int], tuple[int, int]]) -> int:
    """Append padding to the chain's last value."""
    (top, bottom), (left, right) = margins
    height, width, channels = chain.values[-1].shape
    shape = (height + top + bottom, width + left + right, channels)
    return chain.emit("pad2d", len(chain.values) - 1, shape, pad_top=top, pad_left=left)


@pytest.mark.parametrize("margins", MARGINS)
def test_values(backend, margins):
    chain = Chain(3, 2, 2)
    emit(chain, margins)
    net = images(chain, (3, 2, 2), rows=4)
    expected = np.pad(net.x.reshape(-1, 3, 2, 2), ((0, 0), *margins, (0, 0)))
    np.testing.assert_array_equal(predict(net, backend), expected)


def test_gradients(backend):
    chain = behind_dense((3, 2, 2))
    emit(chain, MARGINS[0])
    check_gradients(network(chain, 3), backend)


def test_one_image_used_twice():
    """Gradients of an input that two instructions read are added up."""
    chain = behind_dense((3, 2, 2))
    image = len(chain.values) - 1
    first = emit(chain, MARGINS[1])
    chain.emit("multiply", (first, image), (3, 2, 2))
    check_gradients(network(chain, 2), "numba")


def test_everywhere_the_same():
    chain = behind_dense((3, 2, 2))
    emit(chain, MARGINS[0])
    check_everywhere(network(chain, 5))
