"""Strict JSON."""

from __future__ import annotations

import pytest

from fastann.io.archive import ModelFileError
from fastann.io.documents import MAX_BYTES, dumps, loads


def test_round_trip_keeps_floats_exactly() -> None:
    document = {"a": 0.1, "b": [1, 1e-320, -0.0, 2**63], "c": {"d": None, "e": True, "ü": "Ω\n"}}
    assert loads(dumps(document), "it") == document


def test_what_json_cannot_say_is_not_written() -> None:
    with pytest.raises(ValueError, match="a setting is NaN or infinite"):
        dumps({"a": float("nan")})
    with pytest.raises(TypeError, match="not JSON serializable"):
        dumps({"a": object()})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[1]", "must be a JSON object, got list"),
        (b"\xff\xfe{}", "not valid JSON"),
        (b'{"a": NaN}', "holds NaN"),
        (b'{"a": -Infinity}', "holds -Infinity"),
        (b'{"a": 1, "a": 2}', "gives a key twice"),
        (b'{"a": ' + b"9" * 10_000 + b"}", "not valid JSON"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "nested 200 levels deep"),
        (b'{"a": ' + b"[" * 1_000_00, "nested 100,001 levels deep"),
        (b'{"a": [' + b"[]," * 600_000 + b"1]}", "about 1,200,002 values"),
        (b" " * (MAX_BYTES + 1), "at most 16,777,216 are allowed"),
    ],
)
def test_refused(data: bytes, message: str) -> None:
    with pytest.raises(ModelFileError, match=f"^the document .*{message}"):
        loads(data, "the document")
