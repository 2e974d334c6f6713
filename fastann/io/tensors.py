"""Named arrays as safetensors bytes, and back only if they are exactly the arrays that were expected."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastann.io.archive import ModelFileError, cleaned, shorten

Array = NDArray[Any]
Shape = tuple[int, ...]

_DTYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "F64": np.dtype("<f8")}
_HEADER_BASE = 1 << 16
_HEADER_PER_TENSOR = 1 << 10


def pack(tensors: Mapping[str, Array]) -> bytes:
    """Return `tensors`, arrays of float32 or float64, in the safetensors format."""
    from safetensors.numpy import save

    # the library reads each array's memory from its address on, so it has to be contiguous and stay alive till the end
    dense = {name: np.asarray(array, order="C") for name, array in tensors.items()}
    return bytes(save(dense))


def size_limit(expected: Mapping[str, Shape]) -> int:
    """Return the most bytes that `pack` can make of tensors of these shapes."""
    names = sum(6 * len(name) for name in expected)
    numbers = 8 * sum(prod(shape) for shape in expected.values())
    return 8 + _HEADER_BASE + _HEADER_PER_TENSOR * len(expected) + names + numbers


def unpack(data: bytes, expected: Mapping[str, Shape], what: str) -> dict[str, Array]:
    """Return the tensors in `data`, in the order of `expected`; `what` names their source in messages.

    The arrays are float32 or float64, as stored. NaN and infinity are allowed: a network that diverged can be kept and
    looked at.

    Raises:
        ModelFileError: `data` is no safetensors file, a tensor of `expected` is missing, one too many is there, or
            one has another shape or data type.
    """
    from safetensors import SafetensorError, deserialize

    _check_header(data, expected, what)
    try:
        found = dict(deserialize(data))  # type: ignore[no-untyped-call]
    except (SafetensorError, ValueError) as error:
        raise ModelFileError(f"{what} is not a valid safetensors file ({cleaned(error)}).") from error
    _check_names(set(found), expected, what)
    return {name: _array(found[name], shape, f"{what}: the tensor {name!r}") for name, shape in expected.items()}


def _check_header(data: bytes, expected: Mapping[str, Shape], what: str) -> None:
    length = int.from_bytes(data[:8], "little")
    allowed = size_limit(expected) - 8 * sum(prod(shape) for shape in expected.values()) - 8
    if len(data) < 8 or length > len(data) - 8:
        raise ModelFileError(f"{what} is not a valid safetensors file: its header is cut short.")
    if length > allowed:
        raise ModelFileError(f"{what} has a header of {length:,} bytes, at most {allowed:,} were expected.")


def _check_names(found: set[str], expected: Mapping[str, Shape], what: str) -> None:
    missing = [name for name in expected if name not in found]
    surplus = sorted(found - set(expected))
    if missing:
        raise ModelFileError(f"{what} lacks {_listed(missing)}; it belongs to another network.")
    if surplus:
        raise ModelFileError(f"{what} holds {_listed(surplus)}, which this network does not have.")


def _listed(names: list[str]) -> str:
    shown = ", ".join(shorten(name) for name in names[:3])
    plural = "tensors" if len(names) > 1 else "tensor"
    return f"the {plural} {shown}" + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _array(entry: Mapping[str, Any], shape: Shape, what: str) -> Array:
    dtype = _DTYPES.get(entry["dtype"])
    if dtype is None:
        raise ModelFileError(f"{what} must be of type F32 or F64, got {shorten(str(entry['dtype']))}.")
    if tuple(entry["shape"]) != shape:
        raise ModelFileError(f"{what} must have shape {shape}, got {tuple(entry['shape'])}.")
    return np.frombuffer(entry["data"], dtype=dtype).reshape(shape)
