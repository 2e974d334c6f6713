"""Five epochs with every layer: both backends give the same run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from fastann_kernels.backend import available_backends

from fastann import Input, Model, Sequential, layers
from fastann.layers import Dense, Flatten, Layer
from fastann.optimizers import Adam

pytestmark = pytest.mark.skipif(len(available_backends()) < 2, reason="needs both backends")


def image_network(*layers: Layer) -> Sequential:
    """Return a classifier of images (6, 6, 2) with some layers before the last one."""
    return Sequential([Input((6, 6, 2)), *layers, Flatten(), Dense(3, "softmax")], seed=4)


def row_network(*layers: Layer) -> Sequential:
    """Return a classifier of rows of 8 numbers with some layers between two dense ones."""
    return Sequential([Input((8,)), Dense(6), *layers, Dense(3, "softmax")], seed=4)


def merged(kind: str) -> Model:
    """Return a classifier in which a layer joins two branches."""
    x = Input((8,))
    joined = getattr(layers, kind)()([Dense(6, "tanh")(x), Dense(6)(x)])
    return Model(x, Dense(3, "softmax")(joined), seed=4)


ROWS: dict[str, Callable[[], Model]] = {
    "batch_normalization": lambda: row_network(layers.BatchNormalization(momentum=0.9)),
    "layer_normalization": lambda: row_network(layers.LayerNormalization()),
    "gaussian_noise": lambda: row_network(layers.GaussianNoise(0.3)),
    "activity": lambda: row_network(layers.ActivityRegularization(0.01, 0.02)),
    "relu": lambda: row_network(layers.ReLU(negative_slope=0.1)),
    "leaky_relu": lambda: row_network(layers.LeakyReLU(0.2)),
    "prelu": lambda: row_network(layers.PReLU()),
    "elu": lambda: row_network(layers.ELU(0.7)),
    "softmax": lambda: row_network(layers.Softmax()),
    "reshape": lambda: row_network(layers.Reshape((2, 3)), layers.Flatten()),
    "rescaling": lambda: row_network(layers.Rescaling(0.5, 0.1)),
    "normalization": lambda: row_network(layers.Normalization(mean=0.2, variance=2.0)),
    "dropout": lambda: row_network(layers.Dropout(0.3)),
    **{
        kind.lower(): partial(merged, kind)
        for kind in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate")
    },
}

IMAGES: dict[str, Callable[[], Model]] = {
    "conv2d": lambda: image_network(layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")),
    "conv2d_dilated": lambda: image_network(layers.Conv2D(4, 3, dilation_rate=2, groups=2, activation="tanh")),
    "depthwise_conv2d": lambda: image_network(layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same")),
    "separable_conv2d": lambda: image_network(layers.SeparableConv2D(3, 3)),
    "max_pooling2d": lambda: image_network(layers.Conv2D(4, 3), layers.MaxPooling2D(2)),
    "average_pooling2d": lambda: image_network(layers.AveragePooling2D(3, strides=2, padding="same")),
    "global_average": lambda: image_network(layers.Conv2D(4, 3), layers.GlobalAveragePooling2D()),
    "global_max": lambda: image_network(layers.Conv2D(4, 3), layers.GlobalMaxPooling2D()),
    "zero_padding2d": lambda: image_network(layers.ZeroPadding2D((1, 2)), layers.Conv2D(2, 3)),
    "flip": lambda: image_network(layers.RandomFlip(seed=1)),
    "affine": lambda: image_network(
        layers.RandomRotation(0.1, seed=1), layers.RandomTranslation(0.2, 0.1, seed=2), layers.RandomZoom(0.2, seed=3)
    ),
}


def embedded() -> Sequential:
    """Return a classifier of rows of four words."""
    return Sequential([Input((4,)), layers.Embedding(9, 3), Flatten(), Dense(3, "softmax")], seed=4)


def embedded_mean() -> Sequential:
    """Return a classifier of the mean of the vectors of four words."""
    pooling = layers.GlobalAveragePooling1D()
    return Sequential([Input((4,)), layers.Embedding(9, 3), pooling, Dense(3, "softmax")], seed=4)


TEXTS = {"embedding": embedded, "embedding_mean": embedded_mean}


@pytest.mark.parametrize("name", [*ROWS, *IMAGES, *TEXTS])
def test_five_epochs_with_every_layer(name: str) -> None:
    rng = np.random.default_rng(6)
    y = rng.integers(0, 3, 37)
    make: Callable[[], Model]
    if name in TEXTS:
        make, x = TEXTS[name], rng.integers(0, 9, (37, 4)).astype(np.float64)
    elif name in IMAGES:
        make, x = IMAGES[name], rng.random((37, 6, 6, 2))
    else:
        make, x = ROWS[name], rng.normal(size=(37, 8))
    runs = []
    for backend in ("numba", "jax"):
        model = make()
        model.compile(
            Adam(0.01), "sparse_categorical_crossentropy", metrics=["accuracy"], backend=backend, precision="float64"
        )
        history = model.fit(x, y, batch_size=8, epochs=5, verbose=0, validation_split=0.2).history
        runs.append((history, model.get_weights(), model.predict(x, verbose=0)))
    (history, weights, outputs), (other_history, other_weights, other_outputs) = runs
    for key, values in history.items():
        np.testing.assert_allclose(values, other_history[key], rtol=1e-8, atol=1e-10)
    for mine, expected in zip(weights, other_weights, strict=True):
        np.testing.assert_allclose(mine, expected, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(outputs, other_outputs, rtol=1e-7, atol=1e-10)
