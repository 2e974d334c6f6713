"""A confusion matrix: how often each class is taken for each other one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastann.plots.figure import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def confusion_matrix(counts: Any, names: Sequence[str] | None = None, title: str = "Confusion matrix") -> Figure:
    """Draw a confusion matrix; shades are shares of the true class, numbers are rows of data.

    Args:
        counts: int[classes, classes], rows: true classes, columns: predicted ones.
        names: of the classes; by default their numbers.
        title: above the picture; the accuracy stands below it.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: the matrix is not square, or there is not one name a class.
    """
    matrix = np.asarray(counts)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or matrix.shape[0] == 0:
        raise ValueError(f"counts must be a square matrix, got shape {matrix.shape}; count with confusion_matrix.")
    classes = len(matrix)
    labels = [str(i) for i in range(classes)] if names is None else [str(name) for name in names]
    if len(labels) != classes:
        raise ValueError(f"names must hold one name for each of the {classes} classes, got {len(labels)}.")
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    accuracy = np.trace(matrix) / max(matrix.sum(), 1)
    figure, (axes,) = new_figure([f"accuracy {accuracy:.1%} of {matrix.sum():,} rows"], title)
    size = 2.6 + 0.42 * classes
    figure.set_size_inches(size + 1.2, size)
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for row in range(classes):
        for column in range(classes):
            dark = share[row, column] > 0.55
            axes.text(
                column, row, f"{matrix[row, column]}", ha="center", va="center", fontsize=8.5 if classes > 6 else 10,
                color="white" if dark else "0.15",
            )  # fmt: skip
    turned = max(map(len, labels)) > 4
    axes.set_xticks(range(classes), labels, rotation=45 if turned else 0, ha="right" if turned else "center")
    axes.set_yticks(range(classes), labels)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.grid(visible=False)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    return figure
