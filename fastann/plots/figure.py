"""A figure of panels side by side, with colours that stay apart for every kind of eye."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

from fastann.optional import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

LineStyle = Literal["-", "--", ":", "-."]

#: Okabe & Ito 2008, "Color universal design": distinguishable with any colour vision. Its yellow is too pale on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
LINES: tuple[LineStyle, ...] = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D")

_PANEL_WIDTH, _PANEL_HEIGHT = 4.2, 3.6
_DPI = 150


def new_figure(titles: list[str], title: str = "") -> tuple[Figure, list[Axes]]:
    """Return a figure with one panel for each title, in a row, and its axes.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: there are no titles.
    """
    require("matplotlib", "plots need")
    if not titles:
        raise ValueError("expected at least one panel to draw, got none.")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    width = max(_PANEL_WIDTH * len(titles), 1.3 * _PANEL_WIDTH)
    figure = Figure(figsize=(width, _PANEL_HEIGHT + 0.4), layout=ConstrainedLayoutEngine(h_pad=0.08, w_pad=0.08))
    FigureCanvasAgg(figure)
    panels = list(figure.subplots(1, len(titles), squeeze=False)[0])
    for axes, text in zip(panels, titles, strict=True):
        axes.set_title(text, fontsize=11)
        axes.grid(True, which="major", color="0.88", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    if title:
        figure.suptitle(title, fontsize=12.5, fontweight="bold")
    return figure, panels


def logarithmic(axes: Axes) -> None:
    """Make the vertical axis logarithmic, with plain numbers at 1, 2 and 5 of each power of ten."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short_number(value)))
    axes.yaxis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
    axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: short_number(value)))
    axes.tick_params(axis="y", which="minor", labelsize=8.5, labelcolor="0.3")
    axes.grid(True, which="minor", axis="y", color="0.94", linewidth=0.6)


def short_number(value: float) -> str:
    """Return a number with a suffix for thousands, millions and more.

    >>> [short_number(n) for n in (0.02, 500, 20_000, 3_000_000, 2.5e9)]
    ['0.02', '500', '20k', '3M', '2.5G']
    """
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{suffix}"
    return f"{value:g}"


def save_png(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write `figure` as a PNG of 150 dots an inch."""
    figure.savefig(path, format="png", dpi=_DPI)


def label_decades(axis: Axis, unit: str = "") -> None:
    """Label a logarithmic axis at 1, 2 and 5 of each decade, the unit behind each number."""
    from matplotlib.ticker import LogLocator, NullLocator

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(lambda value, place: f"{value:g}{unit}")
    axis.set_minor_locator(NullLocator())
