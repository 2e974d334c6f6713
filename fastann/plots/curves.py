"""Loss against epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastann.plots.figure import COLOURS, LINES, LineStyle, logarithmic, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Curve:
    """One line: a loss for each epoch, and what tells it from the others.

    Attributes:
        values: the loss after epoch 1, 2, ...
        colour: what the colour stands for, such as "batch 32".
        line: what the kind of line stands for, such as "numba"; curves that should coincide can then be told apart.
    """

    values: Sequence[float]
    colour: str
    line: str = ""


def loss_curves(panels: Mapping[str, Sequence[Curve]], title: str = "", label: str = "training loss") -> Figure:
    """Draw the curves of each panel over epochs, the loss on a logarithmic axis unless some value is not positive.

    A colour, or a kind of line, means the same in every panel; the legend explains both.

    Args:
        panels: curves by the title of their panel.
        title: above all of them.
        label: of the vertical axis; losses have no unit.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: there is nothing to draw.
    """
    if not any(curve.values for curves in panels.values() for curve in curves):
        raise ValueError("expected at least one curve with values, got none.")
    figure, axes = new_figure(list(panels), title)
    everything = [curve for curves in panels.values() for curve in curves]
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(dict.fromkeys(c.colour for c in everything))}
    lines = {name: LINES[i % len(LINES)] for i, name in enumerate(dict.fromkeys(c.line for c in everything))}
    for panel, curves in zip(axes, panels.values(), strict=True):
        _draw(panel, curves, colours, lines)
    axes[0].set_ylabel(label)
    _legend(figure, colours, lines)
    return figure


def _draw(axes: Axes, curves: Sequence[Curve], colours: Mapping[str, str], lines: Mapping[str, LineStyle]) -> None:
    from matplotlib.ticker import MaxNLocator

    order = list(lines)
    for curve in curves:
        # a later kind of line lies on top and is thinner, so that a solid curve below it still shows
        rank = order.index(curve.line)
        epochs = range(1, len(curve.values) + 1)
        axes.plot(
            epochs,
            list(curve.values),
            color=colours[curve.colour] if rank == 0 else _darker(colours[curve.colour]),
            linestyle=lines[curve.line],
            linewidth=max(2.4 - 1.0 * rank, 1.0),
            marker="o" if len(curve.values) == 1 else None,
            zorder=2 + rank,
        )
    if all(value > 0 for curve in curves for value in curve.values):
        logarithmic(axes)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, steps=[1, 2, 5, 10]))


def _darker(colour: str, by: float = 0.55) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(colour)
    return red * by, green * by, blue * by


def _legend(figure: Figure, colours: Mapping[str, str], lines: Mapping[str, LineStyle]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=c, linewidth=2.4, label=name) for name, c in colours.items()]
    if len(lines) > 1:
        handles += [Line2D([], [], color="0.25", linestyle=style, label=name) for name, style in lines.items()]
    if len(handles) > 1:
        figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 8), frameon=False)
