"""How much of the spread of the targets is explained."""

from __future__ import annotations

import warnings
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastann.losses.arrays import Array, pair, silent
from fastann.losses.settings import check_whole
from fastann.metrics.counts import CountingMetric, Shape, spread
from fastann.spec import register

AGGREGATIONS = (None, "uniform_average", "variance_weighted_average")


@register("metrics")
class R2Score(CountingMetric):
    """The coefficient of determination 1 - sum w (y - p)^2 / sum w (y - mean y)^2 of each column of (N, columns).

    >>> R2Score()([[1], [4], [3]], [[2], [4], [4]]).__round__(4)
    0.5714

    Args:
        class_aggregation: "uniform_average" for the mean of the columns, "variance_weighted_average" for that weighted
            by their spread, None for a score a column.
        num_regressors: k > 0 gives the adjusted score 1 - (1 - R^2) (n - 1) / (n - k - 1), n being the number of
            entries, as in Keras.
        name, dtype: as in `Metric`.
    """

    counts = ("sum", "squared_sum", "total_mse", "count_of_rows", "num_samples")
    settings = ("class_aggregation", "num_regressors")

    _direction: ClassVar[str] = "up"

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = "r2_score",
        dtype: str | None = None,
    ) -> None:
        if class_aggregation not in AGGREGATIONS:
            raise ValueError(
                f"class_aggregation must be one of {', '.join(map(repr, AGGREGATIONS))}, got {class_aggregation!r}."
            )
        self.class_aggregation = class_aggregation
        self.num_regressors = check_whole(num_regressors, "num_regressors")
        if self.num_regressors < 0:
            raise ValueError(f"num_regressors must be at least 0, got {num_regressors}.")
        super().__init__(dtype, name)

    def count_shape(self) -> Shape:
        """Return (): the first batch decides the number of columns."""
        return ()

    def reset_state(self) -> None:
        """Forget all batches."""
        super().reset_state()
        self._origin: Array | None = None

    @silent
    def count(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None) -> tuple[Array, ...]:
        """Return sums of y, y^2 and (y - p)^2, of the weights, and how many entries there are, column by column.

        y is taken relative to its mean in the first batch: sums of squares of targets far from 0 would cancel.
        """
        y, p = pair(y_true, y_pred)
        if p.ndim != 2:
            raise ValueError(f"{self.name} expects targets and predictions of shape (N, columns), got {p.shape}.")
        weights = spread(sample_weight, p.shape)
        y, p = y.astype(np.float64), p.astype(np.float64)
        if self._origin is None:
            self._origin = y.mean(axis=0) if len(y) else np.zeros(y.shape[1:])
        moved = y - (self._origin if len(self._origin) == y.shape[1] else 0)
        sums = ((moved * weights), (moved**2 * weights), ((y - p) ** 2 * weights), weights)
        return *(part.sum(axis=0) for part in sums), np.full(y.shape[1:], float(y.size))

    @silent
    def result(self) -> float | Array:
        """Return the score, or one a column without aggregation; 0 before any rows, NaN for constant y = p."""
        sums, squares, residual, weight, entries = (getattr(self, name) for name in self.counts)
        if sums.ndim == 0:
            return 0.0
        spread_of_y = squares - sums * (sums / weight)
        scores = 1 - residual / spread_of_y
        scores = np.where(np.isinf(scores), 0.0, scores)
        if self.class_aggregation == "uniform_average":
            scores = scores.mean()
        elif self.class_aggregation == "variance_weighted_average":
            scores = (spread_of_y * scores).sum() / spread_of_y.sum()
        scores = np.asarray(self._adjusted(scores, float(entries[0])))
        return float(scores) if scores.ndim == 0 else scores

    def _adjusted(self, scores: Array, n: float) -> Array:
        k = self.num_regressors
        if k == 0:
            return scores
        if k >= n - 1:
            warnings.warn(
                f"the adjusted R2 score needs more than {k + 1} entries for {k} regressors, got {n:g}; the plain score "
                "is returned.",
                UserWarning,
                stacklevel=3,
            )
            return scores
        return np.asarray(1 - (1 - scores) * (n - 1) / (n - k - 1))
