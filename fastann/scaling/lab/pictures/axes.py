"""What the lab's pictures have in common: axes of batch sizes, points with intervals, one legend below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastann.plots.figure import COLOURS, LINES, MARKERS, short_number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fastann.scaling.lab.intervals import Estimate

_MOST_TICKS = 6
#: Inches that a label needs.
_LEGEND_COLUMN = 2.5


def batch_axis(axes: Axes, sizes: Any, label: bool = True) -> None:
    """Make the horizontal axis one of batch sizes: logarithmic, marked at every, second or third size."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    axes.set_xscale("log", base=2)
    every = -(-len(sizes) // _MOST_TICKS)
    axes.xaxis.set_major_locator(FixedLocator([float(size) for size in sizes[::every]]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlim(sizes[0] / 1.5, sizes[-1] * 1.5)
    if label:
        axes.set_xlabel("batch size (rows)")


def log_axis(axis: Any) -> None:
    """Mark a logarithmic axis with plain numbers at powers of ten, and at 2 and 5 where it spans few of them."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    short = low > 0 and high / low < 100
    axis.set_major_formatter(FuncFormatter(lambda value, _: short_number(float(f"{value:.6g}"))))
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if short else (1.0,), numticks=12))
    axis.set_minor_formatter(NullFormatter())


def with_errors(
    axes: Axes, sizes: Any, estimates: Sequence[Estimate], place: int, label: str, line: bool = True
) -> None:
    """Draw estimates over batch sizes with their intervals.

    Estimates that are not finite are left out; an interval without an upper end is drawn to four times the value.
    """
    triples = np.array([(e.value, e.low, e.high) for e in estimates])
    seen = np.isfinite(triples[:, 0])
    values, low, high = triples[seen].T
    low = np.where(np.isfinite(low), low, values)
    high = np.where(np.isfinite(high), high, np.where(np.isinf(high), 4 * values, values))
    axes.errorbar(
        np.asarray(sizes)[seen],
        values,
        yerr=np.maximum(np.stack([values - low, high - values]), 0),
        color=COLOURS[place],
        marker=MARKERS[place % len(MARKERS)],
        markersize=4.5,
        linestyle=LINES[place % len(LINES)] if line else "",
        linewidth=1.6,
        elinewidth=1,
        capsize=2,
        label=label,
    )


def bottom_legend(figure: Figure, panels: Sequence[Axes], columns: int = 5) -> None:
    """Put one legend for all panels below them, in at most so many columns as fit; a label counts once."""
    columns = max(1, min(columns, int(figure.get_figwidth() / _LEGEND_COLUMN)))
    found: dict[str, Any] = {}
    for panel in panels:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    figure.legend(
        list(found.values()), list(found), loc="outside lower center", ncols=min(len(found), columns), frameon=False,
        fontsize=9,
    )  # fmt: skip
