"""Loss and metrics over epochs, with what they say about the fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

from fastann.evaluation.fitting import Reading, read_curves
from fastann.plots.figure import COLOURS, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def learning_curves(
    history: Any, metrics: Sequence[str] | None = None, title: str = "Learning curves", reading: bool = True
) -> Figure:
    """Draw loss and metrics of training and validation over epochs, a panel each.

    Args:
        history: a `History`, or its dict of lists.
        metrics: names to draw; by default all that have no "val_" before them, the learning rate left out.
        title: above all panels.
        reading: write below it whether the curves show overfitting, underfitting or a good fit, and mark the epoch of
            the lowest validation loss.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: the history is empty, or has no such metric.
    """
    curves: Mapping[str, Sequence[float]] = getattr(history, "history", history)
    names = [n for n in curves if not n.startswith("val_") and n != "learning_rate"] if metrics is None else metrics
    for name in names:
        if name not in curves:
            raise ValueError(f"the history has no {name!r}; it has {', '.join(curves) or 'nothing'}.")
    found = read_curves(curves) if reading else None
    figure, panels = new_figure([_spoken(name) for name in names], title)
    for axes, name in zip(panels, names, strict=True):
        _draw(axes, name, curves, found)
    if found is not None:
        # about 14 letters an inch at this size
        figure.supxlabel(fill(str(found), int(13 * figure.get_figwidth())), fontsize=9.5, color="0.25")
    return figure


def _draw(axes: Axes, name: str, curves: Mapping[str, Sequence[float]], found: Reading | None) -> None:
    from matplotlib.ticker import MaxNLocator

    validation = curves.get(f"val_{name}")
    epochs = range(1, len(curves[name]) + 1)
    alone = "o" if len(curves[name]) == 1 else None
    axes.plot(epochs, list(curves[name]), color=COLOURS[0], linewidth=2, label="training", marker=alone)
    if validation is not None:
        axes.plot(
            range(1, len(validation) + 1),
            list(validation),
            color=COLOURS[1],
            linestyle="--",
            linewidth=2,
            label="validation",
            marker=alone,
        )
        if found is not None and found.best_epoch is not None and name == "loss":
            axes.plot(
                [found.best_epoch], [validation[found.best_epoch - 1]], "v", color="black", markersize=7, label="lowest"
            )
        axes.legend(frameon=False, fontsize=9)
    axes.set_xlabel("epoch")
    axes.set_ylabel(_spoken(name))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=6, steps=[1, 2, 5, 10]))


def _spoken(name: str) -> str:
    return name.replace("_", " ")
