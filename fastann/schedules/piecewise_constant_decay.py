"""A constant learning rate between given steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from fastann.schedules.base import Formula
from fastann.spec import bounded, label, number, register


@register("schedules")
@dataclass(frozen=True)
class PiecewiseConstantDecay(Formula):
    """values[0] up to and including step boundaries[0], values[1] up to boundaries[1], ..., values[-1] after the last.

    Args:
        boundaries: increasing steps.
        values: one number more than boundaries.

    >>> [PiecewiseConstantDecay([10, 20], [1.0, 0.5, 0.1])(step) for step in (0, 10, 11, 21)]
    [1.0, 1.0, 0.5, 0.1]
    """

    boundaries: Sequence[float]
    values: Sequence[float]
    name: str | None = "PiecewiseConstant"

    def __post_init__(self) -> None:
        for name in ("boundaries", "values"):
            if not isinstance(getattr(self, name), tuple | list):
                raise TypeError(f"{name} must be a list of numbers, got {getattr(self, name)!r}.")
        boundaries = tuple(number(b, "a boundary") for b in self.boundaries)
        boundaries = tuple(int(b) if b.is_integer() else b for b in boundaries)
        values = tuple(bounded(v, "a learning rate in values") for v in self.values)
        if len(values) != len(boundaries) + 1 or not boundaries:
            raise ValueError(
                "values must hold one number more than boundaries, "
                f"got {len(values)} values for {len(boundaries)} boundaries."
            )
        if any(b <= a for a, b in pairwise(boundaries)):
            raise ValueError(f"boundaries must increase, got {boundaries}.")
        self._set(boundaries=boundaries, values=values, name=label(self.name, "name"))

    def rates(self, at: NDArray[np.float64]) -> NDArray[np.float64]:
        place = np.searchsorted(np.array(self.boundaries), at, side="left")
        return np.asarray(np.array(self.values)[place])
