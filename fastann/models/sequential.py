"""Layers in a row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from fastann.layers.base import Layer, Shape, check_shape
from fastann.layers.input import InputLayer
from fastann.lowering import parameters
from fastann.models.graph import LayerGraph, graph_config, row_of_nodes, unique_names
from fastann.models.layer_view import LayerView
from fastann.models.model import Model
from fastann.models.weights import Array, draw
from fastann.spec import deserialize, lookup


class Sequential(Model):
    """A network of layers in a row, each reading the one before.

    The shape of the data comes from `Input(shape)` as the first entry, from `input_shape` or `input_dim` of the first
    layer, from `build`, or from the first data the model sees.

    Args:
        layers: layers in order; more may follow with `add`.
        name: for `summary`.
        seed: a whole number below 2^64; by default the next after `fastann.utils.set_random_seed`.

    >>> from fastann.layers import Dense, Input
    >>> model = Sequential([Input((30,)), Dense(16, activation="relu"), Dense(1, activation="sigmoid")], seed=1)
    >>> model.count_params()
    513
    """

    def __init__(self, layers: Iterable[Layer] | None = None, name: str | None = None, seed: int | None = None) -> None:
        super().__init__("sequential" if name is None else name, seed)
        self._layers: list[Layer] = []
        if layers is not None:
            self._change(_listed(layers))

    def add(self, layer: Layer) -> None:
        """Append a layer; the weights of the others stay, and the optimizer starts anew."""
        self._change([*self._layers, layer])

    def pop(self) -> Layer:
        """Remove the last layer and return it; the weights of the others stay, and the optimizer starts anew."""
        if not self._layers or (len(self._layers) == 1 and isinstance(self._layers[0], InputLayer)):
            raise ValueError("pop expects a model with layers, this one has none.")
        last = self._layers[-1]
        self._change(self._layers[:-1])
        return last

    def build(self, input_shape: Any) -> None:
        """Fix the shape of the input and with it every weight.

        Args:
            input_shape: shape of the data with None for the rows, (None, 30), or of one row, (30,).

        Raises:
            ValueError: the model has been built for another shape, or a layer cannot read what comes before it.
        """
        if isinstance(input_shape, tuple | list) and len(input_shape) > 0 and input_shape[0] is None:
            input_shape = input_shape[1:]
        shape = check_shape(input_shape, "input_shape")
        if self._graph is None:
            self._build(shape)
        elif self.input_shape != (None, *shape):
            built = self.input_shape[1:]
            raise ValueError(f"the model has been built for rows of shape {built}, got {shape}; make a new one.")

    @property
    def layers(self) -> tuple[LayerView, ...]:
        """Views of the layers in order, the `InputLayer` left out: settings, shapes and weights of each."""
        named = zip(self._layers, unique_names(self._layers), strict=True)
        shown = [(layer, name) for layer, name in named if not isinstance(layer, InputLayer)]
        return tuple(LayerView(layer, name, self, i) for i, (layer, name) in enumerate(shown))

    def get_config(self) -> dict[str, Any]:
        """Return name, seed and layers as JSON-able data; before the model is built there is no input node."""
        nodes = row_of_nodes(self._layers) if self._graph is None else self._graph.nodes
        return {"name": self.name, "seed": self.seed, **graph_config(nodes, (len(nodes) - 1,))}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Sequential:
        """Make a model from what `get_config` returned, with weights drawn anew from its seed."""
        layers = [replace(deserialize(n["layer"], lookup("layers")), name=n["name"]) for n in config["nodes"]]
        return cls(layers, name=config["name"], seed=config["seed"])

    def _change(self, layers: list[Layer]) -> None:
        """Take another row of layers, keeping the weights that both rows begin with."""
        for place, layer in enumerate(layers):
            _check_layer(layer, place)
        graph = _graph_of(layers)
        self._live.resize(self._kept_weights(graph))
        self._layers, self._graph, self._prepared = layers, graph, None

    def _build(self, shape: Shape) -> None:
        """Fix the shape of the rows of a model that waited for it."""
        layers = [layer for layer in self._layers if not isinstance(layer, InputLayer)]
        if not layers:
            raise ValueError("the model has no layers; add some, such as Dense(1).")
        layers.insert(0, InputLayer(shape))
        self._graph = _graph_of(layers)
        self._layers = layers

    def _kept_weights(self, graph: LayerGraph | None) -> Array | None:
        """Return the flat vector of a new graph: weights it shares with the present one as they are, others drawn."""
        old = self._live.params
        if self._graph is None or graph is None or old is None:
            return None
        vector, end = draw(graph, self.seed).astype(old.dtype), 0
        for before, after in zip(self.parameters, parameters(graph), strict=False):
            if (before.name, before.shape) != (after.name, after.shape):
                break
            end = after.offset + after.size
        vector[:end] = old[:end]
        return vector


def _graph_of(layers: list[Layer]) -> LayerGraph | None:
    """Return the graph of a row of layers, or None while the shape of its input is unknown."""
    unique_names(layers)
    first = layers[0] if layers else None
    if first is not None and first.input_shape is not None:
        layers = [InputLayer(first.input_shape), *layers]
    elif not isinstance(first, InputLayer) or len(layers) == 1:
        return None
    nodes = row_of_nodes(layers)
    graph = LayerGraph(nodes, (len(nodes) - 1,))
    for node, actual in zip(nodes[1:], graph.shapes, strict=False):
        wanted = node.layer.input_shape
        if wanted not in (None, actual):
            raise ValueError(f"layer {node.name!r} has input_shape {wanted}, but reads {actual}; remove it.")
    _ = graph.weights  # shapes of weights are checked here rather than at the first use
    return graph


def _listed(layers: Any) -> list[Layer]:
    if isinstance(layers, Layer | str | Mapping):
        raise TypeError(f"Sequential expects a list of layers, got {layers!r}.")
    try:
        return list(layers)
    except TypeError:
        raise TypeError(f"Sequential expects a list of layers, got {layers!r}.") from None


def _check_layer(layer: Any, place: int) -> None:
    if isinstance(layer, type):
        raise TypeError(f"Sequential expects layers, got the class {layer.__name__}; call it: {layer.__name__}(...).")
    if not isinstance(layer, Layer):
        raise TypeError(f"Sequential expects layers such as Dense(16), got {layer!r} at place {place}.")
    if place > 0 and isinstance(layer, InputLayer):
        raise ValueError(f"Input must come first in a Sequential, got it at place {place}.")
