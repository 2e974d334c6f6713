"""`gaussian_noise`: the numbers it draws, their distribution, and nothing outside of training."""

from __future__ import annotations

import numpy as np
import pytest
from fastann_kernels.backend import available_backends
from scipy import stats

from tests import reference
from tests.operations import (
    KEY,
    check_everywhere,
    check_gradients,
    network,
    predict,
    train,
    training_batches,
    training_values,
)
from tests.programs import Chain


def noisy(columns=5, rows=7, stddev=0.7, dense=True):
    chain = Chain(columns)
    if dense:
        chain.dense(columns)
    chain.emit("gaussian_noise", len(chain.values) - 1, (columns,), stddev=stddev, stream=3)
    return network(chain, rows)


def normal_numbers(key, shape):
    """Box and Muller's numbers from pairs of bits, in float64."""
    count = int(np.prod(shape))
    bits = reference.random_bits(reference.fold_in(key, 3), (count, 2))
    u = ((bits >> 9) + 0.5) * 2.0**-23
    return (np.sqrt(-2 * np.log(u[:, 0])) * np.cos(2 * np.pi * u[:, 1])).reshape(shape)


def test_the_noise_of_each_step(backend):
    net = noisy(dense=False)
    for step, (rows, y) in enumerate(zip(training_batches(net), training_values(net, backend), strict=True)):
        n = normal_numbers(reference.fold_in(KEY, 5 + step), y.shape)
        np.testing.assert_allclose(y, net.x[rows] + 0.7 * n, rtol=1e-12, atol=1e-13)


def test_no_noise_outside_of_training(backend):
    net = noisy(dense=False)
    np.testing.assert_array_equal(predict(net, backend), net.x)


def test_gradients(backend):
    net = noisy()
    check_gradients(net, backend)
    check_gradients(net, backend, key=None)


def test_everywhere_the_same():
    check_everywhere(noisy())


def test_the_distribution_is_normal_in_single_precision():
    """Half a million numbers: moments, tails, and no two neighbours alike; more than one block a row."""
    if "numba" not in available_backends():
        pytest.skip("numba is not installed")
    net = noisy(columns=1300, rows=200, stddev=1.0, dense=False)
    net.x[:] = 0
    outputs = train(net, "numba", batch_size=64, lr=0.0, precision="float32")[1].outputs
    assert outputs is not None
    n = outputs.ravel().astype(float)
    assert stats.kstest(n, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(n[:-1], n[1:])[0, 1]) < 0.01
    assert 4.3 < np.abs(n).max() < 6
    exact = normal_numbers(reference.fold_in(KEY, 5), (64, 1300))
    np.testing.assert_allclose(outputs[:64], exact, rtol=0, atol=3e-6)
