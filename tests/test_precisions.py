"""Precisions that round the factors of products: which products are rounded, and what becomes of a training."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastann_kernels.backend import PRECISIONS, UnsupportedProgram, get_backend, storage_dtype

import fastann
from fastann import Sequential
from fastann.datasets import load
from fastann.layers import Conv2D, Dense, DepthwiseConv2D, Flatten, Input
from fastann.models.compile import resolve
from fastann.training.targets import Target
from tests.programs import state_for, steps_for

jax = pytest.importorskip("jax")
jnp = pytest.importorskip("jax.numpy")

from fastann_kernels.jax_backend import conv2d, dense, interpreter, precisions  # noqa: E402

ROUNDING = {"bfloat16": 2.0**-8, "tensorfloat32": 2.0**-11}


def dense_network(precision: str, backend: str = "jax", **options: Any) -> Sequential:
    model = Sequential([Input((20,)), Dense(32, "tanh"), Dense(16, "tanh"), Dense(3, "softmax")], seed=1)
    model.compile("adam", "sparse_categorical_crossentropy", precision=precision, backend=backend, **options)
    return model


def image_network(precision: str) -> Sequential:
    layers = [
        Input((8, 8, 2)), Conv2D(4, 3, strides=2, padding="same", activation="tanh"), DepthwiseConv2D(3), Flatten(),
        Dense(3, "softmax"),
    ]  # fmt: skip
    model = Sequential(layers, seed=1)
    model.compile("adam", "sparse_categorical_crossentropy", precision=precision, backend="jax")
    return model


def rows(*shape: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((256, *shape)).astype(np.float32)
    score = x.reshape(256, -1) @ rng.standard_normal((int(np.prod(shape)), 3))
    return x, score.argmax(axis=1)


NETWORKS = {"dense": (dense_network, (20,)), "images": (image_network, (8, 8, 2))}


def test_what_is_stored_in_each_precision() -> None:
    assert {precision: storage_dtype(precision).name for precision in PRECISIONS} == {
        "float32": "float32",
        "float64": "float64",
        "tensorfloat32": "float32",
        "bfloat16": "float32",
    }
    with pytest.raises(ValueError, match=r"precision must be one of 'float32'.*got 'int8'"):
        storage_dtype("int8")


# ---- which products are rounded


def equations(jaxpr: Any) -> list[Any]:
    """Return all equations, those of inner jaxprs included."""
    found = []
    for equation in jaxpr.eqns:
        found.append(equation)
        for value in equation.params.values():
            for inner in value if isinstance(value, list | tuple) else (value,):
                inner = getattr(inner, "jaxpr", inner)
                if hasattr(inner, "eqns"):
                    found += equations(inner)
    return found


def products_of_training(name: str, precision: str) -> list[Any]:
    """Return the products and convolutions of an epoch, as they are traced."""
    build, shape = NETWORKS[name]
    model, (x, y) = build(precision), rows(*shape)
    program = resolve(model.graph, model.compile_spec, [Target((), True)]).program
    executor: Any = get_backend("jax").executor(program, precision)
    data = executor.put_data(x.reshape(256, -1), y[:, None].astype(np.float32))
    state = executor.put_state(state_for(program, np.zeros(program.parameter_count)))
    arguments = executor._arguments(data, steps_for(program, 256, 32))
    epoch = partial(interpreter.train, program, precision, 256, 32, False, 1)
    traced = jax.make_jaxpr(lambda state, arguments: epoch(state, **arguments))(state, arguments)
    return [e for e in equations(traced.jaxpr) if e.primitive.name in ("dot_general", "conv_general_dilated")]


def test_every_product_of_a_training_is_of_bfloat16_into_float32() -> None:
    dots = products_of_training("dense", "bfloat16")
    assert len(dots) == 9  # forward, dW and dx of three layers; XLA drops the first dx, which nobody needs
    for dot in dots:
        assert [v.aval.dtype for v in dot.invars] == [jnp.bfloat16] * 2
        assert dot.outvars[0].aval.dtype == jnp.float32


def test_float32_is_never_rounded_and_tensorfloat32_may_be() -> None:
    for name in NETWORKS:
        for precision, expected in (("float32", jax.lax.Precision.HIGHEST), ("tensorfloat32", jax.lax.Precision.HIGH)):
            products = products_of_training(name, precision)
            assert products
            for product in products:
                assert [v.aval.dtype for v in (*product.invars, *product.outvars)] == [jnp.float32] * 3
                assert set(product.params["precision"]) == {expected}


def bfloat16(a: Any) -> Any:
    return np.asarray(jnp.asarray(a, jnp.float32).astype(jnp.bfloat16).astype(jnp.float32), np.float64)


def test_products_and_slopes_are_those_of_rounded_factors() -> None:
    rng = np.random.default_rng(5)
    x, W, delta = (rng.standard_normal(s).astype(np.float32) for s in ((4, 6, 50), (50, 7), (4, 6, 7)))
    y, back = jax.vjp(lambda x, W: dense.matmul(x, W, "bfloat16"), x, W)
    dx, dW = back(delta)
    np.testing.assert_allclose(y, bfloat16(x) @ bfloat16(W), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(dx, bfloat16(delta) @ bfloat16(W).T, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(dW, np.einsum("abi,abo->io", bfloat16(x), bfloat16(delta)), rtol=1e-5, atol=1e-5)


def test_convolutions_and_slopes_are_those_of_rounded_factors() -> None:
    rng = np.random.default_rng(6)
    x, kernel, delta = (rng.standard_normal(s).astype(np.float32) for s in ((2, 5, 5, 3), (2, 2, 3, 4), (2, 4, 4, 4)))

    def convolution(x: Any, kernel: Any) -> Any:
        layout = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=layout)

    def compiled(x: Any, kernel: Any, delta: Any) -> Any:
        y, back = jax.vjp(lambda x, k: conv2d.bfloat16_convolve(convolution, x, k), x, kernel)
        return (y, *back(delta))

    with jax.enable_x64(True):
        y, back = jax.vjp(convolution, jnp.asarray(bfloat16(x)), jnp.asarray(bfloat16(kernel)))
        expected = (y, *back(jnp.asarray(bfloat16(delta))))
    for got, wanted in zip(jax.jit(compiled)(x, kernel, delta), expected, strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-5)


def test_rounding_survives_compilation() -> None:
    x = np.linspace(1, 2, 1001, dtype=np.float32)
    np.testing.assert_array_equal(jax.jit(precisions.rounded)(x), bfloat16(x))


# ---- what becomes of a training


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("precision", ROUNDING)
def test_gradients_and_training_are_float32s_but_for_rounding(name: str, precision: str) -> None:
    build, shape = NETWORKS[name]
    x, y = rows(*shape)
    exact, model = build("float32"), build(precision)
    loss, gradient = exact.loss_and_gradients(x, y)[:2]
    rounded_loss, rounded_gradient = model.loss_and_gradients(x, y)[:2]
    assert rounded_loss == pytest.approx(loss, rel=4 * ROUNDING[precision])
    for a, b in zip(rounded_gradient, gradient, strict=True):
        assert np.linalg.norm(a - b) <= 4 * ROUNDING[precision] * np.linalg.norm(b)
    if precision == "bfloat16":
        assert any((a != b).any() for a, b in zip(rounded_gradient, gradient, strict=True))
    losses = [m.fit(x, y, epochs=8, verbose=0).history["loss"] for m in (exact, model)]
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.02)
    assert losses[1][-1] < losses[1][0]
    assert {w.dtype.name for w in model.get_weights()} == {"float32"}
    assert model.predict(x, verbose=0).dtype == np.float32


def test_a_training_in_bfloat16_is_saved_and_goes_on(tmp_path: Path, rounding: str) -> None:
    x, y = rows(20)
    model = dense_network("bfloat16", metrics=["accuracy"], backend=rounding)
    model.fit(x, y, epochs=2, verbose=0)
    model.save(tmp_path / "model.fastann")
    again = fastann.load_model(tmp_path / "model.fastann")
    assert again.compile_spec.precision == "bfloat16"
    np.testing.assert_array_equal(again.predict(x, verbose=0), model.predict(x, verbose=0))
    histories = [m.fit(x, y, epochs=4, initial_epoch=2, verbose=0).history for m in (model, again)]
    assert histories[0] == histories[1]


def test_digits_are_read_as_well_as_in_float32(rounding: str) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    x, y = datasets.load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    right = {}
    for precision in ("float32", "bfloat16"):
        model = Sequential([Input((64,)), Dense(64, "relu"), Dense(10, "softmax")], seed=2)
        model.compile(
            "adam", "sparse_categorical_crossentropy", metrics=["accuracy"], backend=rounding, precision=precision
        )
        model.fit(x[:1300], y[:1300], batch_size=32, epochs=30, verbose=0)
        right[precision] = model.evaluate(x[1300:], y[1300:], verbose=0)[1]
    assert right["float32"] > 0.9
    assert abs(right["bfloat16"] - right["float32"]) <= 0.01


@pytest.mark.slow
def test_fashion_is_read_as_well_as_in_float32(data_folder: Path, rounding: str) -> None:
    """Means over three seeds: a single training of float32 varies by as much."""
    data = load(str(data_folder / "fashion_mnist"))
    assert data.test is not None
    right: dict[str, list[float]] = {"float32": [], "bfloat16": []}
    for seed in range(3):
        for precision, found in right.items():
            model = Sequential([Input((784,)), Dense(128, "relu"), Dense(10, "softmax")], seed=seed)
            model.compile(
                "adam", "sparse_categorical_crossentropy", metrics=["accuracy"], backend=rounding, precision=precision
            )
            model.fit(data.x.reshape(-1, 784) / np.float32(255), data.y, batch_size=128, epochs=5, verbose=0)
            found.append(model.evaluate(data.test.x.reshape(-1, 784) / np.float32(255), data.test.y, verbose=0)[1])
    assert np.mean(right["float32"]) > 0.86
    assert abs(np.mean(right["bfloat16"]) - np.mean(right["float32"])) <= 0.003, right


# ---- where it cannot be


def test_numba_says_who_can(monkeypatch: pytest.MonkeyPatch) -> None:
    blas = pytest.importorskip("fastann_kernels.numba_backend.blas")
    monkeypatch.setattr(blas, "why_no_halves", lambda: "they need Intel's MKL")
    get_backend("numba").executor.cache_clear()  # type: ignore[attr-defined]
    model = Sequential([Input((4,)), Dense(1)], seed=1)
    model.compile("sgd", "mse", backend="numba", precision="bfloat16")
    with pytest.raises(UnsupportedProgram, match="Intel's MKL; use backend='jax' or precision='float32'"):
        model.fit(np.ones((4, 4)), np.ones(4), verbose=0)


def test_tensorfloat32_is_float32_on_a_cpu(backend: str) -> None:
    if backend == "jax" and get_backend("jax").describe()["platform"] != "cpu":
        pytest.skip("JAX has a GPU here")
    x, y = rows(20)
    found = []
    for precision in ("float32", "tensorfloat32"):
        model = Sequential([Input((20,)), Dense(8, "relu"), Dense(3, "softmax")], seed=4)
        model.compile("adam", "sparse_categorical_crossentropy", backend=backend, precision=precision)
        found.append(model.fit(x, y, epochs=2, verbose=0).history["loss"])
    assert found[0] == found[1]
