"""Layers that several models hold: what one of them learns, the others know."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastann.layers.base import Layer

if TYPE_CHECKING:
    from fastann.models.network import Network


class SharedLayer:
    """One layer with the models that hold it and its name in each.

    Every model keeps all of its weights in a flat vector of its own, so sharing means to catch up with the model that
    changed its weights last, before weights are used.
    """

    def __init__(self) -> None:
        self.holders: list[tuple[Network, str]] = []

    def join(self, model: Network, name: str) -> None:
        """Add a model in which the layer has this name."""
        if all(holder is not model for holder, _ in self.holders):
            self.holders.append((model, name))

    def leave(self, model: Network) -> None:
        """Remove a model."""
        self.holders = [pair for pair in self.holders if pair[0] is not model]

    def newest(self) -> tuple[Network, str]:
        """Return the holder whose weights changed last, and the layer's name there."""
        return max(self.holders, key=lambda pair: pair[0].changed)


def identity(layer: Layer) -> SharedLayer:
    """Return what stands for one layer wherever its description has been copied to."""
    shared: SharedLayer | None = layer.__dict__.get("shared")
    if shared is None:
        shared = SharedLayer()
        layer.__dict__["shared"] = shared
    return shared


def same(copy: Layer, layer: Layer) -> Layer:
    """Make a copy of a description stand for the same layer, and return it."""
    copy.__dict__["shared"] = identity(layer)
    return copy


def join(model: Network) -> None:
    """Let a model share the layers of its graph."""
    for node in model.graph.nodes:
        if node.inputs:
            identity(node.layer).join(model, node.name)


def leave(model: Network) -> None:
    """Let a model share no layers any more; it keeps the weights it has."""
    for node in model.graph.nodes:
        if "shared" in node.layer.__dict__:
            identity(node.layer).leave(model)


def others(model: Network, name: str) -> list[tuple[Any, str]]:
    """Return the other models that share a layer, with its name in each."""
    layer = model.graph.nodes[model.graph.number(name)].layer
    return [pair for pair in identity(layer).holders if pair[0] is not model]


def news(model: Network) -> dict[str, tuple[Network, str]]:
    """Return, for each layer of a model that another one has changed since: which one, and the layer's name there."""
    found = {}
    for node in model.graph.nodes:
        shared: SharedLayer | None = node.layer.__dict__.get("shared")
        if shared is None or len(shared.holders) < 2:
            continue
        source, name = shared.newest()
        if source is not model and source.changed > model.changed:
            found[node.name] = (source, name)
    return found
