"""Pictures of time: a step, a training until the target, and how well the one predicts the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fastann.plots.figure import COLOURS, LINES, MARKERS, new_figure
from fastann.scaling.lab.fits import best_batch
from fastann.scaling.lab.pictures.axes import batch_axis, bottom_legend, log_axis
from fastann.scaling.lab.words import OPTIMIZER_WORDS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fastann.scaling.lab.findings import Findings


def step_times(findings: Findings) -> Figure:
    """Draw the time of a step, with t0 + c B, and the samples a second, over the batch size."""
    figure, (left, right) = new_figure(["time of a step", "speed"])
    sizes = np.array(findings.batch_sizes)
    fine = np.geomspace(sizes[0], sizes[-1], 200)
    for place, (name, found) in enumerate(findings.optimizers.items()):
        times = np.array([[e["seconds"], e["low"], e["high"]] for e in found.step_times]).T
        style: Any = {"color": COLOURS[place], "marker": MARKERS[place], "markersize": 4.5, "capsize": 2}
        errors = np.maximum(np.stack([times[0] - times[1], times[2] - times[0]]), 0)
        left.errorbar(sizes, times[0] * 1e6, yerr=errors * 1e6, linestyle="", label=OPTIMIZER_WORDS[name], **style)
        left.plot(fine, found.step_time.seconds(fine) * 1e6, color=COLOURS[place], linewidth=1.3)
        right.errorbar(sizes, sizes / times[0], yerr=np.abs(sizes / times[1:][::-1] - sizes / times[0]),
                       linestyle=LINES[place], linewidth=1.4, **style)  # fmt: skip
    for axes, label in ((left, "microseconds"), (right, "samples/s")):
        axes.set_yscale("log")
        log_axis(axes.yaxis)
        batch_axis(axes, sizes)
        axes.set_ylabel(label)
    bottom_legend(figure, [left])
    return figure


def time_to_target(findings: Findings) -> Figure:
    """Draw seconds to the middle target over the batch size, as S t(B) and as measured, with B* and its band."""
    figure, panels = new_figure([OPTIMIZER_WORDS[name] for name in findings.optimizers])
    sizes = np.array(findings.batch_sizes)
    fine = np.geomspace(sizes[0], sizes[-1], 200)
    for axes, found in zip(panels, findings.optimizers.values(), strict=True):
        reach = found.reaches[1]
        if np.isfinite(reach.curve.b_crit):
            best = best_batch(reach.curve, found.step_time)
            axes.axvspan(best / 2, best * 2, color=COLOURS[2], alpha=0.15, linewidth=0, label="B*/2 to 2 B*")
            axes.plot(fine, reach.curve.steps(fine) * found.step_time.seconds(fine) * 1e3, color=COLOURS[0],
                      linewidth=1.5, label="from both fits")  # fmt: skip
        values = np.array([entry.value for entry in found.seconds]) * 1e3
        axes.plot(sizes, values, color=COLOURS[0], marker="o", linestyle="", markersize=5,
                  label="steps times time of a step")  # fmt: skip
        axes.plot(sizes, np.array(found.real_seconds) * 1e3, color=COLOURS[1], marker="s", linestyle="", markersize=4.5,
                  markerfacecolor="none", label="real trainings")  # fmt: skip
        axes.set_yscale("log")
        log_axis(axes.yaxis)
        batch_axis(axes, sizes)
    panels[0].set_ylabel(f"milliseconds to loss {findings.targets[1]:g}")
    bottom_legend(figure, panels)
    return figure


def predicted_times(findings: Findings) -> Figure:
    """Draw measured against predicted time to the middle target; a point is a batch size."""
    figure, (axes,) = new_figure([""])
    figure.set_size_inches(6.2, 5.2)
    everything: list[float] = []
    for place, (name, found) in enumerate(findings.optimizers.items()):
        x = np.array([entry.value for entry in found.seconds]) * 1e3
        y = np.array(found.real_seconds) * 1e3
        seen = np.isfinite(x) & np.isfinite(y)
        everything += [*x[seen], *y[seen]]
        axes.plot(x[seen], y[seen], color=COLOURS[place], marker=MARKERS[place], linestyle="", markersize=6,
                  label=OPTIMIZER_WORDS[name])  # fmt: skip
    if everything:
        ends = np.array([min(everything) / 1.5, max(everything) * 1.5])
        axes.plot(ends, ends, color="black", linewidth=1.2, label="equal")
        axes.fill_between(ends, ends / 1.25, ends * 1.25, color="0.5", alpha=0.2, linewidth=0, label="within 25 %")
        axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends)
        log_axis(axes.xaxis)
        log_axis(axes.yaxis)
    axes.set_xlabel(f"predicted milliseconds to loss {findings.targets[1]:g}")
    axes.set_ylabel("measured milliseconds")
    bottom_legend(figure, [axes])
    return figure
