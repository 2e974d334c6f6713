"""A figure of panels in rows and columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastann.plots.figure import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANEL_WIDTH, _PANEL_HEIGHT = 4.2, 3.4


def new_grid(rows: int, columns: int, title: str = "") -> tuple[Figure, list[list[Axes]]]:
    """Return a figure with rows of panels in the style of `new_figure`, and their axes.

    Raises:
        ImportError: matplotlib is not installed.
    """
    figure, _ = new_figure([""], title)
    figure.clear()
    figure.set_size_inches(max(1.3, columns) * _PANEL_WIDTH, rows * _PANEL_HEIGHT + 0.5)
    if title:
        figure.suptitle(title, fontsize=12.5, fontweight="bold")
    axes = [list(row) for row in figure.subplots(rows, columns, squeeze=False)]
    for panel in (panel for row in axes for panel in row):
        panel.grid(True, which="major", color="0.88", linewidth=0.8)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    return figure, axes
