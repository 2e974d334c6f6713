"""How many times as fast one contender is as others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fastann.plots.figure import COLOURS, label_decades, new_figure, short_number

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def speedups(factors: Mapping[str, Mapping[str, float]], title: str = "Times as fast") -> Figure:
    """Draw bars of factors on a logarithmic axis, in groups; those below 1 are comparisons lost.

    Args:
        factors: by the name of the group, then by that of the other contender.
        title: above the picture.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: there is nothing to draw.
    """
    names = list(dict.fromkeys(name for group in factors.values() for name in group))
    if not names:
        raise ValueError("expected at least one factor to draw, got none.")
    figure, (axes,) = new_figure([""], title)
    height = 0.8 / len(names)
    figure.set_size_inches(9.0, max(3.0, 0.24 * sum(len(group) + 1 for group in factors.values()) + 1.2))
    for number, name in enumerate(names):
        places = [place for place, group in enumerate(factors.values()) if name in group]
        values = [group[name] for group in factors.values() if name in group]
        bars = axes.barh(
            [place + (number - (len(names) - 1) / 2) * height for place in places],
            [value - 1 for value in values],
            left=1,
            height=height * 0.92,
            color=COLOURS[number % len(COLOURS)],
            hatch="" if number < len(COLOURS) else "////",  # a second round of the same colours
            edgecolor="white",
            linewidth=0,
            label=name,
        )
        texts = [f"{short_number(round(value, 2))}x" for value in values]
        axes.bar_label(bars, labels=texts, fontsize=7.5, padding=2)
    axes.axvline(1, color="black", linewidth=1.2)
    axes.set_xscale("log")
    low, high = axes.get_xlim()
    axes.set_xlim(min(low / 1.25, 0.8), high * 1.6)
    label_decades(axes.xaxis, "x")
    axes.set_yticks(range(len(factors)), list(factors))
    axes.set_ylim(-0.6, len(factors) - 0.4)
    axes.invert_yaxis()
    axes.set_xlabel("time of a step over that of the first contender (logarithmic)")
    figure.legend(loc="outside lower center", ncols=min(len(names), 3), frameon=False, fontsize=9)
    return figure
