"""`.npz` files with arrays x and y."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from fastann.datasets.dataset import Array, Dataset, make_dataset

_KEYS = (("x", "y"), ("x_train", "y_train"))
_DAMAGE = (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error)


def load_npz(path: Path, task: str = "auto") -> Dataset:
    """Load `x` and `y`, or `x_train` and `y_train`, from an `.npz` file, and `x_test` and `y_test` if they are there.

    Pickled objects are never read.

    Raises:
        ValueError: the file is damaged, an array is missing or holds Python objects.
    """
    arrays = _read(path)
    for x, y in _KEYS:
        if x in arrays and y in arrays:
            break
    else:
        held = ", ".join(sorted(arrays)) or "nothing"
        raise ValueError(f"{path}: expected arrays 'x' and 'y' (or 'x_train' and 'y_train'), got {held}.")
    if ("x_test" in arrays) != ("y_test" in arrays):
        raise ValueError(f"{path}: expected both 'x_test' and 'y_test' or neither, got only one of them.")
    test = (arrays["x_test"], arrays["y_test"]) if "x_test" in arrays else None
    description = f"{len(arrays[x]):,} rows from {path.name}." if arrays[x].ndim else ""
    return make_dataset(path.stem, arrays[x], arrays[y], task, description=description, test=test)


def _read(path: Path) -> dict[str, Array]:
    """Return the arrays that have a meaning, and an empty one for each of the others."""
    wanted = {"x_test", "y_test"}.union(*_KEYS)
    with path.open("rb") as handle:  # opened here: numpy.load would leave it open after an error
        try:
            file = np.load(handle, allow_pickle=False)
        except _DAMAGE as error:
            raise ValueError(f"{path} cannot be read as an .npz file: {_first_line(error)}.") from error
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError(f"{path}: expected an .npz file of several arrays, got a single array; use numpy.savez.")
        return {name: _member(path, file, name) if name in wanted else np.empty(0) for name in file.files}


def _member(path: Path, file: np.lib.npyio.NpzFile, name: str) -> Array:
    try:
        return np.asarray(file[name])
    except (*_DAMAGE, MemoryError) as error:
        raise ValueError(f"{path}: the array {name!r} cannot be read: {_first_line(error)}.") from error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
