"""The convolutional network among the cases: Conv2D(32, 3 x 3, relu), MaxPooling2D(2), Dense(64, relu), Dense(10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastann.bench.cases import SEED, Case

SIDE, FILTERS, HIDDEN, CLASSES = 28, 32, 64, 10


@dataclass(frozen=True)
class ImageCase(Case):
    """Images of 28 x 28 pixels in batches; a multiple of `batch_size` of them."""

    widths: tuple[int, ...] = ()
    batch_size: int = 64
    rows: int = 3_200

    @property
    def name(self) -> str:
        """How tables call it."""
        return f"conv {FILTERS}, pool, {HIDDEN}-{CLASSES} at {self.batch_size}"

    @property
    def network(self) -> Any:
        """What it is, for result files."""
        return f"{SIDE} x {SIDE}: Conv2D({FILTERS}, 3), MaxPooling2D(2), Dense({HIDDEN}), Dense({CLASSES})"

    def data(self) -> tuple[NDArray[np.float32], NDArray[Any]]:
        """Draw a pattern for each class, and images of them under noise, (N, 28, 28, 1) in [0, 1]."""
        rng = np.random.default_rng(SEED)
        patterns = rng.random((CLASSES, SIDE, SIDE, 1))
        labels = rng.integers(0, CLASSES, self.rows)
        noise = rng.random((self.rows, SIDE, SIDE, 1))
        return (0.3 * patterns[labels] + 0.7 * noise).astype(np.float32), labels
