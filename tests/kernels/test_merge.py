"""Instructions that merge values, against NumPy's broadcasting and both backends against each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
import pytest

from tests.operations import Array, check_everywhere, check_gradients, gradient, network, parameter, predict
from tests.programs import Chain

#: Each as its formula on arrays with a batch axis in front.
FORMULAS: dict[str, Callable[[Sequence[Array]], Any]] = {
    "add": lambda xs: reduce(np.add, xs),
    "subtract": lambda xs: xs[0] - xs[1],
    "multiply": lambda xs: reduce(np.multiply, xs),
    "average": lambda xs: reduce(np.add, xs) / len(xs),
    "maximum": lambda xs: reduce(np.maximum, xs),
    "minimum": lambda xs: reduce(np.minimum, xs),
}

#: Shapes of the inputs of a row, by what is repeated.
SHAPES = {
    "none": [(6,), (6,), (6,)],
    "an inner axis": [(2, 4, 3), (2, 1, 3), (2, 4, 3)],
    "the last axis": [(2, 4, 1), (2, 4, 3), (2, 4, 1)],
    "each other's axes": [(1, 4, 1), (2, 1, 3), (1, 1, 1)],
    "ends": [(1, 3, 1, 2), (2, 3, 2, 1), (1, 1, 1, 1)],
    "whole rows": [(1,), (5,), (5,)],
}


def merged(op: str, shapes: list[tuple[int, ...]], rows: Array | int = 7):
    """A network that merges its inputs, each behind a dense layer without bias."""
    shapes = shapes[:2] if op == "subtract" else shapes
    chain = Chain(*shapes[0])
    inputs = [0, *(chain.input(*shape) for shape in shapes[1:])]
    sources = tuple(chain.dense(shape[-1], "tanh", x=i) for i, shape in zip(inputs, shapes, strict=True))
    chain.emit(op, sources, np.broadcast_shapes(*shapes))
    return network(chain, rows, seed=sum(map(ord, op)) + 1)


def sources(net):
    """The values that are merged: tanh(x W + b)."""
    values, column, tensor = [], 0, iter(net.program.parameters)
    for i in net.program.inputs:
        shape = net.program.values[i].shape
        x = net.x[:, column : column + int(np.prod(shape))].reshape(-1, *shape)
        column += int(np.prod(shape))
        W, b = (net.params[p.offset : p.offset + p.size].reshape(p.shape) for p in (next(tensor), next(tensor)))
        values.append(np.tanh(x @ W + b))
    return values


@pytest.mark.parametrize("op", FORMULAS)
@pytest.mark.parametrize("repeated", SHAPES)
def test_values(backend, op, repeated):
    if backend == "jax" and repeated not in ("none", "each other's axes"):
        pytest.skip("JAX compiles every case")
    net = merged(op, SHAPES[repeated])
    np.testing.assert_allclose(predict(net, backend), FORMULAS[op](sources(net)), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("op", FORMULAS)
def test_gradients(backend, op):
    for repeated in SHAPES if backend == "numba" else ("each other's axes",):
        check_gradients(merged(op, SHAPES[repeated]), backend)


@pytest.mark.parametrize("op", FORMULAS)
def test_everywhere_the_same(op):
    check_everywhere(merged(op, SHAPES["each other's axes"], rows=5))


@pytest.mark.parametrize("op", [*FORMULAS, "concatenate"])
def test_one_value_as_every_input(backend, op):
    """Its gradient is the sum over the places it stands in."""
    chain = Chain(3)
    x = chain.dense(4, "tanh")
    if op == "concatenate":
        chain.emit(op, (x, x), (8,), axis=0)
    else:
        chain.emit(op, (x, x), (4,))
    net = network(chain, 5)
    tanh = np.tanh(net.x @ net.params[:12].reshape(3, 4) + net.params[12:16])
    expected = np.hstack([tanh, tanh]) if op == "concatenate" else FORMULAS[op]([tanh, tanh])
    np.testing.assert_allclose(predict(net, backend), expected, rtol=1e-12, atol=1e-14)
    check_gradients(net, backend)


BIASES = ["dense_0/bias", "dense_1/bias", "dense_2/bias"]


@pytest.mark.parametrize("op", ["maximum", "minimum"])
def test_equal_inputs_share_the_gradient_by_halves(backend, op):
    """As maximum(maximum(a, b), c) does where each comparison of equals gives a half to either side."""
    shapes = [(4,), (4,), (4,)]
    net = merged(op, shapes)
    loses = -2.0 if op == "maximum" else 2.0
    biases = [[loses, 0.1, 0.1, 0.1], [0.1, 0.1, loses, 0.1], [0.1, 0.1, 0.1, loses]]  # a column each: who are equal
    for name, b in zip(BIASES, biases, strict=True):
        parameter(net, name)[:] = b
        parameter(net, name.replace("bias", "kernel"))[:] = 0
    found = gradient(net, backend)
    # divided by tanh'(b), what each input got
    got = np.array([parameter(net, name, found) / (1 - np.tanh(parameter(net, name)) ** 2) for name in BIASES])
    shares = np.array([[0, 0.25, 0.5, 0.5], [0.5, 0.25, 0, 0.5], [0.5, 0.5, 0.5, 0]])
    np.testing.assert_allclose(got, shares * got.sum(axis=0), rtol=1e-12, atol=1e-15)
    assert np.abs(got.sum(axis=0)).min() > 1e-3


@pytest.mark.parametrize("op", FORMULAS)
def test_nan_is_never_lost(backend, op):
    if backend == "jax" and op not in ("maximum", "minimum"):
        pytest.skip("JAX compiles every case")
    shapes = [(2, 4), (2, 4), (2, 4)][: 2 if op == "subtract" else 3]
    chain = Chain(2, 4)
    inputs = (0, *(chain.input(*shape) for shape in shapes[1:]))
    chain.emit(op, inputs, (2, 4))
    x = np.ones((3, 8 * len(shapes)))
    for k in range(len(shapes)):
        x[k, 8 * k + k] = np.nan
    expected = np.zeros((3, 2, 4), bool)
    for k in range(len(shapes)):
        expected[k, 0, k] = True
    np.testing.assert_array_equal(np.isnan(predict(network(chain, x), backend)), expected)


AXES = {0: [(2, 3, 2), (1, 3, 2), (4, 3, 2)], 1: [(2, 1, 3), (2, 4, 3)], 2: [(2, 3, 1), (2, 3, 4), (2, 3, 2)]}


def side_by_side(axis: int):
    chain = Chain(*AXES[axis][0])
    inputs = [0, *(chain.input(*shape) for shape in AXES[axis][1:])]
    made = tuple(chain.dense(s[-1], "tanh", x=i) for i, s in zip(inputs, AXES[axis], strict=True))
    shape = list(AXES[axis][0])
    shape[axis] = sum(s[axis] for s in AXES[axis])
    chain.emit("concatenate", made, tuple(shape), axis=axis)
    return network(chain, 7, seed=axis)


@pytest.mark.parametrize("axis", AXES)
def test_concatenate(backend, axis):
    net = side_by_side(axis)
    expected = np.concatenate(sources(net), axis=axis + 1)
    np.testing.assert_allclose(predict(net, backend), expected, rtol=1e-12, atol=1e-14)
    check_gradients(net, backend)


def test_concatenate_is_the_same_everywhere():
    check_everywhere(side_by_side(1))


def test_a_block_longer_than_the_cache_lines_of_one(backend):
    """More elements than a block holds, and not a multiple of it."""
    chain = Chain(701)
    second = chain.input(701)
    chain.emit("add", (0, second), (701,))
    net = network(chain, 3)
    np.testing.assert_array_equal(predict(net, backend), net.x[:, :701] + net.x[:, 701:])
