"""Folders of idx files, the format of MNIST and its relatives.

An idx file is big-endian: the bytes 0, 0, the type (8 = uint8) and the number of dimensions; then each dimension as an
int32; then the values in C order (Y. LeCun, http://yann.lecun.com/exdb/mnist).
"""

from __future__ import annotations

import gzip
import zlib
from math import prod
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from fastann.datasets.dataset import Dataset, make_dataset

_UINT8 = 8
_CHUNK = 1 << 20
_LIMIT = 1 << 33


def load_idx(folder: Path, task: str = "auto") -> Dataset:
    """Load `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, plain or `.gz`, and the `t10k-` pair if there.

    Images become rows of uint8; the `t10k` pair is the test part.

    Raises:
        FileNotFoundError: the training pair is not complete.
        ValueError: a file is damaged or has another format, or images and labels differ in number.
    """
    train = _load_pair(folder, "train")
    if train is None:
        raise FileNotFoundError(
            f"{folder}: expected the idx files train-images-idx3-ubyte and train-labels-idx1-ubyte, plain or .gz."
        )
    images, labels = train
    pixels = [f"{i},{j}" for i in range(images.shape[1]) for j in range(images.shape[2])]
    return make_dataset(
        folder.resolve().name,
        images,
        labels,
        "classification" if task == "auto" else task,
        feature_names=pixels,
        description=f"{len(images):,} images of {images.shape[1]} x {images.shape[2]} pixels.",
        test=_load_pair(folder, "t10k"),
    )


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Return the array in the idx file `path`, plain or gzipped, which must have `dimensions` dimensions of uint8.

    Raises:
        ValueError: another magic number, or fewer or more bytes than the dimensions ask for.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _parse(file, path, dimensions)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: the gzip file is damaged or cut short ({error}).") from error


def _parse(file: IO[bytes] | gzip.GzipFile, path: Path, dimensions: int) -> NDArray[np.uint8]:
    magic = bytes((0, 0, _UINT8, dimensions))
    start = file.read(4)
    if start != magic:
        raise ValueError(
            f"{path}: expected the magic number {magic.hex()} of an idx file, got {start.hex() or 'nothing'}."
        )
    header = file.read(4 * dimensions)
    if len(header) != 4 * dimensions:
        raise ValueError(f"{path}: the header is cut short.")
    shape = tuple(int(size) for size in np.frombuffer(header, ">u4"))
    expected = prod(shape)
    if expected > _LIMIT:
        raise ValueError(f"{path}: the header asks for {expected:,} bytes; at most {_LIMIT:,} are read.")
    data = bytearray()
    while len(data) <= expected and (chunk := file.read(min(_CHUNK, expected + 1 - len(data)))):
        data += chunk
    if len(data) != expected:
        got = f"{len(data):,}" if len(data) < expected else "more"
        raise ValueError(f"{path}: expected {expected:,} values for the shape {shape}, got {got}.")
    return np.frombuffer(data, np.uint8).reshape(shape)


def _load_pair(folder: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    paths = [_find(folder, f"{part}-images", 3), _find(folder, f"{part}-labels", 1)]
    if paths[0] is None and paths[1] is None:
        return None
    if paths[0] is None or paths[1] is None:
        missing = "images" if paths[0] is None else "labels"
        raise FileNotFoundError(f"{folder}: the idx file of the {part} {missing} is missing.")
    images, labels = read_idx(paths[0], 3), read_idx(paths[1], 1)
    if len(images) != len(labels):
        raise ValueError(
            f"{folder}: expected as many labels as images, got {len(labels):,} and {len(images):,} ({part})."
        )
    return images, labels


def _find(folder: Path, stem: str, dimensions: int) -> Path | None:
    names = [f"{stem}{mark}idx{dimensions}-ubyte{end}" for mark in "-." for end in ("", ".gz")]
    return next((folder / name for name in names if (folder / name).is_file()), None)
