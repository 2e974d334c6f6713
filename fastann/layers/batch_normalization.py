"""Batch normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fastann.layers.base import Layer, Shape, WeightSpec, check_last_axis
from fastann.layers.settings import resolve, weight
from fastann.spec import bounded, flag, register, whole

if TYPE_CHECKING:
    from fastann.initializers import InitializerLike
    from fastann.lowering import ProgramBuilder
    from fastann.regularizers import RegularizerLike


@register("layers")
@dataclass(frozen=True)
class BatchNormalization(Layer):
    """Normalise each channel over the batch: y = gamma (x - mean) / sqrt(variance + epsilon) + beta.

    In training mean and biased variance are those of the batch over all axes but the last, and the moving ones, which
    everything else uses, follow them: moving <- momentum moving + (1 - momentum) batch. With `trainable=False` the
    layer uses its moving statistics in training too, and leaves them as they are.

    Args:
        axis: the channels; the last axis, as -1 or by its number (the batch is axis 0).
        momentum: the weight of the old moving value, in [0, 1].
        epsilon: added to the variance.
        center, scale: whether there is a beta, a gamma.
        beta_initializer, gamma_initializer: what draws them.
        moving_mean_initializer, moving_variance_initializer: where the moving statistics start.
        beta_regularizer, gamma_regularizer: the penalties on beta and gamma that are added to the loss.

    Ioffe & Szegedy 2015, algorithms 1 and 2; defaults and the biased moving variance are Keras's.
    """

    axis: int = -1
    momentum: float = 0.99
    epsilon: float = 1e-3
    center: bool = True
    scale: bool = True
    beta_initializer: InitializerLike = "zeros"
    gamma_initializer: InitializerLike = "ones"
    moving_mean_initializer: InitializerLike = "zeros"
    moving_variance_initializer: InitializerLike = "ones"
    beta_regularizer: RegularizerLike = None
    gamma_regularizer: RegularizerLike = None

    def __post_init__(self, input_dim: int | None) -> None:
        super().__post_init__(input_dim)
        resolve(self)
        self._set(
            axis=whole(self.axis, "axis", -1),
            momentum=bounded(self.momentum, "momentum", 0, 1),
            epsilon=bounded(self.epsilon, "epsilon"),
            center=flag(self.center, "center"),
            scale=flag(self.scale, "scale"),
        )

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the input's shape; raises ValueError if `axis` is not its last."""
        check_last_axis(self.axis, input_shapes[0], "BatchNormalization")
        return input_shapes[0]

    def weights(self, *input_shapes: Shape) -> tuple[WeightSpec, ...]:
        """Return gamma and beta where there are such, then moving_mean and moving_variance, all (C,)."""
        shape = input_shapes[0][-1:]
        gamma = weight("gamma", shape, self.gamma_initializer, self.gamma_regularizer)
        beta = weight("beta", shape, self.beta_initializer, self.beta_regularizer)
        return (
            *((gamma,) if self.scale else ()),
            *((beta,) if self.center else ()),
            weight("moving_mean", shape, self.moving_mean_initializer, trainable=False),
            weight("moving_variance", shape, self.moving_variance_initializer, trainable=False),
        )

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Append the normalisation."""
        return builder.emit(
            "batch_norm",
            inputs,
            builder.shape(inputs[0]),
            params,
            momentum=self.momentum,
            epsilon=self.epsilon,
            scale=self.scale,
            center=self.center,
            frozen=not self.trainable,
        )
