"""A layer of a model: its frozen settings together with the model's weights for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from fastann.layers.base import Layer
from fastann.layers.normalization import Normalization
from fastann.layers.symbolic import SymbolicTensor

if TYPE_CHECKING:
    from fastann.models.connected import ConnectedNetwork

Array = NDArray[Any]


class LayerView:
    """What `model.layers` holds. Settings such as `units` are read from `spec`; only `trainable` can be changed.

    Attributes:
        spec: the frozen layer.
        name: its name in the model.
        index: its place in `model.layers`.
    """

    def __init__(self, spec: Layer, name: str, model: ConnectedNetwork, index: int) -> None:
        self.spec = spec
        self.name = name
        self.index = index
        self._model = model

    def __repr__(self) -> str:
        return f"<{self.class_name} {self.name!r} of model {self._model.name!r}>"

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_") or attribute == "spec":
            raise AttributeError(attribute)
        return getattr(self.spec, attribute)

    @property
    def class_name(self) -> str:
        """Name of the kind of layer, such as "Dense"."""
        return type(self.spec).__name__

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights; settable, from the next call of `compile` on, as in Keras."""
        return self._node_layer().trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._model.set_trainable(self.name, value)

    def _node_layer(self) -> Layer:
        if not self._model.built:
            return self.spec
        graph = self._model.graph
        return graph.nodes[graph.number(self.name)].layer

    @property
    def input(self) -> Any:
        """The symbolic value the layer reads, or a list of several: to make other models of."""
        graph = self._model.graph
        values = [self._model.symbol(i) for i in graph.nodes[graph.number(self.name)].inputs]
        return values[0] if len(values) == 1 else values

    @property
    def output(self) -> SymbolicTensor:
        """The symbolic value the layer puts out; of several uses, the first."""
        return self._model.symbol(self._model.graph.number(self.name))

    @property
    def input_shape(self) -> Any:
        """Shape of what the layer reads, None standing for the batch; a list of shapes if it reads several values."""
        graph = self._model.graph
        shapes = [(None, *shape) for shape in graph.input_shapes_of(graph.number(self.name))]
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def output_shape(self) -> tuple[int | None, ...]:
        """Shape of what the layer puts out, None standing for the batch."""
        graph = self._model.graph
        return (None, *graph.shapes[graph.number(self.name)])

    def count_params(self) -> int:
        """Return how many numbers the weights of the layer are."""
        numbers = self._model.graph.weights_of(self.name)
        return sum(self._model.parameters[i].size for i in numbers)

    def get_weights(self) -> list[Array]:
        """Return copies of the layer's weights, such as [kernel, bias]."""
        numbers = self._model.graph.weights_of(self.name)
        return self._model.get_weights()[numbers.start : numbers.stop]

    def set_weights(self, weights: Any) -> None:
        """Replace the layer's weights; raises ValueError unless number and shapes are those of `get_weights`."""
        numbers = self._model.graph.weights_of(self.name)
        self._model.replace_weights(weights, numbers, f"set_weights of layer {self.name!r}")

    def adapt(self, data: Any) -> None:
        """Learn the statistics of data into the layer; only for kinds of layers with an `adapt`, with its arguments.

        Raises:
            TypeError: the layer, unlike `Normalization`, learns nothing from data alone.
        """
        spec = self.spec
        if not isinstance(spec, Normalization):
            raise TypeError(f"adapt expects a layer such as Normalization, got {self.class_name}; train it with fit.")
        mean, variance = spec.statistics(data)
        if self._model.built:
            self.set_weights([mean, variance])
        spec.take(mean, variance)
