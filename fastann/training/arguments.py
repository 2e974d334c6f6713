"""The plain arguments of `fit`, `evaluate` and `predict`, checked before anything is done."""

from __future__ import annotations

import operator
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

#: Rows a batch where the user says nothing, as in Keras.
BATCH_SIZE = 32


@dataclass(frozen=True)
class FitArguments:
    """Those of `fit` that are numbers and switches; for their meaning see `Model.fit`."""

    batch_size: int
    epochs: int
    validation_split: float
    shuffle: bool
    initial_epoch: int
    steps_per_epoch: int | None
    validation_steps: int | None
    validation_batch_size: int
    validation_freq: int | tuple[int, ...]

    def validates_after(self, epoch: int) -> bool:
        """Return whether epoch number `epoch`, from 0, is followed by a validation."""
        if isinstance(self.validation_freq, int):
            return (epoch + 1) % self.validation_freq == 0
        return epoch + 1 in self.validation_freq


def fit_arguments(
    batch_size: Any = None,
    epochs: Any = 1,
    validation_split: Any = 0.0,
    shuffle: Any = True,
    initial_epoch: Any = 0,
    steps_per_epoch: Any = None,
    validation_steps: Any = None,
    validation_batch_size: Any = None,
    validation_freq: Any = 1,
) -> FitArguments:
    """Check the arguments of `fit`; raises ValueError or TypeError."""
    if not isinstance(shuffle, bool):
        raise TypeError(f"shuffle must be True or False, got {shuffle!r}.")
    size = batch_rows(batch_size)
    return FitArguments(
        batch_size=size,
        epochs=whole_number(epochs, "epochs", 0),
        validation_split=_fraction(validation_split),
        shuffle=shuffle,
        initial_epoch=whole_number(initial_epoch, "initial_epoch", 0),
        steps_per_epoch=optional_count(steps_per_epoch, "steps_per_epoch"),
        validation_steps=optional_count(validation_steps, "validation_steps"),
        validation_batch_size=size
        if validation_batch_size is None
        else whole_number(validation_batch_size, "validation_batch_size", 1),
        validation_freq=_frequency(validation_freq),
    )


def batch_rows(given: Any) -> int:
    """Return a batch size; None stands for 32."""
    return BATCH_SIZE if given is None else whole_number(given, "batch_size", 1)


def optional_count(given: Any, name: str) -> int | None:
    """Return a whole number of at least 1, or None."""
    return None if given is None else whole_number(given, name, 1)


def whole_number(given: Any, name: str, least: int) -> int:
    """Return `given` as an int; raises TypeError or ValueError unless it is a whole number of at least `least`."""
    try:
        number = None if isinstance(given, bool) else operator.index(given)
    except TypeError:
        number = None
    if number is None:
        raise TypeError(f"{name} must be a whole number, got {given!r}.")
    if number < least:
        raise ValueError(f"{name} must be at least {least}, got {number}.")
    return number


def verbosity(given: Any) -> int | None:
    """Return 0, 1 or 2, or None for "auto"."""
    if isinstance(given, str) and given == "auto":
        return None
    try:
        number = operator.index(given)
    except TypeError:
        number = -1
    if number not in (0, 1, 2):
        raise ValueError(f"verbose must be 'auto', 0, 1 or 2, got {given!r}.")
    return int(number)


def _fraction(given: Any) -> float:
    try:
        number = -1.0 if isinstance(given, bool | str | bytes) else float(given)
    except (TypeError, ValueError):
        number = -1.0
    if not 0.0 <= number < 1.0:
        raise ValueError(f"validation_split must be a fraction of at least 0 and below 1, got {given!r}.")
    return number


def _frequency(given: Any) -> int | tuple[int, ...]:
    if isinstance(given, Collection) and not isinstance(given, str | bytes):
        return tuple(whole_number(epoch, "each entry of validation_freq", 1) for epoch in given)
    return whole_number(given, "validation_freq", 1)
