"""Specifications: settings as frozen data that can be compared, hashed, printed, and written to and read from JSON.

Layers, activations, initializers, regularizers, losses, optimizers and schedules are specifications. In JSON each
stands as

    {"class_name": "Dense", "kind": "layers", "config": {"units": 16, ...}}

and is made again by looking its class up by kind and name. Nothing in a file chooses what is imported or called: only
classes that were registered are ever made.
"""

from __future__ import annotations

import importlib
import operator
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields
from types import MappingProxyType
from typing import Any, ClassVar, Self, TypeVar

import numpy as np

#: Kinds of specifications; each is also the module of this package that registers its classes.
KINDS = ("activations", "initializers", "layers", "losses", "metrics", "optimizers", "regularizers", "schedules")

_registry: dict[str, dict[str, type]] = {kind: {} for kind in KINDS}
_kind_of: dict[type, str] = {}

Class = TypeVar("Class", bound=type)


class Spec:
    """What frozen dataclasses gain by deriving from this: their settings as JSON-able data, and back.

    Settings are numbers, strings, booleans, None, tuples of these, and other specifications.

    >>> from fastann.initializers import RandomNormal
    >>> RandomNormal(stddev=0.1).get_config()
    {'mean': 0.0, 'stddev': 0.1, 'seed': None}
    >>> RandomNormal.from_config({"stddev": 0.1}) == RandomNormal(stddev=0.1)
    True
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def get_config(self) -> dict[str, Any]:
        """Return the settings as JSON-able data, tuples as lists; raises TypeError for Python functions among them."""
        return {f.name: _encode(getattr(self, f.name), _place(self, f.name)) for f in fields(self) if f.init}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make the specification that `get_config` described; settings left out have their defaults.

        Raises:
            ValueError: a setting is unknown or missing, or its value is not allowed.
            TypeError: a value is of the wrong type.
        """
        known = {f.name: f for f in fields(cls) if f.init}
        unknown = [name for name in config if name not in known]
        if unknown:
            raise ValueError(
                f"{cls.__name__} has the settings {', '.join(known) or 'none'}, got {unknown[0]!r}; remove it."
            )
        for name, f in known.items():
            if name not in config and f.default is MISSING and f.default_factory is MISSING:
                raise ValueError(f"{cls.__name__} needs the setting {name!r}, got only {sorted(config)}.")
        return cls(**{name: _decode(value) for name, value in config.items()})

    def _set(self, **settings: Any) -> None:
        """Store checked values while the object is being made; it is frozen afterwards."""
        for name, value in settings.items():
            object.__setattr__(self, name, value)


def register(kind: str) -> Callable[[Class], Class]:
    """Return a decorator that makes a class known by its name to `deserialize` and to model files.

    The class must have `get_config` and `from_config`, as every `Spec` has. Use it on classes of your own too:

    >>> from dataclasses import dataclass
    >>> from fastann.schedules import LearningRateSchedule
    >>> @register("schedules")
    ... @dataclass(frozen=True)
    ... class Halving(LearningRateSchedule):
    ...     steps: int
    ...     def __call__(self, step):
    ...         return 0.1 * 0.5 ** (step / self.steps)
    >>> deserialize(serialize(Halving(100)))
    Halving(steps=100)

    Args:
        kind: a name of `KINDS`.

    Raises:
        ValueError: the kind is unknown, or another class of that kind has the name.
        TypeError: the class has no `get_config` and `from_config` that work; a `Spec` must be a dataclass.
    """
    table = _table(kind)

    def add(cls: Class) -> Class:
        if not (hasattr(cls, "get_config") and hasattr(cls, "from_config")):
            raise TypeError(
                f"{cls.__name__} must have get_config and from_config to be registered; derive it from Spec."
            )
        if issubclass(cls, Spec) and "__dataclass_fields__" not in vars(cls) and cls.get_config is Spec.get_config:
            raise TypeError(
                f"{cls.__name__} must be a frozen dataclass to be registered; put @dataclass(frozen=True) on it."
            )
        other = table.get(cls.__name__)
        if other is not None and (other.__module__, other.__qualname__) != (cls.__module__, cls.__qualname__):
            raise ValueError(f"{kind} must have names of their own, got a second {cls.__name__!r}; rename the class.")
        table[cls.__name__] = cls
        _kind_of[cls] = kind
        return cls

    return add


def lookup(kind: str) -> Mapping[str, type]:
    """Return the classes registered as `kind`, by name; raises ValueError if there is no such kind."""
    table = _table(kind)
    importlib.import_module(f"fastann.{kind}")
    return MappingProxyType(table)


def serialize(obj: Any) -> dict[str, Any]:
    """Return a registered object as JSON-able data that `deserialize` makes an equal object from.

    Raises:
        TypeError: its class is not registered, or one of its settings is a function or another thing that cannot be
            written as JSON.
    """
    kind = _kind_of.get(type(obj))
    if kind is None:
        raise TypeError(
            f"only objects of registered classes can be saved, got {_name(obj)}; "
            "decorate a class of your own with fastann.spec.register."
        )
    config = {name: _encode(value, _place(obj, name)) for name, value in obj.get_config().items()}
    return {"class_name": type(obj).__name__, "kind": kind, "config": config}


def deserialize(data: Mapping[str, Any], registry: Mapping[str, type] | None = None) -> Any:
    """Make the object that `serialize` described.

    Args:
        data: what `serialize` returned; "kind" may be left out if `registry` is given.
        registry: the classes to choose from, such as `lookup("layers")`; by default those of the kind in `data`.

    Raises:
        ValueError: the description is not of that form, its class is unknown, or a setting is not allowed.
        TypeError: a setting is of the wrong type.
    """
    if not _is_description(data):
        raise ValueError(f"a saved object must be a mapping with 'class_name' and 'config', got {_shortened(data)}.")
    name, config = data["class_name"], data["config"]
    if registry is None:
        registry = lookup(data.get("kind", ""))
    cls = registry.get(name)
    if cls is None:
        raise ValueError(
            f"the class must be a registered one, got {_shortened(name)}; import the module that registers it, if it "
            f"is your own; registered are {', '.join(sorted(registry))}."
        )
    try:
        return cls.from_config({key: _decode(value) for key, value in config.items()})  # type: ignore[attr-defined]
    except RecursionError:
        raise ValueError(f"the settings of {name} are nested too deeply to be read.") from None


def flag(value: Any, name: str) -> bool:
    """Return True or False; raises TypeError for anything else, 0 and 1 among them."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r}.")
    return bool(value)


def label(value: Any, name: str) -> str | None:
    """Return a string or None; raises TypeError for anything else."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} must be a string or None, got {value!r}.")
    return value


def number(value: Any, name: str) -> float:
    """Return a finite Python float; raises where `value` is none (True, a string, NaN)."""
    if isinstance(value, bool | np.bool_ | str | bytes) or np.ndim(value) != 0:
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
        result = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        result = None
    if result is None:
        raise TypeError(f"{name} must be a whole number, got {value!r}.")
    if result < low:
        raise ValueError(f"{name} must be at least {low}, got {result}.")
    return result


def _table(kind: str) -> dict[str, type]:
    if not isinstance(kind, str) or kind not in _registry:
        raise ValueError(f"the kind must be one of {', '.join(KINDS)}, got {_shortened(kind)}.")
    return _registry[kind]


def _is_description(data: Any) -> bool:
    return (
        isinstance(data, Mapping)
        and isinstance(data.get("class_name"), str)
        and isinstance(data.get("config"), Mapping)
        and all(isinstance(key, str) for key in data["config"])
    )


def _encode(value: Any, place: str) -> Any:
    """Return `value` as JSON-able data; `place` names the setting in errors."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return [_encode(item, place) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _encode(item, place) for key, item in value.items()}
    if type(value) in _kind_of:
        return serialize(value)
    raise TypeError(
        f"{place} must be a number, string, tuple or registered object to be saved, got {_name(value)}; "
        "a Python function cannot be written to a file, a class decorated with fastann.spec.register can."
    )


def _decode(value: Any) -> Any:
    """Return what `_encode` was given, lists as tuples; objects pass."""
    if isinstance(value, list | tuple):
        return tuple(_decode(item) for item in value)
    if isinstance(value, Mapping):
        if "class_name" in value:
            return deserialize(value)
        return {key: _decode(item) for key, item in value.items()}
    return value


def _place(obj: Any, setting: str) -> str:
    return f"{type(obj).__name__}.{setting}"


def _name(value: Any) -> str:
    if isinstance(value, type) or callable(value):
        name = getattr(value, "__qualname__", None)
        if name is not None:
            return f"{type(value).__name__} {name!r}"
    return f"an object of type {type(value).__qualname__}"


def _shortened(value: Any, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
