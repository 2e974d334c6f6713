"""Both backends against the reference: every activation, loss and metric, and gradients against central differences."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from fastann_kernels.backend import available_backends, get_backend
from fastann_kernels.program import ACTIVATIONS, LOSSES, METRICS, SPARSE, Loss, Metric, UpdateRule

from tests import reference
from tests.comparisons import Comparison, close
from tests.programs import Chain, loss_on, no_penalties, parameters_for, state_for, steps_for, targets_for

MOMENTUM = UpdateRule("sgd", slots=(0.0,), flags=("momentum",))
NUMBERS = {"lr": 0.02, "momentum": 0.8, "carried": 0.8}


class Case(NamedTuple):
    """A network 3 - 4 - 3 with one loss; `fused`: from logits, the last activation being softmax or sigmoid."""

    loss: str
    hidden: str
    output: str
    fused: bool = False
    smoothing: float = 0.0


def _paired() -> list[Case]:
    """Each loss and each activation at least once; JAX compiles every case, so the full table is left to Numba."""
    outputs = [a for a in ACTIVATIONS if a not in ("linear", "log_softmax")]
    outputs.insert(LOSSES.index("cosine_similarity"), "log_softmax")
    cases = [Case(op, hidden, output) for op, hidden, output in zip(LOSSES, ACTIVATIONS, outputs, strict=False)]
    fused = [
        Case("binary_crossentropy", "relu6", "sigmoid", fused=True),
        Case("categorical_crossentropy", "tanh", "softmax", fused=True, smoothing=0.1),
        Case("sparse_categorical_crossentropy", "softmax", "softmax", fused=True),
        Case("binary_crossentropy", "log_softmax", "linear", fused=True, smoothing=0.2),
        Case("categorical_crossentropy", "relu", "softmax", smoothing=0.1),
    ]
    return cases + fused


PAIRED = _paired()
FUSED_OUTPUTS = {
    "binary_crossentropy": "sigmoid",
    "categorical_crossentropy": "softmax",
    "sparse_categorical_crossentropy": "softmax",
}


def build(case: Case, batch_rows: int, weighted: bool = False, update: UpdateRule | None = None):
    """Return (program, params, data). Outputs lie about f(1.5), where every loss is defined."""
    chain = Chain(3)
    chain.dense(4, case.hidden, alpha=0.3 if case.hidden in ("relu", "elu") else None)
    if case.fused and case.output != "linear":
        logits = chain.dense(3)
        prediction = chain.activation(case.output)
    else:
        logits = prediction = chain.dense(3, case.output)
    loss = loss_on(chain, case.loss, prediction, smoothing=case.smoothing, delta=0.8)
    loss = replace(loss, logits=logits if case.fused else -1)
    program = chain.program((loss,), update=update)
    rng = np.random.default_rng(sum(map(ord, "".join(map(str, case)))))
    params = parameters_for(program, rng, scale=0.4)
    params[-15:-3] *= 0.3
    params[-3:] = rng.uniform(1.2, 1.8, 3)
    y = targets_for(loss, 3, batch_rows, rng)
    weights = rng.uniform(0.2, 2, (batch_rows, 1)) if weighted else None
    return program, params, (rng.normal(size=(batch_rows, 3)), y, weights)


def defined(loss: str, output: str) -> bool:
    """Poisson takes the logarithm of the prediction, and log_softmax is never positive."""
    return (loss, output) != ("poisson", "log_softmax")


def test_the_pairs_hold_every_loss_and_activation():
    assert {c.loss for c in PAIRED} == set(LOSSES)
    assert {c.hidden for c in PAIRED} == set(ACTIVATIONS)
    assert {c.output for c in PAIRED} == set(ACTIVATIONS)
    assert all(defined(c.loss, c.output) for c in PAIRED)


@pytest.mark.parametrize("case", PAIRED, ids=lambda c: "-".join(map(str, c)))
def test_a_network_does_what_the_reference_does(backend, case):
    weighted = PAIRED.index(case) % 2 == 1
    program, params, data = build(case, 11, weighted, update=MOMENTUM)
    comparison = Comparison(backend, program, params, data)
    penalties = np.tile([0.003, 0.01], (len(program.parameters), 1))
    comparison.check_predict(4)
    comparison.check_evaluate(4, penalties)
    comparison.check_gradients(penalties, differences=True)
    comparison.check_train(steps_for(program, 11, 5, epochs=2, numbers=NUMBERS, penalties=penalties))


@pytest.mark.parametrize("loss", ["hinge", "squared_hinge"])
def test_labels_zero_and_one_mean_minus_one_and_one_in_hinge_losses(backend, loss):
    program, params, (x, y, weights) = build(Case(loss, "tanh", "linear"), 8, weighted=True)
    signed = Comparison(backend, program, params, (x, y, weights)).check_gradients()
    zero_one = Comparison(backend, program, params, (x, (y + 1) / 2, weights)).check_gradients()
    np.testing.assert_array_equal(signed, zero_one)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_numba_gradients_for_every_loss(activation):
    """Hidden and output layer with this activation, all losses, from probabilities and from logits."""
    if "numba" not in available_backends():
        pytest.skip("numba is not installed")
    cases = [Case(op, activation, activation) for op in LOSSES if defined(op, activation)]
    cases += [Case(op, activation, output, fused=True) for op, output in FUSED_OUTPUTS.items()]
    for case in cases:
        program, params, data = build(case, 4, weighted=True)
        Comparison("numba", program, params, data).check_gradients(differences=True)


@pytest.mark.parametrize("case", PAIRED, ids=lambda c: "-".join(map(str, c)))
def test_single_precision_on_numba(case):
    if "numba" not in available_backends():
        pytest.skip("numba is not installed")
    check_single_precision("numba", case)


@pytest.mark.parametrize("case", [PAIRED[5], PAIRED[-4]], ids=lambda c: "-".join(map(str, c)))
def test_single_precision_on_jax(case):
    if "jax" not in available_backends():
        pytest.skip("jax is not installed")
    check_single_precision("jax", case)


def check_single_precision(backend, case):
    program, params, data = build(case, 11, weighted=True, update=MOMENTUM)
    comparison = Comparison(backend, program, params, data, precision="float32")
    comparison.check_predict(4)
    comparison.check_gradients()
    comparison.check_train(steps_for(program, 11, 5, epochs=2, numbers=NUMBERS))


@pytest.mark.parametrize("case", PAIRED[::3], ids=lambda c: "-".join(map(str, c)))
def test_the_backends_agree(case):
    if len(available_backends()) < 2:
        pytest.skip("only one backend is installed")
    program, params, data = build(case, 6, weighted=True)
    results = []
    for name in ("numba", "jax"):
        comparison = Comparison(name, program, params, data)
        results.append(comparison.check_gradients())
    np.testing.assert_allclose(results[0], results[1], rtol=1e-10, atol=1e-13)


def _all_metrics(ops: list[str], prediction: int, target: tuple[int, ...], logits: int = -1) -> tuple[Metric, ...]:
    """Each metric plain and weighted; of the weighted ones with k, threshold and the rest away from their defaults."""
    plain = [Metric(op, prediction, target_shape=target, k=2) for op in ops]
    other = [
        Metric(op, prediction, target_shape=target, weighted=True, k=3, threshold=0.3, delta=0.4, smoothing=0.1)
        for op in ops
        if op != "sparse_categorical_crossentropy"
    ]
    from_logits = [replace(m, logits=logits) for m in plain if logits >= 0 and m.op.endswith("crossentropy")]
    return (*plain, *other, *from_logits)


METRIC_GROUPS = {
    "labels of classes": (
        "softmax",
        "sparse_categorical_crossentropy",
        [op for op in (*LOSSES, *METRICS) if op in SPARSE],
    ),
    "one column a class": (
        "softmax",
        "categorical_crossentropy",
        [
            "categorical_accuracy",
            "top_k_categorical_accuracy",
            "categorical_crossentropy",
            "categorical_hinge",
            "kl_divergence",
            "cosine_similarity",
            "mean_squared_error",
        ],
    ),
    "yes or no": (
        "sigmoid",
        "binary_crossentropy",
        ["binary_accuracy", "accuracy", "binary_crossentropy", "hinge", "squared_hinge", "mean_absolute_error"],
    ),
    "numbers": (
        "softplus",
        "poisson",
        [
            "mean_squared_error",
            "mean_absolute_error",
            "mean_absolute_percentage_error",
            "mean_squared_logarithmic_error",
            "half_squared_error",
            "huber",
            "log_cosh",
            "poisson",
        ],
    ),
}


def test_the_groups_hold_every_metric():
    assert {op for _, _, ops in METRIC_GROUPS.values() for op in ops} == {*LOSSES, *METRICS}


@pytest.mark.parametrize("group", METRIC_GROUPS)
@pytest.mark.parametrize("sequence", [False, True], ids=["rows", "positions"])
def test_metrics(backend, group, sequence):
    """Metrics of rows (B, K), and of positions (B, T, K), while training and while evaluating."""
    output, op, ops = METRIC_GROUPS[group]
    shape = (2, 3) if sequence else (3,)
    chain = Chain(*shape)
    chain.dense(5, "tanh")
    logits = chain.dense(5)
    prediction = chain.activation(output)
    fused = op.endswith("crossentropy")
    loss = loss_on(chain, op, prediction, logits=logits if fused else -1)
    metrics = _all_metrics(ops, prediction, loss.target_shape, logits if fused else -1)
    program = chain.program((loss,), metrics, MOMENTUM)
    rng = np.random.default_rng(7)
    data = (rng.normal(size=(9, int(np.prod(shape)))), targets_for(loss, 5, 9, rng), rng.uniform(0.1, 3, (9, 1)))
    comparison = Comparison(backend, program, parameters_for(program, rng), data)
    comparison.check_evaluate(4)
    comparison.check_train(steps_for(program, 9, 4, numbers=NUMBERS))


def test_accuracy_counts_equal_numbers(backend):
    chain = Chain(2)
    chain.dense(2, bias=False)
    program = chain.program((loss_on(chain, "mean_squared_error"),), (Metric("accuracy", 1, target_shape=(2,)),))
    x = np.arange(6.0).reshape(3, 2)
    comparison = Comparison(backend, program, np.array([1.0, 0, 0, 1]), (x, x * [[1, 1], [1, 2], [2, 3]], None))
    comparison.check_evaluate(2)


def _two_heads() -> tuple[Chain, tuple[Loss, ...]]:
    """Two inputs; a hidden value that three instructions read; two outputs with losses of different weight."""
    chain = Chain(3)
    second = chain.input(2, 2)
    trunk = chain.dense(5, "tanh", x=0)
    logits = chain.dense(3, x=trunk)
    classes = chain.activation("softmax")
    level = chain.dense(2, "softplus", x=trunk)
    chain.dense(2, "gelu", x=second)
    chain.dense(1, x=len(chain.values) - 1, bias=False)
    series = chain.reshape(2)
    losses = (
        loss_on(chain, "sparse_categorical_crossentropy", classes, logits=logits, weight=0.5),
        loss_on(chain, "mean_squared_error", level, column=1, weight=2.0, weight_column=1),
        loss_on(chain, "huber", series, column=3, weight_column=2),
        loss_on(chain, "log_cosh", trunk, column=5),
    )
    return chain, losses


def test_several_inputs_outputs_and_losses(backend):
    chain, losses = _two_heads()
    metrics = (
        Metric("sparse_categorical_accuracy", losses[0].prediction, weighted=True),
        Metric(
            "mean_absolute_error", losses[2].prediction, column=3, target_shape=(2,), weighted=True, weight_column=2
        ),
    )
    outputs = tuple(loss.prediction for loss in losses[:3])
    program = chain.program(losses, metrics, MOMENTUM, outputs=outputs)
    rng = np.random.default_rng(8)
    y = np.hstack([targets_for(loss, 3, 10, rng) for loss in losses])
    data = (rng.normal(size=(10, 7)), y, rng.uniform(0.5, 2, (10, 3)))
    comparison = Comparison(backend, program, parameters_for(program, rng), data)
    comparison.check_predict(4)
    comparison.check_evaluate(4)
    comparison.check_gradients(differences=True)
    comparison.check_train(steps_for(program, 10, 4, epochs=2, numbers=NUMBERS), resumed=True)


def test_dropout_draws_the_masks_of_the_reference(backend):
    chain = Chain(4)
    chain.dropout(0.25, stream=0)
    chain.dense(6, "relu")
    chain.dropout(0.5, stream=7)
    chain.dense(2)
    program = chain.program((loss_on(chain, "mean_squared_error"),), update=MOMENTUM)
    rng = np.random.default_rng(9)
    data = (rng.normal(size=(11, 4)), rng.normal(size=(11, 2)), None)
    comparison = Comparison(backend, program, parameters_for(program, rng), data)
    comparison.check_predict(4)
    comparison.check_gradients(key=(123, 2**32 - 1), differences=True)
    steps = steps_for(program, 11, 5, epochs=2, numbers=NUMBERS, key=(2**31, 5), first_step=1000)
    comparison.check_train(steps, resumed=True)


def test_layers_on_three_axes_without_bias(backend):
    chain = Chain(12)
    chain.reshape(2, 2, 3)
    chain.dense(4, "softmax", bias=False)
    chain.dense(2, "elu", bias=False)
    chain.reshape(8)
    chain.dense(1, trainable=False)
    program = chain.program((loss_on(chain, "mean_squared_error"),), update=MOMENTUM)
    rng = np.random.default_rng(10)
    data = (rng.integers(0, 256, (7, 12), dtype=np.uint8), rng.normal(size=(7, 1)), None)
    comparison = Comparison(backend, program, parameters_for(program, rng, scale=0.01), data)
    comparison.check_predict(3)
    comparison.check_gradients()
    comparison.check_train(steps_for(program, 7, 3, epochs=2, numbers={"lr": 1e-4, "momentum": 0.5, "carried": 0.5}))


def test_training_stops_before_the_update_of_a_step_that_is_not_finite(backend):
    chain = Chain(2)
    chain.dense(1)
    program = chain.program((loss_on(chain, "mean_squared_error"),), update=UpdateRule("sgd"))
    x, y = np.ones((8, 2)), np.ones((8, 1))
    x[5] = np.nan
    params = np.array([0.1, 0.2, 0.3])
    executor = get_backend(backend).executor(program, "float64")
    steps = replace(steps_for(program, 8, 2, numbers={"lr": 0.1}), order=np.arange(8))
    state, record = executor.train(executor.put_state(state_for(program, params)), executor.put_data(x, y), steps)
    expected = reference.run_steps(program, params, np.zeros((0, 3)), (x, y, None), steps)
    assert record.completed == 2
    assert np.isnan(record.losses[2])
    close(executor.get_state(state).params, expected.params, 1e-14, "parameters")
    steps = replace(steps, stop_at_nonfinite=False)
    state, record = executor.train(executor.put_state(state_for(program, params)), executor.put_data(x, y), steps)
    assert record.completed == 4
    assert np.isnan(executor.get_state(state).params).all()


def test_order_none_means_the_rows_as_they_are(backend):
    program, params, data = build(PAIRED[0], 5, update=MOMENTUM)
    executor = get_backend(backend).executor(program, "float64")
    steps = replace(steps_for(program, 5, 2, numbers=NUMBERS), order=None)
    state = executor.put_state(state_for(program, params))
    state, _ = executor.train(state, executor.put_data(*data), steps)
    expected = reference.run_steps(program, params, np.zeros((1, params.size)), data, steps)
    close(executor.get_state(state).params, expected.params, 1e-12, "parameters")


def test_a_loss_of_ones_own_on_jax():
    """A Python function as a loss gives what the built-in one gives."""
    if "jax" not in available_backends():
        pytest.skip("jax is not installed")
    program, params, data = build(PAIRED[0], 5)
    own = replace(program.losses[0], op="callable", function=lambda y, p: ((y - p) ** 2).mean(-1))
    executor = get_backend("jax").executor(replace(program, losses=(own,)), "float64")
    state = executor.put_state(state_for(program, params))
    loss, gradient = executor.gradients(state, executor.put_data(*data), no_penalties(program))
    expected = reference.loss_and_gradient(program, params, data, no_penalties(program))
    close(loss, expected[0], 1e-12, "loss")
    close(gradient, expected[1], 1e-12, "gradient")
