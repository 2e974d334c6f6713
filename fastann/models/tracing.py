"""From symbolic values to the graph of layers between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastann.layers.input import InputLayer
from fastann.layers.symbolic import Call, SymbolicTensor
from fastann.models.graph import LayerGraph, Node, free_name, snake_case
from fastann.models.sharing import SharedLayer, identity, same


@dataclass(frozen=True)
class Traced:
    """A graph and the symbolic value that each of its nodes stands for."""

    graph: LayerGraph
    values: tuple[SymbolicTensor, ...]


def trace(inputs: Sequence[SymbolicTensor], outputs: Sequence[SymbolicTensor]) -> Traced:
    """Return the graph of every layer that leads from the inputs to the outputs.

    Nodes are the inputs in their order, then the calls of layers in the order in which they were made.

    Args:
        inputs: what `Input` returned, or values within a network, where it is cut.
        outputs: any values that follow from the inputs.

    Raises:
        ValueError: an output needs an input that is not among `inputs`, or two layers were given one name.
    """
    if len(set(map(id, inputs))) < len(inputs):
        raise ValueError("every input of a model must be given once, got one of them twice.")
    between = _between(inputs, outputs)
    values = (*inputs, *between)
    number = {id(value.call): place for place, value in enumerate(values)}
    names = _names(values, len(inputs))
    nodes = []
    for place, value in enumerate(values):
        call, name = value.call, names[place]
        if place < len(inputs):
            nodes.append(Node(InputLayer(value.row_shape, name=name), name))
        else:
            layer = same(call.layer.renamed(name), call.layer)
            nodes.append(Node(layer, name, tuple(number[id(x.call)] for x in call.inputs)))
    graph = LayerGraph(tuple(nodes), tuple(number[id(value.call)] for value in outputs))
    _ = graph.weights  # shapes of weights are checked here rather than at the first use
    return Traced(graph, values)


def symbols(graph: LayerGraph) -> tuple[SymbolicTensor, ...]:
    """Return symbolic values for the nodes of a graph."""
    return inlined(graph, {}, scope="")


def inlined(graph: LayerGraph, inputs: Mapping[int, SymbolicTensor], scope: str) -> tuple[SymbolicTensor, ...]:
    """Return what the layers of a graph make of symbolic values, a value a node.

    Args:
        graph: whose layers are called.
        inputs: for the number of an input node what stands in for it; others stay inputs.
        scope: put before the names of the layers.
    """
    values: list[SymbolicTensor] = []
    for number, node in enumerate(graph.nodes):
        if number in inputs:
            values.append(inputs[number])
        else:
            name = f"{scope}.{node.name}" if scope else node.name
            values.append(SymbolicTensor(Call(node.layer, [values[i] for i in node.inputs], name)))
    return tuple(values)


def _between(inputs: Sequence[SymbolicTensor], outputs: Sequence[SymbolicTensor]) -> list[SymbolicTensor]:
    """Return the values that outputs are made of, the inputs left out, each behind those it is made of."""
    known = {id(value.call) for value in inputs}
    found: list[SymbolicTensor] = []
    waiting = list(outputs)
    while waiting:
        value = waiting.pop()
        if id(value.call) in known:
            continue
        known.add(id(value.call))
        if isinstance(value.call.layer, InputLayer):
            shown = f" {value.name!r}" if value.name else ""
            raise ValueError(
                f"the outputs must follow from the inputs alone, but need another input{shown} of shape {value.shape}; "
                "give it to Model as well."
            )
        found.append(value)
        waiting.extend(value.call.inputs)
    return sorted(found, key=lambda value: value.call.serial)


def _names(values: Sequence[SymbolicTensor], inputs: int) -> list[str]:
    """Return a name for each node: those given to layers as they are, others numbered where they meet."""
    owners: dict[str, Any] = {}
    named: dict[SharedLayer | int, str] = {}
    for place, value in enumerate(values):
        given = value.call.layer.name
        cut = place < inputs and not isinstance(value.call.layer, InputLayer)
        if given is None or cut or value.call.scope is not None:
            continue
        owner = _owner(value, place, inputs)
        if owners.setdefault(given, owner) is not owner:
            raise ValueError(f"layer names must be unique in a model, got {given!r} twice; rename one of them.")
        named[owner] = given
    taken = set(owners)
    for place, value in enumerate(values):
        owner = _owner(value, place, inputs)
        if owner not in named:
            kind = InputLayer if place < inputs else type(value.call.layer)
            stem = (value.call.scope if isinstance(value.call.layer, kind) else None) or snake_case(kind.__name__)
            named[owner] = free_name(stem, taken)
            taken.add(named[owner])
    return [named[_owner(value, place, inputs)] for place, value in enumerate(values)]


def _owner(value: SymbolicTensor, place: int, inputs: int) -> Any:
    """Return what has the name of a node: the call for an input, otherwise the layer, however often it is called."""
    return value.call if place < inputs else identity(value.call.layer)
