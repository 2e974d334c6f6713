"""Norms of the gradients of each layer over training: do they vanish on their way back?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fastann.plots.figure import COLOURS, LINES, new_figure
from fastann.plots.grid import new_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def gradient_norms(
    runs: Mapping[str, NDArray[np.float64]],
    scores: Mapping[str, Sequence[float]] | None = None,
    score: str = "training accuracy",
    title: str = "Gradient norms by layer",
) -> Figure:
    """Draw the norm of each layer's gradient over epochs, a panel for each network, dark layers first.

    Up to three panels stand side by side, more of them in two rows.

    Args:
        runs: float[epochs + 1, layers] by the name of the network, such as `GradientNorms.norms`.
        scores: a value for each epoch by the same names; drawn in one more panel.
        score: what the values of `scores` are.
        title: above all panels.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: there is nothing to draw.
    """
    names = list(runs)
    figure, panels = _panels([*names, *([score] if scores else [])], title)
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.ticker import MaxNLocator

    deepest = max(norms.shape[1] for norms in runs.values())
    palette = colormaps["viridis"].resampled(deepest)
    lowest, highest = _limits(runs)
    for axes, name in zip(panels, names, strict=False):
        norms = runs[name]
        for layer in range(norms.shape[1]):
            shown = np.maximum(norms[:, layer], lowest)
            axes.plot(range(len(norms)), shown, color=palette(layer), linewidth=1.4)
        axes.set_yscale("log")
        axes.set_ylim(lowest, highest)
        axes.set_ylabel("norm of dL/dW")
        _count_epochs(axes)
    layers = ScalarMappable(Normalize(0.5, deepest + 0.5), palette)
    ticks = MaxNLocator(integer=True)
    figure.colorbar(layers, ax=panels[: len(names)], label="layer, from the input", pad=0.01, ticks=ticks)
    if scores:
        _draw_scores(panels[-1], scores, score)
    return figure


def _panels(titles: list[str], title: str) -> tuple[Figure, list[Axes]]:
    if len(titles) <= 3:
        return new_figure(titles, title)
    figure, rows = new_grid(2, (len(titles) + 1) // 2, title)
    panels = [axes for row in rows for axes in row]
    for axes in panels[len(titles) :]:
        axes.remove()
    for axes, text in zip(panels, titles, strict=False):
        axes.set_title(text, fontsize=11)
    return figure, panels[: len(titles)]


def _limits(runs: Mapping[str, NDArray[np.float64]]) -> tuple[float, float]:
    """Return limits for all panels; zeros are drawn at the lower one."""
    positive = np.concatenate([norms[norms > 0].ravel() for norms in runs.values()])
    if positive.size == 0:
        raise ValueError("expected at least one gradient norm above 0, got none.")
    return float(positive.min()) / 2, float(positive.max()) * 2


def _draw_scores(axes: Axes, scores: Mapping[str, Sequence[float]], score: str) -> None:
    for i, (name, values) in enumerate(scores.items()):
        axes.plot(
            range(1, len(values) + 1),
            values,
            color=COLOURS[i],
            linestyle=LINES[i % len(LINES)],
            label=name,
            linewidth=2,
        )
    axes.set_ylabel(score)
    _count_epochs(axes)
    axes.legend(frameon=False, fontsize=9, loc="upper center", bbox_to_anchor=(0.5, -0.18))


def _count_epochs(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
