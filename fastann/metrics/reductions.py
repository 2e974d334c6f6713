"""Sums and means over batches; most metrics are means of a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastann.losses.arrays import Array, as_float, as_numbers, match_ranks
from fastann.metrics.base import Metric
from fastann.spec import register

Reduce = Callable[..., Any]


def _by_sample(
    values: ArrayLike, sample_weight: ArrayLike | None, combine: Reduce, dtype: str
) -> tuple[Array, Array | None]:
    """Return one weighted value and one weight for each sample, combining all other axes, as Keras does.

    Weights belong to the leading axes of the values; what they have no axis for is combined first.
    """
    v = as_float(values, "values", dtype)
    if sample_weight is None:
        return _combined(v, 1, combine), None
    v, w = match_ranks(v, as_float(sample_weight, "sample_weight", dtype))
    v = _combined(v, w.ndim, combine)
    try:
        w = np.broadcast_to(w, v.shape)
    except ValueError:
        raise ValueError(
            f"sample_weight must have one weight for each of the values of shape {np.shape(values)}, or for each row "
            f"of them, got shape {np.shape(sample_weight)}."
        ) from None
    return _combined(v * w, 1, combine), _combined(w, 1, combine)


def _combined(x: Array, keep: int, combine: Reduce) -> Array:
    """Combine all axes but the first `keep`."""
    return np.asarray(combine(x, axis=tuple(range(keep, x.ndim)))) if x.ndim > keep else x


@register("metrics")
class Sum(Metric):
    """The sum of w_i v_i over all values.

    >>> metric = Sum()
    >>> metric([1, 3, 5], sample_weight=[1, 1, 0])
    4.0
    """

    def __init__(self, name: str | None = "sum", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = 0.0

    def update_state(self, values: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Add values of any shape; weights are for all of them or for their leading axes."""
        weighted, _ = _by_sample(values, sample_weight, np.sum, self.dtype)
        self.total += float(weighted.sum(dtype=np.float64))

    def result(self) -> float:
        """Return the sum."""
        return self.total

    def reset_state(self) -> None:
        """Start again at 0."""
        self.total = 0.0


@register("metrics")
class Mean(Metric):
    """The mean sum_i w_i v_i / sum_i w_i over all samples; 0 before there are any.

    >>> metric = Mean()
    >>> metric([1, 3, 5])
    3.0
    >>> metric([7], sample_weight=[3])
    5.0
    """

    def __init__(self, name: str | None = "mean", dtype: str | None = None) -> None:
        super().__init__(name=name, dtype=dtype)
        self.total = 0.0
        self.count = 0.0

    def update_state(self, values: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Take in values of any shape, averaged over all axes but the first; weights as in `Sum`."""
        weighted, weights = _by_sample(values, sample_weight, np.mean, self.dtype)
        self.total += float(weighted.sum(dtype=np.float64))
        self.count += float(weighted.size if weights is None else weights.sum(dtype=np.float64))

    def result(self) -> float:
        """Return the mean."""
        return self.total / self.count if self.count else 0.0

    def reset_state(self) -> None:
        """Forget all values."""
        self.total = self.count = 0.0


class MeanOfFunction(Mean):
    """The mean of a function of targets and predictions; subclasses override `values`."""

    def values(self, y_true: ArrayLike, y_pred: ArrayLike) -> ArrayLike:
        """Return what to average; the first axis stands for samples."""
        raise TypeError(f"{type(self).__name__} does not say how its values are computed; override values.")

    def mask(self, y_true: ArrayLike, y_pred: ArrayLike) -> Array | None:
        """Return which of the values count, in their shape, or None if all do."""
        return None

    def update_state(  # type: ignore[override]
        self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> None:
        """Take one batch into account.

        Args:
            y_true: targets, shape (N, ...).
            y_pred: predictions of that shape; beside (N,) also (N, 1).
            sample_weight: a number, or weights of the samples (N,) or of their leading axes.

        Raises:
            ValueError, TypeError: something is no array of numbers, or the shapes do not fit.
        """
        values, mask = as_float(self.values(y_true, y_pred), "values"), self.mask(y_true, y_pred)
        if mask is not None:
            values, weights = match_ranks(
                values, as_float(1.0 if sample_weight is None else sample_weight, "sample_weight")
            )
            weights = weights.reshape(weights.shape + (1,) * (values.ndim - weights.ndim))
            sample_weight = weights * mask.reshape(values.shape)
        super().update_state(values, sample_weight)


@register("metrics")
class MeanMetricWrapper(MeanOfFunction):
    """The mean of a function of your own, computed in Python.

    >>> metric = MeanMetricWrapper(lambda y_true, y_pred: abs(y_true - y_pred), name="distance")
    >>> metric([1.0, 2.0], [1.0, 4.0])
    1.0

    Args:
        fn: f(y_true, y_pred, **kwargs) -> a value for each sample, or more.
        name: by default the name of the function.
        dtype: as in `Metric`.
        **kwargs: passed on to the function.
    """

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: str | None = None, **kwargs: Any
    ) -> None:
        if not callable(fn):
            raise TypeError(f"fn must be a function of y_true and y_pred, got {fn!r}.")
        super().__init__(name=name or getattr(fn, "__name__", None), dtype=dtype)
        self.fn = fn
        self.kwargs = kwargs

    def values(self, y_true: ArrayLike, y_pred: ArrayLike) -> ArrayLike:
        y, p = match_ranks(as_numbers(y_true, "y_true"), as_numbers(y_pred, "y_pred"))
        return np.asarray(self.fn(y, p, **self.kwargs))

    def get_config(self) -> dict[str, Any]:
        """Return the settings; the function among them cannot be written to a file."""
        return super().get_config() | {"fn": self.fn} | self.kwargs
