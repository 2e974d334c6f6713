"""Rectified linear units with learned slopes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastann.layers.base import Layer, Shape, WeightSpec
from fastann.layers.settings import resolve, weight
from fastann.spec import register, whole

if TYPE_CHECKING:
    from fastann.initializers import InitializerLike
    from fastann.lowering import ProgramBuilder
    from fastann.regularizers import RegularizerLike


@register("layers")
@dataclass(frozen=True)
class PReLU(Layer):
    """y = x for x > 0, alpha x elsewhere, alpha learned for each element of a row.

    Args:
        alpha_initializer: what draws alpha.
        alpha_regularizer: the penalty on alpha that is added to the loss.
        shared_axes: axes along which all elements have one alpha, counted with the batch as axis 0: [1, 2] gives each
            channel of an image one.

    He et al. 2015, equation 1.
    """

    alpha_initializer: InitializerLike = "Zeros"
    alpha_regularizer: RegularizerLike = None
    shared_axes: tuple[int, ...] | None = None

    def __post_init__(self, input_dim: int | None) -> None:
        super().__post_init__(input_dim)
        resolve(self)
        self._set(shared_axes=_axes(self.shared_axes))

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the input's shape; raises ValueError if it has not all of `shared_axes`."""
        rank = len(input_shapes[0])
        if any(axis > rank for axis in self.shared_axes or ()):
            raise ValueError(f"PReLU shares axes {self.shared_axes}, got rows of shape {input_shapes[0]}; name others.")
        return input_shapes[0]

    def weights(self, *input_shapes: Shape) -> tuple[WeightSpec, ...]:
        """Return alpha, of the input's shape with length 1 for shared axes."""
        shared = self.shared_axes or ()
        shape = tuple(1 if axis in shared else n for axis, n in enumerate(self.output_shape(*input_shapes), start=1))
        return (weight("alpha", shape, self.alpha_initializer, self.alpha_regularizer),)

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Append the activation."""
        return builder.emit("prelu", inputs, builder.shape(inputs[0]), params)


def _axes(axes: Any) -> tuple[int, ...] | None:
    if axes is None:
        return None
    listed = axes if isinstance(axes, tuple | list) else (axes,)
    return tuple(whole(axis, "an axis in shared_axes", 1) for axis in listed)
