"""What users give for several inputs or outputs at once: lists in their order, or dicts by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def one_each(given: Any, names: Sequence[str], what: str, partial: bool = False) -> list[Any]:
    """Return what is given for each input or output, in their order.

    Args:
        given: of a model with one of them, that itself; otherwise a list or tuple in the order of `names`. A dict by
            names always will do.
        names: of the inputs or outputs.
        what: the argument, for messages.
        partial: whether entries may be missing in a dict; they are None.

    Raises:
        TypeError, ValueError: the structure or a name does not fit.
    """
    if isinstance(given, Mapping):
        return _by_name(given, names, what, partial)
    if len(names) == 1:
        return [given]
    if not isinstance(given, list | tuple):
        raise TypeError(
            f"{what} must be a list with one entry for each of {', '.join(names)}, or a dict by these names, "
            f"got {type(given).__name__}."
        )
    if len(given) != len(names):
        raise ValueError(f"{what} must have one entry for each of {', '.join(names)}, {len(names)}, got {len(given)}.")
    return list(given)


def labels(names: Sequence[str], what: str) -> list[str]:
    """Return what messages call the entry of each input or output.

    >>> labels(["dense"], "y"), labels(["mean", "scale"], "y")
    (['y'], ["y['mean']", "y['scale']"])
    """
    return [what] if len(names) == 1 else [f"{what}[{name!r}]" for name in names]


def _by_name(given: Mapping[Any, Any], names: Sequence[str], what: str, partial: bool) -> list[Any]:
    for name in given:
        if name not in names:
            raise ValueError(f"{what} must have the keys {', '.join(names)}, got {name!r}.")
    missing = [name for name in names if name not in given]
    if missing and not partial:
        raise ValueError(f"{what} must have the keys {', '.join(names)}, but {missing[0]!r} is missing.")
    return [given.get(name) for name in names]
