"""Layers that join several values element by element."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from fastann.layers.base import Layer, Shape
from fastann.layers.symbolic import SymbolicTensor
from fastann.spec import register

if TYPE_CHECKING:
    from fastann.lowering import ProgramBuilder


@dataclass(frozen=True)
class Merging(Layer):
    """What all kinds share: inputs of one shape; axes of length 1, and axes in front that are missing, are repeated."""

    input_count: ClassVar[int | None] = None

    #: The instruction.
    OPERATION: ClassVar[str]

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the common shape; raises ValueError if there is none."""
        rank = max(len(shape) for shape in input_shapes)
        lengths = zip(*((1,) * (rank - len(shape)) + shape for shape in input_shapes), strict=True)
        merged = []
        for axis in lengths:
            longer = {n for n in axis if n != 1}
            if len(longer) > 1:
                shapes = " and ".join(map(str, input_shapes))
                raise ValueError(f"{type(self).__name__} expects inputs of one shape, got {shapes}.")
            merged.append(longer.pop() if longer else 1)
        return tuple(merged)

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Append the operation, behind a reshape of each input that has fewer axes."""
        shape = self.output_shape(*(builder.shape(x) for x in inputs))
        return builder.emit(self.OPERATION, tuple(_with_rank(builder, x, len(shape)) for x in inputs), shape)


def _with_rank(builder: ProgramBuilder, x: int, rank: int) -> int:
    shape = builder.shape(x)
    missing = rank - len(shape)
    return builder.emit("reshape", (x,), (1,) * missing + shape) if missing else x


@register("layers")
@dataclass(frozen=True)
class Add(Merging):
    """y = x_1 + x_2 + ...; with a branch around some layers, a residual connection."""

    OPERATION = "add"


@register("layers")
@dataclass(frozen=True)
class Subtract(Merging):
    """y = x_1 - x_2."""

    input_count = 2
    OPERATION = "subtract"


@register("layers")
@dataclass(frozen=True)
class Multiply(Merging):
    """y = x_1 x_2 ..., element by element."""

    OPERATION = "multiply"


@register("layers")
@dataclass(frozen=True)
class Average(Merging):
    """y = (x_1 + ... + x_n) / n."""

    OPERATION = "average"


@register("layers")
@dataclass(frozen=True)
class Maximum(Merging):
    """y = max(x_1, x_2, ...), element by element."""

    OPERATION = "maximum"


@register("layers")
@dataclass(frozen=True)
class Minimum(Merging):
    """y = min(x_1, x_2, ...), element by element."""

    OPERATION = "minimum"


def add(inputs: Sequence[SymbolicTensor]) -> SymbolicTensor:
    """Return the sum of the values: `Add()(inputs)`."""
    return Add()(inputs)


def subtract(inputs: Sequence[SymbolicTensor]) -> SymbolicTensor:
    """Return the first value less the second one: `Subtract()(inputs)`."""
    return Subtract()(inputs)


def multiply(inputs: Sequence[SymbolicTensor]) -> SymbolicTensor:
    """Return the product of the values, element by element: `Multiply()(inputs)`."""
    return Multiply()(inputs)


def average(inputs: Sequence[SymbolicTensor]) -> SymbolicTensor:
    """Return the mean of the values: `Average()(inputs)`."""
    return Average()(inputs)


def maximum(inputs: Sequence[SymbolicTensor]) -> SymbolicTensor:
    """Return the largest of the values, element by element: `Maximum()(inputs)`."""
    return Maximum()(inputs)


def minimum(inputs: Sequence[SymbolicTensor]) -> SymbolicTensor:
    """Return the smallest of the values, element by element: `Minimum()(inputs)`."""
    return Minimum()(inputs)
