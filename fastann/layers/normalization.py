"""Normalisation with the mean and variance of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fastann.initializers import Initializer
from fastann.layers.base import Layer, Shape, WeightSpec, check_last_axis
from fastann.layers.moments import Floats, moments
from fastann.spec import flag, number, register, whole

if TYPE_CHECKING:
    from fastann.lowering import ProgramBuilder

#: The smallest standard deviation that is divided by, Keras's `epsilon()`.
_EPSILON = 1e-7

Statistic = float | tuple[float, ...] | None


@register("layers")
@dataclass(frozen=True)
class Normalization(Layer):
    """Shift and scale channels to mean 0 and variance 1: y = (x - mean) / max(sqrt(variance), 1e-7).

    The statistics are given, or learnt from data by `adapt`; until then they are 0 and 1. They are weights that
    training leaves alone.

    `adapt` is the one thing that changes a layer after it was made: it sets `mean` and `variance`, here and in the
    models that hold the layer. Once a model has drawn its weights, `model.get_layer(name).adapt(data)` changes them.

    Args:
        axis: the channels, the last axis as -1 or by its number (the batch is axis 0); None for one mean and one
            variance of everything.
        mean, variance: a number, or one for each channel; both or neither.
        invert: go the other way, y = mean + max(sqrt(variance), 1e-7) x.

    Raises:
        ValueError: one of mean and variance alone, different lengths, or a negative variance.

    The weights are mean and variance. Keras has a third, a count that it does not use.

    >>> layer = Normalization()
    >>> layer.adapt([[0.0, 7.0], [2.0, 9.0]])
    >>> layer.mean, layer.variance
    ((1.0, 8.0), (1.0, 1.0))
    """

    axis: int | None = -1
    mean: Statistic = None
    variance: Statistic = None
    invert: bool = False

    def __post_init__(self, input_dim: int | None) -> None:
        super().__post_init__(input_dim)
        axis = self.axis
        if isinstance(axis, tuple | list) and len(axis) == 1:
            axis = axis[0]
        self._set(
            axis=None if axis is None else whole(axis, "axis", -1),
            mean=_statistic(self.mean, "mean"),
            variance=_statistic(self.variance, "variance"),
            invert=flag(self.invert, "invert"),
            _copies=(),
            _drawn=False,
        )
        _check_statistics(self)

    def renamed(self, name: str) -> Normalization:
        """Return a copy of another name for a model; `adapt` reaches it."""
        copy: Normalization = super().renamed(name)
        copy._set(_copies=(), _drawn=False)
        self._set(_copies=(*self._known_copies(), copy))
        return copy

    def _known_copies(self) -> tuple[Normalization, ...]:
        copies: tuple[Normalization, ...] = self.__dict__["_copies"]
        return copies

    def adapt(self, data: Any) -> None:
        """Set mean and variance to those of the data, in one pass over it.

        Args:
            data: an array (N, ..., C), a memory map or a table, or batches of such: an iterable, or an object with
                `__len__` and `__getitem__`. Of a batch (x, y) only x counts.

        Raises:
            ValueError: a model that holds the layer has drawn its weights, or the data are empty or not finite.
            TypeError: the data are no numbers.
        """
        if any(copy.__dict__["_drawn"] for copy in self._known_copies()):
            name = self._known_copies()[-1].name
            raise ValueError(
                "adapt must come before a model that holds the layer is used, got a model with weights; call "
                f"model.get_layer({name!r}).adapt(data)."
            )
        self.take(*self.statistics(data))

    def statistics(self, data: Any) -> tuple[Floats, Floats]:
        """Return mean and variance of the data, each (C,), or () if `axis` is None; arguments and errors of `adapt`."""
        return moments(data, by_channel=self.axis is not None)

    def take(self, mean: Floats, variance: Floats) -> None:
        """Set the statistics, here and in the copies that models hold, in place."""
        for layer in (self, *self._known_copies()):
            layer._set(mean=_statistic(mean, "mean"), variance=_statistic(variance, "variance"))

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the input's shape; raises ValueError if `axis` is not its last or has not the channels of `mean`."""
        shape = input_shapes[0]
        if self.axis is not None:
            check_last_axis(self.axis, shape, "Normalization")
        if isinstance(self.mean, tuple) and len(self.mean) != shape[-1]:
            raise ValueError(f"Normalization has {len(self.mean)} channels, got rows of shape {shape}.")
        return shape

    def weights(self, *input_shapes: Shape) -> tuple[WeightSpec, ...]:
        """Return mean and variance, (C,), or () if `axis` is None."""
        shape = () if self.axis is None else self.output_shape(*input_shapes)[-1:]
        return (
            WeightSpec("mean", shape, _Given(self, "mean", 0.0), trainable=False),
            WeightSpec("variance", shape, _Given(self, "variance", 1.0), trainable=False),
        )

    def emit(self, builder: ProgramBuilder, inputs: tuple[int, ...], params: tuple[int, ...]) -> int:
        """Append the normalisation; one mean for everything reads rows as a column of numbers."""
        shape = builder.shape(inputs[0])
        settings = {"epsilon": _EPSILON, "invert": self.invert}
        if self.axis is not None or shape[-1] == 1:
            return builder.emit("normalize", inputs, shape, params, **settings)
        column = builder.emit("reshape", inputs, (int(np.prod(shape)), 1))
        scaled = builder.emit("normalize", (column,), builder.shape(column), params, **settings)
        return builder.emit("reshape", (scaled,), shape)


@dataclass(frozen=True)
class _Given(Initializer):
    """The statistic of a layer at the time when it is asked for, `otherwise` if there is none."""

    layer: Normalization
    statistic: str
    otherwise: float

    def draw(self, shape: Shape, rng: np.random.Generator) -> Floats:
        self.layer._set(_drawn=True)
        value = getattr(self.layer, self.statistic)
        return np.broadcast_to(np.asarray(self.otherwise if value is None else value, np.float64), shape).copy()


def _statistic(value: Any, name: str) -> Statistic:
    """Return None, a float, or a tuple of floats, one for each channel."""
    if value is None:
        return None
    if np.ndim(value) == 0:
        return number(value, name)
    if np.ndim(value) != 1 or np.size(value) == 0:
        raise ValueError(f"{name} must be a number or one for each channel, got shape {np.shape(value)}.")
    return tuple(number(entry, name) for entry in value)


def _check_statistics(layer: Normalization) -> None:
    mean, variance = layer.mean, layer.variance
    if (mean is None) != (variance is None):
        raise ValueError(f"mean and variance must be given together, got mean={mean} and variance={variance}.")
    if np.shape(mean or 0) != np.shape(variance or 0):
        raise ValueError(f"mean and variance must be of one length, got mean={mean} and variance={variance}.")
    if layer.axis is None and isinstance(mean, tuple):
        raise ValueError(f"mean must be one number with axis=None, got {mean}.")
    if variance is not None and np.min(variance) < 0:
        raise ValueError(f"variance must not be negative, got {variance}.")
