"""Safetensors that are exactly what was expected, or refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load

from fastann.io.archive import ModelFileError
from fastann.io.tensors import pack, size_limit, unpack

SHAPES = {"dense/kernel": (3, 2), "dense/bias": (2,), "scale": ()}


def tensors(dtype: str = "float32") -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: np.asarray(rng.normal(size=shape), dtype) for name, shape in SHAPES.items()}


def raw(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_round_trip_is_bit_exact_and_in_order(dtype: str) -> None:
    given = tensors(dtype)
    given["dense/bias"][0] = np.nan
    given["dense/kernel"][0] = [-0.0, np.inf]
    found = unpack(pack(given), SHAPES, "it")
    assert list(found) == list(SHAPES)
    for name, array in given.items():
        assert found[name].dtype == dtype
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()


def test_the_library_reads_what_is_packed_from_any_layout() -> None:
    given = {"a": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "b": np.arange(10.0)[::2].astype(">f8")}
    found = load(pack(given))
    np.testing.assert_array_equal(found["a"], [[0, 1, 2], [3, 4, 5]])
    np.testing.assert_array_equal(found["b"], [0, 2, 4, 6, 8])


def test_no_tensors_at_all() -> None:
    assert unpack(pack({}), {}, "it") == {}


def test_size_limit_holds_what_is_packed() -> None:
    for dtype in ("float32", "float64"):
        assert len(pack(tensors(dtype))) <= size_limit(SHAPES)
    odd = {"\x01" * 50: (3,)}
    assert len(pack({name: np.zeros(shape) for name, shape in odd.items()})) <= size_limit(odd)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("scale"), "lacks the tensor 'scale'; it belongs to another network"),
        (lambda t: t.clear(), "lacks the tensors 'dense/kernel', 'dense/bias', 'scale'"),
        (lambda t: t.update(extra=np.zeros(1)), "holds the tensor 'extra', which this network does not have"),
        (
            lambda t: t.update({"dense/bias": np.zeros(3)}),
            r"the tensor 'dense/bias' must have shape \(2,\), got \(3,\)",
        ),
        (lambda t: t.update({"dense/bias": np.zeros(2, np.int64)}), "must be of type F32 or F64, got 'I64'"),
        (lambda t: t.update({"dense/bias": np.zeros((1, 2))}), r"must have shape \(2,\), got \(1, 2\)"),
    ],
)
def test_other_tensors_than_expected(change, message: str) -> None:
    given = tensors()
    change(given)
    with pytest.raises(ModelFileError, match=message):
        unpack(pack(given), SHAPES, "it")


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x01",
        raw({}, length=2**63),
        raw({"a": ENTRY}, b"", length=10**6),
        raw({"a": ENTRY}, b""),
        raw({"a": ENTRY}, bytes(7)),
        raw({"a": ENTRY}, bytes(9)),
        raw({"a": {**ENTRY, "shape": [2**62]}}, bytes(8)),
        raw({"a": {**ENTRY, "shape": [2**33, 2**33]}}, bytes(8)),
        raw({"a": {**ENTRY, "shape": [-2]}}, bytes(8)),
        raw({"a": {**ENTRY, "dtype": "F31"}}, bytes(8)),
        raw({"a": {**ENTRY, "dtype": "BF16"}}, bytes(8)),
        raw({"a": {**ENTRY, "data_offsets": [8, 0]}}, bytes(8)),
        raw({"a": {**ENTRY, "data_offsets": [4, 12]}}, bytes(12)),
        raw({"a": ENTRY, "b": ENTRY}, bytes(8)),
        raw(b'{"a":' * 5000, bytes(8)),
        raw(b"[" * 60000, bytes(8)),
        raw(b"\xff" * 10, bytes(8)),
        raw(b'{"a": 1}' + b" " * 70_000, bytes(8)),
    ],
)
def test_hostile_headers(data: bytes) -> None:
    with pytest.raises(ModelFileError):
        unpack(data, {"a": (2,)}, "it")
