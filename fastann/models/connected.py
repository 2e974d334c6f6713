"""Networks that are made of symbolic values, and can be called on some like a layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from fastann.layers.symbolic import SymbolicTensor, symbolic_values
from fastann.models import sharing
from fastann.models.graph import LayerGraph
from fastann.models.layer_view import LayerView
from fastann.models.network import Network
from fastann.models.tracing import inlined, symbols, trace

Array = NDArray[Any]


class ConnectedNetwork(Network):
    """A network with symbolic inputs and outputs.

    Attributes:
        input_keys: names of the inputs, for a model that was made with a dict of inputs; else None.
        output_keys: keys of what `predict` returns, for a model that was made with a dict of outputs; else None.
    """

    input_keys: tuple[str, ...] | None = None
    output_keys: tuple[str, ...] | None = None
    _values: tuple[SymbolicTensor, ...] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return everything but symbolic values, which are made again: their chains may be long."""
        return {**self.__dict__, "_values": None}

    def _connect(self, inputs: Any, outputs: Any) -> None:
        """Become the network between symbolic values; as `Model` takes them."""
        if isinstance(inputs, Mapping):
            self.input_keys, inputs = tuple(map(str, inputs)), list(inputs.values())
        if isinstance(outputs, Mapping):
            self.output_keys, outputs = tuple(map(str, outputs)), list(outputs.values())
        given = symbolic_values(inputs, f"model {self.name!r}")
        wanted = symbolic_values(outputs, f"model {self.name!r}")
        if not given or not wanted:
            raise ValueError(f"a model has at least one input and one output, got {len(given)} and {len(wanted)}.")
        traced = trace(given, wanted)
        self._graph, self._values = traced.graph, traced.values

        sharing.join(self)

    def _take_graph(self, graph: LayerGraph, input_keys: Any, output_keys: Any) -> None:
        """Become the network of a graph, as a file describes it."""
        if not graph.inputs or not graph.outputs:
            raise ValueError("a model has at least one input and one output.")
        _ = graph.weights
        self._graph = graph
        self.input_keys = _keys(input_keys, len(graph.inputs))
        self.output_keys = _keys(output_keys, len(graph.outputs))

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs, by which a dict of data gives them: the keys it was made with, or the layers' names."""
        return self.input_keys or tuple(self.graph.nodes[i].name for i in self.graph.inputs)

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs: the keys it was made with, or the layers' names, numbered where one gives several."""
        return self.output_keys or self.graph.output_names

    # ---- layers

    @property
    def layers(self) -> tuple[LayerView, ...]:
        """Views of the layers in order: settings, shapes and weights of each."""
        nodes = self.graph.nodes
        firsts = {node.name: node for node in reversed(nodes)}
        ordered = [node for node in nodes if firsts.get(node.name) is node]
        return tuple(LayerView(node.layer, node.name, self, i) for i, node in enumerate(ordered))

    def get_layer(self, name: str | None = None, index: int | None = None) -> LayerView:
        """Return the view of one layer, by name or by place; raises ValueError where there is none."""
        if (name is None) == (index is None):
            raise ValueError("get_layer expects a name or an index, one of the two.")
        layers = self.layers
        for layer in layers:
            if layer.name == name:
                return layer
        if index is not None and -len(layers) <= index < len(layers):
            return layers[index]
        names = ", ".join(layer.name for layer in layers)
        raise ValueError(f"the model has no layer {name if index is None else index!r}; it has {names}.")

    def set_trainable(self, name: str, trainable: bool) -> None:
        """Say whether training changes the weights of the layer called `name`, in this model and all that share it.

        As in Keras it counts from the next call of `compile` on.
        """
        if not isinstance(trainable, bool):
            raise TypeError(f"trainable must be True or False, got {trainable!r}.")
        for model, its_name in [(self, name), *sharing.others(self, name)]:
            model._replace_layer(its_name, trainable)

    def _replace_layer(self, name: str, trainable: bool) -> None:
        """Put the same layer, trainable or not, in the place of one."""
        old = self.graph.nodes[self.graph.number(name)].layer
        self._graph = self.graph.with_layer(name, sharing.same(old.with_settings(trainable=trainable), old))

    @property
    def trainable(self) -> bool:
        """Whether training would change anything; set it to freeze or free every layer, and then call `compile`."""
        return any(weight.trainable for weight in self.graph.weights)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self.layers:
            self.set_trainable(layer.name, value)

    # ---- symbolic values

    def symbol(self, number: int) -> SymbolicTensor:
        """Return the symbolic value of a node of the graph."""
        if self._values is None:
            self._values = symbols(self.graph)
            sharing.join(self)
        return self._values[number]

    @property
    def inputs(self) -> list[SymbolicTensor]:
        """Symbolic values of the inputs, to make other models of."""
        return [self.symbol(i) for i in self.graph.inputs]

    @property
    def outputs(self) -> list[SymbolicTensor]:
        """Symbolic values of the outputs."""
        return [self.symbol(i) for i in self.graph.outputs]

    @property
    def input(self) -> Any:
        """The symbolic input, or a list of several."""
        return _single(self.inputs)

    @property
    def output(self) -> Any:
        """The symbolic output; several as a list, or as the dict the model was made with."""
        return self.arranged(self.outputs)

    def arranged(self, values: Sequence[Any]) -> Any:
        """Return one thing an output as users see them: alone, in a list, or by the keys of the model's outputs."""
        if self.output_keys is not None:
            return dict(zip(self.output_keys, values, strict=True))
        return _single(values)

    def __call__(self, inputs: Any) -> Any:
        """Return what the network makes of symbolic values, one an input: a model can be used as a layer.

        The layers are the model's own: what another model that is made of the result learns, this one knows as well.

        Raises:
            TypeError: something else than symbolic values; to compute with data use `predict`.
            ValueError: too few or too many, or of other shapes than the model's inputs.
        """
        if isinstance(inputs, Mapping):
            _check_keys(inputs, self.input_names, self.name)
            inputs = [inputs[name] for name in self.input_names]
        values = symbolic_values(inputs, f"model {self.name!r}")
        if not self.built:
            self._build(values[0].row_shape)
        self._check_inputs(values)
        sharing.join(self)
        made = inlined(self.graph, dict(zip(self.graph.inputs, values, strict=True)), self.name)
        return self.arranged([made[i] for i in self.graph.outputs])

    def _check_inputs(self, values: Sequence[SymbolicTensor]) -> None:
        expected = [self.graph.shapes[i] for i in self.graph.inputs]
        got = [value.row_shape for value in values]
        if expected != got:
            shown = [", ".join(str((None, *shape)) for shape in shapes) for shapes in (expected, got)]
            raise ValueError(f"model {self.name!r} reads values of shape {shown[0]}, got {shown[1]}.")


def _single(values: Sequence[Any]) -> Any:
    return values[0] if len(values) == 1 else list(values)


def _check_keys(given: Mapping[Any, Any], names: Sequence[str], model: str) -> None:
    if set(given) != set(names):
        raise ValueError(
            f"model {model!r} has the inputs {', '.join(names)}, got {', '.join(map(str, given))}; name each of them."
        )


def _keys(given: Any, count: int) -> tuple[str, ...] | None:
    if given is None:
        return None
    keys = tuple(given)
    if len(set(keys)) != count or not all(isinstance(key, str) for key in keys):
        raise ValueError(f"{count} different names were expected, got {keys!r}.")
    return keys
