"""Pictures of learning rates: the best one over the batch size, the whole map, and the regret of rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastann.plots.figure import COLOURS, MARKERS, new_figure, short_number
from fastann.plots.grid import new_grid
from fastann.scaling.lab.findings import MARGINS
from fastann.scaling.lab.pictures.axes import batch_axis, bottom_legend, log_axis, with_errors
from fastann.scaling.lab.words import BUDGET_WORDS, OPTIMIZER_WORDS, RULE_WORDS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.colors import Normalize
    from matplotlib.figure import Figure

    from fastann.scaling.lab.findings import Findings, OptimizerFindings


def best_rates(findings: Findings) -> Figure:
    """Draw the best learning rate over the batch size, with what the rules and the noise scale say."""
    figure, panels = new_figure([OPTIMIZER_WORDS[name] for name in findings.optimizers])
    sizes = np.array(findings.batch_sizes)
    fine = np.geomspace(sizes[0], sizes[-1], 200)
    for axes, found in zip(panels, findings.optimizers.values(), strict=True):
        axes.set_yscale("log")
        with_errors(axes, sizes, found.best_rates["target"], 0, "best until the target", line=False)
        with_errors(axes, sizes, found.best_rates["epochs"], 1, "best at equal epochs", line=False)
        limits = np.array([e.value for budget in ("target", "epochs") for e in found.best_rates[budget]])
        ratio, base = fine / findings.base_batch, findings.base_batch
        axes.plot(fine, found.anchor * ratio, color="black", linestyle="--", linewidth=1.2, label="linear rule")
        axes.plot(fine, found.anchor * ratio**0.5, color="black", linestyle=":", linewidth=1.2, label="square root")
        critical = found.reaches[1].b_crit.value
        if np.isfinite(critical):
            # McCandlish et al. 2018 (arXiv:1812.06162) for SGD; Li et al. 2024 (arXiv:2405.14578) for Adam
            if found.name == "adam":
                shape, label = 2 / ((critical / fine) ** 0.5 + (fine / critical) ** 0.5), "surge at the critical batch"
                at_base = 2 / ((critical / base) ** 0.5 + (base / critical) ** 0.5)
            else:
                shape, label = 1 / (1 + critical / fine), "saturating at the critical batch"
                at_base = 1 / (1 + critical / base)
            axes.plot(fine, found.anchor * shape / at_base, linewidth=1.6,
                      color=COLOURS[2] if found.name != "adam" else COLOURS[3], label=label)  # fmt: skip
        axes.set_ylim(limits.min() / 4, limits.max() * 4)
        log_axis(axes.yaxis)
        batch_axis(axes, sizes)
    panels[0].set_ylabel("learning rate")
    bottom_legend(figure, panels, 4)
    return figure


def loss_map(findings: Findings) -> Figure:
    """Draw the validation loss at equal epochs over learning rate and batch size; crosses diverged."""
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    figure, panels = new_figure([OPTIMIZER_WORDS[name] for name in findings.optimizers])
    everything = np.concatenate([found.heat.loss.ravel() for found in findings.optimizers.values()])
    low, high = np.nanmin(everything), np.nanmax(everything)
    images = []
    for axes, found in zip(panels, findings.optimizers.values(), strict=True):
        images.append(_map(axes, found, findings, LogNorm(low, max(high, low * 1.01))))
    panels[0].set_ylabel("learning rate")
    bar = figure.colorbar(images[0], ax=panels, shrink=0.9, pad=0.01, label="validation loss")
    bar.ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short_number(float(f"{value:.3g}"))))
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    bottom_legend(figure, panels)
    return figure


def _map(axes: Axes, found: OptimizerFindings, findings: Findings, norm: Normalize) -> PathCollection:
    heat, sizes = found.heat, findings.batch_sizes
    x, y = np.log2(sizes), np.log10(heat.rates)
    cells = [(i, j) for i in range(len(y)) for j in range(len(x)) if np.isfinite(heat.loss[i, j])]
    across, up = np.array([x[j] for _, j in cells]), np.array([y[i] for i, _ in cells])
    image = axes.scatter(across, up, c=[heat.loss[cell] for cell in cells], norm=norm, cmap="viridis_r", marker="s",
                         s=62, linewidths=0)  # fmt: skip
    lost = np.array([heat.diverged[cell] >= 0.5 for cell in cells])
    axes.scatter(across[lost], up[lost], marker="x", color=COLOURS[1], s=22, linewidths=1.3, label="diverged")
    best = [y[int(np.nanargmin(heat.loss[:, j]))] for j in range(len(x))]
    axes.scatter(x, best, marker="o", facecolors="none", edgecolors="black", s=75, linewidths=1.2, label="lowest")
    axes.plot(x, np.log10(found.anchor) + (x - np.log2(findings.base_batch)) * np.log10(2), color="black",
              linestyle="--", linewidth=1, label="linear rule")  # fmt: skip
    axes.set_ylim(up.min() - 0.3, up.max() + 0.3)
    powers = range(int(np.floor(up.min())), int(np.ceil(up.max())) + 1)
    axes.set_yticks(list(powers), [short_number(10.0**power) for power in powers])
    every = -(-len(x) // 6)
    axes.set_xticks(x[::every], [f"{size:g}" for size in sizes[::every]])
    axes.set_xlabel("batch size (rows)")
    return image


def rule_regrets(findings: Findings) -> Figure:
    """Draw how much worse each rule is than the tuned rate, over the batch size: a row a budget."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    names = list(findings.optimizers)
    figure, grid = new_grid(len(BUDGET_WORDS), len(names))
    sizes = np.array(findings.batch_sizes)
    for row, (budget, words) in enumerate(BUDGET_WORDS.items()):
        for axes, name in zip(grid[row], names, strict=True):
            _regrets(axes, findings.optimizers[name], budget, findings.batch_sizes)
            ticks = [-0.5, -0.2, -0.05, 0, 0.05, 0.2, 1, 4, 19, 99, 499]
            axes.yaxis.set_major_locator(FixedLocator(ticks))
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: regret_words(v)))
            batch_axis(axes, sizes, label=row == len(BUDGET_WORDS) - 1)
            if row == 0:
                axes.set_title(OPTIMIZER_WORDS[name], fontsize=11)
        what = "steps" if budget == "target" else "loss"
        grid[row][0].set_ylabel(f"{words}:\n{what} above the tuned rate's")
    bottom_legend(figure, [axes for row in grid for axes in row])
    return figure


def regret_words(share: float) -> str:
    """Return a share above the tuned rate's as the axis shows it.

    >>> [regret_words(share) for share in (-0.2, 0.0, 0.05, 19.0)]
    ['-20%', '0', '+5%', '20x']
    """
    if share == 0:
        return "0"
    return f"{share:+.0%}" if share < 9 else f"{share + 1:.0f}x"


def _regrets(axes: Axes, found: OptimizerFindings, budget: str, sizes: Sequence[int]) -> None:
    """Draw each rule in its colour, with warm-up hollow and dashed; points of one size stand side by side."""
    arms = [arm for arm in RULE_WORDS if (budget, arm) in found.comparisons]
    plain = [arm for arm in RULE_WORDS if not arm.endswith("+warmup")]
    for number, arm in enumerate(arms):
        rule, warm = arm.removesuffix("+warmup"), arm.endswith("+warmup")
        place = plain.index(rule)
        known = [(size, r.estimate) for size, r in zip(sizes, found.comparisons[budget, arm].regrets, strict=True)
                 if r is not None]  # fmt: skip
        values = np.array([estimate.value for _, estimate in known])
        errors = np.array([[e.value - e.low, e.high - e.value] for _, e in known]).T
        aside = 2 ** (0.5 * (number / max(1, len(arms) - 1) - 0.5))
        axes.errorbar([size * aside for size, _ in known], values, yerr=np.maximum(errors, 0), color=COLOURS[place],
                      linestyle="--" if warm else "-", marker=MARKERS[place % len(MARKERS)], markersize=3.8,
                      markerfacecolor="white" if warm else COLOURS[place], linewidth=1.2, elinewidth=0.8, capsize=1.5,
                      label=RULE_WORDS[arm])  # fmt: skip
    axes.axhspan(-MARGINS[budget], MARGINS[budget], color="0.5", alpha=0.2, linewidth=0, label="within the margin")
    axes.set_yscale("symlog", linthresh=0.05, linscale=0.6)
    axes.set_ylim(-0.6, 1200)
