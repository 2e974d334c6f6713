"""The first artificial neuron that learns: a step function and Rosenblatt's rule."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastann.spec import bounded, whole
from fastann.units.data import features, labels, two_classes
from fastann.units.separability import Separability, proof_of_line, separability

Array = NDArray[np.float64]

#: Rows that are predicted together while none of them is wrong.
_TOGETHER = 256


class Perceptron:
    """y = step(w x + b): class 1 where w x + b >= 0, learnt by the perceptron rule.

    Rows are visited one by one; one that is predicted wrong changes w by learning_rate (y - prediction) x and b by
    learning_rate (y - prediction). If a straight line parts the classes, the rule finds one (Novikoff 1962); if none
    does, it never rests, and `fit` says so. Rosenblatt 1958, "The perceptron".

    Args:
        learning_rate: above 0. Weights begin at 0, so it scales them and changes no prediction.
        epochs: most passes over the rows; training ends after one without mistakes.

    Attributes:
        weights_: float64[columns].
        bias_: a number.
        classes_: the two classes, ascending.
        mistakes_: rows predicted wrong in each epoch.
        converged_: whether the last epoch had no mistakes.
        separability_: whether a line parts the classes, and the proof: the line that was found, or else linear
            programming.

    >>> x = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> Perceptron().fit(x, [0, 0, 0, 1]).predict(x)
    array([0, 0, 0, 1])
    """

    def __init__(self, learning_rate: float = 0.1, epochs: int = 100) -> None:
        self.learning_rate = bounded(learning_rate, "learning_rate", above=True)
        self.epochs = whole(epochs, "epochs", 1)
        self.weights_: Array | None = None
        self.bias_ = 0.0

    def fit(self, x: Any, y: Any) -> Perceptron:
        """Learn from rows x (N, columns) and classes y (N,), and return self.

        Warns (UserWarning) if the classes are not linearly separable, with the reason, or if a line exists that the
        epochs were too few to find.

        Raises:
            ValueError, TypeError: the data are malformed, or there are not two classes.
        """
        rows = features(x)
        self.classes_, second = two_classes(y, len(rows))
        with_bias = np.hstack([rows, np.ones((len(rows), 1))])
        w = np.zeros(with_bias.shape[1])
        self.mistakes_: list[int] = []
        for _ in range(self.epochs):
            self.mistakes_.append(self._pass(w, with_bias, second))
            if self.mistakes_[-1] == 0:
                break
        self.weights_, self.bias_ = w[:-1].copy(), float(w[-1])
        self.converged_ = self.mistakes_[-1] == 0
        found = proof_of_line(rows, second, self.weights_) if self.converged_ else None
        self.separability_: Separability = found or separability(rows, second)
        if not self.separability_.separable:
            warnings.warn(str(self.separability_), UserWarning, stacklevel=2)
        elif not self.converged_:
            warnings.warn(
                f"the classes are linearly separable, but {self.epochs} epochs were too few to find a line; give more.",
                UserWarning,
                stacklevel=2,
            )
        return self

    def _pass(self, w: Array, rows: Array, second: NDArray[np.bool_]) -> int:
        """Visit all rows, changing w in place; return the number of mistakes."""
        mistakes, place = 0, 0
        while place < len(rows):
            end = min(place + _TOGETHER, len(rows))
            wrong = np.flatnonzero((rows[place:end] @ w >= 0) != second[place:end])
            if len(wrong) == 0:
                place = end
                continue
            row = place + int(wrong[0])
            w += (self.learning_rate if second[row] else -self.learning_rate) * rows[row]
            mistakes += 1
            place = row + 1
        return mistakes

    def decision_function(self, x: Any) -> Array:
        """Return w x + b of each row, (N,)."""
        if self.weights_ is None:
            raise ValueError("the perceptron must be fitted first: call fit(x, y).")
        return np.asarray(features(x, len(self.weights_)) @ self.weights_ + self.bias_)

    def predict(self, x: Any) -> NDArray[Any]:
        """Return the class of each row, (N,)."""
        chosen = (self.decision_function(x) >= 0).astype(int)
        return np.asarray(self.classes_[chosen])

    def score(self, x: Any, y: Any) -> float:
        """Return the share of rows whose class is predicted."""
        predicted = self.predict(x)
        return float((predicted == labels(y, len(predicted))).mean())
