"""Networks as data: frozen dataclasses that can be printed, compared, hashed and written as JSON."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T", bound=type)

_REGISTRY: dict[str, dict[str, type]] = {}

#: Nesting deeper than this is no network of ours; it keeps hostile files from exhausting the stack.
_MAX_DEPTH = 64


def register(kind: str) -> Callable[[T], T]:
    """Return a class decorator that makes a class known to `lookup(kind)` under its own name."""

    def decorate(cls: T) -> T:
        _REGISTRY.setdefault(kind, {})[cls.__name__] = cls
        return cls

    return decorate


def lookup(kind: str) -> Mapping[str, type]:
    """Return the registered classes of one kind ("layers", "optimizers", ...), by name."""
    return _REGISTRY.get(kind, {})


class Spec:
    """Mix-in of frozen dataclasses: a description that holds no arrays and knows no backend."""

    def get_config(self) -> dict[str, Any]:
        """Return the fields as a dictionary that `json` can write; `from_config` makes an equal object of it."""
        assert is_dataclass(self)
        return {
            f.name: _plain(getattr(self, f.name), f"{type(self).__name__}.{f.name}") for f in fields(self) if f.init
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """Make an object from `get_config`'s dictionary.

        Raises:
            ValueError: a key is no field of this class.
        """
        assert is_dataclass(cls)
        known = {f.name for f in fields(cls) if f.init}
        unknown = sorted(set(config) - known)
        if unknown:
            raise ValueError(f"{cls.__name__} has the settings {', '.join(sorted(known))}, got {', '.join(unknown)}.")
        return cls(**{key: _restored(value, 0) for key, value in config.items()})


def serialize(spec: Any) -> dict[str, Any]:
    """Return {"class_name": ..., "config": ...} for a spec or metric.

    Raises:
        TypeError: the object, or something in it, is a Python function, which no file can hold.
    """
    if not hasattr(spec, "get_config"):
        raise TypeError(f"only fastann's own objects can be written to a file, got {spec!r}.")
    return {"class_name": type(spec).__name__, "config": spec.get_config()}


def deserialize(data: Mapping[str, Any], registry: Mapping[str, type]) -> Any:
    """Make the object that `serialize` described, from the classes in `registry` and no others.

    Raises:
        ValueError: the description is malformed or names a class that is not there.
    """
    if (
        not isinstance(data, Mapping)
        or set(data) != {"class_name", "config"}
        or not isinstance(data["config"], Mapping)
    ):
        raise ValueError(f"expected a description with class_name and config, got {str(data)[:80]!r}.")
    name = data["class_name"]
    if not isinstance(name, str) or name not in registry:
        raise ValueError(f"{str(name)[:80]!r} is unknown here; known are {', '.join(sorted(registry))}.")
    return registry[name].from_config(data["config"])  # type: ignore[attr-defined]


def number(value: Any, name: str) -> float:
    """Return a finite Python float; raises where `value` is none (True, a string, NaN)."""
    if isinstance(value, bool | str | bytes) or np.ndim(value) != 0:
        raise TypeError(f"{name} must be a number, got {value!r}.")
    try:
        result = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {value!r}.") from None
    if not np.isfinite(result):
        raise ValueError(f"{name} must be finite, got {result}.")
    return result


def bounded(
    value: Any, name: str, low: float = 0.0, high: float = float("inf"), *, above: bool = False, below: bool = False
) -> float:
    """Return a float in [low, high]; `above` and `below` leave the bound itself out."""
    result = number(value, name)
    if result < low or result > high or (above and result == low) or (below and result == high):
        limits = f"{'(' if above else '['}{low:g}, {high:g}{')' if below or high == float('inf') else ']'}"
        raise ValueError(f"{name} must lie in {limits}, got {result:g}.")
    return result


def whole(value: Any, name: str, low: int = 0) -> int:
    """Return an int not below `low`."""
    try:
        result = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        result = None
    if result is None:
        raise TypeError(f"{name} must be a whole number, got {value!r}.")
    if result < low:
        raise ValueError(f"{name} must be at least {low}, got {result}.")
    return result


def _plain(value: Any, where: str) -> Any:
    """Return `value` in the types that JSON has; specs become their description."""
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value)
    if isinstance(value, tuple | list):
        return [_plain(v, where) for v in value]
    if hasattr(value, "get_config"):
        return serialize(value)
    raise TypeError(f"{where} is {value!r}, which cannot be written to a file; use one of fastann's own objects.")


def _restored(value: Any, depth: int) -> Any:
    """Undo `_plain`: lists become tuples, descriptions objects of any registered class."""
    if depth > _MAX_DEPTH:
        raise ValueError(f"a description must not nest deeper than {_MAX_DEPTH} levels.")
    if isinstance(value, list):
        return tuple(_restored(v, depth + 1) for v in value)
    if isinstance(value, Mapping):
        classes = {name: cls for kind in _REGISTRY.values() for name, cls in kind.items()}
        return deserialize(value, classes)
    return value
