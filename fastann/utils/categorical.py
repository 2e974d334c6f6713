"""Class labels as one-hot rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def to_categorical(x: Any, num_classes: int | None = None) -> NDArray[np.float64]:
    """Return the one-hot form of integer labels: 1 in column `label` of each row, 0 elsewhere.

    Args:
        x: whole numbers from 0 to num_classes - 1, of any shape; a last axis of length 1 is dropped.
        num_classes: number of columns; by default the largest label plus one.

    Returns:
        float64[*x.shape, num_classes], as in Keras.

    Raises:
        ValueError: a label is not a whole number in the range, or there is no label and no `num_classes`.

    >>> to_categorical([0, 2, 1], num_classes=3)
    array([[1., 0., 0.],
           [0., 0., 1.],
           [0., 1., 0.]])
    """
    given = np.asarray(x)
    if given.dtype.kind not in "iubf" or (given.dtype.kind == "f" and not np.all(given == np.floor(given))):
        raise ValueError(f"to_categorical expects whole numbers, got dtype {given.dtype}; encode labels first.")
    labels = given.astype(np.int64)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if num_classes is None:
        if labels.size == 0:
            raise ValueError("to_categorical needs num_classes when there are no labels.")
        num_classes = int(labels.max()) + 1
    if labels.size and (labels.min() < 0 or labels.max() >= num_classes):
        raise ValueError(
            f"to_categorical expects labels from 0 to {num_classes - 1}, got {labels.min()} to {labels.max()}; "
            "set num_classes or shift the labels."
        )
    encoded = np.zeros((labels.size, num_classes))
    encoded[np.arange(labels.size), labels.ravel()] = 1.0
    return encoded.reshape(*labels.shape, num_classes)
