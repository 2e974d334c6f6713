"""Cross-entropies of two classes, of one-hot rows and of class labels, from probabilities or from logits.

From logits nothing is exponentiated that could overflow; probabilities are clipped to [1e-7, 1 - 1e-7], as in Keras.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fastann.losses.arrays import EPSILON, Array, as_float, labels_beside, pair, silent, whole_axis
from fastann.losses.base import Loss
from fastann.losses.settings import check_flag, check_number, check_whole
from fastann.spec import register


@silent
def binary_crossentropy(
    y_true: ArrayLike, y_pred: ArrayLike, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Array:
    """Return the mean over `axis` of -y log p - (1 - y) log(1 - p).

    From logits z: max(z, 0) - y z + log(1 + e^-|z|).

    Args:
        y_true: targets in [0, 1].
        y_pred: probabilities p, or logits z.
        from_logits: which of the two.
        label_smoothing: s; y becomes y (1 - s) + s / 2.
        axis: the axis to average over.

    >>> binary_crossentropy([[1.0]], [[0.5]]).round(4)
    array([0.6931])
    """
    y, p = pair(y_true, y_pred)
    axis = whole_axis(axis, p.ndim)
    y = y * (1.0 - label_smoothing) + label_smoothing / 2
    if from_logits:
        values = np.maximum(p, 0.0) - p * y + np.log1p(np.exp(-np.abs(p)))
    else:
        p = np.clip(p, EPSILON, 1.0 - EPSILON)
        values = -(y * np.log(p) + (1.0 - y) * np.log(1.0 - p))
    return np.asarray(values.mean(axis=axis))


@silent
def categorical_crossentropy(
    y_true: ArrayLike, y_pred: ArrayLike, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Array:
    """Return -sum_k y_k log q_k over `axis`, q = softmax(logits), or the clipped share of each entry in their sum.

    Args:
        y_true: a distribution over K classes, such as one-hot rows.
        y_pred: probabilities, which need not sum to one, or logits.
        from_logits: which of the two.
        label_smoothing: s; y becomes y (1 - s) + s / K.
        axis: the axis of the classes.

    Raises:
        UserWarning: there is only one class, for which the loss is always 0.

    >>> categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).round(4)
    array([0.6931])
    """
    y, p = pair(y_true, y_pred)
    axis = whole_axis(axis, p.ndim)
    if p.shape[axis] == 1:
        warnings.warn(
            f"categorical_crossentropy expects one column a class, got y_pred of shape {p.shape}, for which it is "
            "constant; use binary_crossentropy for a single column.",
            UserWarning,
            stacklevel=3,
        )
    y = y * (1.0 - label_smoothing) + label_smoothing / p.shape[axis]
    return np.asarray(-(y * _log_shares(p, from_logits, axis)).sum(axis=axis))


@silent
def sparse_categorical_crossentropy(
    y_true: ArrayLike, y_pred: ArrayLike, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Array:
    """Return -log q_y: `categorical_crossentropy` with labels in place of one-hot rows.

    Args:
        y_true: whole numbers from 0 to K - 1, in the shape of `y_pred` without `axis`, or with length 1 there.
        y_pred: probabilities, which need not sum to one, or logits.
        from_logits: which of the two.
        ignore_class: a label, also one outside 0 to K - 1, whose loss is 0.
        axis: the axis of the classes.

    Raises:
        ValueError: a label is not one of the K classes, or the shapes do not fit.

    >>> sparse_categorical_crossentropy([1], [[0.5, 0.5]]).round(4)
    array([0.6931])
    """
    p = as_float(y_pred, "y_pred")
    y = labels_beside(y_true, p, axis)
    axis = whole_axis(axis, p.ndim)
    counts = np.ones(y.shape, bool) if ignore_class is None else y != ignore_class
    y = np.where(counts, y, 0)
    bad = y[(y != np.floor(y)) | ~((y >= 0) & (y < p.shape[axis]))]
    if bad.size:
        raise ValueError(
            f"y_true must hold whole class labels from 0 to {p.shape[axis] - 1}, one for each class of y_pred, "
            f"got {bad[0]:g}."
        )
    chosen = np.expand_dims(y.astype(np.intp), axis)
    values = -np.take_along_axis(_log_shares(p, from_logits, axis), chosen, axis).squeeze(axis)
    return np.where(counts, values, p.dtype.type(0))


def _log_shares(p: Array, from_logits: bool, axis: int) -> Array:
    """Return log softmax(p), or the logarithm of each entry's share in the sum over `axis`, clipped."""
    if from_logits:
        shifted = p - p.max(axis=axis, keepdims=True)
        return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)))
    return np.asarray(np.log(np.clip(p / p.sum(axis=axis, keepdims=True), EPSILON, 1.0 - EPSILON)))


@register("losses")
@dataclass(frozen=True)
class BinaryCrossentropy(Loss):
    """Cross-entropy of two classes; see `binary_crossentropy`.

    Args:
        from_logits: whether predictions are logits.
        label_smoothing: in [0, 1].
        axis: the axis to average over; training takes the last one only.
        reduction, name, dtype: as in `Loss`.
    """

    op: ClassVar[str] = "binary_crossentropy"
    from_logits: bool = False
    label_smoothing: float = 0.0
    axis: int = -1
    reduction: str | None = "sum_over_batch_size"
    name: str = "binary_crossentropy"
    dtype: str | None = None

    def __post_init__(self) -> None:
        self._set(
            from_logits=check_flag(self.from_logits, "from_logits"),
            label_smoothing=check_number(self.label_smoothing, "label_smoothing", 0.0, 1.0),
            axis=check_whole(self.axis, "axis"),
        )
        super().__post_init__()

    def call(self, y_true: Array, y_pred: Array) -> Array:
        return binary_crossentropy(y_true, y_pred, self.from_logits, self.label_smoothing, self.axis)


@register("losses")
@dataclass(frozen=True)
class CategoricalCrossentropy(Loss):
    """Cross-entropy of K classes, targets one-hot or distributions; see `categorical_crossentropy`.

    Args:
        from_logits: whether predictions are logits.
        label_smoothing: in [0, 1].
        axis: the axis of the classes; training takes the last one only.
        reduction, name, dtype: as in `Loss`.
    """

    op: ClassVar[str] = "categorical_crossentropy"
    from_logits: bool = False
    label_smoothing: float = 0.0
    axis: int = -1
    reduction: str | None = "sum_over_batch_size"
    name: str = "categorical_crossentropy"
    dtype: str | None = None

    def __post_init__(self) -> None:
        self._set(
            from_logits=check_flag(self.from_logits, "from_logits"),
            label_smoothing=check_number(self.label_smoothing, "label_smoothing", 0.0, 1.0),
            axis=check_whole(self.axis, "axis"),
        )
        super().__post_init__()

    def call(self, y_true: Array, y_pred: Array) -> Array:
        return categorical_crossentropy(y_true, y_pred, self.from_logits, self.label_smoothing, self.axis)


@register("losses")
@dataclass(frozen=True)
class SparseCategoricalCrossentropy(Loss):
    """Cross-entropy of K classes, targets class labels; see `sparse_categorical_crossentropy`.

    Args:
        from_logits: whether predictions are logits.
        ignore_class: a label that counts for nothing; training takes None only.
        reduction: as in `Loss`.
        axis: the axis of the classes; training takes the last one only.
        name, dtype: as in `Loss`.
    """

    op: ClassVar[str] = "sparse_categorical_crossentropy"
    from_logits: bool = False
    ignore_class: int | None = None
    reduction: str | None = "sum_over_batch_size"
    axis: int = -1
    name: str = "sparse_categorical_crossentropy"
    dtype: str | None = None

    def __post_init__(self) -> None:
        self._set(from_logits=check_flag(self.from_logits, "from_logits"), axis=check_whole(self.axis, "axis"))
        if self.ignore_class is not None:
            self._set(ignore_class=check_whole(self.ignore_class, "ignore_class"))
        super().__post_init__()

    def call(self, y_true: Array, y_pred: Array) -> Array:
        return sparse_categorical_crossentropy(y_true, y_pred, self.from_logits, self.ignore_class, self.axis)

    def mask(self, y_true: Array, y_pred: Array) -> Array | None:
        if self.ignore_class is None:
            return None
        return np.asarray(labels_beside(y_true, y_pred, self.axis) != self.ignore_class)
