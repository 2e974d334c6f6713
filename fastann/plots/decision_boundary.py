"""Which class a model chooses in each point of the plane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastann.evaluation.labels import predicted_classes, true_classes
from fastann.plots.figure import COLOURS, MARKERS, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_POINTS = 200


def decision_boundary(
    model: Any,
    x: Any,
    y: Any,
    names: Sequence[str] = (),
    axes_names: tuple[str, str] = ("feature 1", "feature 2"),
    title: str = "Decision boundary",
) -> Figure:
    """Draw rows of two features, coloured by class, over the regions where a model chooses each class.

    With two classes, shades are the predicted probability of class 1 and the line is where it is 0.5.

    Args:
        model: anything with `predict` for rows of two features, such as a model or a `fastann.units.Perceptron`.
        x: (N, 2).
        y: classes 0, 1, ..., (N,), or one-hot rows.
        names: of the classes; by default "class 0", ...
        axes_names: of the features, with their units.
        title: above the picture.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: there are not two features, or rows and classes do not fit.
    """
    points, labels = np.asarray(x, np.float64), true_classes(y)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"x must have two features, shape (rows, 2), got {points.shape}.")
    if len(points) != len(labels):
        raise ValueError(f"y must have one class for each of the {len(points)} rows, got {len(labels)}.")
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.08 * np.maximum(high - low, 1e-9)
    ticks = [np.linspace(a, b, _POINTS) for a, b in zip(low - margin, high + margin, strict=True)]
    across, up = np.meshgrid(*ticks)
    scores = np.asarray(_predicted(model, np.column_stack([across.ravel(), up.ravel()])))
    chosen = predicted_classes(_predicted(model, points))
    right = float((chosen == labels).mean())
    figure, (axes,) = new_figure([f"accuracy {right:.1%} of {len(labels):,} rows"], title)
    figure.set_size_inches(6.2, 5.2)
    classes = int(max(labels.max(), chosen.max())) + 1
    if scores.ndim == 1 or scores.shape[1] == 1:
        heights = scores.reshape(across.shape).astype(np.float64)
        _shade(figure, axes, across, up, heights, names[1] if len(names) > 1 else "class 1")
    else:
        _regions(axes, across, up, scores.reshape(*across.shape, -1).astype(np.float64))
    for label in range(classes):
        mine = labels == label
        axes.scatter(
            points[mine, 0],
            points[mine, 1],
            s=22,
            color=_colour(label),
            marker=MARKERS[label % len(MARKERS)],
            edgecolor="white",
            linewidth=0.5,
            label=names[label] if len(names) > label else f"class {label}",
            zorder=3,
        )
    axes.set_xlabel(axes_names[0])
    axes.set_ylabel(axes_names[1])
    figure.legend(loc="outside lower center", ncols=min(classes, 6), frameon=False)
    return figure


def _colour(label: int) -> str:
    return COLOURS[label % len(COLOURS)]


def _shade(figure: Figure, axes: Axes, across: Any, up: Any, heights: Any, name: str) -> None:
    """Draw probabilities of class 1 and the line where they are 0.5."""
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("classes", [COLOURS[0], "white", COLOURS[1]])
    drawn = axes.contourf(across, up, heights, levels=np.linspace(0, 1, 21), cmap=shades, alpha=0.55)
    if heights.min() < 0.5 < heights.max():
        axes.contour(across, up, heights, levels=[0.5], colors="black", linewidths=1.6)
    label = f"predicted probability of {name}"
    figure.colorbar(drawn, ax=axes, label=label, shrink=0.85, ticks=[0, 0.25, 0.5, 0.75, 1])


def _regions(axes: Axes, across: Any, up: Any, scores: Any) -> None:
    """Draw the region of each class: where its score is above those of all others."""
    for label in range(scores.shape[2]):
        lead = scores[:, :, label] - np.delete(scores, label, axis=2).max(axis=2)
        if lead.max() <= 0:
            continue
        axes.contourf(across, up, lead, levels=[0, max(lead.max(), 1e-9)], colors=[_colour(label)], alpha=0.28)
        if lead.min() < 0:
            axes.contour(across, up, lead, levels=[0], colors="black", linewidths=1.1)


def _predicted(model: Any, points: Any) -> Any:
    """Return what a model predicts, without a progress bar if it would show one."""
    try:
        return model.predict(points, verbose=0)
    except TypeError:
        return model.predict(points)
