"""A diagram of a network: a box for each layer, an arrow for each connection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastann.plots.figure import COLOURS, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from fastann.models.graph import LayerGraph
    from fastann.models.model import Model

_BOX_WIDTH, _BOX_HEIGHT = 2.6, 0.62
_STEP_X, _STEP_Y = 3.0, 1.0


def network_diagram(model: Model, title: str = "") -> Figure:
    """Draw the layers of a model from top to bottom with kind, output shape and number of weights.

    Nodes with weights are blue, those without are grey, inputs green; branches lie side by side.

    Args:
        model: its input shape must be known.
        title: above the picture; by default the model's name and number of weights.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: the shape of the input is not known yet.
    """
    graph = model.graph
    places = _places(graph)
    figure, (axes,) = new_figure([""], title or f"{model.name}: {model.count_params():,} weights")
    from matplotlib.patches import FancyBboxPatch

    depth, width = max(row for row, _ in places), max(column for _, column in places)
    figure.set_size_inches(max(4.2, (width + 1) * _STEP_X + 0.6), max(2.5, (depth + 1) * 0.78 + 0.8))
    for number, (node, (row, column)) in enumerate(zip(graph.nodes, places, strict=True)):
        x, y = column * _STEP_X, -row * _STEP_Y
        weights = sum(_size(graph.weights[i].spec.shape) for i in graph.weights_of(node.name))
        colour = COLOURS[2] if not node.inputs else (COLOURS[0] if weights else "0.45")
        box = FancyBboxPatch(
            (x - _BOX_WIDTH / 2, y - _BOX_HEIGHT / 2), _BOX_WIDTH, _BOX_HEIGHT, boxstyle="round,pad=0.02",
            facecolor=colour, edgecolor="none", alpha=0.9,
        )  # fmt: skip
        axes.add_patch(box)
        shape = " x ".join(map(str, graph.shapes[number]))
        counted = f"   {weights:,} weights" if weights else ""
        text = f"{node.name}  ({type(node.layer).__name__})\n{shape}{counted}"
        axes.text(x, y, text, ha="center", va="center", color="white", fontsize=7.8)
        for source in node.inputs:
            _arrow(axes, places[source], (row, column))
    axes.set_xlim(-_STEP_X * 0.55, width * _STEP_X + _STEP_X * 0.55)
    axes.set_ylim(-depth * _STEP_Y - 0.6, 0.6)
    axes.set_axis_off()
    return figure


def _arrow(axes: object, source: tuple[int, int], target: tuple[int, int]) -> None:
    """Draw an arrow between two boxes; one that skips rows in its own column bends around what lies between."""
    from matplotlib.patches import FancyArrowPatch

    (row, column), (to_row, to_column) = source, target
    bent = to_row - row > 1 and column == to_column
    start = (column * _STEP_X + (_BOX_WIDTH / 2 if bent else 0), -row * _STEP_Y - (0 if bent else _BOX_HEIGHT / 2))
    end = (to_column * _STEP_X + (_BOX_WIDTH / 2 if bent else 0), -to_row * _STEP_Y + (0 if bent else _BOX_HEIGHT / 2))
    style = "arc3,rad=-0.35" if bent else "arc3"
    axes.add_patch(  # type: ignore[attr-defined]
        FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=9, color="0.3", linewidth=1.1, connectionstyle=style
        )
    )


def _places(graph: LayerGraph) -> list[tuple[int, int]]:
    """Return row and column of each node: its longest way from the inputs, and a place beside the others of the row."""
    rows: list[int] = []
    for node in graph.nodes:
        rows.append(1 + max((rows[i] for i in node.inputs), default=-1))
    taken: dict[int, int] = {}
    places: list[tuple[int, int]] = []
    for number, row in enumerate(rows):
        wanted = min((places[i][1] for i in graph.nodes[number].inputs), default=0)
        column = max(wanted, taken.get(row, 0))
        taken[row] = column + 1
        places.append((row, column))
    return places


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for n in shape:
        size *= n
    return size
