"""What one neuron can learn, what it cannot, and how a hidden layer helps."""

from __future__ import annotations

import warnings

import numpy as np

from fastann import Sequential
from fastann.layers import Dense
from fastann.optimizers import Adam
from fastann.units import Perceptron

INPUTS = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
GATES = {"AND": [0, 0, 0, 1], "OR": [0, 1, 1, 1], "XOR": [0, 1, 1, 0]}


def main() -> dict[str, float]:
    """Train a perceptron on each gate and a network on XOR; return the shares of right answers."""
    results = {}
    for name, outputs in GATES.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the unit warns of XOR; here its proof is printed
            unit = Perceptron(learning_rate=0.1, epochs=10).fit(INPUTS, outputs)
        results[name] = unit.score(INPUTS, outputs)
        print(f"perceptron on {name}: {unit.predict(INPUTS).tolist()}; {unit.separability_}")
    # a 2-2-1 network has local minima; four hidden units learn XOR from nearly every start
    network = Sequential([Dense(4, activation="tanh", input_shape=(2,)), Dense(1, activation="sigmoid")], seed=3)
    network.compile(Adam(0.05), loss="binary_crossentropy", metrics=["accuracy"])
    network.fit(INPUTS, GATES["XOR"], epochs=500, batch_size=4, verbose=0)
    predictions = network.predict(INPUTS, verbose=0)[:, 0]
    results["network on XOR"] = float(((predictions > 0.5) == GATES["XOR"]).mean())
    print("network on XOR:", predictions.round(3).tolist())
    return results


if __name__ == "__main__":
    main()
