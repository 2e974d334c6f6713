"""What draws the first value of a weight: Keras' initializers, drawn with NumPy in float64.

A model draws every weight with a generator made from its seed and the weight's number (`fastann.random`), so that the
backends, and float32 and float64, start alike. An initializer with a seed of its own ignores that generator.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from fastann.initializers.base import Initializer
from fastann.initializers.constant import Constant, Identity, Ones, Zeros
from fastann.initializers.random import Orthogonal, RandomNormal, RandomUniform, TruncatedNormal
from fastann.initializers.scaling import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    VarianceScaling,
    compute_fans,
)
from fastann.spec import deserialize, lookup

__all__ = [
    "Constant",
    "GlorotNormal",
    "GlorotUniform",
    "HeNormal",
    "HeUniform",
    "Identity",
    "Initializer",
    "LecunNormal",
    "LecunUniform",
    "Ones",
    "Orthogonal",
    "RandomNormal",
    "RandomUniform",
    "TruncatedNormal",
    "VarianceScaling",
    "Zeros",
    "compute_fans",
    "get",
]

InitializerLike: TypeAlias = str | Initializer | type[Initializer] | Mapping[str, Any]

_CLASSES: tuple[type[Initializer], ...] = (
    Zeros, Ones, Constant, RandomNormal, RandomUniform, TruncatedNormal, VarianceScaling, GlorotUniform, GlorotNormal,
    HeUniform, HeNormal, LecunUniform, LecunNormal, Orthogonal, Identity,
)  # fmt: skip


def _snake(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))


_NAMES = tuple(_snake(cls.__name__) for cls in _CLASSES)
_BY_NAME: dict[str, type[Initializer]] = dict(zip(_NAMES, _CLASSES, strict=True))
_BY_NAME |= {cls.__name__: cls for cls in _CLASSES}
_BY_NAME |= {"normal": RandomNormal, "uniform": RandomUniform, "one": Ones, "zero": Zeros}


def get(identifier: InitializerLike) -> Initializer:
    """Return the initializer that is meant.

    >>> get("he_normal")
    HeNormal(seed=None)

    Args:
        identifier: a name such as "glorot_uniform" or "GlorotUniform", an object or a class of this module, or what
            `fastann.spec.serialize` made of an object.

    Raises:
        ValueError: the name is unknown. TypeError: none of the above.
    """
    if isinstance(identifier, Initializer):
        return identifier
    if isinstance(identifier, str):
        if identifier not in _BY_NAME:
            raise ValueError(f"an initializer must be one of {', '.join(sorted(_NAMES))}, got {identifier!r}.")
        return _BY_NAME[identifier]()
    if isinstance(identifier, Mapping):
        return get(deserialize(identifier, lookup("initializers")))
    if isinstance(identifier, type) and issubclass(identifier, Initializer):
        return identifier()
    raise TypeError(f"an initializer must be a name or an Initializer, got {identifier!r}.")
