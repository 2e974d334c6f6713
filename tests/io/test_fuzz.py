"""Damaged files, by the hundred: each is refused in one sentence or read correctly, and none takes much memory."""

from __future__ import annotations

import random
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from fastann import Sequential, load_model
from fastann.io import ModelFileError
from fastann.io.archive import write_archive
from fastann.layers import Dense, Dropout, Input

MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def model() -> Sequential:
    layers = [Input((4,)), Dense(6, "relu", kernel_regularizer="l2"), Dropout(0.1), Dense(2, "softmax")]
    model = Sequential(layers, seed=3)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"], backend="numba")
    model.fit(np.ones((8, 4)), np.arange(8) % 2, verbose=0)
    return model


def flip(data: bytearray, rng: random.Random) -> bytearray:
    for _ in range(rng.choice((1, 1, 2, 8))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return data


def overwrite(data: bytearray, rng: random.Random) -> bytearray:
    at, length = rng.randrange(len(data)), rng.randrange(1, 40)
    data[at : at + length] = rng.choice((b"\x00", b"\xff", rng.randbytes(1))) * length
    return data


def cut(data: bytearray, rng: random.Random) -> bytearray:
    return data[: rng.randrange(len(data))]


def remove(data: bytearray, rng: random.Random) -> bytearray:
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.randrange(1, 200) :]


def insert(data: bytearray, rng: random.Random) -> bytearray:
    at = rng.randrange(len(data))
    return data[:at] + rng.randbytes(rng.randrange(1, 50)) + data[at:]


def repeat(data: bytearray, rng: random.Random) -> bytearray:
    start, end = sorted(rng.choices(range(len(data)), k=2))
    return data[:end] + data[start:]


def digits(data: bytearray, rng: random.Random) -> bytearray:
    """Replace a digit by many: sizes, shapes, offsets and units become huge."""
    places = [i for i, byte in enumerate(data) if 48 <= byte <= 57]
    at = rng.choice(places or [0])
    return data[:at] + rng.choice((b"9", b"0", b"-1", b"9" * 9, b"9" * 18, b"1e999", b"null", b"[]")) + data[at + 1 :]


DAMAGES = (flip, overwrite, cut, remove, insert, repeat, digits)


def check(path: Path, model: Sequential, whole_file: bool) -> bool:
    """Load `path` under watch; return whether it was refused."""
    found, message = None, ""
    tracemalloc.start()
    try:
        found = load_model(path)
    except ModelFileError as error:
        message = str(error)
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 8 * MEGABYTE, f"{peak:,} bytes"
    if found is None:
        assert 0 < len(message) < 700
        assert "\n" not in message
        return True
    if whole_file:  # the checksums hold, so what is in the members is what was written
        assert found.get_config() == model.get_config()
        for weight, expected in zip(found.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_array_equal(weight, expected)
    return False


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_archives(tmp_path: Path, model: Sequential, damage) -> None:
    path = tmp_path / "m"
    model.save(path)
    good = path.read_bytes()
    refused = 0
    for seed in range(60):
        path.write_bytes(damage(bytearray(good), random.Random(seed)))
        refused += check(path, model, whole_file=True)
    assert refused > 30


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("member", ["fastann.json", "weights.safetensors", "optimizer.safetensors"])
def test_damaged_members_with_good_checksums(tmp_path: Path, model: Sequential, damage, member: str) -> None:
    model.save(tmp_path / "good")
    with zipfile.ZipFile(tmp_path / "good") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for seed in range(40):
        changed = bytes(damage(bytearray(members[member]), random.Random(seed)))
        write_archive(tmp_path / "bad", {**members, member: changed})
        check(tmp_path / "bad", model, whole_file=False)


def test_damaged_weight_files(tmp_path: Path, model: Sequential) -> None:
    path = tmp_path / "w"
    model.save_weights(path)
    good = path.read_bytes()
    other = Sequential([Input((4,)), Dense(6, name="dense"), Dense(2, name="dense_1")], seed=1)
    for seed in range(200):
        rng = random.Random(seed)
        path.write_bytes(rng.choice(DAMAGES)(bytearray(good), rng))
        before = other.get_weights()
        try:
            other.load_weights(path)
        except ModelFileError:
            for weight, kept in zip(other.get_weights(), before, strict=True):
                np.testing.assert_array_equal(weight, kept)
