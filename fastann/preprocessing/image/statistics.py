"""Mean, standard deviation and whitening of a set of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[Any]

#: Added to standard deviations that are divided by, as in Keras.
EPSILON = 1e-6


@dataclass(frozen=True, eq=False)
class Statistics:
    """What `ImageDataGenerator.fit` finds out; None for what it was not asked.

    Attributes:
        mean, std: (1, 1, channels).
        whitening: (pixels, pixels), pixels = rows * columns * channels.
    """

    mean: Images | None = None
    std: Images | None = None
    whitening: Images | None = None


def measure(x: Images, center: bool, scale: bool, whiten: bool, zca_epsilon: float) -> Statistics:
    """Return the statistics of images x (N, rows, columns, channels).

    Args:
        x: images.
        center, scale: whether to measure means and standard deviations of the channels.
        whiten: whether to compute the matrix of `whitening_matrix`, of images centred and scaled as asked for.
        zca_epsilon: for that.
    """
    mean = std = matrix = None
    if center:
        mean = x.mean(axis=(0, 1, 2)).reshape(1, 1, -1)
        x = x - mean
    if scale:
        std = x.std(axis=(0, 1, 2)).reshape(1, 1, -1)
        x = x / (std + EPSILON)
    if whiten:
        matrix = whitening_matrix(x.reshape(len(x), -1), zca_epsilon)
    return Statistics(mean, std, matrix)


def whitening_matrix(x: Images, epsilon: float) -> Images:
    """Return W = U diag(sqrt(N) / (s + epsilon)) U^T, where x^T = U diag(s) V^T (N, pixels).

    Then (x W)^T (x W) / N = I where N is at least the number of pixels. Of all such matrices this one changes the
    images least (zero-phase component analysis, Bell & Sejnowski 1997).
    """
    u, s, _ = np.linalg.svd(x.T, full_matrices=False)
    made: Images = (u * (np.sqrt(len(x)) / (s + epsilon))) @ u.T
    return made


def standardized(x: Images, statistics: Statistics, center: bool, scale: bool) -> Images:
    """Return images x (N, rows, columns, channels) brought to scale: each by itself, then by the statistics.

    Args:
        x: images.
        statistics: of many images; what is None is left out.
        center, scale: subtract the mean of each image, divide by its standard deviation.
    """
    if center:
        x = x - x.mean(axis=(1, 2, 3), keepdims=True)
    if scale:
        x = x / (x.std(axis=(1, 2, 3), keepdims=True) + EPSILON)
    if statistics.mean is not None:
        x = x - statistics.mean
    if statistics.std is not None:
        x = x / (statistics.std + EPSILON)
    if statistics.whitening is not None:
        x = (x.reshape(len(x), -1) @ statistics.whitening).reshape(x.shape)
    return x
