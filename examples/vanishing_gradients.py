"""Twenty layers: through sigmoids gradients vanish and nothing is learnt; residual connections keep them alive.

Writes vanishing_gradients.png, or the file named on the command line, if matplotlib is installed.
"""

from __future__ import annotations

import importlib.util
import sys
from typing import Any

from fastann import Input, Model, datasets
from fastann.callbacks import GradientNorms
from fastann.layers import Activation, Add, BatchNormalization, Dense

DEPTH, WIDTH = 20, 32


def sigmoid_network() -> Model:
    """Return 19 sigmoid layers and a softmax."""
    x = Input((64,))
    h = x
    for _ in range(DEPTH - 1):
        h = Dense(WIDTH, activation="sigmoid")(h)
    return Model(x, Dense(10, activation="softmax")(h), name="sigmoid", seed=1)


def residual_network() -> Model:
    """Return as many layers of ReLU with batch normalisation before it and a connection around every two."""
    x = Input((64,))
    h: Any = Dense(WIDTH)(x)
    for _ in range((DEPTH - 2) // 2):
        inner = h
        for _ in range(2):
            inner = Dense(WIDTH)(Activation("relu")(BatchNormalization()(inner)))
        h = Add()([h, inner])
    return Model(x, Dense(10, activation="softmax")(Activation("relu")(h)), name="residual", seed=1)


def main(picture: str | None = "vanishing_gradients.png") -> dict[str, float]:
    """Train both on handwritten digits; return accuracies and the ratio of first to last layer's gradient norm."""
    data = datasets.load("digits")
    # full batches only: a last batch of a few rows would spoil the statistics of batch normalisation
    x, y = data.x[:1792] / 16.0, data.y[:1792]
    results, norms, accuracies = {}, {}, {}
    for model in (sigmoid_network(), residual_network()):
        watch = GradientNorms(x[:256], y[:256])
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        history = model.fit(x, y, epochs=15, batch_size=64, callbacks=[watch], verbose=0)
        norms[model.name], accuracies[model.name] = watch.norms, history.history["accuracy"]
        ratio = float(watch.norms[0, 0] / watch.norms[0, -1])
        results[f"{model.name}: accuracy"] = history.history["accuracy"][-1]
        results[f"{model.name}: gradient of the first layer over that of the last"] = ratio
    for name, value in results.items():
        print(f"{name} {value:.3g}")
    if picture is not None and importlib.util.find_spec("matplotlib") is not None:
        from fastann import plots

        plots.save_png(plots.gradient_norms(norms, accuracies, title="Gradients through 20 layers"), picture)
        print(f"picture: {picture}")
    return results


if __name__ == "__main__":
    main(*sys.argv[1:2])
