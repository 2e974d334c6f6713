"""One training with several settings: optimizers, learning rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastann.plots.figure import COLOURS, LINES, logarithmic, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def optimizer_curves(
    histories: Mapping[str, Any], metric: str = "loss", title: str = "Optimizers on one network"
) -> Figure:
    """Draw a metric over epochs for each optimizer.

    Args:
        histories: a `History`, or its dict of lists, by the name of the optimizer.
        metric: a key of the histories; a loss is drawn on a logarithmic axis.
        title: above the picture.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: there is no history, or one has no such metric.
    """
    return _compared(histories, metric, title)


def learning_rate_effect(
    histories: Mapping[str, Any] | Mapping[float, Any],
    metric: str = "loss",
    title: str = "The effect of the learning rate",
) -> Figure:
    """Draw a metric over epochs for each learning rate; a cross is where the training diverged.

    Args:
        histories: a `History`, or its dict of lists, by the learning rate or by a name such as "0.1 (good)".
        metric: a key of the histories; a loss is drawn on a logarithmic axis.
        title: above the picture.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: there is no history, or one has no such metric.
    """
    named = {
        f"learning rate {key:g}" if isinstance(key, int | float) else str(key): value
        for key, value in histories.items()
    }
    return _compared(named, metric, title)


def _compared(histories: Mapping[str, Any], metric: str, title: str) -> Figure:
    from matplotlib.ticker import MaxNLocator

    curves = {name: _values(history, metric, name) for name, history in histories.items()}
    if not curves:
        raise ValueError("expected at least one history to draw, got none.")
    figure, (axes,) = new_figure([""], title)
    figure.set_size_inches(6.6, 4.6)
    for number, (name, values) in enumerate(curves.items()):
        finite = np.isfinite(values)
        last = int(np.argmin(finite)) if not finite.all() else len(values)
        style: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)]}
        axes.plot(
            range(1, last + 1), values[:last], LINES[number % len(LINES)], linewidth=2,
            label=name if last == len(values) else f"{name} (diverged)", marker="o" if last == 1 else None, **style,
        )  # fmt: skip
        if last < len(values):
            at = float(values[last - 1]) if last else 1.0
            axes.plot([max(last, 1)], [at], "x", markersize=10, markeredgewidth=2.4, **style)
    everything = np.concatenate([values[np.isfinite(values)] for values in curves.values()])
    if metric.endswith("loss") and everything.size and (everything > 0).all():
        logarithmic(axes)
    axes.set_xlabel("epoch")
    axes.set_ylabel(metric.replace("_", " "))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, steps=[1, 2, 5, 10]))
    figure.legend(loc="outside lower center", ncols=min(len(curves), 3), frameon=False, fontsize=9.5)
    return figure


def _values(history: Any, metric: str, name: str) -> Any:
    curves: Mapping[str, Sequence[float]] = getattr(history, "history", history)
    if metric not in curves:
        raise ValueError(f"the history of {name!r} has no {metric!r}; it has {', '.join(curves) or 'nothing'}.")
    return np.asarray(curves[metric], np.float64)
