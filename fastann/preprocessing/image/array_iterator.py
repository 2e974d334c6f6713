"""Batches of images that are in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastann.preprocessing.image.iterator import ImageIterator

if TYPE_CHECKING:
    from fastann.preprocessing.image.data_generator import ImageDataGenerator

Array = NDArray[Any]


class ArrayIterator(ImageIterator):
    """What `ImageDataGenerator.flow` returns: batches x, (x, y) or (x, y, sample_weight).

    Attributes:
        x: the images to choose from, (n, rows, columns, channels).
        y, sample_weight: what goes with them, or None.
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        generator: ImageDataGenerator,
        batch_size: int = 32,
        shuffle: bool = True,
        sample_weight: Any = None,
        seed: int | None = None,
        subset: str | None = None,
        ignore_class_split: bool = False,
    ) -> None:
        images = _images(x)
        targets = None if y is None else _beside(y, images, "y")
        weights = None if sample_weight is None else _beside(sample_weight, images, "sample_weight")
        if weights is not None and targets is None:
            raise ValueError("sample_weight must be given together with y, got no y.")
        part = slice(*generator.part(len(images), subset))
        if subset is not None and targets is not None and not ignore_class_split:
            _check_classes(targets, part)
        self.x = images[part]
        self.y = None if targets is None else targets[part]
        self.sample_weight = None if weights is None else weights[part]
        self._change = generator
        super().__init__(len(self.x), batch_size, shuffle, seed)

    def samples(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Any:
        images = self._change.augment(self.x[rows], rng)
        if self.y is None:
            return images
        if self.sample_weight is None:
            return images, self.y[rows]
        return images, self.y[rows], self.sample_weight[rows]


def _images(x: Any) -> Array:
    images = np.asarray(x)
    if images.ndim != 4:
        hint = "; for grey images add an axis: x[..., None]" if images.ndim == 3 else ""
        raise ValueError(f"x must have shape (images, rows, columns, channels), got {images.shape}{hint}.")
    return images


def _beside(given: Any, images: Array, name: str) -> Array:
    array = np.asarray(given)
    if array.ndim == 0 or len(array) != len(images):
        raise ValueError(f"{name} must have as many rows as x, {len(images)}, got shape {array.shape}.")
    return array


def _check_classes(y: Array, part: slice) -> None:
    """Raise ValueError if the two parts of a split do not have the same classes, as with sorted data."""
    inside = np.zeros(len(y), bool)
    inside[part] = True
    here, there = (np.unique(y[rows], axis=0) for rows in (inside, ~inside))
    if not np.array_equal(here, there):
        raise ValueError(
            f"both parts of validation_split must have the same classes, got {len(here)} and {len(there)} different "
            "values of y; shuffle the images first, or give ignore_class_split=True if y holds no classes."
        )
