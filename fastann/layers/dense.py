"""The fully connected layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastann.layers.base import Layer, Shape, WeightSpec
from fastann.layers.settings import finish, resolve, weight
from fastann.spec import flag, register, whole

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
        activity_regularizer: the penalty on y, divided by the rows of the batch.
    """

    units: int
    activation: ActivationLike = None
    use_bias: bool = True
    kernel_initializer: InitializerLike = "glorot_uniform"
    bias_initializer: InitializerLike = "zeros"
    kernel_regularizer: RegularizerLike = None
    bias_regularizer: RegularizerLike = None
    activity_regularizer: RegularizerLike = None

    def __post_init__(self, input_dim: int | None) -> None:
        super().__post_init__(input_dim)
        resolve(self)
        self._set(units=whole(self.units, "units", 1), use_bias=flag(self.use_bias, "use_bias"))

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the input's shape with the last axis replaced by `units`."""
        return (*input_shapes[0][:-1], self.units)

    def weights(self, *input_shapes: Shape) -> tuple[WeightSpec, ...]:
        """Return kernel (I, units) and, with a bias, bias (units,)."""
        shape = (input_shapes[0][-1], self.units)
        kernel = weight("kernel", shape, self.kernel_initializer, self.kernel_regularizer)
        if not self.use_bias:
            return (kernel,)
        return kernel, weight("bias", (self.units,), self.bias_initializer, self.bias_regularizer)

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Append the affine map, the activation and the penalty; the lowering merges the first two where it may."""
        shape = self.output_shape(builder.shape(inputs[0]))
        z = builder.emit("dense", inputs, shape, params, use_bias=self.use_bias, activation="linear", alpha=0.0)
        return finish(builder, z, self.activation, self.activity_regularizer)
