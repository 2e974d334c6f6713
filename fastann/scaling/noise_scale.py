"""The gradient noise scale of data at fixed weights, by a pass over all rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from fastann_kernels.per_example import interacting, separable
from numpy.typing import NDArray

from fastann.spec import whole
from fastann.training.preparing import with_targets
from fastann.training.session import PlacedData, Session

if TYPE_CHECKING:
    from fastann.models import Model


@dataclass(frozen=True)
class ExactNoise:
    """The noise of the gradients of N rows.

    Attributes:
        variance: tr(Sigma) = (1 / N) sum_i |g_i - G|^2; times N / (N - 1) for the unbiased variance of the population
            that the rows are a sample of.
        signal: |G|^2, G = (1 / N) sum_i g_i.
        rows: N.
    """

    variance: float
    signal: float
    rows: int

    @property
    def scale(self) -> float:
        """tr(Sigma) / |G|^2; infinite where the gradient vanishes."""
        if self.signal == 0:
            return math.inf if self.variance else math.nan
        return self.variance / self.signal


def noise_scale(
    model: Model,
    x: Any,
    y: Any,
    sample_weight: Any = None,
    *,
    training: bool = False,
    batch_size: int = 1024,
) -> ExactNoise:
    """Compute tr(Sigma) and |G|^2 of a compiled model over all rows given; its weights are not touched.

    Gradients are those of the loss without penalties on weights, each row's times its sample weight. A network of
    dense layers takes two passes over the data; others take the gradient of one row at a time.

    Args:
        model: compiled.
        x, y, sample_weight: rows with targets, as for `fit`.
        training: let layers behave as in training: dropout draws one mask a row, whose noise counts.
        batch_size: rows at a time; it changes speed and memory, not the result.

    Raises:
        ValueError, TypeError: the model is not compiled, the data do not fit, or in training the gradient of a row
            depends on the other rows (batch normalisation).

    >>> from fastann import Sequential
    >>> from fastann.layers import Dense
    >>> model = Sequential([Dense(1, use_bias=False, kernel_initializer="zeros", input_shape=(1,))])
    >>> model.compile("sgd", "mse")
    >>> noise_scale(model, [1.0, 1.0], [1.0, 2.0])  # the gradients are -2 and -4
    ExactNoise(variance=1.0, signal=9.0, rows=2)
    """
    rows = whole(batch_size, "batch_size", 1)
    session, data = with_targets(model, x, y, sample_weight)
    if training and interacting(session.program):
        raise ValueError(
            "noise_scale expects rows that do not interact, got a network with BatchNormalization and training=True; "
            "leave training=False, or use the NoiseScale callback."
        )
    mean = np.zeros(session.program.parameter_count)
    square = 0.0
    for first in range(0, data.rows, rows):
        part = data.part(first, min(first + rows, data.rows))
        placed = session.put(part.matrix(session.dtype), part.y, part.weights)
        gradient, own = _moments(session, placed, training, first)
        mean += gradient * (part.rows / data.rows)
        square += own * (part.rows / data.rows)
    signal = float(mean @ mean)
    return ExactNoise(max(0.0, square - signal), signal, data.rows)


def _moments(session: Session, rows: PlacedData, training: bool, draw: int) -> tuple[NDArray[np.float64], float]:
    """Return float64[P], the mean of the rows' gradients, 0 where nothing is trained, and the mean of |g_i|^2."""
    gradient = session.gradients(rows, training, penalties=False, draw=draw)[1].astype(np.float64)
    for parameter in session.program.parameters:
        if not parameter.trainable:
            gradient[parameter.offset : parameter.offset + parameter.size] = 0
    exact = separable(session.program)
    squares = session.gradient_squares(rows, None, rows.rows if exact else 1, training, draw)
    return gradient, float(squares[:, 0 if exact else 1].mean())
