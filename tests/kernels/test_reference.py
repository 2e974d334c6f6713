"""The reference itself: gradients against central differences, threefry against published and JAX's values."""

from __future__ import annotations

import numpy as np
import pytest
from fastann_kernels.program import ACTIVATIONS, LOSSES, METRICS, Metric, UpdateRule
from scipy.special import expit, xlogy

from tests import reference
from tests.comparisons import central_differences
from tests.programs import (
    CROSSENTROPIES,
    Chain,
    loss_on,
    no_penalties,
    parameters_for,
    state_for,
    steps_for,
    targets_for,
)

LOSS_CASES = [(op, False) for op in LOSSES] + [(op, True) for op in CROSSENTROPIES]


def check_gradient(program, params, data, penalties=None, key=None):
    penalties = no_penalties(program) if penalties is None else penalties

    def value(vector):
        return reference.loss_and_gradient(program, vector, data, penalties, key)[0]

    gradient = reference.loss_and_gradient(program, params, data, penalties, key)[1]
    numeric = central_differences(value, params)
    assert np.linalg.norm(gradient - numeric) <= 1e-7 * max(np.linalg.norm(numeric), 1)


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_threefry_gives_the_known_answers_of_random123(key, counter, expected):
    x0, x1 = reference.threefry2x32(key, tuple(np.array([word], np.uint32) for word in counter))
    assert (int(x0[0]), int(x1[0])) == expected


def test_streams_are_those_of_jax():
    jax = pytest.importorskip("jax")
    root = jax.random.wrap_key_data(np.array([7, 11], np.uint32), impl="threefry2x32")
    folded = jax.random.fold_in(root, 5)
    assert reference.fold_in((7, 11), 5) == tuple(int(w) for w in jax.random.key_data(folded))
    with jax.threefry_partitionable(True):
        expected = np.asarray(jax.random.bits(folded, (6, 9), "uint32"))
    np.testing.assert_array_equal(reference.random_bits(reference.fold_in((7, 11), 5), (6, 9)), expected)


def test_dropout_keeps_the_mean():
    factors = reference.dropout_factors(0.3, (1, 2), (400, 500))
    assert set(np.unique(factors)) == {0.0, 1 / 0.7}
    assert abs(factors.mean() - 1) < 5 * np.sqrt(0.3 / 0.7 / 200_000)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_slopes_of_activations(name, alpha):
    z = np.random.default_rng(1).normal(0, 3, (5, 7))
    direction = np.random.default_rng(2).normal(size=z.shape)

    def value(flat):
        return (reference.activate(name, flat.reshape(z.shape), alpha) * direction).sum()

    slopes = reference.activate_back(name, z, alpha, direction).ravel()
    np.testing.assert_allclose(slopes, central_differences(value, z.ravel()), atol=1e-8 * max(1, np.abs(slopes).max()))


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"exponential"}))
def test_activations_stay_finite_far_out(name):
    z = np.array([[-800.0, -30.0, 0.0, 30.0, 800.0]])
    assert np.isfinite(reference.activate(name, z, 0.2)).all()


@pytest.mark.parametrize(("op", "logits"), LOSS_CASES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_slopes_of_losses(op, logits, smoothing):
    rng = np.random.default_rng(3)
    chain = Chain(4)
    loss = loss_on(chain, op, smoothing=smoothing, logits=0 if logits else -1, delta=0.7)
    p = rng.normal(size=(6, 4)) if logits else rng.uniform(0.05, 0.95, (6, 4))
    y = targets_for(loss, 4, 6, rng).reshape(6, *loss.target_shape)
    direction = rng.normal(size=6)

    def value(flat):
        return (reference.loss_values(loss, y, flat.reshape(p.shape))[0] * direction).sum()

    slopes = reference.loss_values(loss, y, p)[1] * direction[:, None]
    np.testing.assert_allclose(slopes.ravel(), central_differences(value, p.ravel()), rtol=1e-6, atol=1e-7)


def test_crossentropies_are_the_same_from_probabilities_and_from_logits():
    rng = np.random.default_rng(4)
    z, y = rng.normal(size=(5, 3)), np.eye(3)[rng.integers(0, 3, 5)]
    for op, p in (
        ("categorical_crossentropy", reference.activate("softmax", z, 0.0)),
        ("binary_crossentropy", expit(z)),
    ):
        loss, fused = (loss_on(Chain(3), op, logits=logits) for logits in (-1, 0))
        np.testing.assert_allclose(
            reference.loss_values(loss, y, p)[0], reference.loss_values(fused, y, z)[0], rtol=1e-12
        )


def test_losses_at_points_worked_out_by_hand():
    y, p = np.array([[1.0, 0.0]]), np.array([[0.6, 0.3]])
    expected = {
        "mean_squared_error": (0.16 + 0.09) / 2,
        "half_squared_error": (0.16 + 0.09) / 4,
        "mean_absolute_error": 0.35,
        "mean_squared_logarithmic_error": (np.log(2 / 1.6) ** 2 + np.log(1.3) ** 2) / 2,
        "huber": (0.16 + 0.09) / 4,
        "log_cosh": (np.log(np.cosh(0.4)) + np.log(np.cosh(0.3))) / 2,
        "binary_crossentropy": -(np.log(0.6) + np.log(0.7)) / 2,
        "categorical_crossentropy": -np.log(0.6 / 0.9),
        "hinge": (0.4 + 1.3) / 2,
        "squared_hinge": (0.16 + 1.69) / 2,
        "categorical_hinge": 1 + 0.3 - 0.6,
        "kl_divergence": -np.log(0.6),
        "poisson": (0.6 - np.log(0.6) + 0.3) / 2,
        "cosine_similarity": -0.6 / np.hypot(0.6, 0.3),
    }
    for op, value in expected.items():
        got = reference.loss_values(loss_on(Chain(2), op), y, p)[0]
        np.testing.assert_allclose(got, [value], rtol=5e-6, err_msg=op)
    sparse = loss_on(Chain(2), "sparse_categorical_crossentropy")
    np.testing.assert_allclose(reference.loss_values(sparse, np.array([1]), p)[0], [-np.log(0.3 / 0.9)])
    percentage = loss_on(Chain(1), "mean_absolute_percentage_error")
    np.testing.assert_allclose(reference.loss_values(percentage, np.array([[2.0]]), np.array([[1.5]]))[0], [25.0])


@pytest.mark.parametrize("output", [a for a in ACTIVATIONS if a != "log_softmax"])
def test_gradient_of_a_network(output):
    rng = np.random.default_rng(5)
    chain = Chain(3)
    chain.dense(4, "tanh")
    chain.dropout(0.4, stream=2)
    chain.dense(6, output, bias=False)
    chain.reshape(2, 3)
    chain.dense(2, "sigmoid")
    program = chain.program((loss_on(chain, "mean_squared_error", weight=0.7), loss_on(chain, "poisson", column=4)))
    data = (rng.normal(size=(5, 3)), rng.uniform(0.2, 1, (5, 8)), rng.uniform(0.5, 2, (5, 1)))
    params = parameters_for(program, rng)
    penalties = np.tile([0.01, 0.02], (len(program.parameters), 1))
    check_gradient(program, params, data, penalties, key=(3, 4))


def test_metrics_at_points_worked_out_by_hand():
    p = np.array([[0.5, 0.2, 0.3], [0.1, 0.3, 0.6], [0.4, 0.35, 0.25]])
    labels, onehot = np.array([2.0, 2.0, 1.0]), np.eye(3)[[2, 2, 1]]
    hits = {
        "sparse_categorical_accuracy": (labels, [0, 1, 0]),
        "categorical_accuracy": (onehot, [0, 1, 0]),
        "sparse_top_k_categorical_accuracy": (labels, [1, 1, 1]),
        "top_k_categorical_accuracy": (onehot, [1, 1, 1]),
        "binary_accuracy": (onehot, [1 / 3, 1, 2 / 3]),
        "accuracy": (p * [1, 1, 0], [2 / 3, 2 / 3, 2 / 3]),
    }
    assert set(hits) == set(METRICS)
    for op, (y, expected) in hits.items():
        metric = Metric(op, 0, k=2, threshold=0.45)
        np.testing.assert_allclose(reference.metric_values(metric, y, p), expected, err_msg=op)


def test_worked_example():
    """x = (1, 2), linear 2-3-1 network, loss 1/2 (p - y)^2, one step of gradient descent with rate 0.1."""
    chain = Chain(2)
    chain.dense(3)
    chain.dense(1)
    program = chain.program((loss_on(chain, "half_squared_error"),), update=UpdateRule("sgd"))
    params = np.array([0.5, 0.3, 0.6, 0.2, 0.8, 0.4, 0.1, 0.1, 0.1, 0.4, 0.3, 0.2, 0.1])
    x, y = np.array([[1.0, 2.0]]), np.array([[1.0]])
    np.testing.assert_allclose(reference.forward(program, params, x)[-1], [[1.4]], rtol=1e-14)
    steps = steps_for(program, 1, 1, numbers={"lr": 0.1})
    run = reference.run_steps(program, params, state_for(program, params).slots, (x, y, None), steps)
    after = [0.484, 0.288, 0.592, 0.168, 0.776, 0.384, 0.084, 0.088, 0.092, 0.36, 0.22, 0.14, 0.06]
    np.testing.assert_allclose(run.params, after, rtol=1e-13)
    np.testing.assert_allclose(run.losses, [0.08], rtol=1e-13)


def test_kl_divergence_is_the_one_of_scipy():
    rng = np.random.default_rng(6)
    y, p = (v / v.sum(-1, keepdims=True) for v in rng.uniform(0.1, 1, (2, 5, 4)))
    got = reference.loss_values(loss_on(Chain(4), "kl_divergence"), y, p)[0]
    np.testing.assert_allclose(got, (xlogy(y, y) - xlogy(y, p)).sum(-1), rtol=1e-12)
