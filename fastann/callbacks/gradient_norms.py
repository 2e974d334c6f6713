"""How large the gradient of each layer is as training goes on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastann.callbacks.base import Callback, Logs


class GradientNorms(Callback):
    """Record the norm of the gradient of each layer's kernel before the first epoch and after each one.

    The gradient is that of the loss over the rows given, all as one batch, with layers behaving as in training. Where
    the norms of the first layers are many times below those of the last, gradients vanish on their way back; where they
    are far above, they explode.

    Args:
        x, y: rows with targets, a few hundred are enough.
        weight: the weight to look at, by the end of its name: "kernel".

    Attributes:
        layers: names of the layers that have such a weight, in order.
        norms: float64[epochs + 1, layers].
    """

    def __init__(self, x: Any, y: Any, weight: str = "kernel") -> None:
        super().__init__()
        self._rows = (x, y)
        self._weight = weight
        self._taken: list[list[float]] = []
        self.layers: list[str] = []

    @property
    def norms(self) -> NDArray[np.float64]:
        """Norms so far, a row for each time they were taken."""
        return np.array(self._taken, np.float64).reshape(len(self._taken), len(self.layers))

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Take the norms of the untrained model."""
        self._taken.clear()
        self._take()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Take the norms after an epoch."""
        self._take()

    def _take(self) -> None:
        model = self.model
        _, gradients = model.loss_and_gradients(*self._rows, training=True)
        chosen = {
            parameter.name.rsplit("/", 1)[0]: float(np.linalg.norm(np.asarray(gradient, np.float64)))
            for parameter, gradient in zip(model.parameters, gradients, strict=True)
            if parameter.name.rsplit("/", 1)[-1] == self._weight
        }
        if not chosen:
            raise ValueError(f"GradientNorms found no weight called {self._weight!r}; name one such as 'kernel'.")
        self.layers = list(chosen)
        self._taken.append(list(chosen.values()))
