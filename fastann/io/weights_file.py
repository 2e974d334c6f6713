"""A model's weights alone, as a `.safetensors` file that other libraries read too."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fastann.io.archive import ModelFileError, open_regular, replacing
from fastann.io.tensors import Array, Shape, pack, size_limit, unpack

if TYPE_CHECKING:
    from fastann.models.model import Model

#: More numbers than this fit in no file; a network that asks for them was not written by fastann.
_MAX_NUMBERS = 1 << 48


def save_weights(model: Model, path: str | os.PathLike[str], *, overwrite: bool = True) -> None:
    """Write the weights to a safetensors file, under names such as "dense/kernel", kernels (in, out).

    Raises:
        ValueError: the shape of the input is not known yet, so there are no weights.
        FileExistsError: the file exists and `overwrite` is False.
    """
    data = pack(named_weights(model))
    refuse_overwriting(path, overwrite)
    with replacing(path) as file:
        file.write(data)


def load_weights(model: Model, path: str | os.PathLike[str]) -> None:
    """Take the weights from a safetensors file with exactly the model's names and shapes; the optimizer's state stays.

    Raises:
        FileNotFoundError: there is no such file.
        ModelFileError: the file is damaged or belongs to another network; then no weight was changed.
    """
    expected = weight_shapes(model)
    what = repr(os.fspath(path))
    with open_regular(path) as file:
        size, limit = os.fstat(file.fileno()).st_size, size_limit(expected)
        if size > limit:
            raise ModelFileError(f"{what} has {size:,} bytes, the weights of this network take at most {limit:,}.")
        data = file.read(limit)
    model.set_weights(list(unpack(data, expected, what).values()))


def named_weights(model: Model) -> dict[str, Array]:
    """Return the weights by name, in the order of `get_weights`."""
    return {p.name: array for p, array in zip(model.parameters, model.get_weights(), strict=True)}


def weight_shapes(model: Model) -> dict[str, Shape]:
    """Return the shapes of the weights by name, without making any.

    Raises:
        ModelFileError: they are more numbers than a file can hold.
    """
    if model.count_params() > _MAX_NUMBERS:
        raise ModelFileError("the network would have more weights than a file can hold.")
    return {p.name: p.shape for p in model.parameters}


def refuse_overwriting(path: str | os.PathLike[str], overwrite: bool) -> None:
    """Raise FileExistsError if there is something at `path` that must not be replaced."""
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(f"{os.fspath(path)!r} exists; choose another name or pass overwrite=True.")
