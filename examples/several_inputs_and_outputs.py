"""The functional API: two inputs, a residual connection, two outputs with losses of their own, and shared models.

Digits again: the upper and the lower half of each image are two inputs read by one shared layer, and the network says
which digit it is and how much ink it has.
"""

from __future__ import annotations

import numpy as np

from fastann import Input, Model, Sequential, datasets
from fastann.layers import Add, Concatenate, Dense


def two_headed() -> Model:
    """Return the network with inputs "upper" and "lower" and outputs "digit" and "ink"."""
    upper, lower = Input((32,), name="upper"), Input((32,), name="lower")
    reader = Dense(32, activation="relu", name="reader")
    both = Concatenate()([reader(upper), reader(lower)])
    hidden = Add()([both, Dense(64, activation="relu")(both)])
    digit = Dense(10, activation="softmax", name="digit")(hidden)
    ink = Dense(1, name="ink")(hidden)
    return Model(inputs=[upper, lower], outputs=[digit, ink], seed=1)


def main() -> dict[str, float]:
    """Train both models and return what they reach."""
    data = datasets.load("digits")
    x = data.x / 16.0
    ink = x.mean(axis=1)
    halves = {"upper": x[:, :32], "lower": x[:, 32:]}
    model = two_headed()
    model.summary()
    model.compile(
        "adam",
        loss={"digit": "sparse_categorical_crossentropy", "ink": "mse"},
        loss_weights={"digit": 1.0, "ink": 10.0},
        metrics={"digit": "accuracy", "ink": "mae"},
    )
    history = model.fit(halves, {"digit": data.y, "ink": ink}, epochs=20, verbose=0).history
    print(", ".join(f"{name} {values[-1]:.4f}" for name, values in history.items()))

    # two models in one: what the whole learns, its parts know
    encoder = Sequential([Input((64,)), Dense(32, "relu"), Dense(8, "tanh")], name="encoder", seed=2)
    decoder = Sequential([Input((8,)), Dense(32, "relu"), Dense(64, "sigmoid")], name="decoder", seed=3)
    pixels = Input((64,))
    autoencoder = Model(pixels, decoder(encoder(pixels)), seed=4)
    autoencoder.compile("adam", "mse")
    autoencoder.fit(x, x, epochs=40, verbose=0)
    codes = encoder.predict(x, verbose=0)
    error = float(np.square(decoder.predict(codes, verbose=0) - x).mean() / x.var())
    print(f"8 numbers keep {1 - error:.1%} of the variance of 64 pixels")
    return {
        "accuracy": history["digit_accuracy"][-1],
        "ink error": history["ink_mae"][-1],
        "variance kept": 1 - error,
    }


if __name__ == "__main__":
    main()
