"""Histograms of the weights of a model, layer by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fastann.plots.figure import COLOURS
from fastann.plots.grid import new_grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from fastann.models.model import Model

_BINS = 40


def weight_histograms(
    model: Model, before: Sequence[NDArray[np.floating]] | None = None, title: str = "Weights by layer"
) -> Figure:
    """Draw a histogram of each kernel of a model, with mean and standard deviation.

    Args:
        model: its weights as they are now.
        before: weights of another moment, as `get_weights` returned them; drawn as an outline.
        title: above all panels.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: the model has no kernels, or `before` is not a list of its weights.
    """
    weights, layout = model.get_weights(), model.parameters
    if before is not None and [w.shape for w in before] != [w.shape for w in weights]:
        raise ValueError("before must hold arrays of the shapes of get_weights; take it from the same model.")
    shown = [i for i, parameter in enumerate(layout) if len(parameter.shape) > 1]
    if not shown:
        raise ValueError("the model has no kernels to draw; give it a layer with weights, such as Dense.")
    columns = min(4, len(shown))
    figure, axes = new_grid(-(-len(shown) // columns), columns, title)
    panels = [panel for row in axes for panel in row]
    for panel, i in zip(panels, shown, strict=False):
        now = weights[i].ravel()
        then = None if before is None else np.ravel(before[i])
        edges = np.histogram_bin_edges(now if then is None else np.concatenate([now, then]), _BINS).tolist()
        panel.hist(now, edges, color=COLOURS[0], alpha=0.8, label="now")
        if then is not None:
            panel.hist(then, edges, histtype="step", color=COLOURS[1], linewidth=1.6, label="before")
        shape = " x ".join(map(str, weights[i].shape))
        panel.set_title(
            f"{layout[i].name} ({shape})\nmean {now.mean():.3g}, standard deviation {now.std():.3g}", fontsize=9.5
        )
        panel.set_xlabel("weight")
        panel.set_ylabel("number of weights")
    for panel in panels[len(shown) :]:
        panel.set_visible(False)
    if before is not None:
        panels[0].legend(frameon=False, fontsize=9)
    return figure
