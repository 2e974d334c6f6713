"""Ways of gradient descent over a surface of two weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastann.plots.figure import COLOURS, LINES, logarithmic, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Surface = Callable[[Array, Array], Array]

_POINTS = 160


def optimizer_paths(
    paths: Mapping[str, ArrayLike], surface: Surface, title: str = "Optimizers on one loss surface"
) -> Figure:
    """Draw the ways of optimizers over the contours of a loss, left, and the loss after each update, right.

    Args:
        paths: float[updates + 1, 2], the two weights from the start on, by the name of the optimizer.
        surface: loss of arrays of the two weights.
        title: above both panels.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: there is no path, or one is no list of points in the plane.
    """
    return _draw(paths, surface, dict.fromkeys(paths, 1.0), "update", title)


def descent_paths(
    paths: Mapping[str, ArrayLike],
    surface: Surface,
    batch_sizes: Mapping[str, int],
    title: str = "Batch, mini-batch and stochastic gradient descent",
) -> Figure:
    """Draw the ways of gradient descent with batches of several sizes, left, and the loss against rows seen, right.

    Args:
        paths: float[updates + 1, 2] by name.
        surface: loss over all rows of arrays of the two weights.
        batch_sizes: rows an update, by the same names.
        title: above both panels.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: there is no path, one is no list of points in the plane, or has no batch size.
    """
    missing = [name for name in paths if name not in batch_sizes]
    if missing:
        raise ValueError(f"batch_sizes must have an entry for each path, but {missing[0]!r} is missing.")
    figure = _draw(paths, surface, batch_sizes, "rows seen (logarithmic)", title)
    figure.axes[1].set_xscale("log")
    return figure


def _draw(
    paths: Mapping[str, ArrayLike], surface: Surface, unit: Mapping[str, float], count: str, title: str
) -> Figure:
    ways = {name: _checked(path, name) for name, path in paths.items()}
    if not ways:
        raise ValueError("expected at least one path to draw, got none.")
    figure, (left, right) = new_figure(["weights", "loss"], title)
    figure.set_size_inches(10.2, 4.8)
    _contours(left, surface, np.concatenate(list(ways.values())))
    for number, (name, way) in enumerate(ways.items()):
        style: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)], "label": name}
        line = LINES[number // len(COLOURS) % len(LINES)]
        dots = "o" if len(way) <= 80 else None
        # few updates lie on top of many
        order = 3 + 1 / len(way)
        left.plot(way[:, 0], way[:, 1], line, marker=dots, markersize=2.6, linewidth=1.5, zorder=order, **style)
        losses = np.maximum(surface(way[:, 0], way[:, 1]), np.finfo(float).tiny)
        right.plot(np.arange(len(way)) * unit[name], losses, line, linewidth=1.7, zorder=order, **style)
    start = next(iter(ways.values()))[0]
    left.plot(*start, "s", color="black", markersize=7, label="start", zorder=5)
    left.set_xlabel("weight 1")
    left.set_ylabel("weight 2")
    logarithmic(right)
    right.set_xlabel(count)
    right.set_ylabel("loss over all rows (logarithmic)")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 6), frameon=False)
    return figure


def _contours(axes: Axes, surface: Surface, points: Array) -> None:
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.12 * np.maximum(high - low, 1e-6)
    ticks = [np.linspace(a, b, _POINTS) for a, b in zip(low - margin, high + margin, strict=True)]
    across, up = np.meshgrid(*ticks)
    heights = np.asarray(surface(across, up), np.float64)
    bottom = max(float(heights.min()), 1e-4 * float(heights.max()))
    levels = np.geomspace(bottom, max(float(heights.max()), 2 * bottom), 16)
    axes.contour(across, up, heights, levels=levels, cmap="Greys_r", linewidths=0.8)
    axes.set_xlim(float(ticks[0][0]), float(ticks[0][-1]))
    axes.set_ylim(float(ticks[1][0]), float(ticks[1][-1]))


def _checked(path: ArrayLike, name: str) -> Array:
    way = np.asarray(path, np.float64)
    if way.ndim != 2 or way.shape[1] != 2 or len(way) == 0 or not np.isfinite(way).all():
        raise ValueError(f"path {name!r} must be finite points, shape (updates + 1, 2), got {way.shape}.")
    return way
