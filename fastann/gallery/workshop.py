"""The trainings whose pictures the gallery shows: each is run once, when the first picture asks for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastann import datasets
from fastann.callbacks import GradientNorms, WeightPath
from fastann.callbacks.history import History
from fastann.comparing import compare_learning_rates, compare_optimizers
from fastann.gallery.networks import deep_network, digits_network, image_network
from fastann.layers import Dense, Dropout, Input
from fastann.models import Model, Sequential
from fastann.optimizers import SGD, Adagrad, Adam, Optimizer, RMSprop
from fastann.schedules import CosineDecay

Array = NDArray[np.float64]

_SEED = 7

#: Rows whose mean square is a valley askew to both weights; across, its curvature is 30 times that along.
VALLEY = np.array([[1.0, 0.4], [-2.2, 5.5]])
START = (-2.5, 1.0)


class Workshop:
    """Data and trained models for pictures.

    Args:
        quick: train for fewer epochs, to see whether everything works.
        backend: as in `compile`.
    """

    def __init__(self, quick: bool = False, backend: str = "auto") -> None:
        self.quick = quick
        self.backend = backend

    def _epochs(self, full: int) -> int:
        return max(4, full // 10) if self.quick else full

    # ---- data

    @cached_property
    def digits(self) -> tuple[tuple[Array, NDArray[np.int64]], tuple[Array, NDArray[np.int64]]]:
        """Handwritten digits, pixels in [0, 1]: three quarters to train on and a quarter to judge by."""
        from fastann.evaluation import train_validation_test_split

        data = datasets.load("digits")
        xs, ys = train_validation_test_split(
            data.x / 16.0, data.y, validation=0.0, test=0.25, stratify=data.y, seed=_SEED
        )
        return (xs[0], ys[0]), (xs[2], ys[2])

    @cached_property
    def tumours(self) -> tuple[Array, NDArray[np.int64]]:
        """Mean radius and mean texture of 569 tumours, standardised; malignant or benign."""
        data = datasets.load("breast_cancer")
        x = data.x[:, :2].astype(np.float64)
        return (x - x.mean(axis=0)) / x.std(axis=0), data.y

    @cached_property
    def flowers(self) -> tuple[Array, NDArray[np.int64]]:
        """Length and width of the petals of 150 irises in cm; three species."""
        data = datasets.load("iris")
        return data.x[:, 2:].astype(np.float64), data.y

    @cached_property
    def progressions(self) -> tuple[Array, Array]:
        """Ten measurements of 442 diabetes patients and how the illness went on; all standardised."""
        data = datasets.load("diabetes")
        x, y = data.x.astype(np.float64), data.y.astype(np.float64)
        return (x - x.mean(axis=0)) / x.std(axis=0), (y - y.mean()) / y.std()

    @cached_property
    def patients(self) -> tuple[Array, Array]:
        """The body-mass index alone, beside a column of ones, and how the illness went on."""
        x, y = self.progressions
        return np.column_stack([x[:, 2], np.ones(len(x))]), y

    # ---- trained models

    def _fitted(self, model: Model, x: Any, y: Any, epochs: int, optimizer: Any = "adam", **settings: Any) -> History:
        loss = "sparse_categorical_crossentropy" if model.output_shape[-1] > 1 else "binary_crossentropy"
        model.compile(optimizer, loss, metrics=["accuracy"], backend=self.backend, on_nonfinite="ignore")
        return model.fit(x, y, epochs=epochs, verbose=0, **settings)

    @cached_property
    def classifier(self) -> Sequential:
        """A trained network of two hidden layers for the digits; `untrained` are the weights it began with."""
        (x, y), _ = self.digits
        model = digits_network(seed=_SEED)
        self.untrained = model.get_weights()
        self._fitted(model, x, y, self._epochs(30))
        return model

    @cached_property
    def overfitted(self) -> History:
        """Of a large network trained for long on 200 digits."""
        (x, y), (x_test, y_test) = self.digits
        model = Sequential([Input((64,)), Dense(256, "relu"), Dense(256, "relu"), Dense(10, "softmax")], seed=_SEED)
        return self._fitted(model, x[:200], y[:200], self._epochs(100), Adam(0.003), validation_data=(x_test, y_test))

    @cached_property
    def regularized(self) -> History:
        """Of a smaller network with dropout on all the digits, its learning rate falling to nothing."""
        (x, y), (x_test, y_test) = self.digits
        model = Sequential(
            [Input((64,)), Dense(64, "relu"), Dropout(0.4), Dense(32, "relu"), Dropout(0.3), Dense(10, "softmax")],
            seed=_SEED,
        )
        epochs, batch = self._epochs(60), 64
        optimizer = Adam(CosineDecay(0.004, decay_steps=epochs * -(-len(x) // batch)))
        return self._fitted(model, x, y, epochs, optimizer, batch_size=batch, validation_data=(x_test, y_test))

    @cached_property
    def two_classes(self) -> Sequential:
        """A network that parts the tumours by two measurements."""
        model = Sequential([Input((2,)), Dense(16, "tanh"), Dense(16, "tanh"), Dense(1, "sigmoid")], seed=_SEED)
        self._fitted(model, *self.tumours, self._epochs(150), Adam(0.01))
        return model

    @cached_property
    def three_classes(self) -> Sequential:
        """A network that parts the irises by two measurements."""
        model = Sequential([Input((2,)), Dense(16, "relu"), Dense(3, "softmax")], seed=_SEED)
        self._fitted(model, *self.flowers, self._epochs(200), Adam(0.02))
        return model

    @cached_property
    def convolutional(self) -> Sequential:
        """A small convolutional network for the digits."""
        (x, y), _ = self.digits
        model = image_network(seed=_SEED)
        self._fitted(model, x.reshape(-1, 8, 8, 1), y, self._epochs(10))
        return model

    # ---- comparisons

    @cached_property
    def by_optimizer(self) -> dict[str, History]:
        """Histories of one network on the digits with each optimizer."""
        (x, y), _ = self.digits
        optimizers: dict[str, Optimizer] = {
            "SGD, rate 0.05": SGD(0.05), "SGD, momentum 0.9, rate 0.05": SGD(0.05, momentum=0.9),
            "RMSprop, rate 0.001": RMSprop(0.001), "Adagrad, rate 0.05": Adagrad(0.05), "Adam, rate 0.001": Adam(0.001),
        }  # fmt: skip
        model = digits_network(seed=_SEED)
        model.compile("sgd", "sparse_categorical_crossentropy", backend=self.backend)
        return compare_optimizers(model, x, y, optimizers=optimizers, epochs=self._epochs(30))

    @cached_property
    def by_learning_rate(self) -> dict[str, History]:
        """Histories of one network on the diabetes data, all rows an update, with rates from too low to too high."""
        x, y = self.progressions
        model = Sequential([Input((10,)), Dense(16, "tanh"), Dense(1)], seed=_SEED)
        model.compile("sgd", "mse", backend=self.backend)
        rates = {0.002: "too low", 0.1: "good", 0.3: "almost too high", 0.4: "too high"}
        histories = compare_learning_rates(model, x, y, rates=rates, epochs=self._epochs(60), batch_size=len(x))
        return {f"rate {rate:g}, {word}": histories[rate] for rate, word in rates.items()}

    @cached_property
    def by_depth(self) -> tuple[dict[str, Array], dict[str, list[float]]]:
        """Gradient norms and accuracies of networks of 20 layers on the digits."""
        (x, y), _ = self.digits
        # full batches only: the statistics of the three rows that are left over would spoil batch normalisation
        batch = 64
        x, y = x[: len(x) // batch * batch], y[: len(y) // batch * batch]
        norms, accuracies = {}, {}
        for name, kind in (("sigmoid", "sigmoid"), ("ReLU", "relu"), ("ReLU + batch norm + residual", "residual")):
            watch = GradientNorms(x[:256], y[:256])
            history = self._fitted(
                deep_network(kind, seed=_SEED), x, y, self._epochs(25), callbacks=[watch], batch_size=batch
            )
            norms[name], accuracies[name] = watch.norms, history.history["accuracy"]
        return norms, accuracies

    # ---- two weights

    def path(self, optimizer: Optimizer, x: Any, y: Any, start: tuple[float, ...], epochs: int, batch: int) -> Array:
        """Return the weights of a linear model with one output and no bias, before and after each update."""
        model = Sequential([Dense(1, use_bias=False, input_shape=(2,))], seed=_SEED)
        model.set_weights([np.array(start).reshape(2, 1)])
        model.compile(optimizer, "mse", backend=self.backend, precision="float64")
        watch = WeightPath()
        model.fit(x, y, epochs=epochs, batch_size=batch, verbose=0, callbacks=[watch])
        return watch.points


def mean_square(x: Array, y: Array) -> Callable[[Array, Array], Array]:
    """Return the loss of a linear model of two weights on rows, as a function of arrays of these weights."""
    second = x.T @ x / len(x)
    first = x.T @ y / len(x)
    constant = float(y @ y / len(y))

    def loss(w0: Array, w1: Array) -> Array:
        quadratic = second[0, 0] * w0**2 + 2 * second[0, 1] * w0 * w1 + second[1, 1] * w1**2
        return np.asarray(quadratic - 2 * (first[0] * w0 + first[1] * w1) + constant)

    return loss
