"""Convolution of each channel for itself, followed by one that mixes the channels of a cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastann.layers.base import Shape, WeightSpec
from fastann.layers.convolution import Convolution
from fastann.layers.settings import weight
from fastann.layers.windows import PairLike, Window
from fastann.spec import register

if TYPE_CHECKING:
    from fastann.activations import ActivationLike
    from fastann.initializers import InitializerLike
    from fastann.lowering import ProgramBuilder
    from fastann.regularizers import RegularizerLike


@register("layers")
@dataclass(frozen=True)
class SeparableConv2D(Convolution):
    """Convolve each channel for itself, then mix channels with a 1 x 1 convolution: y = f(pointwise(depthwise(x)) + b).

    The depthwise kernel is (h, w, I, depth_multiplier), the pointwise one (1, 1, I * depth_multiplier, filters),
    b (filters,). H' and W' are those of `Conv2D`.

    Args:
        filters: channels of the output.
        kernel_size, strides, padding, data_format, dilation_rate: of the depthwise part, as `Conv2D`.
        depth_multiplier: kernels a channel of the depthwise part.
        activation: f, by name, object or layer; None is the identity.
        use_bias: whether there is a b.
        depthwise_initializer, pointwise_initializer, bias_initializer: what draws the kernels and b.
        depthwise_regularizer, pointwise_regularizer, bias_regularizer: the penalties on them, added to the loss.
        activity_regularizer: the penalty on y, divided by the rows of the batch.

    Chollet 2017.
    """

    filters: int
    kernel_size: PairLike
    strides: PairLike = (1, 1)
    padding: str = "valid"
    data_format: str | None = None
    dilation_rate: PairLike = (1, 1)
    depth_multiplier: int = 1
    activation: ActivationLike = None
    use_bias: bool = True
    depthwise_initializer: InitializerLike = "glorot_uniform"
    pointwise_initializer: InitializerLike = "glorot_uniform"
    bias_initializer: InitializerLike = "zeros"
    depthwise_regularizer: RegularizerLike = None
    pointwise_regularizer: RegularizerLike = None
    bias_regularizer: RegularizerLike = None
    activity_regularizer: RegularizerLike = None

    def channels(self, shape: Shape) -> int:
        """Return `filters`."""
        return self.filters

    def weights(self, *input_shapes: Shape) -> tuple[WeightSpec, ...]:
        """Return depthwise_kernel, pointwise_kernel and, with a bias, bias."""
        shape = input_shapes[0]
        first = (*self.window.size, shape[-1], self.depth_multiplier)
        second = (1, 1, shape[-1] * self.depth_multiplier, self.filters)
        return (
            weight("depthwise_kernel", first, self.depthwise_initializer, self.depthwise_regularizer),
            weight("pointwise_kernel", second, self.pointwise_initializer, self.pointwise_regularizer),
            *self._bias(shape),
        )

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Append the two convolutions, then the activation and the penalty on it."""
        shape = builder.shape(inputs[0])
        output = self.output_shape(shape)
        middle = (*output[:2], shape[-1] * self.depth_multiplier)
        depthwise, pointwise = self.window.dilated_attributes(shape), Window((1, 1)).dilated_attributes(middle)
        x = builder.emit("depthwise_conv2d", inputs, middle, params[:1], use_bias=False, **depthwise)
        z = builder.emit("conv2d", (x,), output, params[1:], use_bias=self.use_bias, groups=1, **pointwise)
        return self._finish(builder, z)
