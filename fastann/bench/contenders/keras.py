"""Keras 3 on JAX, as it comes and with several steps an execution."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from fastann.bench.cases import Case
from fastann.bench.contenders.base import EPSILON, LEARNING_RATE, Order, Weights


class Keras:
    """`keras.Sequential` with `fit`."""

    steps_per_execution = 1

    def __init__(self, case: Case, weights: Weights) -> None:
        os.environ["KERAS_BACKEND"] = "jax"
        import keras

        self.case = case
        self.x, self.y = case.data()
        *hidden, last = case.widths[1:]
        layers: list[Any] = [keras.layers.Input((case.widths[0],))]
        layers += [keras.layers.Dense(units, activation="relu") for units in hidden]
        layers.append(keras.layers.Dense(last, activation="sigmoid" if last == 1 else "softmax"))
        self.model = keras.Sequential(layers)
        loss = "binary_crossentropy" if self.y.dtype == np.float32 else "sparse_categorical_crossentropy"
        self.model.compile(
            keras.optimizers.Adam(LEARNING_RATE, epsilon=EPSILON),
            loss,
            steps_per_execution=min(self.steps_per_execution, case.steps),
        )
        self.model.set_weights(weights)
        self.about = {"keras": keras.__version__, "backend": keras.backend.backend()}

    def epoch(self, order: Order | None = None) -> float:
        """Train one epoch."""
        x, y = (self.x, self.y) if order is None else (self.x[order], self.y[order])
        history = self.model.fit(x, y, batch_size=self.case.batch_size, epochs=1, verbose=0, shuffle=order is None)
        return float(history.history["loss"][0])

    def epochs(self, count: int) -> None:
        """Train epochs in one call."""
        self.model.fit(self.x, self.y, batch_size=self.case.batch_size, epochs=count, verbose=0)


class ManySteps(Keras):
    """With `steps_per_execution=32`."""

    steps_per_execution = 32
