"""Activation functions and their derivatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fastann import activations
from fastann.plots.figure import COLOURS, new_figure
from fastann.plots.grid import new_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Those that networks use most.
USUAL = ("sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "softsign",
         "hard_sigmoid", "linear")  # fmt: skip

_COLUMNS = 4


def activation_functions(
    names: Sequence[str] = USUAL, reach: float = 5.0, title: str = "Activation functions and their derivatives"
) -> Figure:
    """Draw each activation function f with its derivative f', a panel each.

    Args:
        names: of element-wise activations.
        reach: inputs go from -reach to reach.
        title: above all panels.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: a name is unknown, or of an activation that works on whole rows, as softmax does.
    """
    functions = [activations.get(name) for name in names]
    x = np.linspace(-reach, reach, 401)
    slopes = [function.derivative(x) for function in functions]
    columns = min(_COLUMNS, len(functions))
    rows = -(-len(functions) // columns)
    figure, grid = new_grid(rows, columns, title)
    figure.set_size_inches(3.0 * columns, 2.6 * rows + 0.8)
    panels = [panel for row in grid for panel in row]
    for axes, function, slope in zip(panels, functions, slopes, strict=False):
        axes.axhline(0, color="0.7", linewidth=0.8)
        axes.axvline(0, color="0.7", linewidth=0.8)
        axes.plot(x, function(x), color=COLOURS[0], linewidth=2, label="f(x)")
        axes.plot(x, slope, color=COLOURS[1], linewidth=1.8, linestyle="--", label="f '(x)")
        axes.set_title(function.name, fontsize=11)
        axes.set_xlabel("x")
    for axes in panels[len(functions) :]:
        axes.set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False)
    return figure


def step_and_sigmoid(reach: float = 8.0, title: str = "From the step to the sigmoid") -> Figure:
    """Draw the step function of the perceptron beside the sigmoid, left; right their derivatives.

    The sigmoid has a slope everywhere for gradients to follow; the step has none but at 0, where it jumps.

    Args:
        reach: inputs go from -reach to reach.
        title: above both panels.

    Raises:
        ImportError: matplotlib is not installed.
    """
    x = np.linspace(-reach, reach, 801)
    figure, (left, right) = new_figure(["output", "derivative"], title)
    sigmoid = activations.get("sigmoid")
    lines = (
        ("step: 1 if x >= 0, else 0", np.where(x >= 0, 1.0, 0.0), np.zeros_like(x), COLOURS[1], "--"),
        ("sigmoid: 1 / (1 + exp(-x))", sigmoid(x), sigmoid.derivative(x), COLOURS[0], "-"),
    )
    for name, values, slopes, colour, style in lines:
        left.plot(x, values, color=colour, linestyle=style, linewidth=2, label=name)
        right.plot(x, slopes, color=colour, linestyle=style, linewidth=2)
    for axes in (left, right):
        axes.set_xlabel("weighted sum x")
    left.set_ylabel("f(x)")
    right.set_ylabel("f '(x)")
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return figure
