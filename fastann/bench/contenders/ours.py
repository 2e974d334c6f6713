"""fastann itself, through `Model.fit`: checks of arguments and data belong to a call, whatever its epochs."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from fastann.bench.cases import SEED, Case
from fastann.bench.contenders.base import EPSILON, LEARNING_RATE, Order, Weights


class Fastann:
    """A network on a backend in a precision; `blas` is the value of FASTANN_BLAS, which holds for a process."""

    backend = "numba"
    precision = "float32"
    blas = "scipy"

    def __init__(self, case: Case, weights: Weights | None = None) -> None:
        os.environ["FASTANN_BLAS"] = self.blas
        from fastann_kernels.backend import get_backend

        import fastann

        self.case = case
        self.x, self.y = case.data()
        self.x.flags.writeable = False  # said not to change, as the arrays of JAX that the loops by hand hold
        self.model = fastann.Sequential(self.layers(case), seed=SEED)
        optimizer = fastann.optimizers.Adam(LEARNING_RATE, epsilon=EPSILON)
        loss = "binary_crossentropy" if self.y.dtype == np.float32 else "sparse_categorical_crossentropy"
        self.model.compile(optimizer, loss, backend=self.backend, precision=self.precision)
        if weights is not None:
            self.model.set_weights(weights)
        self.about = {"fastann": fastann.__version__, **get_backend(self.backend).describe()}

    def layers(self, case: Case) -> list[Any]:
        """Return the layers of the network."""
        from fastann.layers import Dense, Input

        *hidden, last = case.widths[1:]
        output = Dense(last, "sigmoid" if last == 1 else "softmax")
        return [Input((case.widths[0],)), *(Dense(units, "relu") for units in hidden), output]

    def epoch(self, order: Order | None = None) -> float:
        """Train one epoch; its order is always the model's own, which `orders` tells."""
        history = self.model.fit(self.x, self.y, batch_size=self.case.batch_size, epochs=1, verbose=0)
        return float(history.history["loss"][-1])

    def weights(self) -> Weights:
        """Return the weights as they are."""
        return [np.asarray(w) for w in self.model.get_weights()]

    def epochs(self, count: int) -> None:
        """Train epochs in one call."""
        self.model.fit(self.x, self.y, batch_size=self.case.batch_size, epochs=count, verbose=0)

    def orders(self, epochs: int) -> list[Order]:
        """Return the orders of the next epochs."""
        from fastann.random import epoch_order

        first = self.model.epochs_trained
        return [epoch_order(self.model.seed, first + e, self.case.rows) for e in range(epochs)]


class Numba(Fastann):
    """On the Numba backend, with the BLAS that scipy brings."""


class NumbaMkl(Fastann):
    """On the Numba backend, with MKL."""

    blas = "mkl"


class NumbaBFloat16(NumbaMkl):
    """On the Numba backend, with MKL's products of bfloat16."""

    precision = "bfloat16"


class Jax(Fastann):
    """On the JAX backend."""

    backend = "jax"


class Images(Fastann):
    """With the convolutional network."""

    def layers(self, case: Case) -> list[Any]:
        """Return the layers of the network."""
        from fastann.bench.images import CLASSES, FILTERS, HIDDEN, SIDE
        from fastann.layers import Conv2D, Dense, Flatten, Input, MaxPooling2D

        return [
            Input((SIDE, SIDE, 1)),
            Conv2D(FILTERS, (3, 3), activation="relu"),
            MaxPooling2D((2, 2)),
            Flatten(),
            Dense(HIDDEN, "relu"),
            Dense(CLASSES, "softmax"),
        ]


class NumbaImages(Images):
    """On the Numba backend, with the BLAS that scipy brings."""


class NumbaMklImages(Images):
    """On the Numba backend, with MKL."""

    blas = "mkl"


class JaxOnDevice(Jax):
    """On the JAX backend in the precision of the case."""

    def __init__(self, case: Case, weights: Weights | None = None) -> None:
        self.precision = case.precision
        super().__init__(case, weights)


class JaxImages(Images):
    """On the JAX backend."""

    backend = "jax"
