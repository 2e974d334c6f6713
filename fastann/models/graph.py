"""A network as a graph of layers: which layer reads what, the shapes that follow, and the weights in order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastann.layers.base import Layer, Shape, WeightSpec
from fastann.layers.input import InputLayer
from fastann.spec import deserialize, lookup, serialize


@dataclass(frozen=True)
class Node:
    """One use of a layer: the name of the layer in the model and the nodes whose outputs it reads, by number.

    Nodes of one name are uses of one layer and share its weights.
    """

    layer: Layer
    name: str
    inputs: tuple[int, ...] = ()


@dataclass(frozen=True)
class Weight:
    """One tensor of the model: its full name ("dense/kernel"), what the layer says of it, and whether it is trained."""

    name: str
    spec: WeightSpec
    trainable: bool


@dataclass(frozen=True)
class LayerGraph:
    """Nodes in an order in which every node follows those it reads, and the nodes whose values are the outputs.

    Raises:
        ValueError: a node reads one that does not come before it or reads too few or too many, two layers have one
            name, or shapes do not fit (when they are first asked for).
    """

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]

    def __post_init__(self) -> None:
        layers: dict[str, Layer] = {}
        for number, node in enumerate(self.nodes):
            if any(not 0 <= i < number for i in node.inputs):
                raise ValueError(f"layer {node.name!r} reads a layer that does not come before it.")
            count = node.layer.input_count
            if len(node.inputs) != count and not (count is None and len(node.inputs) > 1):
                wanted = "several inputs" if count is None else f"{count} input(s)"
                raise ValueError(f"layer {node.name!r} reads {wanted}, got {len(node.inputs)}.")
            if layers.setdefault(node.name, node.layer) != node.layer:
                raise ValueError(f"layer names must be unique in a model, got {node.name!r} twice; rename one of them.")

    @cached_property
    def inputs(self) -> tuple[int, ...]:
        """Nodes that read nothing: the entries of the network."""
        return tuple(i for i, node in enumerate(self.nodes) if isinstance(node.layer, InputLayer))

    @cached_property
    def output_names(self) -> tuple[str, ...]:
        """Name of each output: that of its layer, numbered where a layer gives several."""
        names: list[str] = []
        for output in self.outputs:
            names.append(free_name(self.nodes[output].name, set(names)))
        return tuple(names)

    @cached_property
    def shapes(self) -> tuple[Shape, ...]:
        """Shape of each node's output, the batch left out."""
        shapes: list[Shape] = []
        for node in self.nodes:
            try:
                shapes.append(node.layer.output_shape(*(shapes[i] for i in node.inputs)))
            except ValueError as error:
                raise ValueError(f"layer {node.name!r}: {error}") from None
        return tuple(shapes)

    def input_shapes_of(self, number: int) -> tuple[Shape, ...]:
        """Return the shapes of what node `number` reads."""
        return tuple(self.shapes[i] for i in self.nodes[number].inputs)

    @cached_property
    def weights(self) -> tuple[Weight, ...]:
        """Every tensor of the model, layer by layer: the order of `get_weights` and of the flat vector."""
        return tuple(weight for weights in self._weights_by_layer.values() for weight in weights)

    @cached_property
    def _weights_by_layer(self) -> Mapping[str, tuple[Weight, ...]]:
        found: dict[str, tuple[Weight, ...]] = {}
        for number, node in enumerate(self.nodes):
            weights = tuple(
                Weight(f"{node.name}/{spec.name}", spec, node.layer.trainable and spec.trainable)
                for spec in node.layer.weights(*self.input_shapes_of(number))
            )
            if found.setdefault(node.name, weights) != weights:
                raise ValueError(f"layer {node.name!r} is used on inputs that need different weights.")
        return found

    @cached_property
    def is_row(self) -> bool:
        """Whether every layer reads the one before it, and the last one is the only output."""
        chained = all(node.inputs == ((i - 1,) if i else ()) for i, node in enumerate(self.nodes))
        return chained and self.outputs == (len(self.nodes) - 1,)

    def with_layer(self, name: str, layer: Layer) -> LayerGraph:
        """Return the graph with another layer in the place of the one called `name`."""
        nodes = tuple(replace(node, layer=layer) if node.name == name else node for node in self.nodes)
        return LayerGraph(nodes, self.outputs)

    def number(self, name: str) -> int:
        """Return the number of the first node called `name`."""
        for number, node in enumerate(self.nodes):
            if node.name == name:
                return number
        raise ValueError(f"no layer is called {name!r}; the model has {', '.join(node.name for node in self.nodes)}.")

    def weights_of(self, name: str) -> range:
        """Return the numbers of the weights of the layer called `name`."""
        first = 0
        for other, weights in self._weights_by_layer.items():
            if other == name:
                return range(first, first + len(weights))
            first += len(weights)
        raise ValueError(f"no layer is called {name!r}.")

    def penalties(self) -> NDArray[np.float64]:
        """Return float64[weights, 2]: L1 and L2 of each weight; 0 for what is not trained, as in Keras."""
        pairs = [
            (float(w.spec.regularizer.l1), float(w.spec.regularizer.l2))
            if w.spec.regularizer is not None and w.trainable
            else (0.0, 0.0)
            for w in self.weights
        ]
        return np.array(pairs, dtype=np.float64).reshape(len(pairs), 2)

    def get_config(self) -> dict[str, Any]:
        """Return the graph as JSON-able data."""
        return graph_config(self.nodes, self.outputs)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> LayerGraph:
        """Make the graph that `get_config` described."""
        nodes = tuple(
            Node(deserialize(node["layer"], lookup("layers")), node["name"], tuple(node["inputs"]))
            for node in config["nodes"]
        )
        return cls(nodes, tuple(config["outputs"]))


def row_of_nodes(layers: Sequence[Layer]) -> tuple[Node, ...]:
    """Return nodes of which each reads the one before; the names come from `unique_names`."""
    return tuple(
        Node(layer.renamed(name), name, () if i == 0 else (i - 1,))
        for i, (layer, name) in enumerate(zip(layers, unique_names(layers), strict=True))
    )


def graph_config(nodes: Sequence[Node], outputs: Sequence[int]) -> dict[str, Any]:
    """Return nodes and the numbers of the outputs as JSON-able data."""
    listed = [{"name": node.name, "layer": serialize(node.layer), "inputs": list(node.inputs)} for node in nodes]
    return {"nodes": listed, "outputs": list(outputs)}


def unique_names(layers: Iterable[Layer]) -> tuple[str, ...]:
    """Return each layer's own name, or its class in snake case, numbered: dense, dense_1, ...; as Keras has it.

    Raises:
        ValueError: two layers were given the same name.
    """
    layers = tuple(layers)
    given = [layer.name for layer in layers if layer.name is not None]
    for name in given:
        if given.count(name) > 1:
            raise ValueError(f"layer names must be unique in a model, got {name!r} twice; rename one of them.")
    taken = set(given)
    names = []
    for layer in layers:
        name = layer.name if layer.name is not None else free_name(snake_case(type(layer).__name__), taken)
        taken.add(name)
        names.append(name)
    return tuple(names)


def free_name(stem: str, taken: Set[str]) -> str:
    """Return `stem`, or the first of stem_1, stem_2, ... that is not taken."""
    name, number = stem, 0
    while name in taken:
        number += 1
        name = f"{stem}_{number}"
    return name


def snake_case(name: str) -> str:
    """Return a class name as Keras writes it in lower case.

    >>> [snake_case(name) for name in ("Dense", "LeakyReLU", "InputLayer", "ELU")]
    ['dense', 'leaky_re_lu', 'input_layer', 'elu']
    """
    return re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z])(?=[A-Z][a-z])", "_", name).lower()
