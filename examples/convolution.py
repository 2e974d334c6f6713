"""A convolutional network on images, with and without augmented data.

By default the 8 x 8 digits that scikit-learn ships; give a folder with Fashion-MNIST's or MNIST's idx files to train on
those: `python examples/convolution.py path/to/fashion_mnist`.
"""

from __future__ import annotations

import sys

import numpy as np

from fastann import Sequential, datasets
from fastann.layers import Conv2D, Dense, Flatten, MaxPooling2D
from fastann.preprocessing.image import ImageDataGenerator


def images(folder: str | None) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return images (N, H, W, 1) in [0, 1] and labels, to train on and to test with."""
    if folder is None:
        data = datasets.load("digits")
        x = (data.x / 16.0).reshape(-1, 8, 8, 1).astype(np.float32)
        return x[:1300], data.y[:1300], x[1300:], data.y[1300:]
    data = datasets.load(folder)
    assert data.test is not None
    parts = []
    for part in (data, data.test):
        side = int(np.sqrt(part.x.shape[1]))
        parts += [part.x.reshape(-1, side, side, 1).astype(np.float32) / 255, part.y]
    return parts[0], parts[1], parts[2], parts[3]


def network(shape: tuple[int, ...], classes: int) -> Sequential:
    """Return one convolution, pooling and two dense layers."""
    model = Sequential(
        [
            Conv2D(32, (3, 3), activation="relu", input_shape=shape),
            MaxPooling2D(pool_size=(2, 2)),
            Flatten(),
            Dense(64, activation="relu"),
            Dense(classes, activation="softmax"),
        ],
        seed=1,
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main(folder: str | None = None, epochs: int = 20) -> dict[str, float]:
    """Train both ways and return the accuracies on unseen images."""
    x, y, x_test, y_test = images(folder)
    classes = int(y.max()) + 1
    plain = network(x.shape[1:], classes)
    plain.fit(x, y, epochs=epochs, batch_size=64, verbose=0)
    augmented = network(x.shape[1:], classes)
    generator = ImageDataGenerator(rotation_range=10, width_shift_range=0.08, height_shift_range=0.08)
    augmented.fit(generator.flow(x, y, batch_size=64, seed=1), epochs=epochs, verbose=0)
    results = {
        "plain": plain.evaluate(x_test, y_test, verbose=0)[1],
        "augmented": augmented.evaluate(x_test, y_test, verbose=0)[1],
    }
    for name, accuracy in results.items():
        print(f"{name}: accuracy {accuracy:.3f} on {len(x_test):,} images")
    return results


if __name__ == "__main__":
    main(*sys.argv[1:2])
