"""The same small network for the three usual tasks: only the last layer and the loss differ."""

from __future__ import annotations

import numpy as np

from fastann import Sequential, datasets
from fastann.layers import Dense
from fastann.optimizers import SGD
from fastann.utils import to_categorical


def standardised(x: np.ndarray) -> np.ndarray:
    """Return columns with mean 0 and standard deviation 1."""
    return (x - x.mean(axis=0)) / x.std(axis=0)


def regression() -> float:
    """Return the mean absolute error, in cm, of petal widths predicted from petal length and sepal length."""
    data = datasets.load("iris")
    x, y = standardised(data.x[:, [0, 2]]), data.x[:, 3]
    model = Sequential([Dense(3, input_shape=(2,), activation="linear"), Dense(1, activation="linear")], seed=1)
    model.compile(optimizer=SGD(learning_rate=0.01), loss="mean_squared_error", metrics=["mae"])
    model.fit(x, y, epochs=100, batch_size=10, verbose=0)
    for prediction, actual in list(zip(model.predict(x, verbose=0), y, strict=True))[::40]:
        print(f"  predicted {prediction[0]:.2f} cm, actual {actual:.2f} cm")
    return float(np.abs(model.predict(x, verbose=0)[:, 0] - y).mean())


def binary() -> float:
    """Return the accuracy on two kinds of irises."""
    data = datasets.load("iris")
    rows = data.y > 0
    x, y = standardised(data.x[rows][:, 2:]), data.y[rows] - 1
    model = Sequential([Dense(3, input_shape=(2,), activation="linear"), Dense(1, activation="sigmoid")], seed=1)
    model.compile(optimizer=SGD(learning_rate=0.02), loss="binary_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=100, batch_size=10, verbose=0)
    return float(model.evaluate(x, y, verbose=0)[1])


def multiclass() -> float:
    """Return the accuracy on three kinds of irises, with one-hot targets."""
    data = datasets.load("iris")
    x, y = standardised(data.x[:, 2:]), to_categorical(data.y, 3)
    model = Sequential([Dense(3, input_shape=(2,), activation="linear"), Dense(3, activation="softmax")], seed=1)
    model.compile(optimizer=SGD(learning_rate=0.02), loss="categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=100, batch_size=10, verbose=0)
    probabilities = model.predict(x, verbose=0)
    return float((np.argmax(probabilities, axis=1) == data.y).mean())


def main() -> dict[str, float]:
    """Train all three and return what they reach."""
    results = {"error": regression(), "binary": binary(), "multiclass": multiclass()}
    print(f"regression: mean absolute error {results['error']:.2f} cm")
    print(f"two classes: accuracy {results['binary']:.3f}, three classes: {results['multiclass']:.3f}")
    return results


if __name__ == "__main__":
    main()
