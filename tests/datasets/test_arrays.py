""".npz files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fastann.datasets import load

X, Y = np.arange(12.0).reshape(6, 2), np.array([0, 1, 0, 1, 1, 0])


@pytest.mark.parametrize("suffix", ["", "_train"])
def test_two_arrays(tmp_path: Path, suffix: str) -> None:
    np.savez_compressed(tmp_path / "d.npz", **{f"x{suffix}": X, f"y{suffix}": Y, "more": np.zeros(3)})
    data = load(tmp_path / "d.npz")
    np.testing.assert_array_equal(data.x, X)
    np.testing.assert_array_equal(data.y, Y)
    assert data.name == "d"
    assert data.test is None


def test_four_arrays_keep_the_parts_apart(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x_train=X, y_train=Y, x_test=X[:2] + 1, y_test=Y[:2])
    data = load(str(tmp_path / "d.npz"))
    assert data.test is not None
    np.testing.assert_array_equal(data.test.x, X[:2] + 1)
    np.testing.assert_array_equal(data.test.y, [0, 1])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": X}, "expected arrays 'x' and 'y'.* got x"),
        ({}, "got nothing"),
        ({"x": X, "y": Y, "x_test": X}, "both 'x_test' and 'y_test' or neither"),
        ({"x": X, "y": np.array([None] * 6)}, "the array 'y' cannot be read: Object arrays cannot be loaded"),
        ({"x": X, "y": Y[:3]}, "as many rows, got 6 and 3"),
        ({"x": np.float64(3), "y": Y}, r"got x of shape \(\)"),
    ],
)
def test_refused(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "d.npz")


def test_not_an_npz(tmp_path: Path) -> None:
    path = tmp_path / "d.npz"
    for data in (b"", b"hello", b"PK\x03\x04 and so on", b"\x80\x04\x95"):
        path.write_bytes(data)
        with pytest.raises(ValueError, match="cannot be read"):
            load(path)
    with path.open("wb") as file:
        np.save(file, X)
    with pytest.raises(ValueError, match="got a single array"):
        load(path)


def test_damage_is_reported(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", x=X, y=Y)
    data = bytearray((tmp_path / "d.npz").read_bytes())
    data[data.index(X.tobytes()) + 5] ^= 255
    (tmp_path / "d.npz").write_bytes(data)
    with pytest.raises(ValueError, match="the array 'x' cannot be read: Bad CRC"):
        load(tmp_path / "d.npz")
