"""The dense networks that the commands train: made to fit a data set, and judged on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from fastann.datasets import Dataset, Scaling
    from fastann.models import Sequential

Array = NDArray[Any]


@dataclass(frozen=True)
class Recipe:
    """What a user chooses about a network and its training; names as in `fastann.layers.Dense` and `Model.compile`.

    learning_rate None stands for the optimizer's own default.
    """

    hidden: tuple[int, ...]
    activation: str = "relu"
    dropout: float = 0.0
    l2: float = 0.0
    optimizer: str = "adam"
    learning_rate: float | None = None
    backend: str = "auto"
    precision: str = "float32"
    seed: int = 0


def build_model(dataset: Dataset, recipe: Recipe) -> Sequential:
    """Return a compiled network from the columns of `dataset` through the hidden layers to its target.

    The last layer is one sigmoid unit for two classes, a softmax for more, and linear for numbers; the losses are
    binary and sparse categorical crossentropy, and the mean squared error.
    """
    from fastann import optimizers
    from fastann.layers import Dense, Dropout, Input
    from fastann.models import Sequential
    from fastann.regularizers import L2

    penalty = L2(recipe.l2) if recipe.l2 else None
    layers: list[Any] = [Input((dataset.x.shape[1],))]
    for units in recipe.hidden:
        layers.append(Dense(units, activation=recipe.activation, kernel_regularizer=penalty))
        if recipe.dropout:
            layers.append(Dropout(recipe.dropout))
    units, activation, loss = _output(dataset)
    layers.append(Dense(units, activation=activation, kernel_regularizer=penalty))
    optimizer = optimizers.get(recipe.optimizer)
    if recipe.learning_rate is not None:
        optimizer = type(optimizer).from_config({**optimizer.get_config(), "learning_rate": recipe.learning_rate})
    model = Sequential(layers, name=dataset.name, seed=recipe.seed)
    metrics = ["accuracy"] if dataset.classes else ["mae"]
    model.compile(optimizer, loss, metrics=metrics, backend=recipe.backend, precision=recipe.precision)
    return model


def _output(dataset: Dataset) -> tuple[int, str, str]:
    """Return units, activation and loss of the last layer."""
    if dataset.classes == 2:
        return 1, "sigmoid", "binary_crossentropy"
    if dataset.classes:
        return dataset.classes, "softmax", "sparse_categorical_crossentropy"
    return columns(dataset.y).shape[1], "linear", "mse"


def columns(y: Array) -> Array:
    """Return y (N,) or (N, T) as (N, T)."""
    return y.reshape(len(y), -1)


def targets(dataset: Dataset, scaling: Scaling | None) -> Array:
    """Return what the network is to learn: numbers of classes, or numbers to predict in units of their deviation."""
    return dataset.y if scaling is None else scaling.apply(columns(dataset.y))


def predicted_classes(outputs: Array) -> NDArray[np.int64]:
    """Return the number of the likeliest class for each row of what the last layer put out."""
    if outputs.shape[1] == 1:
        return (outputs[:, 0] > 0.5).astype(np.int64)
    return np.asarray(outputs.argmax(axis=1), np.int64)


def r_squared(y: Array, predicted: Array) -> float:
    """Return 1 - sum (y - p)^2 / sum (y - mean)^2, the mean over targets; NaN for a constant target."""
    y, predicted = columns(y), columns(predicted)
    rest = ((y - predicted) ** 2).sum(axis=0)
    spread = ((y - y.mean(axis=0)) ** 2).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.where(spread > 0, 1.0 - rest / spread, np.nan).mean())


@dataclass(frozen=True)
class ClassScore:
    """How well one class was recognised: tp / (tp + fp), tp / (tp + fn), their harmonic mean, and its rows."""

    name: str
    precision: float
    recall: float
    f1: float
    rows: int


def class_scores(y: Array, predicted: Array, names: Sequence[str]) -> list[ClassScore]:
    """Return a score for each class; a ratio without cases is 0."""
    scores = []
    for label, name in enumerate(names):
        hits = int(((y == label) & (predicted == label)).sum())
        rows, claims = int((y == label).sum()), int((predicted == label).sum())
        precision, recall = hits / max(claims, 1), hits / max(rows, 1)
        scores.append(ClassScore(name, precision, recall, 2 * hits / max(rows + claims, 1), rows))
    return scores


def fold_scaling(model: Sequential, inputs: Scaling, outputs: Scaling | None) -> None:
    """Change first and last layer so that the network takes raw columns and, for a regression, gives raw numbers.

    ((x - m) / s) @ W + b = x @ (W / s) + (b - (m / s) @ W), and likewise (z @ W + b) s + m = z @ (W s) + (b s + m).
    Both layers are dense with a bias, the last one linear where `outputs` is given. In place; computed in float64.
    """
    weights = [array.astype(np.float64) for array in model.get_weights()]
    kernel, bias = weights[0], weights[1]
    weights[0] = kernel / inputs.scale[:, None]
    weights[1] = bias - (inputs.mean / inputs.scale) @ kernel
    if outputs is not None:
        weights[-2] = weights[-2] * outputs.scale
        weights[-1] = weights[-1] * outputs.scale + outputs.mean
    model.set_weights(weights)
