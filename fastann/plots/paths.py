"""Ways of gradient descent over a surface of two weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fastann.plots.figure import COLOURS, LINES, MARKERS, logarithmic, new_figure, short_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
Surface = Callable[[Array, Array], Array]

_POINTS = 160

#: Points up to which each update of a path has a dot.
_FEW = 80


def optimizer_paths(
    paths: Mapping[str, ArrayLike],
    surface: Surface,
    axes_names: tuple[str, str] = ("weight 1", "weight 2"),
    title: str = "Optimizers on one loss surface",
) -> Figure:
    """Draw the ways of optimizers over the contours of a loss, left, and the loss after each update, right.

    A large mark is where a way ends. Where ways coincide, the later ones are thinner and lie on top.

    Args:
        paths: float[updates + 1, 2], the two weights from the start on, by the name of the optimizer, such as
            `fastann.callbacks.WeightPath.points`.
        surface: loss of arrays of the two weights.
        axes_names: what the two weights are.
        title: above both panels.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: there is no path, one is no list of points in the plane, or the surface is not finite around them.
    """
    figure = _draw(paths, surface, dict.fromkeys(paths, 1), axes_names, title)
    figure.axes[1].set_xlabel("updates")
    return figure


def descent_paths(
    paths: Mapping[str, ArrayLike],
    surface: Surface,
    batch_sizes: Mapping[str, int],
    axes_names: tuple[str, str] = ("weight 1", "weight 2"),
    title: str = "Batch, mini-batch and stochastic gradient descent",
) -> Figure:
    """Draw the ways of gradient descent with batches of several sizes, left, and the loss against rows seen, right.

    Args:
        paths: float[updates + 1, 2] by name, such as `fastann.callbacks.WeightPath.points`.
        surface: loss over all rows of arrays of the two weights.
        batch_sizes: rows an update, by the same names.
        axes_names: what the two weights are.
        title: above both panels.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: there is no path, one is no list of points in the plane, or has no batch size; or the surface is
            not finite around them.
    """
    missing = [name for name in paths if name not in batch_sizes]
    if missing:
        raise ValueError(f"batch_sizes must have an entry for each path, but {missing[0]!r} is missing.")
    figure = _draw(paths, surface, batch_sizes, axes_names, title, drawstyle="steps-post")
    axes = figure.axes[1]
    # the start, at 0 rows, has no place on a purely logarithmic axis
    axes.set_xscale("symlog", linthresh=1.0)
    axes.set_xlim(left=-0.1)
    axes.xaxis.set_major_formatter(lambda value, _: short_number(value))
    axes.set_xlabel("rows seen (logarithmic from 1 on)")
    return figure


def _draw(
    paths: Mapping[str, ArrayLike],
    surface: Surface,
    unit: Mapping[str, int],
    axes_names: tuple[str, str],
    title: str,
    drawstyle: str = "default",
) -> Figure:
    ways = {name: _checked(path, name) for name, path in paths.items()}
    if not ways:
        raise ValueError("expected at least one path to draw, got none.")
    figure, (left, right) = new_figure(["weights", "loss"], title)
    figure.set_size_inches(10.2, 5.0)
    _contours(left, surface, np.concatenate(list(ways.values())))
    losses = {name: np.asarray(surface(way[:, 0], way[:, 1]), np.float64) for name, way in ways.items()}
    # few updates lie on top of many, and what lies on top is thinner and has a smaller mark at its end
    below = sorted(ways, key=lambda name: -len(ways[name]) // _FEW)
    for number, (name, way) in enumerate(ways.items()):
        rank, few = below.index(name), len(way) <= _FEW
        style: dict[str, Any] = {
            "color": COLOURS[number % len(COLOURS)], "linestyle": LINES[number // len(COLOURS) % len(LINES)],
            "linewidth": max(1.2, 2.6 - 0.35 * rank) if few else 1.1, "zorder": 3 + rank / len(ways),
            "marker": MARKERS[number % len(MARKERS)], "markersize": max(6.0, 11.0 - 1.3 * rank),
            "markeredgecolor": "white", "markevery": [-1], "label": name,
        }  # fmt: skip
        left.plot(way[:, 0], way[:, 1], **style)
        if few:
            left.plot(way[:, 0], way[:, 1], "o", color=style["color"], markersize=2.8, zorder=style["zorder"])
        right.plot(np.arange(len(way)) * unit[name], losses[name], drawstyle=drawstyle, **style)
    start = next(iter(ways.values()))[0]
    left.plot(*start, "X", color="black", markeredgecolor="white", markersize=10, label="start", zorder=5)
    left.set_xlabel(axes_names[0])
    left.set_ylabel(axes_names[1])
    _scale(right, np.concatenate(list(losses.values())))
    handles, labels = left.get_legend_handles_labels()
    columns = 6 if sum(map(len, labels)) < 70 else 3
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), columns), frameon=False)
    return figure


def _scale(axes: Axes, losses: Array) -> None:
    """Make the axis of the loss logarithmic where that helps: from a tenfold range on, unless a loss is below 0."""
    text = "loss over all rows"
    positive = losses[losses > 0]
    if losses.min() < 0 or not positive.size or positive.max() < 10 * positive.min():
        axes.set_ylabel(text)
        return
    logarithmic(axes)
    axes.set_ylabel(f"{text} (logarithmic)")


def _contours(axes: Axes, surface: Surface, points: Array) -> None:
    """Draw lines of equal loss, the closer to the lowest loss around the more lines."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.12 * np.maximum(high - low, 1e-6)
    ticks = [np.linspace(a, b, _POINTS) for a, b in zip(low - margin, high + margin, strict=True)]
    across, up = np.meshgrid(*ticks)
    heights = np.asarray(surface(across, up), np.float64)
    if heights.shape != across.shape or not np.isfinite(heights).all():
        raise ValueError(
            f"surface must return a finite loss for each of {across.shape} points, got shape {heights.shape} with "
            f"{np.count_nonzero(~np.isfinite(heights))} values that are not finite."
        )
    span = float(np.ptp(heights))
    if span > 0:
        levels = heights.min() + span * np.geomspace(1e-4, 1, 18)
        axes.contour(across, up, heights, levels=levels, colors="0.72", linewidths=0.8, zorder=1)
    axes.grid(False)
    axes.set_xlim(float(ticks[0][0]), float(ticks[0][-1]))
    axes.set_ylim(float(ticks[1][0]), float(ticks[1][-1]))


def _checked(path: ArrayLike, name: str) -> Array:
    way = np.asarray(path, np.float64)
    if way.ndim != 2 or way.shape[1] != 2 or len(way) == 0 or not np.isfinite(way).all():
        raise ValueError(f"path {name!r} must be finite points, shape (updates + 1, 2), got {way.shape}.")
    return way
