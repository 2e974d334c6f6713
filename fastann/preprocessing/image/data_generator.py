"""Random changes of images, made anew for every batch."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastann.preprocessing.image import transforms
from fastann.preprocessing.image.array_iterator import ArrayIterator
from fastann.preprocessing.image.directory_iterator import DirectoryIterator
from fastann.preprocessing.image.files import check_data_format
from fastann.preprocessing.image.ranges import Ranges
from fastann.preprocessing.image.statistics import Statistics, measure, standardized
from fastann.preprocessing.image.transforms import Transform
from fastann.random import check_seed, next_seed

Array = NDArray[Any]


class ImageDataGenerator:
    """Changes images at random and brings them to a common scale, batch by batch, while a network trains.

    Names, defaults and formulas are those of Keras; where they differ, `transforms` says so. Each image is first
    moved, turned and changed in brightness (`random_transform`), then scaled (`standardize`).

    Args:
        featurewise_center: subtract the mean of each channel, over the images given to `fit`.
        samplewise_center: subtract the mean of each image.
        featurewise_std_normalization: divide by the standard deviation of each channel; implies featurewise_center.
        samplewise_std_normalization: divide by the standard deviation of each image; implies samplewise_center.
        zca_whitening: make pixels uncorrelated, with what `fit` found; implies featurewise_center.
        zca_epsilon: added to the singular values there.
        rotation_range: largest angle, in degrees, either way.
        width_shift_range, height_shift_range: a float below 1 is a fraction of the size, another one a number of
            pixels, the furthest either way; an integer k stands for whole numbers of pixels below k; a list names the
            values, either way.
        brightness_range: (least, most) factor.
        shear_range: largest angle, in degrees, either way.
        zoom_range: (least, most) zoom, or z for (1 - z, 1 + z); above 1 the image shrinks. Rows and columns each have
            their own.
        channel_shift_range: largest change of all values, either way.
        fill_mode: what lies outside of an image: "nearest" aaaa|abcd|dddd, "constant" kkkk|abcd|kkkk, k = cval,
            "reflect" dcba|abcd|dcba or "wrap" abcd|abcd|abcd.
        cval: see there.
        horizontal_flip, vertical_flip: turn half of the images left to right, or upside down.
        rescale: factor on all values, before the statistics.
        preprocessing_function: image -> image, called before all scaling.
        data_format: "channels_last", or None for it.
        validation_split: fraction of the images, the first ones, that `subset="validation"` stands for.
        interpolation_order: degree of the splines between pixels.
        dtype: of the batches, "float32" by default.

    >>> x = np.arange(6.0).reshape(1, 2, 3, 1)
    >>> flow = ImageDataGenerator(horizontal_flip=True).flow(x, [1], seed=3)
    >>> images, labels = flow[0]
    >>> images.shape, labels
    ((1, 2, 3, 1), array([1]))
    """

    def __init__(
        self,
        featurewise_center: bool = False,
        samplewise_center: bool = False,
        featurewise_std_normalization: bool = False,
        samplewise_std_normalization: bool = False,
        zca_whitening: bool = False,
        zca_epsilon: float = 1e-6,
        rotation_range: float = 0,
        width_shift_range: Any = 0.0,
        height_shift_range: Any = 0.0,
        brightness_range: Sequence[float] | None = None,
        shear_range: float = 0.0,
        zoom_range: float | Sequence[float] = 0.0,
        channel_shift_range: float = 0.0,
        fill_mode: str = "nearest",
        cval: float = 0.0,
        horizontal_flip: bool = False,
        vertical_flip: bool = False,
        rescale: float | None = None,
        preprocessing_function: Callable[[Array], Any] | None = None,
        data_format: str | None = None,
        validation_split: float = 0.0,
        interpolation_order: int = 1,
        dtype: Any = None,
    ) -> None:
        check_data_format(data_format)
        if zca_whitening and featurewise_std_normalization:
            warnings.warn("zca_whitening takes the place of featurewise_std_normalization.", UserWarning, stacklevel=2)
            featurewise_std_normalization = False
        self.ranges = Ranges(
            rotation_range, width_shift_range, height_shift_range, brightness_range, shear_range, zoom_range,
            channel_shift_range, horizontal_flip, vertical_flip,
        )  # fmt: skip
        self.featurewise_center = featurewise_center or featurewise_std_normalization or zca_whitening
        self.samplewise_center = samplewise_center or samplewise_std_normalization
        self.featurewise_std_normalization = featurewise_std_normalization
        self.samplewise_std_normalization = samplewise_std_normalization
        self.zca_whitening = zca_whitening
        self.zca_epsilon = zca_epsilon
        self.fill_mode = _one_of(fill_mode, tuple(transforms.FILL_MODES), "fill_mode")
        self.cval = cval
        self.rescale = rescale
        self.preprocessing_function = preprocessing_function
        self.validation_split = _fraction(validation_split)
        self.interpolation_order = _one_of(interpolation_order, tuple(range(6)), "interpolation_order")
        self.dtype = _float_type(dtype)
        self._statistics = Statistics()
        self._rng: np.random.Generator | None = None

    # ---- batches

    def flow(
        self,
        x: Any,
        y: Any = None,
        batch_size: int = 32,
        shuffle: bool = True,
        sample_weight: Any = None,
        seed: int | None = None,
        *,
        subset: str | None = None,
        ignore_class_split: bool = False,
    ) -> ArrayIterator:
        """Return batches of changed images, endless, for `fit` as its `x`.

        Args:
            x: images (N, rows, columns, channels).
            y: what goes with them, N rows; None for batches of images alone.
            batch_size: images a batch.
            shuffle: have a new order each epoch.
            sample_weight: weight of each image.
            seed: of order and changes.
            subset: "training" or "validation", the parts that `validation_split` makes; None for all.
            ignore_class_split: do not insist that both parts have the same values of y.

        Raises:
            ValueError: shapes or parts do not fit.
        """
        return ArrayIterator(x, y, self, batch_size, shuffle, sample_weight, seed, subset, ignore_class_split)

    def flow_from_directory(
        self,
        directory: str | PathLike[str],
        target_size: tuple[int, int] = (256, 256),
        color_mode: str = "rgb",
        classes: Sequence[str] | None = None,
        class_mode: str | None = "categorical",
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int | None = None,
        *,
        follow_links: bool = False,
        subset: str | None = None,
        interpolation: str = "nearest",
    ) -> DirectoryIterator:
        """Return batches of changed images that are read from a folder with one folder a class.

        Args:
            directory: the folder.
            target_size: (rows, columns) that all images are brought to.
            color_mode: "rgb", "grayscale" or "rgba".
            classes: names of the folders in the order of the classes, by default all, sorted.
            class_mode: "categorical" for one-hot targets, "sparse" or "binary" for numbers, "input" for the images
                themselves, None for batches of images alone.
            batch_size, shuffle, seed, subset: as in `flow`; a split takes the first images of each class.
            follow_links: also look into folders that are links.
            interpolation: "nearest", "bilinear", "bicubic", "lanczos", "box" or "hamming".

        Raises:
            ImportError: Pillow is not installed.
            ValueError: there are no images, or an argument is unknown.
        """
        return DirectoryIterator(
            directory, self, target_size, color_mode, classes, class_mode, batch_size, shuffle, seed, follow_links,
            subset, interpolation,
        )  # fmt: skip

    def augment(self, images: Array, rng: np.random.Generator) -> Array:
        """Return images (N, rows, columns, channels), each changed as `rng` decides, and standardized."""
        rows, columns = images.shape[1:3]
        made = np.empty(images.shape, self.dtype)
        for i, image in enumerate(images):
            made[i] = self.apply_transform(image, self.ranges.draw(rows, columns, rng))
        return self.standardize(made)

    def part(self, count: int, subset: str | None) -> tuple[int, int]:
        """Return first and last (excluded) of `count` images that belong to a subset; None stands for all."""
        if subset is None:
            return 0, count
        cut = int(count * self.validation_split)
        return {"validation": (0, cut), "training": (cut, count)}[_one_of(subset, ("training", "validation"), "subset")]

    # ---- single images

    def get_random_transform(self, img_shape: Sequence[int], seed: int | None = None) -> Transform:
        """Draw a change for an image of the shape (rows, columns, channels).

        Args:
            img_shape: the shape.
            seed: to draw the same again; by default what follows from `fastann.utils.set_random_seed`.

        Returns:
            `theta`, `shear` in degrees, `tx`, `ty` in rows and columns, `zx`, `zy`, `flip_horizontal`,
            `flip_vertical`, and `channel_shift_intensity`, `brightness`, both maybe None.
        """
        if self._rng is None:
            self._rng = np.random.default_rng(next_seed())
        rng = self._rng if seed is None else np.random.default_rng(check_seed(seed))
        return self.ranges.draw(img_shape[0], img_shape[1], rng)

    def apply_transform(self, x: Any, transform_parameters: Transform) -> Array:
        """Return an image (rows, columns, channels) changed as `get_random_transform` describes; what lacks, is not."""
        image = np.asarray(x, self.dtype)
        if image.ndim != 3:
            raise ValueError(f"an image must have shape (rows, columns, channels), got {image.shape}.")
        return transforms.changed(image, transform_parameters, self.fill_mode, self.cval, self.interpolation_order)

    def random_transform(self, x: Any, seed: int | None = None) -> Array:
        """Return an image changed at random; arguments as in `get_random_transform`."""
        return self.apply_transform(x, self.get_random_transform(np.shape(x), seed))

    # ---- scale

    def fit(self, x: Any, augment: bool = False, rounds: int = 1, seed: int | None = None) -> None:
        """Measure what the featurewise settings and `zca_whitening` need.

        Args:
            x: images (N, rows, columns, channels).
            augment: measure changed images rather than these.
            rounds: how many changes of each image, then.
            seed: of the changes.
        """
        images = np.array(x, self.dtype)
        if images.ndim != 4:
            raise ValueError(f"fit expects images of shape (N, rows, columns, channels), got {images.shape}.")
        if self.rescale:
            images *= self.rescale
        if augment:
            rng = np.random.default_rng(next_seed() if seed is None else check_seed(seed))
            rows, columns = images.shape[1:3]
            images = np.stack(
                [self.apply_transform(i, self.ranges.draw(rows, columns, rng)) for _ in range(rounds) for i in images]
            )
        self._statistics = measure(
            images, self.featurewise_center, self.featurewise_std_normalization, self.zca_whitening, self.zca_epsilon
        )

    @property
    def mean(self) -> Array | None:
        """Mean of each channel, (1, 1, channels); None before `fit`."""
        return self._statistics.mean

    @property
    def std(self) -> Array | None:
        """Standard deviation of each channel, (1, 1, channels); None before `fit`."""
        return self._statistics.std

    @property
    def zca_whitening_matrix(self) -> Array | None:
        """The matrix that makes pixels uncorrelated; None before `fit`."""
        return self._statistics.whitening

    def standardize(self, x: Any) -> Array:
        """Return an image, or images (N, rows, columns, channels), brought to scale; `x` stays as it is.

        Raises:
            ValueError: `fit` was not called although a setting needs it.
        """
        images = np.array(x, self.dtype)
        single = images.ndim == 3
        images = images[None] if single else images
        if self.preprocessing_function is not None:
            images = np.stack([np.asarray(self.preprocessing_function(image), self.dtype) for image in images])
        if self.rescale:
            images = images * self.dtype.type(self.rescale)
        if self.featurewise_center and self.mean is None:
            raise ValueError("featurewise settings and zca_whitening need the statistics of images: call fit(x) first.")
        images = standardized(
            images, self._statistics, self.samplewise_center, self.samplewise_std_normalization
        ).astype(self.dtype, copy=False)
        return images[0] if single else images


def _one_of(given: Any, known: tuple[Any, ...], name: str) -> Any:
    if given not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, got {given!r}.")
    return given


def _fraction(given: Any) -> float:
    number = float(given)
    if not 0.0 <= number < 1.0:
        raise ValueError(f"validation_split must be a fraction of at least 0 and below 1, got {given!r}.")
    return number


def _float_type(given: Any) -> np.dtype[Any]:
    dtype = np.dtype("float32" if given is None else given)
    if dtype.kind != "f":
        raise ValueError(f"dtype must be a type of floats, got {given!r}; images are interpolated and scaled.")
    return dtype
