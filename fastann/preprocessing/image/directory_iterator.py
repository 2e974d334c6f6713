"""Batches of images that are read from a folder with one folder a class."""

from __future__ import annotations

import os
from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fastann.preprocessing.image.files import COLOR_MODES, img_to_array, load_img, pillow
from fastann.preprocessing.image.iterator import ImageIterator

if TYPE_CHECKING:
    from fastann.preprocessing.image.data_generator import ImageDataGenerator

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".tif", ".tiff")
CLASS_MODES = ("categorical", "binary", "sparse", "input", None)


class DirectoryIterator(ImageIterator):
    """What `ImageDataGenerator.flow_from_directory` returns; arguments there.

    Attributes:
        filenames: the images, relative to the folder, sorted within each class.
        classes: int64[n], the class of each.
        class_indices: name of a class to its number.
        image_shape: (rows, columns, channels).
    """

    def __init__(
        self,
        directory: str | PathLike[str],
        generator: ImageDataGenerator,
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
    ) -> None:
        pillow()
        if class_mode not in CLASS_MODES:
            raise ValueError(f"class_mode must be one of {', '.join(map(repr, CLASS_MODES))}, got {class_mode!r}.")
        if color_mode not in COLOR_MODES:
            raise ValueError(f"color_mode must be one of {', '.join(map(repr, COLOR_MODES))}, got {color_mode!r}.")
        self.directory = Path(directory)
        names = sorted(f.name for f in self.directory.iterdir() if f.is_dir()) if classes is None else list(classes)
        if class_mode == "binary" and len(names) != 2:
            raise ValueError(f"class_mode 'binary' needs two classes, got {len(names)}: {', '.join(names)}.")
        self.class_indices = {name: number for number, name in enumerate(names)}
        self.filenames: list[str] = []
        numbers: list[int] = []
        for name, number in self.class_indices.items():
            found = _files(self.directory, name, follow_links)
            first, last = generator.part(len(found), subset)
            self.filenames += found[first:last]
            numbers += [number] * (last - first)
        if not self.filenames:
            raise ValueError(f"expected images in folders, one a class, got none in {self.directory}.")
        self.classes = np.array(numbers, np.int64)
        self.class_mode = class_mode
        self.target_size, self.color_mode, self.interpolation = target_size, color_mode, interpolation
        self.image_shape = (*target_size, len(COLOR_MODES[color_mode]))
        self._change = generator
        super().__init__(len(self.filenames), batch_size, shuffle, seed)

    @property
    def filepaths(self) -> list[str]:
        """The images with their folder."""
        return [str(self.directory / name) for name in self.filenames]

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_indices)

    def samples(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Any:
        loaded = np.empty((len(rows), *self.image_shape), np.float32)
        for i, row in enumerate(rows):
            path = self.directory / self.filenames[row]
            loaded[i] = img_to_array(load_img(path, self.color_mode, self.target_size, self.interpolation))
        images = self._change.augment(loaded, rng)
        if self.class_mode is None:
            return images
        if self.class_mode == "input":
            return images, images.copy()
        labels = self.classes[rows]
        if self.class_mode == "categorical":
            return images, np.eye(self.num_classes, dtype=images.dtype)[labels]
        return images, labels.astype(images.dtype)


def _files(directory: Path, name: str, follow_links: bool) -> list[str]:
    """Return the images in the folder of a class and below, relative to `directory`, sorted."""
    found = []
    for folder, _, files in os.walk(directory / name, followlinks=follow_links):
        place = Path(folder).relative_to(directory)
        found += [str(place / file) for file in files if file.lower().endswith(SUFFIXES)]
    return sorted(found)
