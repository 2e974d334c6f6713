"""Values of a network before there are data: what layers are called on to say which of them reads what."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastann.layers.base import Layer, Shape

_serials = count()


class Call:
    """One use of a layer.

    Args:
        layer: an `InputLayer` for a use without inputs.
        inputs: what it reads.
        scope: the model the layer was taken from with its name, which may be numbered anew; None for a layer that was
            called itself.

    Attributes:
        serial: grows from call to call, so that a call comes after those whose values it reads.
    """

    def __init__(self, layer: Layer, inputs: Sequence[SymbolicTensor] = (), scope: str | None = None) -> None:
        self.layer = layer
        self.inputs = tuple(inputs)
        self.scope = scope
        self.serial = next(_serials)


class SymbolicTensor:
    """The output of a layer, or an input of the network: rows of known shape, without values.

    `Input` makes the first ones and calling a layer on some makes another. They can also be added, subtracted and
    multiplied, among each other and with numbers.

    Attributes:
        call: the use of a layer that it comes from.
        shape: None for the rows, then the shape of one row.
    """

    #: NumPy is not to take such values apart when it stands on the left of an operator.
    __array_ufunc__ = None

    def __init__(self, call: Call) -> None:
        self.call = call
        rows = (value.row_shape for value in call.inputs)
        try:
            self.row_shape: Shape = call.layer.output_shape(*rows)
        except ValueError as error:
            raise ValueError(f"layer {call.layer.name or type(call.layer).__name__!r}: {error}") from None

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Shape of the data, None standing for the rows."""
        return (None, *self.row_shape)

    @property
    def name(self) -> str | None:
        """Name of the layer it comes from, if that was given one."""
        return self.call.layer.name

    def __repr__(self) -> str:
        return f"<SymbolicTensor of shape {self.shape} from {type(self.call.layer).__name__}>"

    def __bool__(self) -> bool:
        raise TypeError("a symbolic value has no truth; it stands for the output of a layer and holds no numbers.")

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError(
            "a symbolic value holds no numbers; make a Model(inputs, outputs) of it and call predict with data."
        )

    def __add__(self, other: Any) -> SymbolicTensor:
        return _combined("Add", (self, other)) if _is_value(other) else _scaled(self, 1.0, other)

    def __radd__(self, other: Any) -> SymbolicTensor:
        return _scaled(self, 1.0, other)

    def __sub__(self, other: Any) -> SymbolicTensor:
        return _combined("Subtract", (self, other)) if _is_value(other) else _scaled(self, 1.0, -_real(other))

    def __rsub__(self, other: Any) -> SymbolicTensor:
        return _scaled(self, -1.0, other)

    def __mul__(self, other: Any) -> SymbolicTensor:
        return _combined("Multiply", (self, other)) if _is_value(other) else _scaled(self, other, 0.0)

    def __rmul__(self, other: Any) -> SymbolicTensor:
        return _scaled(self, other, 0.0)

    def __truediv__(self, other: Any) -> SymbolicTensor:
        return _scaled(self, 1.0 / _real(other), 0.0)

    def __neg__(self) -> SymbolicTensor:
        return _scaled(self, -1.0, 0.0)


def call_layer(layer: Layer, inputs: Any) -> SymbolicTensor:
    """Return what a layer makes of symbolic values.

    Args:
        layer: not an `InputLayer`.
        inputs: one value, or a list of several for a layer that joins them.

    Raises:
        TypeError: something else than symbolic values.
        ValueError: too few or too many of them, or of shapes the layer cannot read.
    """
    given = symbolic_values(inputs, f"layer {layer.name or type(layer).__name__!r}")
    wanted = layer.input_count
    if len(given) != wanted and not (wanted is None and len(given) > 1):
        expected = "a list of two or more values" if wanted is None else f"{wanted} value(s)"
        raise ValueError(f"layer {layer.name or type(layer).__name__!r} reads {expected}, got {len(given)}.")
    return SymbolicTensor(Call(layer, given))


def symbolic_values(given: Any, what: str) -> tuple[SymbolicTensor, ...]:
    """Return one symbolic value, or several in a list or tuple, as a tuple; `what` wants them, in messages."""
    values = tuple(given) if isinstance(given, list | tuple) else (given,)
    for value in values:
        if not _is_value(value):
            raise TypeError(
                f"{what} is called on what Input() and other layers return, got {type(value).__name__}; "
                "to compute with data, make a model and call its predict."
            )
    return values


def _is_value(given: Any) -> bool:
    return isinstance(given, SymbolicTensor)


def _combined(kind: str, values: tuple[SymbolicTensor, ...]) -> SymbolicTensor:
    from fastann.layers import merging

    return call_layer(getattr(merging, kind)(), values)


def _scaled(value: SymbolicTensor, scale: Any, offset: Any) -> SymbolicTensor:
    from fastann.layers.rescaling import Rescaling

    return call_layer(Rescaling(_real(scale), _real(offset)), value)


def _real(given: Any) -> float:
    from fastann.spec import number

    return number(given, "what a symbolic value is combined with")
