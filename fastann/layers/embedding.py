"""Vectors looked up by number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fastann.layers.base import Layer, Shape, WeightSpec
from fastann.layers.settings import resolve, weight
from fastann.spec import flag, register, whole

if TYPE_CHECKING:
    from fastann.initializers import InitializerLike
    from fastann.lowering import ProgramBuilder
    from fastann.regularizers import RegularizerLike


@register("layers")
@dataclass(frozen=True)
class Embedding(Layer):
    """Replace whole numbers by vectors: y[i] = E[x[i]], rows (T,) become (T, output_dim).

    Args:
        input_dim: V, how many numbers there are, 0 to V - 1. It is not the `input_dim` of other layers; the shape of
            the input is given as `input_shape`.
        output_dim: length of a vector.
        embeddings_initializer: what draws E (V, output_dim).
        embeddings_regularizer: the penalty on E that is added to the loss.
        mask_zero: False; masks are not supported.

    Raises:
        ValueError: `mask_zero=True`.
    """

    input_dim: int = field()  # a setting here, an argument of __init__ alone elsewhere
    output_dim: int
    embeddings_initializer: InitializerLike = "uniform"
    embeddings_regularizer: RegularizerLike = None
    mask_zero: bool = False

    def __post_init__(self) -> None:
        super().__post_init__(None)
        resolve(self)
        self._set(input_dim=whole(self.input_dim, "input_dim", 1), output_dim=whole(self.output_dim, "output_dim", 1))
        if flag(self.mask_zero, "mask_zero"):
            raise ValueError("mask_zero must be False, got True: layers know no masks; leave it out.")

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the input's shape with `output_dim` behind it."""
        return (*input_shapes[0], self.output_dim)

    def weights(self, *input_shapes: Shape) -> tuple[WeightSpec, ...]:
        """Return embeddings (input_dim, output_dim)."""
        shape = (self.input_dim, self.output_dim)
        return (weight("embeddings", shape, self.embeddings_initializer, self.embeddings_regularizer),)

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Append the look-up."""
        return builder.emit("embedding", inputs, self.output_shape(builder.shape(inputs[0])), params)
