"""What every initializer is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from fastann.spec import Spec, whole

Array: TypeAlias = NDArray[Any]
Floats: TypeAlias = NDArray[np.float64]
Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Initializer(Spec):
    """Base of initializers; one of your own overrides `draw`.

    To be written to a model file it must be registered with `fastann.spec.register("initializers")`.
    """

    def draw(self, shape: Shape, rng: np.random.Generator) -> Floats:
        """Return float64 values of that shape; all that is random comes from `rng`."""
        raise TypeError(f"{type(self).__name__} must override draw(self, shape, rng).")

    def initialize(self, shape: Sequence[int], rng: np.random.Generator) -> Floats:
        """Return a float64 array drawn with `rng`, or with the initializer's own seed if it has one.

        Raises:
            ValueError: the shape has a negative length or a rank the initializer has no use for.
            TypeError: the shape is no sequence of whole numbers.
        """
        if isinstance(shape, str) or not isinstance(shape, Sequence):
            raise TypeError(f"shape must be a tuple of whole numbers such as (30, 16), got {shape!r}.")
        checked = tuple(whole(length, "a length in shape") for length in shape)
        seed = getattr(self, "seed", None)
        return np.asarray(self.draw(checked, rng if seed is None else np.random.default_rng(seed)), np.float64)

    def __call__(self, shape: Sequence[int], dtype: DTypeLike | None = None, seed: int | None = None) -> Array:
        """Return an array of `dtype` (float32 by default); `seed` makes it repeatable.

        Raises:
            ValueError, TypeError: as `initialize`.
        """
        return self.initialize(shape, np.random.default_rng(seed)).astype(dtype or np.float32)


def checked_seed(seed: Any) -> int | None:
    """Return a seed as an int, or None."""
    return None if seed is None else whole(seed, "seed")
