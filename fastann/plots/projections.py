"""Data before, and in the last hidden layer after training, projected to two dimensions by PCA and t-SNE."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastann.optional import require
from fastann.plots.figure import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from fastann.models.model import Model

#: Rows that t-SNE, whose time grows faster than they do, is given at most.
MAX_ROWS = 1000


def projections(
    model: Model,
    x: Any,
    y: Any,
    layer: str | None = None,
    title: str = "The data before, and as the network sees them after training",
    seed: int = 0,
) -> Figure:
    """Draw rows in two dimensions, coloured by class: left as they are, right as a layer puts them out.

    The upper pictures are the first two principal components with the share of the variance they hold, the lower ones
    t-SNE (van der Maaten & Hinton 2008), whose distances between groups and axes mean nothing.

    Args:
        model: a trained model.
        x: rows, as for `predict`; at most 1,000, drawn at random, are used.
        y: class of each row.
        layer: name of the layer; by default the one before the last.
        title: above all panels.
        seed: of the choice of rows and of t-SNE.

    Raises:
        ImportError: matplotlib or scikit-learn is not installed.
        ValueError: the model has no such layer, or rows and classes do not fit.
    """
    require("sklearn", "projections need")
    from fastann.models.inside import layer_outputs
    from fastann.plots.grid import new_grid

    x, labels = np.asarray(x), np.asarray(y).ravel()
    if len(x) != len(labels):
        raise ValueError(f"y must have one class for each of the {len(x)} rows, got {len(labels)}.")
    chosen = np.random.default_rng(seed).permutation(len(x))[:MAX_ROWS]
    x, labels = x[chosen], labels[chosen]
    name = layer or _last_hidden(model)
    columns = {"data as they are": _flat(x), f"output of layer {name!r}": _flat(layer_outputs(model, x, [name])[name])}
    figure, axes = new_grid(2, 2, title)
    for column, (heading, values) in enumerate(columns.items()):
        _draw_pca(axes[0][column], values, labels, heading)
        _draw_tsne(axes[1][column], values, labels, heading, seed)
    handles, texts = axes[0][0].get_legend_handles_labels()
    figure.legend(
        handles,
        texts,
        loc="outside lower center",
        ncols=min(len(texts), 10),
        frameon=False,
        title="class",
        markerscale=2,
    )
    return figure


def _last_hidden(model: Model) -> str:
    names = [layer.name for layer in model.layers if layer.class_name != "InputLayer"]
    if len(names) < 2:
        raise ValueError("the model has no hidden layer; name a layer to project.")
    return names[-2]


def _flat(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(values, np.float64).reshape(len(values), -1)


def _draw_pca(axes: Axes, values: NDArray[np.float64], labels: NDArray[Any], heading: str) -> None:
    from sklearn.decomposition import PCA

    count = min(2, values.shape[1])
    pca = PCA(count, random_state=0).fit(values)
    points = pca.transform(values)
    points = points if count == 2 else np.column_stack([points, np.zeros(len(points))])
    share = [*(100 * pca.explained_variance_ratio_), 0.0]
    _scatter(axes, points, labels, f"PCA: {heading}")
    axes.set_xlabel(f"component 1 ({share[0]:.0f} % of the variance)")
    axes.set_ylabel(f"component 2 ({share[1]:.0f} %)")


def _draw_tsne(axes: Axes, values: NDArray[np.float64], labels: NDArray[Any], heading: str, seed: int) -> None:
    from sklearn.manifold import TSNE

    perplexity = min(30.0, (len(values) - 1) / 3)
    points = TSNE(2, perplexity=perplexity, init="random", random_state=seed).fit_transform(values)
    _scatter(axes, points, labels, f"t-SNE: {heading}")
    axes.set_xlabel("t-SNE 1 (no unit)")
    axes.set_ylabel("t-SNE 2 (no unit)")


def _scatter(axes: Axes, points: NDArray[Any], labels: NDArray[Any], title: str) -> None:
    from matplotlib import colormaps

    classes = np.unique(labels)
    few = len(classes) <= len(COLOURS)
    palette = colormaps["tab10"] if len(classes) <= 10 else colormaps["turbo"].resampled(len(classes))
    for i, name in enumerate(classes):
        x, y = points[labels == name].T
        axes.scatter(x, y, s=9, color=COLOURS[i] if few else palette(i), label=str(name), linewidths=0)
    axes.set_title(title, fontsize=10.5)
