"""Whether targets hold values that a loss can work with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from fastann_kernels.program import SPARSE
from numpy.typing import ArrayLike

from fastann.losses.arrays import Array, as_numbers
from fastann.losses.base import Loss


def check_targets(loss: Loss, y: ArrayLike, classes: int, name: str = "y") -> None:
    """Check the values of targets before anything is trained with them.

    Cross-entropies and the Kullback-Leibler divergence want numbers in [0, 1], sparse ones whole labels from 0 to
    `classes` - 1, hinge losses labels -1 and 1 or 0 and 1, and Poisson and logarithmic losses numbers that are not
    negative. A Python function may want anything.

    Args:
        loss: the loss.
        y: targets, a row a sample.
        classes: number of classes, the columns of the output.
        name: what the targets are called in messages.

    Raises:
        ValueError, TypeError: the first value that does not fit, with its row.
    """
    if loss.op == "callable":
        return
    array = as_numbers(y, name)
    if array.dtype.kind == "f":
        _check(np.isfinite, array, name, "finite numbers")
    wanted = f"for loss {loss.name!r}"
    if loss.op in SPARSE:
        last = f"0 to {classes - 1} {wanted}"
        if array.dtype.kind == "f":
            _check(lambda v: v == np.floor(v), array, name, f"whole class labels from {last}")
        _check(lambda v: (v >= 0) & (v < classes) | (v == _ignored(loss)), array, name, f"class labels from {last}")
    elif loss.op in ("binary_crossentropy", "categorical_crossentropy", "kl_divergence"):
        _check(lambda v: (v >= 0) & (v <= 1), array, name, f"numbers in [0, 1] {wanted}")
    elif loss.op in ("hinge", "squared_hinge", "categorical_hinge"):
        low = -1 if (array == -1).any() else 0
        _check(lambda v: (v == low) | (v == 1), array, name, f"labels -1 and 1, or 0 and 1, {wanted}")
    elif loss.op in ("poisson", "mean_squared_logarithmic_error"):
        _check(lambda v: v >= 0, array, name, f"numbers that are not negative {wanted}")


def _ignored(loss: Loss) -> float:
    """Return the label that counts for nothing, or NaN, which equals no label."""
    label = getattr(loss, "ignore_class", None)
    return np.nan if label is None else label


def _check(fits: Callable[[Array], Array], array: Array, name: str, wanted: str) -> None:
    good = fits(array)
    if good.all():
        return
    where = np.unravel_index(int(np.argmin(good)), array.shape)
    place = f" in row {where[0]}" if where else ""
    raise ValueError(f"{name} must hold {wanted}, got {array[where]:g}{place}.")
