"""What is done to a single image (rows, columns, channels): moved, turned, and changed in brightness."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[Any]

#: A change of one image, by the names of Keras: theta, tx, ty, shear, zx, zy, flip_horizontal, flip_vertical,
#: channel_shift_intensity, brightness.
Transform = dict[str, Any]

#: Ways to fill what lies outside of an image, and SciPy's names for them. Its own "wrap" repeats an image with a
#: period one too short.
FILL_MODES = {"constant": "constant", "nearest": "nearest", "reflect": "reflect", "wrap": "grid-wrap"}


def affine(
    theta: float = 0.0, tx: float = 0.0, ty: float = 0.0, shear: float = 0.0, zx: float = 1.0, zy: float = 1.0
) -> NDArray[np.float64]:
    """Return the matrix that takes a place (row, column, 1) in the new image to the one in the old, from the centre.

    M = [cos t, sin t; -sin t, cos t]  [1, 0, tx; 0, 1, ty]  [cos s, 0; -sin s, 1]  [zx, 0; 0, zy]

    Args:
        theta: angle t, in degrees; above zero the image turns counter-clockwise.
        tx, ty: rows and columns by which it moves up and to the left.
        shear: angle s, in degrees, counter-clockwise.
        zx, zy: rows and columns of the old image on one of the new: above one it shrinks.

    Returns:
        float64[3, 3].

    The factors are those of Keras, where however the shifts of rows and columns are exchanged, and the centre is wrong
    unless an image is as wide as high (`apply_affine_transform` of Keras 3.15).
    """
    t, s = math.radians(theta), math.radians(shear)
    rotation = np.array([[math.cos(t), math.sin(t), 0], [-math.sin(t), math.cos(t), 0], [0, 0, 1]])
    shift = np.array([[1, 0, tx], [0, 1, ty], [0, 0, 1]])
    shearing = np.array([[math.cos(s), 0, 0], [-math.sin(s), 1, 0], [0, 0, 1]])
    zoom = np.diag([zx, zy, 1.0])
    # cos(90 degrees) is 6e-17, and a place that far outside would be filled
    made: NDArray[np.float64] = np.round(rotation @ shift @ shearing @ zoom, 12)
    return made


def changed(image: Image, change: Transform, fill_mode: str, cval: float, order: int) -> Image:
    """Return a new image: moved and turned, then shifted in its values, turned over, and brightened.

    Args:
        image: float[rows, columns, channels].
        change: what it lacks is not done.
        fill_mode, cval, order: as in `warp`.
    """
    places = affine(**{name: change[name] for name in ("theta", "tx", "ty", "shear", "zx", "zy") if name in change})
    image = warp(image, places, fill_mode, cval, order)
    intensity, factor = change.get("channel_shift_intensity"), change.get("brightness")
    if intensity is not None:
        image = shift_channels(image, intensity)
    if change.get("flip_horizontal"):
        image = image[:, ::-1]
    if change.get("flip_vertical"):
        image = image[::-1]
    return image if factor is None else brighten(image, factor)


def warp(
    image: Image, matrix: NDArray[np.float64], fill_mode: str = "nearest", cval: float = 0.0, order: int = 1
) -> Image:
    """Return the image whose pixel p is the old one's at c + M (p - c), c the centre; interpolated by splines.

    Args:
        image: float[rows, columns, channels].
        matrix: as `affine` returns it.
        fill_mode: one of `FILL_MODES`.
        cval: value outside, for "constant".
        order: degree of the splines; 0 takes the nearest pixel.
    """
    if np.array_equal(matrix, np.eye(3)):
        return image.copy()
    from scipy.ndimage import affine_transform

    linear, shift = matrix[:2, :2], matrix[:2, 2]
    centre = (np.array(image.shape[:2]) - 1) / 2
    offset = np.round(centre - linear @ centre + shift, 12)
    made = np.empty_like(image)
    for channel in range(image.shape[2]):
        affine_transform(
            image[:, :, channel],
            linear,
            offset,
            output=made[:, :, channel],
            order=order,
            mode=FILL_MODES[fill_mode],
            cval=cval,
        )
    return made


def shift_channels(image: Image, intensity: float) -> Image:
    """Return image + intensity, kept between the smallest and the largest value of the image."""
    return np.clip(image + intensity, image.min(), image.max())


def brighten(image: Image, factor: float) -> Image:
    """Return factor * image, kept between 0 and 255; values beyond are brought there first and back afterwards.

    Keras goes through an image of 8 bits here, which leaves nothing of values between 0 and 1; nothing is rounded here.
    """
    low, high = float(image.min()), float(image.max())
    if low >= 0 and high <= 255:
        return np.clip(image * factor, 0, 255)
    span = high - low
    scaled = np.clip((image - low) * (255 / span if span else 1.0) * factor, 0, 255)
    return scaled / 255 * span + low
