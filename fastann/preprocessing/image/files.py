"""Between arrays and the images of Pillow, which reads and writes files."""

from __future__ import annotations

from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

Array = NDArray[Any]

COLOR_MODES = {"grayscale": "L", "rgb": "RGB", "rgba": "RGBA"}
INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos", "box", "hamming")


def pillow() -> Any:
    """Return the module `PIL.Image`; raises ImportError if Pillow is not installed."""
    try:
        from PIL import Image
    except ImportError:
        raise ImportError("images need Pillow, which is not installed: pip install 'fastann[images]'.") from None
    return Image


def img_to_array(img: Any, data_format: str | None = None, dtype: Any = "float32") -> Array:
    """Return an image as an array (rows, columns, channels); one of a single channel has a last axis of length 1.

    Args:
        img: an image of Pillow, or an array.
        data_format: "channels_last", or None for it.
        dtype: of the result.
    """
    check_data_format(data_format)
    array = np.asarray(img, dtype=dtype)
    if array.ndim == 2:
        return array[:, :, None]
    if array.ndim != 3:
        raise ValueError(f"an image must have two or three axes, got shape {array.shape}.")
    return array


def array_to_img(x: Any, data_format: str | None = None, scale: bool = True) -> Image.Image:
    """Return an array (rows, columns, 1, 3 or 4) as an image of Pillow.

    Args:
        x: the array.
        data_format: "channels_last", or None for it.
        scale: bring its values to 0 ... 255; otherwise they are cut off there.
    """
    array = img_to_array(x, data_format)
    if array.shape[2] not in (1, 3, 4):
        raise ValueError(f"an image must have 1, 3 or 4 channels, got shape {array.shape}.")
    if scale:
        array = array - array.min()
        array = array * (255 / (array.max() or 1))
    pixels = np.clip(array, 0, 255).astype(np.uint8)
    made: Image.Image = pillow().fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    return made


def load_img(
    path: str | PathLike[str],
    color_mode: str = "rgb",
    target_size: tuple[int, int] | None = None,
    interpolation: str = "nearest",
) -> Image.Image:
    """Read an image from a file.

    Args:
        path: the file, of any kind that Pillow reads.
        color_mode: "rgb", "grayscale" or "rgba".
        target_size: (rows, columns) to bring it to.
        interpolation: "nearest", "bilinear", "bicubic", "lanczos", "box" or "hamming".

    Raises:
        ImportError: Pillow is not installed.
        ValueError: an unknown color mode or interpolation.
    """
    for name, value, known in (
        ("color_mode", color_mode, tuple(COLOR_MODES)),
        ("interpolation", interpolation, INTERPOLATIONS),
    ):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, got {value!r}.")
    library = pillow()
    with library.open(path) as opened:
        image: Image.Image = opened.convert(COLOR_MODES[color_mode])
    if target_size is not None and image.size != (target_size[1], target_size[0]):
        image = image.resize((target_size[1], target_size[0]), library.Resampling[interpolation.upper()])
    return image


def check_data_format(data_format: str | None) -> None:
    """Raise ValueError unless channels are to be the last axis, as everywhere in this package."""
    if data_format not in (None, "channels_last"):
        raise ValueError(
            f"data_format must be 'channels_last', got {data_format!r}; move the axis: numpy.moveaxis(x, 1, -1)."
        )
