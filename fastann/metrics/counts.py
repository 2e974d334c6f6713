"""Metrics made of counts: arrays that every batch adds to."""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastann.losses.arrays import Array, as_float
from fastann.metrics.base import Metric

Shape = tuple[int, ...]


class CountingMetric(Metric):
    """A metric of weighted counts; a subclass says what a batch adds to them, and what `result` makes of them.

    Attributes:
        counts: names of the counts; each is an attribute that holds a float64 array.
    """

    counts: ClassVar[tuple[str, ...]] = ()

    by_batch = False

    def __init__(self, dtype: str | None = None, name: str | None = None) -> None:
        super().__init__(dtype, name)
        self.reset_state()

    @abstractmethod
    def count(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None) -> tuple[Array, ...]:
        """Return what one batch adds, in the order of `counts`; raises ValueError or TypeError for misfits."""

    def count_shape(self) -> Shape:
        """Return the shape of every count; () for those whose shape the first batch decides."""
        return ()

    def update_state(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> None:
        """Take one batch into account.

        Args:
            y_true: targets, shape (N, ...).
            y_pred: predictions of that shape; beside (N,) also (N, 1).
            sample_weight: a number, or weights of the samples (N,) or of their leading axes.

        Raises:
            ValueError, TypeError: something is no array of numbers, or the shapes do not fit.
        """
        found = self.count(y_true, y_pred, sample_weight)
        before = getattr(self, self.counts[0]).shape
        if before not in ((), found[0].shape):
            raise ValueError(
                f"{self.name} has counted {before[-1]} columns in earlier batches, got {found[0].shape[-1]}; call "
                "reset_state first."
            )
        for name, value in zip(self.counts, found, strict=True):
            setattr(self, name, getattr(self, name) + value)

    def reset_state(self) -> None:
        """Forget all batches."""
        for name in self.counts:
            setattr(self, name, np.zeros(self.count_shape()))

    def check_shapes(self, target_shape: Shape, output_shape: Shape) -> None:
        trial = copy.deepcopy(self)
        trial.reset_state()
        trial.update_state(np.zeros((1, *target_shape)), np.zeros((1, *output_shape)))


def spread(sample_weight: ArrayLike | None, shape: Shape) -> Array:
    """Return weights for each entry of an array of this shape, from a number or weights of its leading axes.

    Raises:
        ValueError: they have another length.
    """
    if sample_weight is None:
        return np.ones(shape)
    w = as_float(sample_weight, "sample_weight", "float64")
    given = w.shape
    if w.ndim == len(shape) + 1 and w.shape[-1] == 1:
        w = w[..., 0]
    try:
        return np.broadcast_to(w.reshape(w.shape + (1,) * (len(shape) - w.ndim)), shape)
    except ValueError:
        raise ValueError(
            f"sample_weight must have one weight for each of the values of shape {shape}, or for each row of them, "
            f"got shape {given}."
        ) from None


def share(part: Any, whole: Any) -> Array:
    """Return part / whole, 0 where the whole is 0.

    >>> share([1.0, 2.0], [4.0, 0.0])
    array([0.25, 0.  ])
    """
    part, whole = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    found: Array = np.divide(part, whole, out=np.zeros(whole.shape), where=whole != 0)
    return found


def number_or_row(values: Array) -> float | Array:
    """Return an array of one entry as a number, any other as it is."""
    return float(values.reshape(())) if values.size == 1 else values
