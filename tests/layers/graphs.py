"""Graphs of one layer, for tests of what it stands for and of what it computes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from fastann_kernels.program import Instruction, Program
from numpy.typing import NDArray

from fastann import layers
from fastann.layers import InputLayer, Layer
from fastann.layers.base import Shape
from fastann.lowering import lower
from fastann.models.graph import LayerGraph, Node

#: What record_keras_layers.py wrote.
RECORD: dict[str, Any] = json.loads((Path(__file__).parents[1] / "oracles" / "keras_layers.json").read_text())


def alone(layer: Layer, *shapes: Shape) -> LayerGraph:
    """Return the graph in which `layer` reads inputs of these shapes."""
    inputs = tuple(Node(InputLayer(shape), f"input_{i}") for i, shape in enumerate(shapes))
    node = Node(layer.renamed("layer"), "layer", tuple(range(len(shapes))))
    return LayerGraph((*inputs, node), (len(shapes),))


def program_of(layer: Layer, *shapes: Shape) -> Program:
    """Return what `layer` is lowered to."""
    return lower(alone(layer, *shapes))


def instruction_of(layer: Layer, *shapes: Shape) -> Instruction:
    """Return the one instruction that `layer` is lowered to."""
    (found,) = program_of(layer, *shapes).instructions
    return found


def operations(layer: Layer, *shapes: Shape) -> list[str]:
    """Return the names of the instructions that `layer` is lowered to."""
    return [i.op for i in program_of(layer, *shapes).instructions]


def recorded_layer(case: dict[str, Any]) -> Layer:
    """Return the layer of a recorded case."""
    made: Layer = getattr(layers, case["layer"])(**{key: _tuples(value) for key, value in case["settings"].items()})
    return made


def recorded_inputs(case: dict[str, Any]) -> list[NDArray[np.float64]]:
    """Return what the layer of a recorded case reads, one array (B, ...) an input."""
    return [np.array(x) for x in case["x"]]


def label(case: dict[str, Any]) -> str:
    """Return a name for a recorded case."""
    return f"{case['layer']}-{json.dumps(case['settings'])}"


def _tuples(value: Any) -> Any:
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
