"""Penalties on weights that are added to the loss: L1, L2 and both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from fastann.spec import Spec, bounded, register


@register("regularizers")
@dataclass(frozen=True)
class L1L2(Spec):
    """Penalty l1 * sum|w| + l2 * sum(w^2).

    Args:
        l1, l2: factors, not negative.

    >>> L1L2(l1=0.1, l2=0.01)([1.0, -2.0])
    0.35
    """

    l1: float = 0.0
    l2: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "l1", bounded(self.l1, "l1"))
        object.__setattr__(self, "l2", bounded(self.l2, "l2"))

    def __call__(self, w: ArrayLike) -> float:
        """Return the penalty of an array of any shape."""
        w = np.asarray(w, np.float64)
        return float(self.l1 * np.abs(w).sum() + self.l2 * np.square(w).sum())


@register("regularizers")
@dataclass(frozen=True)
class L1(Spec):
    """Penalty l1 * sum|w|."""

    l1: float = 0.01

    def __post_init__(self) -> None:
        object.__setattr__(self, "l1", bounded(self.l1, "l1"))

    @property
    def l2(self) -> float:
        """No squared part."""
        return 0.0

    def __call__(self, w: ArrayLike) -> float:
        """Return the penalty of an array of any shape."""
        return L1L2(self.l1, 0.0)(w)


@register("regularizers")
@dataclass(frozen=True)
class L2(Spec):
    """Penalty l2 * sum(w^2)."""

    l2: float = 0.01

    def __post_init__(self) -> None:
        object.__setattr__(self, "l2", bounded(self.l2, "l2"))

    @property
    def l1(self) -> float:
        """No absolute part."""
        return 0.0

    def __call__(self, w: ArrayLike) -> float:
        """Return the penalty of an array of any shape."""
        return L1L2(0.0, self.l2)(w)


Regularizer: TypeAlias = L1 | L2 | L1L2
RegularizerLike: TypeAlias = Regularizer | str | None

l1, l2, l1_l2 = L1, L2, L1L2

_BY_NAME: dict[str, type[L1] | type[L2] | type[L1L2]] = {
    "l1": L1, "l2": L2, "l1_l2": L1L2, "l1l2": L1L2, "L1": L1, "L2": L2, "L1L2": L1L2,
}  # fmt: skip


def get(identifier: Any) -> Regularizer | None:
    """Return the regularizer meant by an object, a name ("l1", "l2", "l1_l2": 0.01 each) or None.

    Raises:
        ValueError: unknown name. TypeError: neither of the above.
    """
    if identifier is None or isinstance(identifier, L1 | L2 | L1L2):
        return identifier
    if isinstance(identifier, str):
        if identifier not in _BY_NAME:
            raise ValueError(f"a regularizer must be one of 'l1', 'l2', 'l1_l2' or an object, got {identifier!r}.")
        cls = _BY_NAME[identifier]
        return L1L2(0.01, 0.01) if cls is L1L2 else cls()
    raise TypeError(f"a regularizer must be a name, L1, L2, L1L2 or None, got {identifier!r}.")
