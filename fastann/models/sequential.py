"""Layers in a row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from fastann.layers.base import Layer, Shape, check_shape
from fastann.layers.identity import Identity
from fastann.layers.input import InputLayer
from fastann.layers.symbolic import Call, SymbolicTensor
from fastann.lowering import parameters
from fastann.models import sharing
from fastann.models.graph import LayerGraph, graph_config, row_of_nodes, unique_names
from fastann.models.layer_view import LayerView
from fastann.models.model import Model
from fastann.models.tracing import trace
from fastann.models.weights import Array, draw
from fastann.spec import deserialize, lookup


class Sequential(Model):
    """A network of layers in a row, each reading the one before.

    A model may stand in the row like a layer, and shares its weights with it.

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

    def __init__(
        self,
        layers: Iterable[Layer | SymbolicTensor | Model] | None = None,
        name: str | None = None,
        seed: int | None = None,
    ) -> None:
        self._begin("sequential" if name is None else name, seed)
        self._layers: list[Entry] = []
        if layers is not None:
            self._change(_listed(layers))

    def add(self, layer: Layer | SymbolicTensor | Model) -> None:
        """Append a layer; the weights of the others stay, and the optimizer starts anew."""
        self._change([*self._layers, layer])

    def pop(self) -> Layer | Model:
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
        row = [entry for entry in self._layers if isinstance(entry, Layer)]
        if len(row) < len(self._layers):
            return tuple(view for view in super().layers if not isinstance(view.spec, InputLayer))
        named = zip(row, unique_names(row), strict=True)
        shown = [(layer, name) for layer, name in named if not isinstance(layer, InputLayer)]
        return tuple(LayerView(layer, name, self, i) for i, (layer, name) in enumerate(shown))

    def get_config(self) -> dict[str, Any]:
        """Return name, seed and layers as JSON-able data; before the model is built there is no input node."""
        row = [entry for entry in self._layers if isinstance(entry, Layer)]
        nodes = row_of_nodes(row) if self._graph is None and len(row) == len(self._layers) else self.graph.nodes
        return {"name": self.name, "seed": self.seed, **graph_config(nodes, (len(nodes) - 1,))}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Sequential:
        """Make a model from what `get_config` returned, with weights drawn anew from its seed."""
        layers = [replace(deserialize(n["layer"], lookup("layers")), name=n["name"]) for n in config["nodes"]]
        return cls(layers, name=config["name"], seed=config["seed"])

    def _change(self, given: Sequence[Layer | SymbolicTensor | Model]) -> None:
        """Take another row of layers, keeping the weights that both rows begin with."""
        layers = [_entry(layer, place) for place, layer in enumerate(given)]
        graph = _graph_of(layers)
        if graph is not None and self._graph is not None:
            for old, new in zip(self._graph.nodes, graph.nodes, strict=False):
                if old == new:
                    sharing.same(new.layer, old.layer)
        self._live.resize(self._kept_weights(graph))
        if self._graph is not None:
            sharing.leave(self)
        self._layers, self._graph, self._compiled_graph = layers, graph, graph
        self._prepared = self._values = None
        self._share_models()

    def _build(self, shape: Shape) -> None:
        """Fix the shape of the rows of a model that waited for it."""
        layers = [layer for layer in self._layers if not isinstance(layer, InputLayer)]
        if not layers:
            raise ValueError("the model has no layers; add some, such as Dense(1).")
        layers.insert(0, InputLayer(shape))
        self._graph = _graph_of(layers)
        self._layers = layers
        self._share_models()

    def _share_models(self) -> None:
        """Share the layers of models that stand in the row with those models."""
        if self._graph is not None and any(isinstance(entry, Model) for entry in self._layers):
            sharing.join(self)

    def _replace_layer(self, name: str, trainable: bool) -> None:
        """Put the same layer, trainable or not, in the place of one."""
        super()._replace_layer(name, trainable)
        names = unique_names([_as_layer(entry) for entry in self._layers])
        entry = self._layers[names.index(name)] if name in names else None
        if isinstance(entry, Layer):
            self._layers[names.index(name)] = entry.with_settings(trainable=trainable)

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


Entry = Layer | Model


def _graph_of(entries: list[Entry]) -> LayerGraph | None:
    """Return the graph of a row of layers and models, or None while the shape of its input is unknown."""
    unique_names([_as_layer(entry) for entry in entries])
    first = entries[0] if entries else None
    shape = _first_shape(first)
    if shape is not None and not isinstance(first, InputLayer):
        entries = [InputLayer(shape), *entries]
    elif shape is None or len(entries) == 1:
        return None
    layers = [entry for entry in entries if isinstance(entry, Layer)]
    if len(layers) < len(entries):
        return _connected(entries)
    nodes = row_of_nodes(layers)
    graph = LayerGraph(nodes, (len(nodes) - 1,))
    for node, actual in zip(nodes[1:], graph.shapes, strict=False):
        wanted = node.layer.input_shape
        if wanted not in (None, actual):
            raise ValueError(f"layer {node.name!r} has input_shape {wanted}, but reads {actual}; remove it.")
    _ = graph.weights  # shapes of weights are checked here rather than at the first use
    return graph


def _connected(entries: list[Entry]) -> LayerGraph:
    """Return the graph of a row in which models stand: their layers are shared, others belong to the row alone."""
    first = entries[0]
    assert isinstance(first, InputLayer)
    start = value = SymbolicTensor(Call(first))
    for entry in entries[1:]:
        value = (entry if isinstance(entry, Model) else entry.with_settings())(value)
        if not isinstance(value, SymbolicTensor):
            raise ValueError("Sequential expects models with one output, got one with several; use Model for them.")
    return trace([start], [value]).graph


def _first_shape(first: Entry | None) -> Shape | None:
    """Return the shape of the rows that a layer or model at the beginning reads, as far as it says so."""
    if isinstance(first, Model):
        return first.graph.shapes[first.graph.inputs[0]] if first.built else None
    if isinstance(first, InputLayer):
        return first.shape
    return None if first is None else first.input_shape


def _listed(layers: Any) -> list[Any]:
    if isinstance(layers, Layer | SymbolicTensor | Model | str | Mapping):
        raise TypeError(f"Sequential expects a list of layers, got {layers!r}.")
    try:
        return list(layers)
    except TypeError:
        raise TypeError(f"Sequential expects a list of layers, got {layers!r}.") from None


def _entry(layer: Any, place: int) -> Entry:
    """Return a layer or model for a place of the row, checked."""
    if isinstance(layer, type):
        raise TypeError(f"Sequential expects layers, got the class {layer.__name__}; call it: {layer.__name__}(...).")
    if isinstance(layer, SymbolicTensor) and isinstance(layer.call.layer, InputLayer):
        layer = layer.call.layer
    if isinstance(layer, SymbolicTensor):
        raise TypeError(
            f"Sequential expects layers, got the output of one at place {place}; use Model(inputs, outputs)."
        )
    if not isinstance(layer, Layer | Model):
        raise TypeError(f"Sequential expects layers such as Dense(16), got {layer!r} at place {place}.")
    if place > 0 and isinstance(layer, InputLayer):
        raise ValueError(f"Input must come first in a Sequential, got it at place {place}.")
    return layer


def _as_layer(entry: Entry) -> Layer:
    """Return a layer whose name a layer or model has in the row; models are named as they stand."""
    return entry if isinstance(entry, Layer) else Identity()
