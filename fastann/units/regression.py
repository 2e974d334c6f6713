"""Single units that gradient descent trains: linear and logistic regression as networks of one layer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastann.callbacks.history import History
from fastann.layers import Dense, Input
from fastann.models import Sequential
from fastann.optimizers import SGD
from fastann.spec import bounded, whole
from fastann.units.data import column as target_column
from fastann.units.data import features, labels, two_classes

Array = NDArray[np.float64]


class GradientUnit:
    """What both units share.

    Columns are centred and scaled before training, and weights are translated back, so that units of measurement do
    not matter.

    Args:
        learning_rate: of gradient descent on scaled columns; None for the largest safe one, 1 over the largest
            curvature of the loss.
        epochs: passes over the rows.
        batch_size: rows an update; None for all: batch gradient descent.
        backend: "numba", "jax" or "auto".
        seed: of the order of rows where `batch_size` is given.

    Attributes:
        weights_: float64[columns], in the units of the data.
        bias_: a number.
        history_: the `History` of training.
    """

    _loss: str
    _activation: str
    #: Largest second derivative of the loss of a row with respect to w x + b.
    _curvature: float

    def __init__(
        self,
        learning_rate: float | None = None,
        epochs: int = 1000,
        batch_size: int | None = None,
        backend: str = "auto",
        seed: int = 0,
    ) -> None:
        self.learning_rate = None if learning_rate is None else bounded(learning_rate, "learning_rate", above=True)
        self.epochs = whole(epochs, "epochs", 1)
        self.batch_size = None if batch_size is None else whole(batch_size, "batch_size", 1)
        self.backend = backend
        self.seed = whole(seed, "seed")
        self.weights_: Array | None = None
        self.bias_ = 0.0

    def _train(self, x: Any, y: Array) -> None:
        """Train on rows and numbers."""
        rows = features(x)
        centre, scale = rows.mean(axis=0), rows.std(axis=0)
        scale[scale == 0] = 1.0
        scaled = (rows - centre) / scale
        model = Sequential(
            [Input((rows.shape[1],)), Dense(1, self._activation, kernel_initializer="zeros")], seed=self.seed
        )
        rate = self._safe_rate(scaled) if self.learning_rate is None else self.learning_rate
        model.compile(SGD(rate), self._loss, backend=self.backend, precision="float64")
        size = len(rows) if self.batch_size is None else self.batch_size
        self.history_: History = model.fit(
            scaled, y, batch_size=size, epochs=self.epochs, verbose=0, shuffle=self.batch_size is not None
        )
        kernel, bias = model.get_weights()
        self.weights_ = kernel[:, 0] / scale
        self.bias_ = float(bias[0] - self.weights_ @ centre)

    def _safe_rate(self, scaled: Array) -> float:
        """Return 1 over the largest eigenvalue of the loss's second derivative."""
        with_bias = np.hstack([scaled, np.ones((len(scaled), 1))])
        largest = np.linalg.eigvalsh(with_bias.T @ with_bias / len(scaled))[-1]
        return float(1 / (self._curvature * largest))

    def _linear(self, x: Any) -> Array:
        if self.weights_ is None:
            raise ValueError("the unit must be fitted first: call fit(x, y).")
        return np.asarray(features(x, len(self.weights_)) @ self.weights_ + self.bias_)


class LinearRegressionUnit(GradientUnit):
    """y = w x + b, by gradient descent on the mean squared error; arguments and attributes as in `GradientUnit`.

    >>> x = np.linspace(0, 1, 20)[:, None]
    >>> unit = LinearRegressionUnit().fit(x, 3 * x[:, 0] + 2)
    >>> unit.weights_.round(4), round(unit.bias_, 4)
    (array([3.]), 2.0)
    """

    _loss, _activation, _curvature = "mean_squared_error", "linear", 2.0

    def fit(self, x: Any, y: Any) -> LinearRegressionUnit:
        """Learn from rows x (N, columns) and numbers y (N,), and return self."""
        self._train(x, target_column(y, len(features(x))))
        return self

    def predict(self, x: Any) -> Array:
        """Return w x + b of each row, (N,)."""
        return self._linear(x)

    def score(self, x: Any, y: Any) -> float:
        """Return R^2 = 1 - sum (y - prediction)^2 / sum (y - mean y)^2; of a constant y, 1 if predicted, or else 0."""
        predictions = self.predict(x)
        y = target_column(y, len(predictions))
        left, total = ((y - predictions) ** 2).sum(), ((y - y.mean()) ** 2).sum()
        if total == 0:
            return float(left == 0)
        return float(1 - left / total)


class LogisticRegressionUnit(GradientUnit):
    """P(second class) = sigmoid(w x + b), by gradient descent on the cross-entropy; as in `GradientUnit`.

    Attributes:
        classes_: the two classes, ascending.

    >>> x = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> LogisticRegressionUnit().fit(x, ["no", "no", "yes", "yes"]).predict([[0.5], [2.5]]).tolist()
    ['no', 'yes']
    """

    _loss, _activation, _curvature = "binary_crossentropy", "sigmoid", 0.25

    def fit(self, x: Any, y: Any) -> LogisticRegressionUnit:
        """Learn from rows x (N, columns) and classes y (N,), and return self."""
        self.classes_, second = two_classes(y, len(features(x)))
        self._train(x, second.astype(np.float64))
        return self

    def decision_function(self, x: Any) -> Array:
        """Return w x + b of each row, (N,)."""
        return self._linear(x)

    def predict_proba(self, x: Any) -> Array:
        """Return the probabilities of both classes, (N, 2)."""
        probability = 0.5 * (1 + np.tanh(0.5 * self._linear(x)))
        return np.stack([1 - probability, probability], axis=1)

    def predict(self, x: Any) -> NDArray[Any]:
        """Return the more probable class of each row, (N,)."""
        chosen = (self._linear(x) > 0).astype(int)
        return np.asarray(self.classes_[chosen])

    def score(self, x: Any, y: Any) -> float:
        """Return the share of rows whose class is predicted."""
        predicted = self.predict(x)
        return float((predicted == labels(y, len(predicted))).mean())
