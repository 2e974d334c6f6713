"""What every layer puts out for some rows, as heat maps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastann.plots.grid import new_grid

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fastann.models.model import Model

_COLUMNS = 3
_MOST_CHANNELS = 16


def layer_activations(
    model: Model, x: Any, layers: Sequence[str] | None = None, title: str = "Activations of each layer"
) -> Figure:
    """Draw the outputs of layers: rows against units; of layers with images, the first channels of the first row.

    Args:
        model: is not changed.
        x: some rows, 10 to 50 show best. Sort them by class to see which units answer to which class.
        layers: names; by default every layer but inputs, dropout and flatten.
        title: above all panels.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: the model has no such layer, or the data do not fit.
    """
    from fastann.models.inside import layer_outputs

    if layers is None:
        silent = ("InputLayer", "Dropout", "Flatten")
        layers = [layer.name for layer in model.layers if layer.class_name not in silent]
    outputs = layer_outputs(model, x, layers)
    columns = 2 if len(outputs) == 4 else min(_COLUMNS, len(outputs))
    rows = -(-len(outputs) // columns)
    figure, grid = new_grid(rows, columns, title)
    panels = [panel for row in grid for panel in row]
    kinds = {layer.name: layer.class_name for layer in model.layers}
    for axes, (name, values) in zip(panels, outputs.items(), strict=False):
        axes.set_title(f"{name} ({kinds.get(name, '')})", fontsize=10.5)
        axes.grid(visible=False)
        image = _draw_images(axes, values[0]) if values.ndim == 4 else _draw_units(axes, values)
        figure.colorbar(image, ax=axes, shrink=0.85, label="output")
    for axes in panels[len(outputs) :]:
        axes.set_visible(False)
    return figure


def _draw_units(axes: Axes, values: Any) -> Any:
    from matplotlib.ticker import MaxNLocator

    matrix = np.asarray(values, np.float64).reshape(len(values), -1)
    axes.set_xlabel("unit")
    axes.set_ylabel("row of data")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True, nbins=6))
    return axes.imshow(matrix, aspect="auto", interpolation="nearest", **_colours(matrix))


def _draw_images(axes: Axes, values: Any) -> Any:
    """Draw the channels of one image (H, W, C) side by side in a square."""
    channels = min(values.shape[2], _MOST_CHANNELS)
    side = int(np.ceil(np.sqrt(channels)))
    high, wide = values.shape[0] + 1, values.shape[1] + 1
    mosaic = np.full((side * high - 1, side * wide - 1), np.nan)
    for channel in range(channels):
        top, left = channel // side * high, channel % side * wide
        mosaic[top : top + high - 1, left : left + wide - 1] = values[:, :, channel]
    axes.set_xticks([])
    axes.set_yticks([])
    of = f"first {channels} of {values.shape[2]}" if channels < values.shape[2] else f"{channels}"
    axes.set_xlabel(f"{of} channels of one row, {values.shape[0]} x {values.shape[1]} cells each")
    return axes.imshow(mosaic, interpolation="nearest", **_colours(mosaic))


def _colours(values: Any) -> dict[str, Any]:
    """Return colours that begin at 0, or lie on both sides of it where some values are negative."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if low >= 0:
        return {"cmap": "viridis", "vmin": 0.0, "vmax": high or 1.0}
    reach = max(-low, high)
    return {"cmap": "RdBu_r", "vmin": -reach, "vmax": reach}
