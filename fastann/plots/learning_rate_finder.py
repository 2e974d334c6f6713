"""Loss against learning rate, of a range test."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastann.plots.figure import COLOURS, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fastann.finder import LearningRateSearch


def learning_rate_finder(search: LearningRateSearch, title: str = "Learning-rate range test") -> Figure:
    """Draw what `fastann.find_learning_rate` saw: the loss of each step, its average, and the rate it suggests.

    Args:
        search: what it returned.
        title: above the picture.

    Raises:
        ImportError: matplotlib is not installed.
    """
    suggestion = search.suggestion
    found = "the loss never falls" if suggestion is None else f"suggested rate {suggestion:.2g}"
    figure, (axes,) = new_figure([found], title)
    axes.plot(search.rates, search.losses, color="0.75", linewidth=1.0, label="loss of each batch")
    axes.plot(search.rates, search.smoothed, color=COLOURS[0], linewidth=2.2, label="smoothed")
    if suggestion is not None:
        place = int(abs(search.rates - suggestion).argmin())
        axes.plot(
            [suggestion], [search.smoothed[place]], "o", color=COLOURS[1], markersize=8, label="falls fastest", zorder=4
        )
        axes.axvline(suggestion, color=COLOURS[1], linestyle="--", linewidth=1.2)
    axes.set_xscale("log")
    # beyond a quarter above the first loss there is only divergence to see
    low, reach = min(search.losses.min(), search.smoothed.min()), 1.25 * (search.smoothed[0] - search.losses.min())
    if reach > 0:
        axes.set_ylim(low - 0.1 * reach, low + reach)
    axes.set_xlabel("learning rate (logarithmic)")
    axes.set_ylabel("training loss")
    axes.legend(frameon=False, loc="lower left")
    return figure
