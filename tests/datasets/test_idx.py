"""Folders of idx files."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from fastann.datasets import load

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (10, 3, 2), dtype=np.uint8)
LABELS = np.arange(10, dtype=np.uint8) % 5


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">4B{array.ndim}i", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    (folder / "train-images-idx3-ubyte").write_bytes(idx(IMAGES))
    (folder / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(LABELS)))
    return folder


def test_training_part_only(folder: Path) -> None:
    data = load(folder)
    assert data.name == "pictures"
    assert data.x.dtype == np.uint8
    np.testing.assert_array_equal(data.x, IMAGES.reshape(10, 6))
    np.testing.assert_array_equal(data.y, LABELS)
    assert data.class_names == ("0", "1", "2", "3", "4")
    assert data.feature_names == ("0,0", "0,1", "1,0", "1,1", "2,0", "2,1")
    assert data.test is None


def test_both_parts(folder: Path) -> None:
    (folder / "t10k-images.idx3-ubyte").write_bytes(idx(IMAGES[:4]))
    (folder / "t10k-labels.idx1-ubyte").write_bytes(idx(LABELS[:4]))
    data = load(folder)
    assert len(data.x) == 10
    assert data.test is not None
    np.testing.assert_array_equal(data.test.x, IMAGES[:4].reshape(4, 6))
    np.testing.assert_array_equal(data.test.y, LABELS[:4])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "expected the magic number 00000803 of an idx file, got nothing"),
        (b"\x89PNG", "got 89504e47"),
        (idx(LABELS), "expected the magic number 00000803 of an idx file, got 00000801"),
        (idx(IMAGES)[:9], "the header is cut short"),
        (idx(IMAGES)[:-1], r"expected 60 values for the shape \(10, 3, 2\), got 59"),
        (idx(IMAGES) + b"x", r"expected 60 values for the shape \(10, 3, 2\), got more"),
        (struct.pack(">4B3I", 0, 0, 8, 3, *[2**32 - 1] * 3), "the header asks for"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 2**30, 2, 2), "got 0"),
        (idx(IMAGES[:9]), "expected as many labels as images, got 10 and 9"),
        (idx(IMAGES[:0]), "expected as many labels as images"),
    ],
)
def test_refused(folder: Path, content: bytes, message: str) -> None:
    (folder / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load(folder)


def test_damaged_gzip(folder: Path) -> None:
    path = folder / "train-labels-idx1-ubyte.gz"
    whole = path.read_bytes()
    for data in (whole[:-12], whole[:-4] + b"oops", b"no gzip"):
        path.write_bytes(data)
        with pytest.raises(ValueError, match="damaged or cut short"):
            load(folder)


def test_missing_files(folder: Path) -> None:
    (folder / "t10k-labels-idx1-ubyte").write_bytes(idx(LABELS))
    with pytest.raises(FileNotFoundError, match="the idx file of the t10k images is missing"):
        load(folder)
    (folder / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match="the idx file of the train labels is missing"):
        load(folder)
    (folder / "train-images-idx3-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="expected the idx files train-images-idx3-ubyte and"):
        load(folder)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_real_folders(data_folder: Path, name: str) -> None:
    data = load(data_folder / name)
    assert data.x.shape == (60000, 784)
    assert data.test is not None
    assert data.test.x.shape == (10000, 784)
    assert np.bincount(data.y).sum() == 60000
    assert data.classes == 10
