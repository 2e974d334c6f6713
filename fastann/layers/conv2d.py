"""Convolution over images."""

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
class Conv2D(Convolution):
    """Slide `filters` kernels over the image: y[p, q] = f(sum_ij W[i, j] x[p s_h + i d_h, q s_w + j d_w] + b).

    x is (B, H, W, I), the kernel (h, w, I / groups, filters), b (filters,), y (B, H', W', filters). With
    padding="valid" H' = floor((H - (h - 1) d_h - 1) / s_h) + 1, with "same" H' = ceil(H / s_h).

    Args:
        filters: channels of the output.
        kernel_size: height and width of the kernel, or one number for both.
        strides: s, likewise.
        padding: "valid", or "same" with zeros around the image, the smaller half of them first.
        data_format: None or "channels_last".
        dilation_rate: d, likewise; not above 1 together with strides above 1.
        groups: parts that the channels are cut into, each convolved for itself.
        activation: f, by name, object or layer; None is the identity.
        use_bias: whether there is a b.
        kernel_initializer, bias_initializer: what draws W and b.
        kernel_regularizer, bias_regularizer: the penalties on W and b that are added to the loss.
        activity_regularizer: the penalty on y, divided by the rows of the batch.

    >>> Conv2D(32, (3, 3), activation="relu").output_shape((28, 28, 1))
    (26, 26, 32)
    """

    filters: int
    kernel_size: PairLike
    strides: PairLike = (1, 1)
    padding: str = "valid"
    data_format: str | None = None
    dilation_rate: PairLike = (1, 1)
    groups: int = 1
    activation: ActivationLike = None
    use_bias: bool = True
    kernel_initializer: InitializerLike = "glorot_uniform"
    bias_initializer: InitializerLike = "zeros"
    kernel_regularizer: RegularizerLike = None
    bias_regularizer: RegularizerLike = None
    activity_regularizer: RegularizerLike = None

    def __post_init__(self, input_dim: int | None) -> None:
        super().__post_init__(input_dim)
        if self.filters % self.groups:
            raise ValueError(f"filters must be a multiple of groups, got filters={self.filters}, groups={self.groups}.")

    def channels(self, shape: Shape) -> int:
        """Return `filters`; raises ValueError if the channels of the input are no multiple of `groups`."""
        if shape[-1] % self.groups:
            raise ValueError(f"Conv2D needs a multiple of groups={self.groups} as channels, got rows of shape {shape}.")
        return self.filters

    def weights(self, *input_shapes: Shape) -> tuple[WeightSpec, ...]:
        """Return kernel (h, w, I / groups, filters) and, with a bias, bias (filters,)."""
        shape = input_shapes[0]
        kernel_shape = (*self.window.size, shape[-1] // self.groups, self.filters)
        kernel = weight("kernel", kernel_shape, self.kernel_initializer, self.kernel_regularizer)
        return (kernel, *self._bias(shape))

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Append the convolution, then the activation and the penalty on it."""
        shape = builder.shape(inputs[0])
        z = builder.emit(
            "conv2d",
            inputs,
            self.output_shape(shape),
            params,
            use_bias=self.use_bias,
            groups=self.groups,
            **self.window.dilated_attributes(shape),
        )
        return self._finish(builder, z)
