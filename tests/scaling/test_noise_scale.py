"""`noise_scale` against gradients of rows taken one by one, and the callback against `noise_scale`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from fastann_kernels.backend import available_backends

from fastann import Input, Model, Sequential
from fastann.callbacks import Callback
from fastann.layers import BatchNormalization, Conv2D, Dense, Dropout, Flatten, LayerNormalization
from fastann.optimizers import SGD
from fastann.scaling import NoiseScale, noise_scale
from fastann.utils import PyDataset

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 6))
Y = (X[:, 0] + 0.5 * X[:, 1] > 0).astype(int) ^ (RNG.random(200) < 0.15)


def classifier(backend: str = "numba", seed: int = 0, rate: float = 0.0, **settings: Any) -> Sequential:
    layers = [Dense(8, "tanh", input_shape=(6,), kernel_regularizer="l2"), Dense(1, "sigmoid")]
    model = Sequential(layers, seed=seed)
    model.compile(SGD(rate), "binary_crossentropy", backend=backend, precision="float64", **settings)
    return model


def by_rows(model: Any, x: Any, y: Any, weights: Any = None) -> tuple[float, float]:
    """Return tr(Sigma) and |G|^2 from the gradient of each row alone; the model must have no penalties."""
    rows = []
    for i in range(len(x)):
        _, gradients = model.loss_and_gradients(x[i : i + 1], y[i : i + 1])
        pairs = zip(model.parameters, gradients, strict=True)
        g = np.concatenate([np.ravel(g) for parameter, g in pairs if parameter.trainable])
        rows.append(g * (1 if weights is None else weights[i]))
    mean = np.mean(rows, axis=0)
    return float(((np.array(rows) - mean) ** 2).sum(1).mean()), float(mean @ mean)


def small_image_model(backend: str) -> Sequential:
    layers = [Conv2D(2, 2, activation="relu", input_shape=(4, 4, 1)), BatchNormalization(), Flatten(), Dense(2)]
    model = Sequential(layers, seed=1)
    model.compile("sgd", "mse", backend=backend, precision="float64")
    return model


@pytest.mark.parametrize("kind", ["dense", "frozen", "convolution"])
def test_noise_scale_is_that_of_single_rows(backend: str, kind: str) -> None:
    rng = np.random.default_rng(1)
    if kind == "convolution":
        model, x, y = small_image_model(backend), rng.normal(size=(12, 4, 4, 1)), rng.normal(size=(12, 2))
    else:
        layers = [Dense(4, "relu", input_shape=(6,)), Dropout(0.5), Dense(3, "tanh"), Dense(2)]
        model, x, y = Sequential(layers, seed=1), rng.normal(size=(12, 6)), rng.normal(size=(12, 2))
        model.layers[2].trainable = kind != "frozen"
        model.compile("adam", "mse", backend=backend, precision="float64")
    weights = rng.uniform(0.5, 2, 12)
    variance, signal = by_rows(model, x, y, weights)
    before = model.get_weights()
    found = noise_scale(model, x, y, weights, batch_size=5)
    assert found.variance == pytest.approx(variance, rel=1e-9)
    assert found.signal == pytest.approx(signal, rel=1e-9)
    assert found.scale == pytest.approx(variance / signal, rel=1e-9)
    assert found.rows == 12
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_penalties_on_weights_do_not_count() -> None:
    layers = [Dense(8, "tanh", input_shape=(6,)), Dense(1, "sigmoid")]
    plain = Sequential(layers, seed=0)
    plain.compile("sgd", "binary_crossentropy", backend="numba", precision="float64")
    found, expected = noise_scale(classifier(), X, Y), noise_scale(plain, X, Y)
    assert found.signal == pytest.approx(expected.signal, rel=1e-12)
    assert found.variance == pytest.approx(expected.variance, rel=1e-12)


def test_dropout_adds_noise_if_it_is_asked_for() -> None:
    model = Sequential([Dropout(0.5, input_shape=(6,)), Dense(1)], seed=0)
    model.compile("sgd", "mse", backend="numba")
    calm, noisy = noise_scale(model, X, Y), noise_scale(model, X, Y, training=True, batch_size=64)
    assert noisy.variance > 1.2 * calm.variance


def test_what_noise_scale_refuses() -> None:
    with pytest.raises(ValueError, match="BatchNormalization and training=True"):
        noise_scale(small_image_model("numba"), np.zeros((3, 4, 4, 1)), np.zeros((3, 2)), training=True)
    with pytest.raises(ValueError, match="compiled first"):
        noise_scale(Sequential([Dense(1, input_shape=(6,))]), X, Y)
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        noise_scale(classifier(), X, Y, batch_size=0)
    with pytest.raises(ValueError, match="every must be at least 1"):
        NoiseScale(every=0)


def test_no_gradient_at_all() -> None:
    model = Sequential([Dense(1, kernel_initializer="zeros", input_shape=(1,))])
    model.compile("sgd", "mse", backend="numba")
    assert math.isnan(noise_scale(model, [1.0, 2.0], [0.0, 0.0]).scale)
    assert noise_scale(model, [0.0, 0.0], [1.0, -1.0]).scale == math.inf


# ---- the callback


def test_intervals_cover_the_truth_at_frozen_weights() -> None:
    """At a learning rate of 0, on 100 networks with orders of their own."""
    covered = {"variance": 0, "signal": 0, "scale": 0}
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 6))
    y = (x[:, 0] + 0.5 * x[:, 1] > 0).astype(int) ^ (rng.random(600) < 0.15)
    for seed in range(100):
        model, noise = classifier(seed=seed), NoiseScale(every=1)
        truth = noise_scale(model, x, y)
        model.fit(x, y, batch_size=16, verbose=0, callbacks=[noise])
        for name in covered:
            covered[name] += getattr(truth, name) in getattr(noise.estimates[0], name)
    assert min(covered.values()) >= 90, covered


def test_large_batches_of_few_rows_are_not_biased() -> None:
    """Half of the data in a batch: the average over epochs is the truth; without the correction it is far off."""
    model, noise = classifier(), NoiseScale(every=1)
    truth = noise_scale(model, X, Y)
    model.fit(X, Y, batch_size=100, epochs=400, verbose=0, callbacks=[noise])
    signal = np.mean(noise.history["gradient_signal"])
    variance = np.mean(noise.history["gradient_variance"])
    assert signal == pytest.approx(truth.signal, rel=0.03)
    assert variance == pytest.approx(truth.variance, rel=0.01)
    # from the same expectations with 1 / B in place of (N - B) / (B (N - 1))
    single, batch = truth.signal + truth.variance, truth.signal + truth.variance * 100 / (100 * 199)
    assert (100 * batch - single) / 99 < 0.93 * truth.signal


def test_all_rows_in_one_batch_give_the_truth(backend: str) -> None:
    model, noise = classifier(backend), NoiseScale()
    truth = noise_scale(model, X, Y)
    history = model.fit(X, Y, batch_size=500, verbose=0, callbacks=[noise])
    assert noise.method == "per-example"
    assert noise.estimates[0].scale.value == pytest.approx(truth.scale, rel=1e-9)
    assert history.history["noise_scale"] == noise.history["noise_scale"]


def test_products_of_bfloat16_are_about_as_noisy(rounding: str) -> None:
    model, noise = classifier(rounding), NoiseScale()
    truth = noise_scale(model, X, Y)
    model.compile(SGD(0.0), "binary_crossentropy", backend=rounding, precision="bfloat16")
    model.fit(X, Y, batch_size=200, verbose=0, callbacks=[noise])
    assert noise.method == "per-example"
    assert noise.estimates[0].variance.value == pytest.approx(truth.variance, rel=0.02)
    assert noise.estimates[0].signal.value == pytest.approx(truth.signal, rel=0.05)


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_weights_are_those_of_training_without_it(backend: str, precision: str) -> None:
    trained = []
    for callbacks in ([], [NoiseScale(every=2)]):
        model = Sequential([Dense(8, "relu", input_shape=(6,)), Dropout(0.3), Dense(2, "softmax")], seed=3)
        model.compile("adam", "sparse_categorical_crossentropy", backend=backend, precision=precision)
        model.fit(X, Y, batch_size=32, epochs=2, verbose=0, callbacks=callbacks)
        trained.append(model.get_weights())
    for on, off in zip(*trained, strict=True):
        np.testing.assert_array_equal(on, off)


@pytest.mark.skipif("numba" not in available_backends(), reason="numba is not installed")
def test_a_network_with_batch_normalisation_is_measured_by_two_batches() -> None:
    """Its weights and moving statistics are those of training without the callback, too."""
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(64, 4, 4, 1)), rng.normal(size=(64, 2))
    trained = []
    for callbacks in ([], [noise := NoiseScale(every=1)]):
        model = small_image_model("numba")
        model.fit(x, y, batch_size=8, epochs=2, verbose=0, callbacks=callbacks)
        trained.append(model.get_weights())
    for on, off in zip(*trained, strict=True):
        np.testing.assert_array_equal(on, off)
    assert noise.method == "two-batch"
    assert [found.steps for found in noise.estimates] == [8, 8]


def test_two_batches_find_the_truth_of_other_layers(backend: str) -> None:
    """Rows do not interact in layer normalisation, so that there is a truth; several epochs sharpen the estimate."""
    model = Sequential([Dense(4, "tanh", input_shape=(6,)), LayerNormalization(), Dense(1)], seed=2)
    model.compile(SGD(0.0), "mse", backend=backend, precision="float64")
    noise = NoiseScale(every=1)
    truth = noise_scale(model, X, Y)
    assert (truth.variance, truth.signal) == pytest.approx(by_rows(model, X, Y), rel=1e-9)
    model.fit(X, Y, batch_size=20, epochs=30, verbose=0, callbacks=[noise])
    assert noise.method == "two-batch"
    assert np.mean(noise.history["gradient_variance"]) == pytest.approx(truth.variance, rel=0.05)
    assert np.mean(noise.history["gradient_signal"]) == pytest.approx(truth.signal, rel=0.1)


def test_a_layer_used_twice_is_measured_by_two_batches() -> None:
    shared, inputs = Dense(6, "tanh"), Input((6,))
    model = Model(inputs, Dense(1)(shared(shared(inputs))))
    model.compile(SGD(0.0), "mse", backend="numba", precision="float64")
    noise = NoiseScale()
    model.fit(X, Y, batch_size=20, verbose=0, callbacks=[noise])
    assert noise.method == "two-batch"
    assert noise_scale(model, X[:9], Y[:9]).variance == pytest.approx(by_rows(model, X[:9], Y[:9])[0], rel=1e-9)


def test_rows_that_come_from_a_stream() -> None:
    class Batches(PyDataset):
        def __len__(self) -> int:
            return 20

        def __getitem__(self, index: int) -> Any:
            rows = slice(10 * index, 10 * index + 10)
            return X[rows], Y[rows]

    model, noise = classifier(), NoiseScale()
    model.fit(Batches(), verbose=0, callbacks=[noise])
    assert noise.estimates[0].steps == 20


def test_short_batches_are_left_out() -> None:
    model, noise = classifier(), NoiseScale(every=1)
    model.fit(X, Y, batch_size=64, verbose=0, callbacks=[noise])
    assert noise.estimates[0].steps == 3


def test_how_often_it_measures() -> None:
    x, y = np.tile(X, (10, 1)), np.tile(Y, 10)
    steps = {}
    for every in (None, 1, 3):
        model, noise = classifier(), NoiseScale(every)
        model.fit(x, y, batch_size=10, epochs=2, verbose=0, callbacks=[noise])
        steps[every] = [found.steps for found in noise.estimates]
    assert steps == {None: [25, 25], 1: [200, 200], 3: [67, 67]}


def test_it_adds_no_call_of_the_kernels() -> None:
    """One that hears of every batch gives the same numbers, a batch a call."""

    class EveryBatch(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            pass

    assert not NoiseScale().wants_batches("train")
    found = []
    for others in ([], [EveryBatch()]):
        model, noise = classifier(rate=0.1), NoiseScale(every=2)
        model.fit(X, Y, batch_size=10, epochs=2, verbose=0, callbacks=[*others, noise])
        found.append(noise.history)
    np.testing.assert_allclose(found[0]["noise_scale"], found[1]["noise_scale"], rtol=1e-9)


def test_batches_of_one_row_are_refused_with_a_reason() -> None:
    model, noise = classifier(), NoiseScale()
    history = model.fit(X[:20], Y[:20], batch_size=1, verbose=0, callbacks=[noise])
    assert math.isnan(history.history["noise_scale"][0])
    assert "one row" in str(noise.estimates[0].refused)


def test_training_again_begins_anew() -> None:
    model, noise = classifier(), NoiseScale()
    for _ in range(2):
        model.fit(X, Y, epochs=2, verbose=0, callbacks=[noise])
    assert len(noise.estimates) == len(noise.history["noise_scale"]) == 2
