"""scikit-learn's multilayer perceptron."""

from __future__ import annotations

import warnings

import numpy as np

from fastann.bench.cases import Case
from fastann.bench.contenders.base import EPSILON, LEARNING_RATE, EpochByEpoch, Order, Weights


class Perceptron(EpochByEpoch):
    """`MLPClassifier`, an epoch a call with `warm_start`."""

    def __init__(self, case: Case, weights: Weights) -> None:
        import sklearn
        from sklearn.neural_network import MLPClassifier

        self.case = case
        self.x, labels = case.data()
        self.y = labels.astype(np.int64)
        self.model = MLPClassifier(
            hidden_layer_sizes=case.widths[1:-1], activation="relu", solver="adam", alpha=0.0, shuffle=True,
            batch_size=case.batch_size, learning_rate_init=LEARNING_RATE, epsilon=EPSILON, max_iter=1, warm_start=True,
            random_state=np.random.RandomState(1), n_iter_no_change=10**9, tol=0.0,
        )  # fmt: skip
        self.first: Weights | None = weights
        self.about = {"sklearn": sklearn.__version__}

    def epoch(self, order: Order | None = None) -> float:
        """Train one epoch."""
        x, y = (self.x, self.y) if order is None else (self.x[order], self.y[order])
        self.model.shuffle = order is None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says after each epoch that it has not converged
            if self.first is not None:
                self._begin(x, y)
            self.model.fit(x, y)
        return float(self.model.loss_)

    def _begin(self, x: np.ndarray, y: np.ndarray) -> None:
        """Let the model allocate its state with an epoch, and put the first weights in place of what came of it."""
        assert self.first is not None
        self.model.fit(x, y)
        self.model.coefs_ = [kernel.copy() for kernel in self.first[::2]]
        self.model.intercepts_ = [bias.copy() for bias in self.first[1::2]]
        del self.model._optimizer
        self.first = None
