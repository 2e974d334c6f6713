"""The fully connected layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastann import activations, initializers, regularizers
from fastann.layers.base import Layer, Shape, WeightSpec
from fastann.spec import register, whole

if TYPE_CHECKING:
    from fastann.activations import ActivationLike
    from fastann.initializers import InitializerLike
    from fastann.lowering import ProgramBuilder
    from fastann.regularizers import RegularizerLike


@register("layers")
@dataclass(frozen=True)
class Dense(Layer):
    """Connect every input with every output: y = f(x @ W + b).

    x is (B, ..., I), W (I, units), b (units,), y (B, ..., units): the layer works on the last axis.

    Args:
        units: O, the number of outputs.
        activation: f, by name, object or layer; None is the identity.
        use_bias: whether there is a b.
        kernel_initializer, bias_initializer: what draws W and b.
        kernel_regularizer, bias_regularizer: the penalties on W and b that are added to the loss.
    """

    units: int
    activation: ActivationLike = None
    use_bias: bool = True
    kernel_initializer: InitializerLike = "glorot_uniform"
    bias_initializer: InitializerLike = "zeros"
    kernel_regularizer: RegularizerLike = None
    bias_regularizer: RegularizerLike = None

    def __post_init__(self, input_dim: int | None) -> None:
        super().__post_init__(input_dim)
        if not isinstance(self.use_bias, bool):
            raise TypeError(f"use_bias must be True or False, got {self.use_bias!r}.")
        self._set(
            units=whole(self.units, "units", 1),
            activation=activations.get(self.activation),
            kernel_initializer=initializers.get(self.kernel_initializer),
            bias_initializer=initializers.get(self.bias_initializer),
            kernel_regularizer=regularizers.get(self.kernel_regularizer),
            bias_regularizer=regularizers.get(self.bias_regularizer),
        )

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the input's shape with the last axis replaced by `units`."""
        return (*input_shapes[0][:-1], self.units)

    def weights(self, *input_shapes: Shape) -> tuple[WeightSpec, ...]:
        """Return kernel (I, units) and, with a bias, bias (units,)."""
        kernel = WeightSpec(
            "kernel",
            (input_shapes[0][-1], self.units),
            initializers.get(self.kernel_initializer),
            regularizers.get(self.kernel_regularizer),
        )
        if not self.use_bias:
            return (kernel,)
        bias = WeightSpec(
            "bias", (self.units,), initializers.get(self.bias_initializer), regularizers.get(self.bias_regularizer)
        )
        return kernel, bias

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Append the affine map, then the activation; the lowering merges the two where that is right."""
        shape = self.output_shape(builder.shape(inputs[0]))
        z = builder.emit("dense", inputs, shape, params, use_bias=self.use_bias, activation="linear", alpha=0.0)
        return builder.activation(z, activations.get(self.activation))
