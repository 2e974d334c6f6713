"""The kernels of the JAX backend one by one: slopes at kinks, far-out values, metrics, updates, random bits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fastann_kernels.program import ACTIVATIONS, LOSSES, METRICS, UPDATES, Loss, Metric, Parameter, UpdateRule

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")

from fastann_kernels.jax_backend import activations, dropout, losses, metrics, updates  # noqa: E402


@pytest.fixture(autouse=True)
def strict_promotion():
    """No implicit mixing of dtypes in anything that is traced here."""
    with jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_every_name_of_the_contract_has_a_kernel():
    assert set(ACTIVATIONS) == set(activations.FUNCTIONS)
    assert {*LOSSES, "callable"} == losses.OPERATIONS
    assert {*LOSSES, *METRICS} == metrics.OPERATIONS
    assert set(UPDATES) == set(updates.RULES)


# Activations and losses


def slopes(function, *points):
    """Return the derivative of an element-wise function at each point, in float64."""
    with jax.enable_x64(True):
        return np.asarray(jax.vmap(jax.grad(function))(*(jnp.asarray(p, jnp.float64) for p in points)))


KINKS = {"relu": (0, 0), "leaky_relu": (0, 0.3), "relu6": (0, 0), "elu": (0, 0.3), "softplus": (0, 0.5)}


@pytest.mark.parametrize("name", KINKS)
def test_a_kink_takes_the_slope_of_its_left_side(name):
    alpha = 0.0 if name == "relu" else 0.3
    at, expected = KINKS[name]
    assert slopes(lambda z: activations.activate(name, z, alpha), [at]) == expected
    assert slopes(lambda z: activations.activate("relu6", z, 0.0), [6.0]) == 0
    np.testing.assert_array_equal(slopes(lambda z: activations.activate("hard_sigmoid", z, 0.0), [-3, 3]), 0)


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"exponential"}))
def test_activations_and_slopes_are_finite_far_out(name):
    z = jnp.asarray([[-1e4, -50.0, 0.0, 50.0, 1e4]], jnp.float32)
    value, back = jax.vjp(lambda z: activations.activate(name, z, 0.2), z)
    assert np.isfinite(value).all()
    assert np.isfinite(back(jnp.ones_like(value))[0]).all()


def slope_of_loss(op, y, p, **settings):
    """Return dl/dp of one position with one entry."""
    loss = replace(Loss(op, 0), **settings)
    return slopes(lambda p: losses.loss_values(loss, jnp.asarray([[y]], jnp.float64), p[None, None])[0], [p])[0]


def test_losses_at_their_kinks():
    assert slope_of_loss("mean_absolute_error", 2.0, 2.0) == 0
    assert slope_of_loss("mean_absolute_percentage_error", 2.0, 2.0) == 0
    assert slope_of_loss("log_cosh", 2.0, 2.0) == 0
    assert slope_of_loss("huber", 1.0, 2.0) == 1
    assert slope_of_loss("hinge", 1.0, 1.0) == 0
    assert slope_of_loss("squared_hinge", -1.0, -1.0) == 0
    assert slope_of_loss("mean_squared_logarithmic_error", 3.0, 0.0) == 0
    assert slope_of_loss("kl_divergence", 1.0, 0.0) == 0
    assert slope_of_loss("binary_crossentropy", 1.0, 0.0, logits=0) == -0.5
    assert slope_of_loss("binary_crossentropy", 1.0, 0.0) == 0
    assert slope_of_loss("cosine_similarity", 1.0, 0.0) == -1e7


def test_labels_of_a_hinge_are_signs():
    p, zero_one = jnp.asarray([[0.5], [-2.0]], jnp.float32), jnp.asarray([[0.0], [1.0]], jnp.float32)
    for y in (zero_one, 2 * zero_one - 1):
        np.testing.assert_array_equal(losses.loss_values(Loss("hinge", 0), y, p), [1.5, 3.0])


@pytest.mark.parametrize("op", ["binary_crossentropy", "categorical_crossentropy", "sparse_categorical_crossentropy"])
def test_crossentropies_from_extreme_logits(op):
    z = jnp.asarray([[1e4, -1e4], [-1e4, 1e4]], jnp.float32)
    y = jnp.asarray([0, 0] if op in losses.ROWS and op.startswith("sparse") else [[1, 0], [1, 0]], jnp.float32)
    value, back = jax.vjp(lambda z: losses.loss_values(Loss(op, 0, logits=0), y, z), z)
    np.testing.assert_array_equal(value, [0, 1e4] if op == "binary_crossentropy" else [0, 2e4])
    assert np.isfinite(back(jnp.ones_like(value))[0]).all()


def test_log_cosh_keeps_its_digits_near_zero():
    e = np.array([[1e-4], [0.03], [0.999], [1.001], [90.0]], np.float32)
    got = losses.loss_values(Loss("log_cosh", 0), jnp.zeros((5, 1), jnp.float32), jnp.asarray(e))
    exact = np.log1p(2 * np.sinh(e[:, 0].astype(float) / 2) ** 2)
    np.testing.assert_allclose(got, exact, rtol=5e-7)


def test_an_axis_of_classes_may_stand_elsewhere(rng):
    z, y = rng.normal(size=(4, 3, 2)).astype("f4"), np.eye(3, dtype="f4")[rng.integers(0, 3, (4, 2))]
    loss = Loss("categorical_crossentropy", 0, logits=0)
    last = losses.loss_values(loss, jnp.asarray(y), jnp.asarray(z.transpose(0, 2, 1)))
    first = losses.loss_values(replace(loss, axis=1), jnp.asarray(y.transpose(0, 2, 1)), jnp.asarray(z))
    np.testing.assert_array_equal(first, last)


# Metrics


def test_ties_count_among_the_best_k_and_nan_does_not():
    p = jnp.asarray([[0.4, 0.4, 0.2], [0.4, 0.4, 0.2], [np.nan, 0.1, 0.2]], jnp.float32)
    best = Metric("sparse_top_k_categorical_accuracy", 0, k=1)
    np.testing.assert_array_equal(metrics.metric_values(best, jnp.asarray([1.0, 2.0, 0.0]), p), [1, 0, 0])
    first = Metric("sparse_categorical_accuracy", 0)
    np.testing.assert_array_equal(metrics.metric_values(first, jnp.asarray([1.0, 0.0, 1.0]), p)[:2], [0, 1])


def test_accuracies():
    y, p = jnp.asarray([[1.0, 0.0], [0.0, 1.0]], jnp.float32), jnp.asarray([[0.5, 0.1], [0.3, 0.2]], jnp.float32)
    for op, threshold, expected in (
        ("binary_accuracy", 0.5, [0.5, 0.5]),
        ("binary_accuracy", 0.25, [1, 0]),
        ("categorical_accuracy", 0.5, [1, 0]),
        ("accuracy", 0.5, [0, 0]),
    ):
        np.testing.assert_array_equal(metrics.metric_values(Metric(op, 0, threshold=threshold), y, p), expected)


# Updates


def numpy_rule(op, w, g, s, c, flags):
    """Change slots s in place and return w after one step, written from the table of `UpdateRule`."""
    if op == "sgd":
        if "momentum" not in flags:
            return w - c["lr"] * g
        s[0] = c["carried"] * s[0] - c["lr"] * g
        return w + c["momentum"] * s[0] - c["lr"] * g if "nesterov" in flags else w + s[0]
    if op == "rmsprop":
        s[0] = c["rho"] * s[0] + (1 - c["rho"]) * g**2
        d = s[0] + c["epsilon"]
        if "centered" in flags:
            s[-1] = c["rho"] * s[-1] + (1 - c["rho"]) * g
            d = s[0] - s[-1] ** 2 + c["epsilon"]
        u = c["lr"] * g / np.sqrt(d)
        if "momentum" in flags:
            u = s[1] = c["momentum"] * s[1] + u
        return w - u
    if op == "adagrad":
        s[0] = s[0] + g**2
        return w - c["lr"] * g / np.sqrt(s[0] + c["epsilon"])
    if op == "lion":
        new = w - c["lr"] * np.sign(c["beta_1"] * s[0] + (1 - c["beta_1"]) * g)
        s[0] = c["beta_2"] * s[0] + (1 - c["beta_2"]) * g
        return new
    s[0] = s[0] + (1 - c["beta_1"]) * (g - s[0])
    if op == "adamax":
        s[1] = np.maximum(c["beta_2"] * s[1], np.abs(g))
        return w - c["alpha"] * s[0] / (s[1] + c["epsilon"])
    s[1] = s[1] + (1 - c["beta_2"]) * (g**2 - s[1])
    if op == "nadam":
        ahead = c["m_scale"] * s[0] + c["g_scale"] * g
        return w - c["lr"] * ahead / (np.sqrt(c["v_scale"] * s[1]) + c["epsilon"])
    v = s[1]
    if "amsgrad" in flags:
        v = s[2] = np.maximum(s[2], v)
    return w - c["alpha"] * s[0] / (np.sqrt(v) + c["epsilon"])


COEFFICIENTS = {
    "decay": 0.1, "clipvalue": 0.3, "clipnorm": 0.5, "global_clipnorm": 0.7, "ema_momentum": 0.8, "ema_overwrite": 0.0,
    "lr": 0.05, "momentum": 0.7, "rho": 0.9, "epsilon": 1e-3, "alpha": 0.04, "beta_1": 0.8, "beta_2": 0.95,
    "m_scale": 1.2, "g_scale": 0.4, "v_scale": 1.5, "carried": 0.6,
}  # fmt: skip
VARIANTS = [
    *[(op, (), count) for op, count in zip(UPDATES, (0, 1, 1, 2, 2, 2, 1), strict=True)],
    ("sgd", ("momentum",), 1),
    ("sgd", ("momentum", "nesterov"), 1),
    ("rmsprop", ("centered",), 2),
    ("rmsprop", ("centered", "momentum"), 3),
    ("adam", ("amsgrad",), 3),
    ("adam", ("clipnorm", "decay"), 2),
    ("adam", ("clipvalue",), 2),
    ("sgd", ("global_clipnorm",), 0),
    ("sgd", ("decay", "ema"), 1),
    ("sgd", ("ema", "overwrite"), 1),
]


@pytest.mark.parametrize(("op", "flags", "count"), VARIANTS)
def test_updates_are_their_formulas(rng, op, flags, count):
    rule = UpdateRule(op, (0.1,) * count, tuple(f for f in flags if f != "overwrite"))
    c = COEFFICIENTS | {"ema_overwrite": float("overwrite" in flags)}
    kernel, frozen = Parameter("kernel", (3, 2), 0), Parameter("frozen", (2,), 6, trainable=False)
    parameters = (kernel, frozen, Parameter("bias", (2,), 8, decay=False))
    w, g = ([rng.normal(size=p.shape) for p in parameters] for _ in range(2))
    s = [[rng.uniform(0.6, 0.7, p.shape) for _ in range(count)] for p in parameters]
    with jax.enable_x64(True):
        row = updates.prepare(rule, np.array([[c[name] for name in rule.columns]]))[0]
        given = [tuple(map(jnp.asarray, each)) for each in (w, g)]
        slots = tuple(tuple(map(jnp.asarray, own)) for own in s)
        got_w, got_s = updates.update(rule, parameters, given[0], slots, given[1], jnp.asarray(row))
    total = np.sqrt((g[0] ** 2).sum() + (g[2] ** 2).sum())
    for i, parameter in enumerate(parameters):
        new, grad, own = w[i], g[i], list(s[i])
        if parameter.trainable:
            if "clipnorm" in flags:
                grad = grad * min(1, c["clipnorm"] / np.linalg.norm(grad))
            if "global_clipnorm" in flags:
                grad = grad * min(1, c["global_clipnorm"] / total)
            if "clipvalue" in flags:
                grad = np.clip(grad, -c["clipvalue"], c["clipvalue"])
            if "decay" in flags and parameter.decay:
                new = new - new * c["decay"]
            new = numpy_rule(op, new, grad, own, c, flags)
            if "ema" in flags:
                own[-1] = c["ema_momentum"] * own[-1] + (1 - c["ema_momentum"]) * new
                new = own[-1] if "overwrite" in flags else new
        np.testing.assert_allclose(got_w[i], new, rtol=1e-13, err_msg=parameter.name)
        for got, expected in zip(got_s[i], own, strict=True):
            np.testing.assert_allclose(got, expected, rtol=1e-13, err_msg=parameter.name)


def test_complements_of_decays_are_taken_in_double():
    rule = UpdateRule("adam", (0.0, 0.0))
    row = updates.prepare(rule, np.array([[0.0] * 6 + [1e-3, 0.9, 0.999, 1e-7]]))[0].astype(np.float32)
    assert dict(zip(updates.names(rule), row, strict=True))["1 - beta_2"] == np.float32(0.001)


# Random streams


def test_bits_and_keys_are_those_of_jax():
    key = (jnp.uint32(0xDEADBEEF), jnp.uint32(12345))
    root = jax.random.wrap_key_data(jnp.stack(key), impl="threefry2x32")
    folded = jax.random.fold_in(root, 77)
    np.testing.assert_array_equal(dropout.fold_in(key, 77), jax.random.key_data(folded))
    with jax.threefry_partitionable(True):
        for shape in ((5, 7), (2, 3, 4)):
            np.testing.assert_array_equal(dropout.random_bits(key, shape), jax.random.bits(root, shape, "uint32"))


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_dropout_keeps_the_right_share_and_the_mean(rate):
    out = np.asarray(dropout.dropout(jnp.ones((400, 500), jnp.float32), rate, (jnp.uint32(1), jnp.uint32(2))))
    kept = out != 0
    np.testing.assert_allclose(out[kept], 1 / (1 - rate), rtol=1e-6)
    assert abs(kept.mean() - (1 - rate)) < 5 * np.sqrt(rate * (1 - rate) / kept.size)
    columns = kept.mean(0) - (1 - rate)
    assert np.abs(columns).max() < 6 * np.sqrt(rate * (1 - rate) / 400)
