"""JSON that is read strictly: a size, a depth and a number of values are allowed, double keys are not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import accumulate
from typing import Any

from fastann.io.archive import ModelFileError, cleaned

#: Bytes of a document; a network of a thousand layers takes about one million.
MAX_BYTES = 16 << 20
#: Values in a document: 16 MiB of empty lists would otherwise become half a gigabyte of objects.
MAX_VALUES = 500_000
#: Brackets inside brackets.
MAX_DEPTH = 100

_BRACKETS = b"[]{}"
_NOT_BRACKETS = bytes(set(range(256)) - set(_BRACKETS))


def dumps(document: Mapping[str, Any]) -> bytes:
    """Return `document` as indented JSON.

    Raises:
        ValueError: it holds NaN or infinity, which JSON cannot say.
        TypeError: it holds something that is no JSON value.
    """
    try:
        return json.dumps(document, indent=1, allow_nan=False).encode()
    except ValueError as error:
        raise ValueError("a setting is NaN or infinite, which no file can hold; give it a finite value.") from error


def loads(data: bytes, what: str) -> dict[str, Any]:
    """Return the JSON object in `data`; `what` names it in messages.

    Raises:
        ModelFileError: too large, too deep, not UTF-8, not JSON, not an object, or a key stands in it twice.
    """
    if len(data) > MAX_BYTES:
        raise ModelFileError(f"{what} has {len(data):,} bytes, at most {MAX_BYTES:,} are allowed.")
    values = sum(data.count(mark) for mark in (b",", b"[", b"{"))
    if values > MAX_VALUES:
        raise ModelFileError(f"{what} holds about {values:,} values, at most {MAX_VALUES:,} are allowed.")
    steps = (1 if mark in b"[{" else -1 for mark in data.translate(None, _NOT_BRACKETS))
    depth = max(accumulate(steps), default=0)
    if depth > MAX_DEPTH:
        raise ModelFileError(f"{what} is nested {depth:,} levels deep, at most {MAX_DEPTH} are allowed.")
    try:
        document = json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except ModelFileError as error:
        raise ModelFileError(f"{what} {error}") from error
    except (ValueError, RecursionError) as error:
        raise ModelFileError(f"{what} is not valid JSON ({cleaned(error)}).") from error
    if not isinstance(document, dict):
        raise ModelFileError(f"{what} must be a JSON object, got {type(document).__name__}.")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ModelFileError("gives a key twice.")
    return document


def _no_constant(name: str) -> Any:
    raise ModelFileError(f"holds {name}, which is no JSON value.")
