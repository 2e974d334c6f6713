"""A new architecture compiles nothing: the Numba kernels know no shapes and no order of layers.

What compiles is a kind of layer, activation, loss or update rule that was never used.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastann import Input, Model, layers
from fastann.layers import Dense
from fastann.optimizers import Adam

pytest.importorskip("numba")


def network(side: int, filters: int, units: int, backwards: bool) -> Model:
    """Return a network with layers of every kind, in one order or the other."""
    image, words = Input((side, side, 2)), Input((3,))
    h: Any = layers.RandomTranslation(0.1, 0.1, seed=1)(layers.RandomFlip(seed=2)(image))
    stages = [
        layers.Conv2D(filters, 3, padding="same", activation="relu"),
        layers.DepthwiseConv2D(3, padding="same"),
        layers.BatchNormalization(),
        layers.PReLU(),
        layers.ZeroPadding2D(1),
        layers.MaxPooling2D(2),
        layers.AveragePooling2D(2, padding="same"),
    ]
    for stage in reversed(stages) if backwards else stages:
        h = stage(h)
    text = layers.Flatten()(layers.Embedding(7, units)(words))
    flat = layers.Flatten()(h)
    joined = layers.Concatenate()([Dense(units)(flat), Dense(units, "tanh")(text)])
    mixed = layers.LayerNormalization()(layers.GaussianNoise(0.1)(layers.Rescaling(0.5)(joined)))
    merged = layers.Multiply()([mixed, layers.Maximum()([layers.Add()([joined, mixed]), joined])])
    penalized = layers.ActivityRegularization(0.01, 0.01)(layers.Dropout(0.2)(merged))
    return Model([image, words], Dense(3, "softmax")(penalized), seed=1)


def train(model: Model, side: int, rows: int, optimizer: Any) -> None:
    rng = np.random.default_rng(0)
    data = [rng.random((rows, side, side, 2)), rng.integers(0, 7, (rows, 3))]
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], backend="numba")
    model.fit(data, np.arange(rows) % 3, batch_size=8, epochs=2, verbose=0, validation_split=0.2)
    model.predict(data, verbose=0)


def test_another_architecture_compiles_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastann_kernels.numba_backend import machine_code

    train(network(6, 3, 4, backwards=False), 6, 30, Adam(0.01, clipnorm=1.0))
    loaded = []
    monkeypatch.setattr(machine_code, "_load", lambda code: loaded.append(code))
    train(network(9, 5, 11, backwards=True), 9, 53, Adam(0.02, amsgrad=True, global_clipnorm=1.0, weight_decay=0.1))
    assert loaded == []
