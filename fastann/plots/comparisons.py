"""One training with several settings: optimizers, learning rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastann.plots.figure import COLOURS, LINES, logarithmic, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: A curve that diverges is drawn up to so many times the largest value of those that do not.
_ROOM = 10.0


def optimizer_curves(
    histories: Mapping[str, Any], metric: str = "loss", title: str = "Optimizers on one network"
) -> Figure:
    """Draw a metric over epochs for each optimizer.

    Args:
        histories: a `History`, or its dict of lists, by the name of the optimizer; `fastann.compare_optimizers` makes
            them.
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
    """Draw a metric over epochs for each learning rate.

    A cross is where a training that diverged leaves the picture, or where its last finite value is.

    Args:
        histories: a `History`, or its dict of lists, by the learning rate, as `fastann.compare_learning_rates` makes
            them, or by a name such as "0.1 (good)".
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
    finite = {name: values[: _end(values)] for name, values in curves.items()}
    top = _top(curves)
    shown = np.concatenate(list(finite.values()))
    if metric.endswith("loss") and shown.size and (shown > 0).all():
        logarithmic(axes)
    for number, (name, values) in enumerate(finite.items()):
        diverged = len(values) < len(curves[name])
        style: dict[str, Any] = {"color": COLOURS[number % len(COLOURS)]}
        axes.plot(
            range(1, len(values) + 1), values, LINES[number % len(LINES)], linewidth=2,
            label=f"{name} (diverged)" if diverged else name, marker="o" if len(values) == 1 else None, **style,
        )  # fmt: skip
        if diverged:
            epoch, height = _leaves(values, top, axes.get_yscale() == "log")
            axes.plot([epoch], [height], "x", markersize=10, markeredgewidth=2.4, clip_on=False, **style)
    if shown.size and shown.max() > top:
        low = float(shown.min())
        axes.set_ylim(low / 1.3 if axes.get_yscale() == "log" else low - 0.05 * (top - low), top)
    axes.set_xlabel("epoch")
    axes.set_ylabel("training loss" if metric == "loss" else metric.replace("_", " "))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8, steps=[1, 2, 5, 10]))
    figure.legend(loc="outside lower center", ncols=2 if len(curves) in (2, 4) else 3, frameon=False, fontsize=9.5)
    return figure


def _end(values: Any) -> int:
    """Return the number of values before the first that is not finite."""
    finite = np.isfinite(values)
    return len(values) if finite.all() else int(np.argmin(finite))


def _top(curves: Mapping[str, Any]) -> float:
    """Return the value above which curves that diverged are cut off, for the others to be seen."""
    steady = [np.abs(values).max() for values in curves.values() if _end(values) == len(values)]
    first = [abs(values[0]) for values in curves.values() if _end(values)]
    return _ROOM * float(max(steady or first or [1.0]))


def _leaves(values: Any, top: float, logarithmic: bool) -> tuple[float, float]:
    """Return where a curve crosses `top`, or its last point: the epoch, counted from 1, and the height."""
    above = np.flatnonzero(values > top)
    if not above.size:
        return (len(values), float(values[-1])) if len(values) else (1.0, 1.0)
    first = int(above[0])
    if first == 0:
        return 1.0, top
    before, after, level = (np.log(v) if logarithmic else v for v in (values[first - 1], values[first], top))
    return first + float((level - before) / (after - before)), top


def _values(history: Any, metric: str, name: str) -> Any:
    curves: Mapping[str, Sequence[float]] = getattr(history, "history", history)
    if metric not in curves:
        raise ValueError(f"the history of {name!r} has no {metric!r}; it has {', '.join(curves) or 'nothing'}.")
    return np.asarray(curves[metric], np.float64)
