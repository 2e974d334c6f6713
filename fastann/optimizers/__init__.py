"""Optimizers as data, with Keras' names, defaults and formulas."""

from __future__ import annotations

from typing import Any

from fastann import schedules
from fastann.optimizers.adagrad import Adagrad
from fastann.optimizers.adam import Adam, Adamax, AdamW, Nadam
from fastann.optimizers.base import Optimizer
from fastann.optimizers.lion import Lion
from fastann.optimizers.rmsprop import RMSprop
from fastann.optimizers.sgd import SGD

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "get",
    "schedules",
]

_BY_NAME: dict[str, type[Optimizer]] = {
    cls.__name__.lower(): cls for cls in (SGD, RMSprop, Adagrad, Adam, AdamW, Nadam, Adamax, Lion)
}


def get(identifier: Any) -> Optimizer:
    """Return the optimizer meant by an object or by a name ("adam", in any case) with default settings.

    Raises:
        ValueError: unknown name. TypeError: neither of the above.
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, str):
        if identifier.lower() not in _BY_NAME:
            raise ValueError(f"optimizer must be one of {', '.join(map(repr, sorted(_BY_NAME)))}, got {identifier!r}.")
        return _BY_NAME[identifier.lower()]()
    hint = f"; make an object of it: {identifier.__name__}()" if isinstance(identifier, type) else ""
    raise TypeError(f"an optimizer must be a name or an Optimizer, got {identifier!r}{hint}.")
