"""Random architectures: whatever network is drawn, both backends do what the reference does."""

from __future__ import annotations

import numpy as np
import pytest
from fastann_kernels.backend import available_backends
from fastann_kernels.program import ACTIVATIONS, UpdateRule
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.comparisons import Comparison
from tests.programs import Chain, loss_on, parameters_for, steps_for, targets_for

ADAM = UpdateRule("adam", slots=(0.0, 0.0))
NUMBERS = {"alpha": 0.01, "beta_1": 0.9, "beta_2": 0.99, "epsilon": 1e-3}

B = st.integers(1, 12)
WIDTH = st.integers(1, 20)
DEPTH = st.integers(1, 5)
HIDDEN = st.sampled_from([a for a in ACTIVATIONS if a != "exponential"])
RATE = st.sampled_from([0.0, 0.0, 0.2, 0.5])
LOSS = st.sampled_from(
    [
        ("mean_squared_error", "linear"),
        ("mean_absolute_error", "tanh"),
        ("huber", "leaky_relu"),
        ("log_cosh", "elu"),
        ("poisson", "exponential"),
        ("mean_squared_logarithmic_error", "softplus"),
        ("binary_crossentropy", "sigmoid"),
        ("categorical_crossentropy", "softmax"),
        ("sparse_categorical_crossentropy", "softmax"),
        ("squared_hinge", "softsign"),
        ("categorical_hinge", "gelu"),
        ("kl_divergence", "softmax"),
    ]
)


@st.composite
def networks(draw):
    """(program, params, data, batch size): depth 1 to 5, widths 1 to 20, dropout, any loss, B = 1 included."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    chain = Chain(draw(WIDTH))
    for stream in range(draw(DEPTH) - 1):
        chain.dense(draw(WIDTH), draw(HIDDEN), bias=draw(st.booleans()))
        rate = draw(RATE)
        if rate:
            chain.dropout(rate, stream=stream)
    op, activation = draw(LOSS)
    width = draw(WIDTH)
    logits = chain.dense(width)
    prediction = chain.activation(activation)
    fused = op.endswith("crossentropy") and draw(st.booleans())
    loss = loss_on(chain, op, prediction, logits=logits if fused else -1)
    program = chain.program((loss,), update=ADAM)
    rows = draw(B)
    weights = rng.uniform(0.1, 2, (rows, 1)) if draw(st.booleans()) else None
    data = (rng.normal(size=(rows, chain.values[0].size)), targets_for(loss, width, rows, rng), weights)
    return program, parameters_for(program, rng, scale=0.4), data, draw(st.integers(1, rows))


def check(backend, network):
    program, params, data, batch_size = network
    rows = len(data[0])
    comparison = Comparison(backend, program, params, data)
    comparison.check_gradients(key=(1, 2))
    comparison.check_predict(batch_size)
    batch_size = min(batch_size, -(-rows // 2))
    comparison.check_train(steps_for(program, rows, batch_size, epochs=3, numbers=NUMBERS, key=(3, 4)))


QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]


@given(networks())
@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=QUIET)
def test_random_networks_on_numba(network):
    if "numba" not in available_backends():
        pytest.skip("numba is not installed")
    check("numba", network)


@given(networks())
@settings(max_examples=6, deadline=None, derandomize=True, suppress_health_check=QUIET)
def test_random_networks_on_jax(network):
    if "jax" not in available_backends():
        pytest.skip("jax is not installed")
    check("jax", network)
