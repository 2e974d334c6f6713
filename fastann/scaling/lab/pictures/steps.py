"""Pictures of steps and samples to a target, of the noise scale, and of the generalisation gap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastann.plots.figure import COLOURS, MARKERS, new_figure
from fastann.scaling.lab.pictures.axes import batch_axis, bottom_legend, log_axis, with_errors
from fastann.scaling.lab.words import OPTIMIZER_WORDS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fastann.scaling.lab.findings import Findings


def steps_to_target(findings: Findings) -> Figure:
    """Draw steps to each target over the batch size, the fitted hyperbola, and the slope of perfect scaling."""
    figure, panels = new_figure([OPTIMIZER_WORDS[name] for name in findings.optimizers])
    sizes = np.array(findings.batch_sizes)
    fine = np.geomspace(sizes[0], sizes[-1], 200)
    for axes, found in zip(panels, findings.optimizers.values(), strict=True):
        for place, reach in enumerate(found.reaches):
            with_errors(axes, sizes, reach.steps, place, label=f"to loss {reach.target:g}", line=False)
            if np.isfinite(reach.curve.b_crit):
                axes.plot(fine, reach.curve.steps(fine), color=COLOURS[place], linewidth=1.5)
        middle = found.reaches[1]
        if np.isfinite(middle.curve.b_crit):
            axes.axvspan(
                middle.b_crit.low, min(middle.b_crit.high, sizes[-1] * 2), color="0.5", alpha=0.15, linewidth=0
            )
            axes.axvline(middle.b_crit.value, color="0.35", linewidth=1.2, linestyle="--",
                         label=f"critical batch of loss {middle.target:g}, interval")  # fmt: skip
            top = float(middle.curve.steps(sizes[0]))
            axes.plot(sizes, top * sizes[0] / sizes, color="black", linewidth=1, linestyle=":", label="perfect scaling")
        axes.set_yscale("log")
        log_axis(axes.yaxis)
        batch_axis(axes, sizes)
    panels[0].set_ylabel("steps to the target")
    bottom_legend(figure, panels)
    return figure


def samples_against_steps(findings: Findings) -> Figure:
    """Draw samples against steps to each target, one point a batch size, with (S/S_min - 1)(E/E_min - 1) = 1."""
    figure, panels = new_figure([OPTIMIZER_WORDS[name] for name in findings.optimizers])
    sizes = np.array(findings.batch_sizes)
    fine = np.geomspace(sizes[0] / 1.5, sizes[-1] * 2, 300)
    for axes, found in zip(panels, findings.optimizers.values(), strict=True):
        for place, reach in enumerate(found.reaches):
            steps = np.array([entry.value for entry in reach.steps])
            colour = COLOURS[place]
            axes.plot(steps, steps * sizes, color=colour, marker=MARKERS[place], linestyle="", markersize=5,
                      label=f"to loss {reach.target:g}")  # fmt: skip
            if np.isfinite(reach.curve.b_crit):
                axes.plot(reach.curve.steps(fine), reach.curve.steps(fine) * fine, color=colour, linewidth=1.4)
            if place == 1:
                for at in (0, len(sizes) // 2, len(sizes) - 1):
                    if np.isfinite(steps[at]):
                        axes.annotate(f"batch {sizes[at]}", (steps[at], steps[at] * sizes[at]), fontsize=8,
                                      xytext=(5, 7), textcoords="offset points", color=colour)  # fmt: skip
        axes.set_xscale("log")
        axes.set_yscale("log")
        log_axis(axes.xaxis)
        log_axis(axes.yaxis)
        axes.set_xlabel("steps to the target")
    panels[0].set_ylabel("samples to the target")
    bottom_legend(figure, panels)
    return figure


def noise_scale(findings: Findings) -> Figure:
    """Draw the noise scale along the training at the base batch, and the critical batch of each target."""
    figure, panels = new_figure([OPTIMIZER_WORDS[name] for name in findings.optimizers])
    base = findings.batch_sizes.index(findings.base_batch)
    for axes, found in zip(panels, findings.optimizers.values(), strict=True):
        trace = [(step, estimate) for step, estimate in found.noise if step > 0]
        if trace:
            steps = np.array([step for step, _ in trace])
            middle = np.array([estimate.value for _, estimate in trace])
            axes.plot(steps, middle, color=COLOURS[0], linewidth=1.8, label="noise scale tr Σ / |G|²")
            low = [estimate.low for _, estimate in trace]
            high = [estimate.high for _, estimate in trace]
            axes.fill_between(steps, low, high, color=COLOURS[0], alpha=0.2, linewidth=0)
        for place, reach in enumerate(found.reaches):
            at = reach.steps[base].value
            if np.isfinite(at) and np.isfinite(reach.b_crit.value):
                fitted = reach.b_crit
                below, above = max(fitted.value - fitted.low, 0), max(fitted.high - fitted.value, 0)
                axes.errorbar(
                    [at], [fitted.value], yerr=[[below], [above]], color=COLOURS[1], marker=MARKERS[place],
                    markersize=7, capsize=3, linestyle="", label=f"critical batch, loss {reach.target:g}",
                )  # fmt: skip
        axes.set_xscale("log")
        axes.set_yscale("log")
        log_axis(axes.xaxis)
        log_axis(axes.yaxis)
        axes.set_xlabel(f"steps at batch {findings.base_batch}")
    panels[0].set_ylabel("batch size (rows)")
    bottom_legend(figure, panels)
    return figure


def generalisation_gap(findings: Findings) -> Figure:
    """Draw validation loss minus training loss over the batch size, one panel a budget."""
    titles = {"epochs": "equal epochs", "steps": "equal steps", "target": "until the target"}
    figure, panels = new_figure(list(titles.values()))
    sizes = np.array(findings.batch_sizes)
    for axes, budget in zip(panels, titles, strict=True):
        for place, (name, found) in enumerate(findings.optimizers.items()):
            with_errors(axes, sizes, found.gaps[budget], place, label=OPTIMIZER_WORDS[name])
        axes.axhline(0, color="0.4", linewidth=1)
        batch_axis(axes, sizes)
    low, high = min(p.get_ylim()[0] for p in panels), max(p.get_ylim()[1] for p in panels)
    for axes in panels:
        axes.set_ylim(min(low, 0), high)
    panels[0].set_ylabel("validation loss less training loss")
    bottom_legend(figure, panels)
    return figure
