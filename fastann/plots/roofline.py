"""Arithmetic a second against arithmetic a byte, below the roof of a machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastann.plots.figure import COLOURS, MARKERS, label_decades, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def roofline(
    entries: Sequence[Mapping[str, Any]], gflops: float, gbytes: float, title: str = "Training steps below the roof"
) -> Figure:
    """Draw training steps as points below the bandwidth and the arithmetic peak of a machine (Williams et al. 2009).

    Args:
        entries: each with "network", "batch_size", "flops", "bytes" and "step_us".
        gflops: peak of arithmetic, GFLOP/s.
        gbytes: bandwidth, GB/s.
        title: above the picture.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: there is nothing to draw.
    """
    if not entries:
        raise ValueError("expected at least one step to draw, got none.")
    figure, (axes,) = new_figure([""], title)
    figure.set_size_inches(7.4, 5.2)
    intensity = np.array([e["flops"] / e["bytes"] for e in entries])
    ridge = gflops / gbytes
    reach = np.geomspace(min(intensity.min() / 3, ridge / 10), 3 * max(intensity.max(), ridge), 200)
    axes.plot(
        reach, np.minimum(reach * gbytes, gflops), color="black", linewidth=2,
        label=f"{gflops:.0f} GFLOP/s, {gbytes:.0f} GB/s",
    )  # fmt: skip
    for number, name in enumerate(dict.fromkeys(e["network"] for e in entries)):
        mine = sorted((e for e in entries if e["network"] == name), key=lambda e: int(e["batch_size"]))
        x = [e["flops"] / e["bytes"] for e in mine]
        y = [e["flops"] / e["step_us"] / 1e3 for e in mine]
        colour = COLOURS[number % len(COLOURS)]
        axes.plot(x, y, marker=MARKERS[number % len(MARKERS)], color=colour, linewidth=1.2, markersize=5, label=name)
        for place in (0, -1):
            axes.annotate(
                str(mine[place]["batch_size"]), (x[place], y[place]), fontsize=7.5, color=colour,
                xytext=(4, -9), textcoords="offset points",
            )  # fmt: skip
    axes.set_xscale("log")
    axes.set_yscale("log")
    for axis in (axes.xaxis, axes.yaxis):
        label_decades(axis)
    axes.set_xlabel("arithmetic a byte moved (FLOP/byte); numbers are batch sizes")
    axes.set_ylabel("arithmetic (GFLOP/s)")
    figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return figure
