"""The same seed gives the same run on both backends."""

from __future__ import annotations

import numpy as np
import pytest
from fastann_kernels.backend import available_backends
from numpy.typing import NDArray

from fastann import layers, optimizers, regularizers, schedules
from fastann.models import Sequential

pytestmark = pytest.mark.skipif(len(available_backends()) < 2, reason="needs both backends")

ROWS, COLUMNS, CLASSES = 203, 12, 4  # with batches of 32 the last one has 11 rows


def _data() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(7)
    x = rng.standard_normal((ROWS, COLUMNS))
    return x, (x @ rng.standard_normal((COLUMNS, CLASSES)) + rng.standard_normal((ROWS, CLASSES))).argmax(axis=1)


def _model(backend: str, precision: str, optimizer: optimizers.Optimizer) -> Sequential:
    model = Sequential(
        [
            layers.Dense(24, activation="relu", input_shape=(COLUMNS,), kernel_regularizer=regularizers.L2(1e-3)),
            layers.Dropout(0.3),
            layers.Dense(16, activation="tanh", kernel_regularizer=regularizers.L1(1e-4)),
            layers.Dropout(0.1),
            layers.Dense(CLASSES, activation="softmax"),
        ],
        seed=3,
    )
    model.compile(
        optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], backend=backend, precision=precision
    )
    return model


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-4), ("float64", 1e-9)])
@pytest.mark.parametrize(
    "optimizer",
    [
        optimizers.Adam(1e-2, weight_decay=1e-3, global_clipnorm=1.0),
        optimizers.SGD(schedules.InverseTimeDecay(0.1, 10, 0.5), momentum=0.9, nesterov=True, use_ema=True),
    ],
    ids=["adam", "nesterov"],
)
def test_ten_epochs_agree(precision: str, tolerance: float, optimizer: optimizers.Optimizer) -> None:
    x, y = _data()
    runs = {}
    for backend in ("numba", "jax"):
        model = _model(backend, precision, optimizer)
        history = model.fit(
            x, y, epochs=10, batch_size=32, validation_data=(x[:50], y[:50]), class_weight={0: 2.0}, verbose=0
        )
        runs[backend] = history.history, model.get_weights()
    numba, jax = runs["numba"], runs["jax"]
    assert set(numba[0]) == set(jax[0])
    for key in ("loss", "val_loss"):
        np.testing.assert_allclose(numba[0][key], jax[0][key], rtol=tolerance)
    for ours, theirs in zip(numba[1], jax[1], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=10 * tolerance)
    assert numba[0]["loss"][-1] < numba[0]["loss"][0]


def test_dropout_and_order_depend_on_the_seed() -> None:
    x, y = _data()
    losses = []
    for seed in (0, 0, 1):
        model = Sequential([layers.Dropout(0.5, input_shape=(COLUMNS,)), layers.Dense(CLASSES, "softmax")], seed=seed)
        model.compile("sgd", "sparse_categorical_crossentropy", backend="numba")
        losses.append(model.fit(x, y, epochs=3, verbose=0).history["loss"])
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]
