"""From one value for each sample to one number."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fastann.losses.arrays import Array, as_float, match_ranks, silent


@silent
def reduce(
    values: Array, reduction: str | None, sample_weight: ArrayLike | None = None, mask: Array | None = None
) -> Any:
    """Weight the values and combine them.

    sum_over_batch_size, mean: sum_i w_i l_i / N, N the number of values;  sum: sum_i w_i l_i;
    mean_with_sample_weight: sum_i w_i l_i / sum_i w_i;  none: w_i l_i. Zero divided by zero is zero.

    Args:
        values: float[N, ...].
        reduction: one of `settings.REDUCTIONS`.
        sample_weight: a number, or weights with the shape of the values or of their leading axes: (N,) weights whole
            rows. Axes of length 1 are repeated, and a single value is repeated beside several weights.
        mask: bool, shape of the values; those that are False count for nothing, nor does N count them.

    Raises:
        ValueError: the weights do not fit the values.
    """
    if sample_weight is not None:
        values, weights = _beside(values, as_float(sample_weight, "sample_weight", str(values.dtype)))
        values = values * weights
    else:
        weights = np.ones_like(values)
    if mask is not None:
        mask = mask.reshape(values.shape)
        values, weights = np.where(mask, values, 0), weights * mask
    if reduction in ("none", None):
        return values
    total = values.sum()
    if reduction == "sum":
        return total
    if reduction == "mean_with_sample_weight":
        divisor = weights.sum()
    else:
        divisor = values.dtype.type(values.size if mask is None else np.count_nonzero(mask))
    return total / divisor if divisor != 0 else values.dtype.type(0)


def _beside(values: Array, weights: Array) -> tuple[Array, Array]:
    """Return values and weights in one shape."""
    given = values.shape
    if values.ndim == 0:
        return np.broadcast_to(values, weights.shape), weights
    values, weights = match_ranks(values, weights)
    if weights.ndim <= values.ndim:
        weights = weights.reshape(weights.shape + (1,) * (values.ndim - weights.ndim))
        if all(weights.shape[axis] in (1, values.shape[axis]) for axis in range(values.ndim)):
            return values, np.broadcast_to(weights, values.shape)
    raise ValueError(
        f"sample_weight must have one weight for each of the values of shape {given}, or for each row of them, "
        f"got shape {weights.shape}."
    )
