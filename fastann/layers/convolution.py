"""What the kinds of convolution share: the checks of their settings, their window and what follows the sums."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastann.layers.base import Layer, Shape, WeightSpec
from fastann.layers.settings import finish, resolve, weight
from fastann.layers.windows import (
    PairLike,
    Window,
    check_data_format,
    check_dilation,
    check_image,
    check_padding,
    pair,
)
from fastann.spec import flag, whole

if TYPE_CHECKING:
    from fastann.activations import ActivationLike
    from fastann.initializers import InitializerLike
    from fastann.lowering import ProgramBuilder
    from fastann.regularizers import RegularizerLike


class Convolution(Layer):
    """Base of layers that slide kernels over images (B, H, W, I); each lists these settings in Keras's order.

    With padding="valid" H' = floor((H - (h - 1) d_h - 1) / s_h) + 1, with "same" H' = ceil(H / s_h).
    """

    kernel_size: PairLike
    strides: PairLike
    padding: str
    data_format: str | None
    dilation_rate: PairLike
    activation: ActivationLike
    use_bias: bool
    bias_initializer: InitializerLike
    bias_regularizer: RegularizerLike
    activity_regularizer: RegularizerLike

    def __post_init__(self, input_dim: int | None) -> None:
        super().__post_init__(input_dim)
        resolve(self)
        check_data_format(self.data_format)
        self._set(
            kernel_size=pair(self.kernel_size, "kernel_size"),
            strides=pair(self.strides, "strides"),
            padding=check_padding(self.padding),
            dilation_rate=pair(self.dilation_rate, "dilation_rate"),
            use_bias=flag(self.use_bias, "use_bias"),
        )
        for name in ("filters", "groups", "depth_multiplier"):
            if hasattr(self, name):
                self._set(**{name: whole(getattr(self, name), name, 1)})
        check_dilation(self.window.strides, self.window.dilation)

    @property
    def window(self) -> Window:
        """Size, strides, dilation and padding."""
        return Window(
            pair(self.kernel_size, "kernel_size"),
            pair(self.strides, "strides"),
            pair(self.dilation_rate, "dilation_rate"),
            self.padding,
        )

    def channels(self, shape: Shape) -> int:
        """Return the channels of the output for rows of that shape; raises ValueError where they do not fit."""
        raise TypeError(f"{type(self).__name__} does not say how many channels it puts out.")

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return (H', W', channels); raises ValueError for rows that are no images or smaller than the kernel."""
        name = type(self).__name__
        check_image(input_shapes[0], name)
        return (*self.window.output_lengths(input_shapes[0], name), self.channels(input_shapes[0]))

    def _bias(self, shape: Shape) -> tuple[WeightSpec, ...]:
        """Return bias (channels,), or nothing if there is none."""
        if not self.use_bias:
            return ()
        return (weight("bias", (self.channels(shape),), self.bias_initializer, self.bias_regularizer),)

    def _finish(self, builder: ProgramBuilder, z: int) -> int:
        """Append the activation and the penalty on it."""
        return finish(builder, z, self.activation, self.activity_regularizer)
