"""Arguments of `compile` that a model with several outputs takes for each of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def per_output(given: Any, names: Sequence[str], what: str) -> list[Any]:
    """Return one entry an output.

    Args:
        given: one entry for all outputs, a list with one for each, or a dict by the names of outputs, where those that
            are missing have None.
        names: of the outputs.
        what: the argument, for messages.

    Raises:
        ValueError: too few or too many entries, or a name that no output has.
    """
    if isinstance(given, Mapping):
        _check_names(given, names, what)
        return [given.get(name) for name in names]
    if isinstance(given, list | tuple):
        if len(given) != len(names):
            raise ValueError(
                f"{what} must have one entry for each output ({', '.join(names)}), {len(names)}, got {len(given)}."
            )
        return list(given)
    return [given] * len(names)


def lists_per_output(given: Any, names: Sequence[str], what: str) -> list[Sequence[Any]]:
    """Return a list of entries an output.

    Args:
        given: for a single output a list of entries; for several a list with an entry or a list of entries for each,
            or a dict by the names of outputs. None for nothing.
        names: of the outputs.
        what: the argument, for messages.

    Raises:
        TypeError, ValueError: it has another form.
    """
    if given is None:
        return [()] * len(names)
    if isinstance(given, Mapping):
        _check_names(given, names, what)
        return [_as_list(given.get(name)) for name in names]
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise TypeError(f"{what} must be a list such as ['accuracy'], got {given!r}.")
    nested = any(isinstance(entry, list | tuple) for entry in given)
    if len(names) == 1 and not nested:
        return [given]
    if len(given) != len(names):
        raise ValueError(
            f"{what} must have one entry or list for each output ({', '.join(names)}), {len(names)}, got {len(given)}; "
            "or give a dict by the names of outputs."
        )
    return [_as_list(entry) for entry in given]


def _as_list(entry: Any) -> Sequence[Any]:
    if entry is None:
        return ()
    return entry if isinstance(entry, list | tuple) else (entry,)


def _check_names(given: Mapping[Any, Any], names: Sequence[str], what: str) -> None:
    for name in given:
        if name not in names:
            raise ValueError(f"{what} must name outputs of the model ({', '.join(names)}), got {name!r}.")
