"""One neuron: with a linear output it is linear regression, with a sigmoid logistic regression.

Real data: how far diabetes gets within a year from body-mass index and blood pressure; whether a tumour is benign.
"""

from __future__ import annotations

import numpy as np

from fastann import Input, Model, Sequential, datasets
from fastann.layers import Dense
from fastann.optimizers import SGD


def regression() -> float:
    """Return R2 of a single linear neuron on the diabetes data."""
    data = datasets.load("diabetes")
    x = data.x[:, 2:4] / data.x[:, 2:4].std(axis=0)
    y = (data.y - data.y.mean()) / data.y.std()
    model = Sequential([Dense(units=1, activation="linear", input_shape=(x.shape[1],))], seed=1)
    model.compile(optimizer=SGD(learning_rate=0.02), loss="mean_squared_error", metrics=["mean_absolute_error"])
    history = model.fit(x, y, epochs=50, batch_size=10, validation_split=0.1, verbose=0)
    print(f"mean absolute error: {history.history['mean_absolute_error'][-1]:.3f} standard deviations")
    predictions = model.predict(x, verbose=0)[:, 0]
    return float(1 - ((y - predictions) ** 2).mean() / y.var())


def classification() -> float:
    """Return the accuracy of a single sigmoid neuron on the breast-cancer data, made with the functional API."""
    data = datasets.load("breast_cancer")
    x = (data.x - data.x.mean(axis=0)) / data.x.std(axis=0)
    inputs = Input(shape=(x.shape[1],))
    outputs = Dense(units=1, activation="sigmoid")(inputs)
    model = Model(inputs=inputs, outputs=outputs, seed=1)
    model.compile(optimizer=SGD(learning_rate=0.01), loss="binary_crossentropy", metrics=["accuracy"])
    history = model.fit(x, data.y, epochs=50, batch_size=10, validation_split=0.1, verbose=0)
    return float(np.max(history.history["val_accuracy"]))


def main() -> dict[str, float]:
    """Train both and return what they reach."""
    results = {"R2": regression(), "accuracy": classification()}
    print(f"linear regression unit: R2 {results['R2']:.3f}")
    print(f"logistic regression unit: validation accuracy {results['accuracy']:.3f}")
    return results


if __name__ == "__main__":
    main()
