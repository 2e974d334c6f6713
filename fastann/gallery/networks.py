"""The networks of the gallery."""

from __future__ import annotations

from typing import Any

from fastann.layers import Activation, Add, BatchNormalization, Conv2D, Dense, Flatten, Input, MaxPooling2D
from fastann.models import Model, Sequential

_DEPTH, _WIDTH = 20, 32


def digits_network(seed: int) -> Sequential:
    """Return two hidden layers for images of 64 pixels."""
    return Sequential([Input((64,)), Dense(64, "relu"), Dense(32, "relu"), Dense(10, "softmax")], seed=seed)


def image_network(seed: int) -> Sequential:
    """Return a small convolutional network for images of 8 x 8 pixels."""
    return Sequential(
        [
            Input((8, 8, 1)),
            Conv2D(8, (3, 3), activation="relu"),
            MaxPooling2D((2, 2)),
            Flatten(),
            Dense(32, "relu"),
            Dense(10, "softmax"),
        ],
        seed=seed,
    )


def deep_network(kind: str, seed: int) -> Model:
    """Return a network of 20 layers.

    Args:
        kind: "sigmoid" or "relu" for dense layers of that activation in a row; "residual" for ReLU with batch
            normalisation before it and a connection around every two layers.
        seed: of its weights.
    """
    x = Input((64,))
    h: Any = Dense(_WIDTH)(x)
    if kind != "residual":
        h = Activation(kind)(h)
        for _ in range(_DEPTH - 2):
            h = Dense(_WIDTH, kind)(h)
    else:
        for _ in range((_DEPTH - 2) // 2):
            inner = h
            for _ in range(2):
                inner = Dense(_WIDTH)(Activation("relu")(BatchNormalization()(inner)))
            h = Add()([h, inner])
        h = Activation("relu")(BatchNormalization()(h))
    return Model(x, Dense(10, "softmax")(h), name=kind, seed=seed)


def residual_example(seed: int) -> Model:
    """Return a small network with a branch and a residual connection, for its diagram."""
    x = Input((64,), name="pixels")
    wide = Dense(64, "relu", name="wide")(x)
    narrow = Dense(64, "relu", name="second")(BatchNormalization(name="norm")(wide))
    joined = Add(name="residual")([wide, narrow])
    return Model(x, Dense(10, "softmax", name="digit")(joined), name="residual network", seed=seed)
