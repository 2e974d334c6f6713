"""Optimizers as data, with Keras' names, defaults and formulas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from fastann.optimizers import schedules
from fastann.optimizers.adagrad import Adagrad
from fastann.optimizers.adam import Adam, Adamax, AdamW, Nadam
from fastann.optimizers.base import Optimizer
from fastann.optimizers.lion import Lion
from fastann.optimizers.rmsprop import RMSprop
from fastann.optimizers.sgd import SGD
from fastann.spec import deserialize, lookup

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Nadam",
    "Optimizer",
    "OptimizerLike",
    "RMSprop",
    "get",
    "schedules",
]

OptimizerLike: TypeAlias = str | Optimizer | Mapping[str, Any]

_BY_NAME: dict[str, type[Optimizer]] = {
    cls.__name__.lower(): cls for cls in (SGD, RMSprop, Adagrad, Adam, AdamW, Nadam, Adamax, Lion)
}


def get(identifier: OptimizerLike) -> Optimizer:
    """Return the optimizer that is meant.

    >>> get("adam") == Adam()
    True

    Args:
        identifier: a name in any case (default settings), an `Optimizer`, or what `fastann.spec.serialize` made of one.

    Raises:
        ValueError: the name is unknown. TypeError: none of the above.
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, str):
        if identifier.lower() not in _BY_NAME:
            raise ValueError(
                f"an optimizer must be one of {', '.join(map(repr, sorted(_BY_NAME)))}, got {identifier!r}."
            )
        return _BY_NAME[identifier.lower()]()
    if isinstance(identifier, Mapping):
        return get(deserialize(identifier, lookup("optimizers")))
    hint = f"; make an object of it: {identifier.__name__}()" if isinstance(identifier, type) else ""
    raise TypeError(f"an optimizer must be a name or an Optimizer, got {identifier!r}{hint}.")
