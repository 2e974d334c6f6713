"""Pooling against explicit windows, PyTorch's gradients and both backends against each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.images import Case, behind_dense, check_against_torch, images, torch_pad
from tests.operations import Array, Network, check_everywhere, check_gradients, gradient, network, parameter, predict
from tests.programs import Chain

CASES = {
    "two by two": Case((6, 4, 3), (2, 2), (2, 2)),
    "same, with cells left over": Case((5, 7, 2), (2, 2), (2, 2), padding="same"),
    "overlapping": Case((6, 5, 3), (3, 2), (1, 1)),
    "overlapping, same": Case((5, 5, 2), (3, 3), (2, 2), padding="same"),
    "two by two, overlapping": Case((4, 4, 1), (2, 2), (1, 1)),
    "gaps between windows": Case((8, 8, 2), (2, 1), (3, 3)),
    "one cell": Case((4, 3, 2), (1, 1), (2, 2)),
    "the whole image": Case((4, 5, 6), (4, 5), (4, 5)),
    "window larger than the image": Case((2, 3, 2), (5, 5), (2, 2), padding="same"),
}
REDUCTIONS: dict[str, Callable[..., Any]] = {"max_pool2d": np.max, "average_pool2d": np.mean}


def emit(chain: Chain, op: str, case: Case) -> int:
    """Append the pooling of a case to the chain's last value."""
    shape = (*case.places, case.shape[2])
    pool_h, pool_w = case.window
    return chain.emit(op, len(chain.values) - 1, shape, pool_h=pool_h, pool_w=pool_w, **case.attributes)


def pooled(op: str, case: Case, x: Array) -> Array:
    """Each window cut out of x and reduced, cells outside of x left out."""
    (top, _), (left, _) = case.margins
    y = np.empty((len(x), *case.places, case.shape[2]))
    for p, q in np.ndindex(*case.places):
        h, w = p * case.stride[0] - top, q * case.stride[1] - left
        cells = x[:, max(h, 0) : h + case.window[0], max(w, 0) : w + case.window[1]]
        y[:, p, q] = REDUCTIONS[op](cells, axis=(1, 2))
    return y


@pytest.mark.parametrize("op", REDUCTIONS)
@pytest.mark.parametrize("name", CASES)
def test_values(backend, op, name):
    if backend == "jax" and name not in ("two by two", "overlapping, same"):
        pytest.skip("JAX compiles every case")
    case, chain = CASES[name], Chain(*CASES[name].shape)
    emit(chain, op, case)
    net = images(chain, case.shape, rows=4)
    expected = pooled(op, case, net.x.reshape(-1, *case.shape))
    np.testing.assert_allclose(predict(net, backend), expected, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("op", REDUCTIONS)
def test_gradients_are_those_of_pytorch(op, name):
    torch = pytest.importorskip("torch")
    case, chain = CASES[name], behind_dense(CASES[name].shape)
    emit(chain, op, case)

    def layer(x: Any) -> Any:
        if op == "max_pool2d":
            return torch.nn.functional.max_pool2d(torch_pad(case, x, -np.inf), case.window, case.stride)
        sums, cells = (
            torch.nn.functional.avg_pool2d(torch_pad(case, a), case.window, case.stride, divisor_override=1)
            for a in (x, torch.ones_like(x))
        )
        return sums / cells

    check_against_torch(network(chain, 3), layer, case.shape)


@pytest.mark.parametrize("op", REDUCTIONS)
def test_gradients(backend, op):
    case = CASES["overlapping, same"]
    chain = behind_dense(case.shape)
    emit(chain, op, case)
    check_gradients(network(chain, 2), backend)


@pytest.mark.parametrize("op", REDUCTIONS)
def test_everywhere_the_same(op):
    chain = behind_dense((6, 5, 2))
    emit(chain, op, Case((6, 5, 2), (3, 3), (2, 2), padding="same"))
    emit(chain, op, Case((3, 3, 2), (2, 2)))
    check_everywhere(network(chain, 5))


@pytest.mark.parametrize("op", REDUCTIONS)
def test_one_image_used_twice(op):
    """Gradients of an input that two instructions read are added up."""
    chain = behind_dense((4, 4, 2))
    image = len(chain.values) - 1
    first = emit(chain, op, Case((4, 4, 2), (2, 2), padding="same"))
    chain.emit("multiply", (first, image), (4, 4, 2))
    check_gradients(network(chain, 2), "numba")


def _cell_gradients(case: Case, cells: Array) -> tuple[Array, Network]:
    """Return the gradient of each cell of one image (H, W, C) under max pooling."""
    chain = behind_dense(case.shape)
    emit(chain, "max_pool2d", case)
    net = network(chain, np.array([[1.0, 0.0]]))
    net.params[: 3 * cells.size] = 0.0
    net.params[: cells.size] = cells.ravel()
    return gradient(net, "numba")[: cells.size].reshape(cells.shape), net


@pytest.mark.parametrize("name", ["two by two", "overlapping", "overlapping, same"])
def test_the_first_of_equal_cells_gets_the_gradient(name):
    case = CASES[name]
    cells = np.random.default_rng(3).integers(0, 2, case.shape).astype(float)
    found, net = _cell_gradients(case, cells)
    output = predict(net, "numba", 1)
    dense = [p.name for p in net.program.parameters][-2]
    error = output.ravel() @ parameter(net, dense) + net.params[-2:] - net.y[0]
    delta = (parameter(net, dense) @ error).reshape(output.shape[1:])
    expected = np.zeros_like(cells)
    (top, _), (left, _) = case.margins
    for p, q, c in np.ndindex(*delta.shape):
        h, w = p * case.stride[0] - top, q * case.stride[1] - left
        inside = [
            (i, j)
            for i in range(max(h, 0), min(h + case.window[0], case.shape[0]))
            for j in range(max(w, 0), min(w + case.window[1], case.shape[1]))
        ]
        expected[max(inside, key=lambda cell: cells[(*cell, c)])][c] += delta[p, q, c]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("op", REDUCTIONS)
@pytest.mark.parametrize("name", ["two by two", "overlapping"])
def test_nan_stays_nan(backend, op, name):
    case, chain = CASES[name], Chain(*CASES[name].shape)
    emit(chain, op, case)
    net = images(chain, case.shape, rows=5)
    x = net.x.reshape(-1, *case.shape)
    for row, (h, w) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        x[row, h, w, 1] = np.nan
    found = predict(net._replace(x=x.reshape(net.x.shape)), backend)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(pooled(op, case, x)))
    assert np.isnan(found[:4]).any(axis=(1, 2, 3)).all()
