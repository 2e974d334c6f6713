"""What every layer is: a frozen description that knows its shapes, its weights and the instructions it stands for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import InitVar, dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Self

from fastann.layers.symbolic import SymbolicTensor, call_layer
from fastann.spec import Spec, deserialize, lookup, whole

if TYPE_CHECKING:
    from fastann.initializers import Initializer
    from fastann.lowering import ProgramBuilder
    from fastann.regularizers import Regularizer

Shape = tuple[int, ...]

#: Which kind of object a setting holds, by the end of its name: an `Activation` may be a layer or a function.
_KINDS = {"activation": "activations", "initializer": "initializers", "regularizer": "regularizers"}


@dataclass(frozen=True)
class WeightSpec:
    """One tensor a layer owns.

    Attributes:
        name: short name, such as "kernel".
        shape: kernels of dense layers are (in, out).
        initializer: what draws the first value.
        regularizer: the penalty on it, if any.
        trainable: False for what training changes by other means, such as moving averages.
        decay: whether decoupled weight decay applies.
    """

    name: str
    shape: Shape
    initializer: Initializer
    regularizer: Regularizer | None = None
    trainable: bool = True
    decay: bool = True


@dataclass(frozen=True)
class Layer(Spec):
    """A layer as data: settings only, no arrays; two layers with the same settings are equal.

    Shapes leave the batch out throughout. A layer with weights overrides `weights`; every layer overrides
    `output_shape` and `emit`. Nothing else has to know the layer.

    Args:
        name: its name in the model; by default the class name in lower case, numbered within the model.
        trainable: False keeps its weights as they are during training.
        input_shape: shape of one row; only for the first layer of a `Sequential`.
        input_dim: the same for rows that are vectors: `input_dim=30` is `input_shape=(30,)`.
    """

    #: How many values the layer reads; None stands for any number above one.
    input_count: ClassVar[int | None] = 1

    name: str | None = field(default=None, kw_only=True)
    trainable: bool = field(default=True, kw_only=True)
    input_shape: Shape | None = field(default=None, kw_only=True)
    input_dim: InitVar[int | None] = field(default=None, kw_only=True)

    def __post_init__(self, input_dim: int | None) -> None:
        _check_name(self.name)
        if not isinstance(self.trainable, bool):
            raise TypeError(f"trainable must be True or False, got {self.trainable!r}.")
        if input_dim is not None:
            if self.input_shape is not None:
                raise ValueError("give input_shape or input_dim, not both.")
            self._set(input_shape=(whole(input_dim, "input_dim", 1),))
        elif self.input_shape is not None:
            self._set(input_shape=check_shape(self.input_shape, "input_shape"))

    def _set(self, **fields: Any) -> None:
        """Store checked values while the layer is being made; it is frozen afterwards."""
        for key, value in fields.items():
            object.__setattr__(self, key, value)

    def __call__(self, inputs: SymbolicTensor | Sequence[SymbolicTensor]) -> SymbolicTensor:
        """Return what the layer makes of the output of another one; layers that join several values take a list.

        A layer that is called more than once has the same weights each time.

        >>> from fastann.layers import Dense, Input
        >>> Dense(16)(Input((30,))).shape
        (None, 16)
        """
        return call_layer(self, inputs)

    def with_settings(self, **settings: Any) -> Self:
        """Return the same layer but for some settings, which are taken as they are."""
        layer = copy(self)
        layer._set(**settings)
        layer.__dict__.pop("shared", None)
        return layer

    def renamed(self, name: str) -> Self:
        """Return the same layer under another name: how a model takes a layer."""
        return self.with_settings(name=name)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """Make the layer that `get_config` described; raises ValueError or TypeError for what describes none."""
        settings = dict(config)
        for key, value in config.items():
            kind = _KINDS.get(key.rsplit("_", 1)[-1])
            if kind is not None and isinstance(value, Mapping):
                settings[key] = deserialize(value, lookup(kind))
        return super().from_config(settings)

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the shape of the output for the shapes of the inputs; raises ValueError where they do not fit."""
        raise TypeError(f"{type(self).__name__} does not say what its output_shape is.")

    def weights(self, *input_shapes: Shape) -> tuple[WeightSpec, ...]:
        """Return the tensors the layer owns, in the order of `get_weights`."""
        return ()

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Append the layer's instructions to `builder` and return the number of the value they end in.

        Args:
            builder: the program so far.
            inputs: numbers of the values read.
            params: numbers of the layer's parameters, in the order of `weights`.
        """
        raise TypeError(f"{type(self).__name__} does not say which instructions it stands for.")


def check_shape(shape: Any, what: str) -> Shape:
    """Return the shape of one row as a tuple of ints; raises unless all of it is known and positive."""
    if not isinstance(shape, tuple | list):
        raise TypeError(f"{what} must be a tuple of positive whole numbers such as (30,), got {shape!r}.")
    if len(shape) == 0:
        raise ValueError(f"{what} must have at least one axis beside the batch, got {shape!r}; use (1,) or more.")
    if any(n is None for n in shape):
        raise ValueError(f"{what} must leave the batch out and have no unknown axis, got {tuple(shape)}.")
    try:
        return tuple(whole(n, "axis", 1) for n in shape)
    except (TypeError, ValueError):
        raise ValueError(f"{what} must be a tuple of positive whole numbers such as (30,), got {shape!r}.") from None


def check_last_axis(axis: Any, shape: Shape, what: str) -> None:
    """Raise ValueError unless `axis` (the batch counts as axis 0) is the last one of a value of that shape."""
    if axis not in (-1, len(shape)):
        raise ValueError(f"{what} works on the last axis only, got axis={axis!r} on rows of shape {shape}; use -1.")


def _check_name(name: Any) -> None:
    if name is None:
        return
    if not isinstance(name, str):
        raise TypeError(f"a layer's name must be a string, got {name!r}.")
    if not name or "/" in name:
        raise ValueError(f"a layer's name must not be empty or contain '/', got {name!r}.")
