"""Samples per second against batch size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastann.plots.figure import COLOURS, LINES, MARKERS, logarithmic, new_figure

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Labels of batch sizes that fit under a panel side by side.
_MOST_UPRIGHT = 6


@dataclass(frozen=True)
class Speed:
    """One line: how many samples a second were trained on at each batch size.

    Attributes:
        label: what the line is called, such as a backend.
        batch_sizes: rows an update.
        samples_per_second: one for each of them.
    """

    label: str
    batch_sizes: Sequence[int]
    samples_per_second: Sequence[float]


def throughput(panels: Mapping[str, Sequence[Speed]], title: str = "") -> Figure:
    """Draw samples/s over batch size, both axes logarithmic and the vertical one shared by all panels.

    Args:
        panels: lines by the title of their panel; a label has the same colour in every panel.
        title: above all of them.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: there is nothing to draw.
    """
    if not any(speed.batch_sizes for speeds in panels.values() for speed in speeds):
        raise ValueError("expected at least one batch size with a speed, got none.")
    figure, axes = new_figure(list(panels), title)
    labels = list(dict.fromkeys(speed.label for speeds in panels.values() for speed in speeds))
    for panel, speeds in zip(axes, panels.values(), strict=True):
        _draw(panel, speeds, labels)
    limits = [panel.get_ylim() for panel in axes]
    for panel in axes:
        panel.set_ylim(min(low for low, _ in limits) / 1.2, max(high for _, high in limits) * 1.2)
    axes[0].set_ylabel("training speed (samples/s)")
    if len(labels) > 1:
        figure.legend(
            handles=_handles(axes, labels), loc="outside lower center", ncols=min(len(labels), 6), frameon=False
        )
    return figure


def _draw(axes: Axes, speeds: Sequence[Speed], labels: Sequence[str]) -> None:
    from matplotlib.ticker import FuncFormatter, NullLocator

    for speed in speeds:
        rank = labels.index(speed.label)
        axes.plot(
            list(speed.batch_sizes),
            list(speed.samples_per_second),
            color=COLOURS[rank % len(COLOURS)],
            linestyle=LINES[rank % len(LINES)],
            marker=MARKERS[rank % len(MARKERS)],
            linewidth=1.8,
            label=speed.label,
        )
    axes.set_xscale("log", base=2)
    logarithmic(axes)
    axes.set_xlabel("batch size (rows)")
    sizes = sorted({size for speed in speeds for size in speed.batch_sizes})
    crowded = len(sizes) > _MOST_UPRIGHT
    axes.set_xticks(_apart(sizes) if crowded else sizes)
    if crowded:
        axes.tick_params(axis="x", labelrotation=45)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _apart(sizes: Sequence[int]) -> list[int]:
    """Return those of ascending sizes whose labels do not run into one another: each four times the one before."""
    chosen: list[int] = []
    for size in sizes:
        if not chosen or size >= 4 * chosen[-1]:
            chosen.append(size)
    return chosen


def _handles(axes: Sequence[Axes], labels: Sequence[str]) -> list[Artist]:
    found: dict[str, Artist] = {}
    for panel in axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    return [found[label] for label in labels]
