"""Settings that layers have in common: activations, initializers and regularizers given by name, and the weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from fastann import activations, initializers, regularizers
from fastann.layers.base import Layer, Shape, WeightSpec

if TYPE_CHECKING:
    from fastann.activations import ActivationLike
    from fastann.initializers import InitializerLike
    from fastann.lowering import ProgramBuilder
    from fastann.regularizers import RegularizerLike

#: What turns a setting into the object that is meant, by the end of the setting's name.
_GETTERS: dict[str, Callable[[Any], Any]] = {
    "activation": activations.get,
    "initializer": initializers.get,
    "regularizer": regularizers.get,
}


def resolve(layer: Layer) -> None:
    """Replace names among a layer's settings by the activations, initializers and regularizers that they mean.

    Only for `__post_init__`; raises ValueError or TypeError for a setting that means none.
    """
    for f in fields(layer):
        getter = _GETTERS.get(f.name.rsplit("_", 1)[-1])
        if getter is not None:
            object.__setattr__(layer, f.name, getter(getattr(layer, f.name)))


def weight(
    name: str, shape: Shape, initializer: InitializerLike, regularizer: RegularizerLike = None, trainable: bool = True
) -> WeightSpec:
    """Return a tensor of a layer, initializer and regularizer given as a user gives them."""
    return WeightSpec(name, shape, initializers.get(initializer), regularizers.get(regularizer), trainable)


def finish(builder: ProgramBuilder, z: int, activation: ActivationLike, activity_regularizer: RegularizerLike) -> int:
    """Append f(z) and the penalty on it; return the number of the value that is the layer's output."""
    y = builder.activation(z, activations.get(activation))
    return builder.activity_penalty(y, regularizers.get(activity_regularizer))
