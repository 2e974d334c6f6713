"""The way that training takes through the space of the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastann.callbacks.base import Callback, Logs


class WeightPath(Callback):
    """Record all weights of a model before the first batch and after each one.

    Made for models of a few weights, whose way `fastann.plots.optimizer_paths` and `descent_paths` draw: each update
    takes 8 bytes a weight, and an epoch is run batch by batch. Training again begins a new path.

    Attributes:
        points: float64[updates + 1, weights], the weights in the order of `get_weights`, each flattened.

    >>> from fastann import Sequential
    >>> from fastann.layers import Dense
    >>> model = Sequential([Dense(1, use_bias=False, kernel_initializer="ones", input_shape=(2,))])
    >>> model.compile("sgd", "mse", backend="numba", precision="float64")
    >>> path = WeightPath()
    >>> _ = model.fit([[1.0, 0.0], [0.0, 2.0]], [0.0, 0.0], epochs=2, batch_size=2, verbose=0, callbacks=[path])
    >>> path.points.round(4).tolist()
    [[1.0, 1.0], [0.99, 0.96], [0.9801, 0.9216]]
    """

    def __init__(self) -> None:
        super().__init__()
        self._taken: list[NDArray[np.float64]] = []

    @property
    def points(self) -> NDArray[np.float64]:
        """Weights so far, a row for each time they were taken."""
        return np.array(self._taken, np.float64).reshape(len(self._taken), -1 if self._taken else 0)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Take the weights that training begins with."""
        self._taken.clear()
        self._take()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Take the weights after an update."""
        self._take()

    def _take(self) -> None:
        weights: list[Any] = self.model.get_weights()
        self._taken.append(np.concatenate([np.ravel(w) for w in weights]).astype(np.float64))
