"""Convolution of each channel for itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastann.layers.base import Shape, WeightSpec
from fastann.layers.convolution import Convolution
from fastann.layers.settings import weight
from fastann.layers.windows import PairLike
from fastann.spec import register

if TYPE_CHECKING:
    from fastann.activations import ActivationLike
    from fastann.initializers import InitializerLike
    from fastann.lowering import ProgramBuilder
    from fastann.regularizers import RegularizerLike


@register("layers")
@dataclass(frozen=True)
class DepthwiseConv2D(Convolution):
    """Convolve each channel with `depth_multiplier` kernels of its own: nothing is summed over channels.

    x is (B, H, W, I), the kernel (h, w, I, depth_multiplier); b and the channels of y are I * depth_multiplier, those
    that come from one channel side by side. H' and W' are those of `Conv2D`.

    Args:
        kernel_size, strides, padding, data_format, dilation_rate: as `Conv2D`.
        depth_multiplier: kernels a channel.
        activation: f, by name, object or layer; None is the identity.
        use_bias: whether there is a b.
        depthwise_initializer, bias_initializer: what draws the kernel and b.
        depthwise_regularizer, bias_regularizer: the penalties on them that are added to the loss.
        activity_regularizer: the penalty on y, divided by the rows of the batch.

    Raises:
        ValueError: among others for strides and dilation both above 1, which Keras leaves to its backends.
    """

    kernel_size: PairLike
    strides: PairLike = (1, 1)
    padding: str = "valid"
    depth_multiplier: int = 1
    data_format: str | None = None
    dilation_rate: PairLike = (1, 1)
    activation: ActivationLike = None
    use_bias: bool = True
    depthwise_initializer: InitializerLike = "glorot_uniform"
    bias_initializer: InitializerLike = "zeros"
    depthwise_regularizer: RegularizerLike = None
    bias_regularizer: RegularizerLike = None
    activity_regularizer: RegularizerLike = None

    def channels(self, shape: Shape) -> int:
        """Return I * depth_multiplier."""
        return shape[-1] * self.depth_multiplier

    def weights(self, *input_shapes: Shape) -> tuple[WeightSpec, ...]:
        """Return kernel (h, w, I, depth_multiplier) and, with a bias, bias (I * depth_multiplier,)."""
        shape = input_shapes[0]
        kernel_shape = (*self.window.size, shape[-1], self.depth_multiplier)
        kernel = weight("kernel", kernel_shape, self.depthwise_initializer, self.depthwise_regularizer)
        return (kernel, *self._bias(shape))

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Append the convolution, then the activation and the penalty on it."""
        shape = builder.shape(inputs[0])
        z = builder.emit(
            "depthwise_conv2d",
            inputs,
            self.output_shape(shape),
            params,
            use_bias=self.use_bias,
            **self.window.dilated_attributes(shape),
        )
        return self._finish(builder, z)
