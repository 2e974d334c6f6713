"""Layer normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastann.layers.base import Layer, Shape, WeightSpec
from fastann.layers.settings import resolve, weight
from fastann.spec import bounded, flag, register, whole

if TYPE_CHECKING:
    from fastann.initializers import InitializerLike
    from fastann.lowering import ProgramBuilder
    from fastann.regularizers import RegularizerLike

#: More axes than any array has: counting from the end goes down to minus this.
_MOST_AXES = 64


@register("layers")
@dataclass(frozen=True)
class LayerNormalization(Layer):
    """Normalise each row over its last axes: y = gamma (x - mean) / sqrt(variance + epsilon) + beta.

    Mean and biased variance are those of the row over `axis`; training and afterwards are alike.

    Args:
        axis: the last axis, or the last few as a tuple; negative, or counted with the batch as axis 0.
        epsilon: added to the variance.
        center, scale: whether there is a beta, a gamma, of the lengths of those axes.
        beta_initializer, gamma_initializer: what draws them.
        beta_regularizer, gamma_regularizer: the penalties on them that are added to the loss.

    Ba, Kiros & Hinton 2016, equation 3.
    """

    axis: int | tuple[int, ...] = -1
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: InitializerLike = "zeros"
    gamma_initializer: InitializerLike = "ones"
    beta_regularizer: RegularizerLike = None
    gamma_regularizer: RegularizerLike = None

    def __post_init__(self, input_dim: int | None) -> None:
        super().__post_init__(input_dim)
        resolve(self)
        if isinstance(self.axis, tuple | list):
            self._set(axis=tuple(whole(axis, "axis", -_MOST_AXES) for axis in self.axis))
        else:
            self._set(axis=whole(self.axis, "axis", -_MOST_AXES))
        self._set(
            epsilon=bounded(self.epsilon, "epsilon"),
            center=flag(self.center, "center"),
            scale=flag(self.scale, "scale"),
        )

    def _axes(self, shape: Shape) -> int:
        """Return how many of the last axes are normalised over; raises ValueError unless `axis` names just those."""
        given = self.axis if isinstance(self.axis, tuple) else (self.axis,)
        rank = len(shape) + 1
        named = sorted(axis + rank if axis < 0 else axis for axis in given)
        if not named or named[0] < 1 or named != list(range(rank - len(named), rank)):
            raise ValueError(
                f"LayerNormalization works on the last axes of a row, got axis={self.axis} on rows of shape {shape}; "
                "use -1, (-2, -1) and so on."
            )
        return len(named)

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the input's shape; raises ValueError if `axis` are not its last."""
        self._axes(input_shapes[0])
        return input_shapes[0]

    def weights(self, *input_shapes: Shape) -> tuple[WeightSpec, ...]:
        """Return gamma and beta where there are such, of the lengths of the axes normalised over."""
        shape = input_shapes[0][-self._axes(input_shapes[0]) :]
        gamma = weight("gamma", shape, self.gamma_initializer, self.gamma_regularizer)
        beta = weight("beta", shape, self.beta_initializer, self.beta_regularizer)
        return (*((gamma,) if self.scale else ()), *((beta,) if self.center else ()))

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Append the normalisation."""
        shape = builder.shape(inputs[0])
        return builder.emit(
            "layer_norm",
            inputs,
            shape,
            params,
            axes=self._axes(shape),
            epsilon=self.epsilon,
            scale=self.scale,
            center=self.center,
        )
