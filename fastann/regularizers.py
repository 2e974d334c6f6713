"""Penalties on weights that are added to the loss: L1, L2 and both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from fastann.spec import Spec, bounded, deserialize, lookup, register


@register("regularizers")
@dataclass(frozen=True)
class L1L2(Spec):
    """Penalty l1 * sum|w| + l2 * sum(w^2).

    Args:
        l1, l2: factors, not negative.

    Raises:
        ValueError: a factor is negative, NaN or infinite. TypeError: it is no number.

    >>> L1L2(l1=0.5, l2=0.25)([1.0, -2.0])
    2.75
    """

    l1: float = 0.0
    l2: float = 0.0

    def __post_init__(self) -> None:
        self._set(l1=bounded(self.l1, "l1"), l2=bounded(self.l2, "l2"))

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
        self._set(l1=bounded(self.l1, "l1"))

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
        self._set(l2=bounded(self.l2, "l2"))

    @property
    def l1(self) -> float:
        """No absolute part."""
        return 0.0

    def __call__(self, w: ArrayLike) -> float:
        """Return the penalty of an array of any shape."""
        return L1L2(0.0, self.l2)(w)


Regularizer: TypeAlias = L1 | L2 | L1L2
RegularizerLike: TypeAlias = Regularizer | type[Regularizer] | str | Mapping[str, Any] | None

l1, l2, l1_l2 = L1, L2, L1L2

# Keras 3 reads "l1_l2" as L1L2() with both factors 0, a penalty that does nothing; here it is L1(0.01) plus L2(0.01).
_BY_NAME: dict[str, Regularizer] = {
    "l1": L1(), "l2": L2(), "l1_l2": L1L2(0.01, 0.01), "l1l2": L1L2(0.01, 0.01),
}  # fmt: skip


def get(identifier: RegularizerLike) -> Regularizer | None:
    """Return the regularizer that is meant.

    >>> get("l2")
    L2(l2=0.01)

    Args:
        identifier: None, "l1", "l2" or "l1_l2" in any case (factors 0.01), an object or a class of this module, or what
            `fastann.spec.serialize` made of an object.

    Raises:
        ValueError: the name is unknown. TypeError: none of the above.
    """
    if identifier is None or isinstance(identifier, L1 | L2 | L1L2):
        return identifier
    if isinstance(identifier, str):
        if identifier.lower() not in _BY_NAME:
            raise ValueError(f"a regularizer must be 'l1', 'l2', 'l1_l2' or an object, got {identifier!r}.")
        return _BY_NAME[identifier.lower()]
    if isinstance(identifier, Mapping):
        return get(deserialize(identifier, lookup("regularizers")))
    if isinstance(identifier, type) and issubclass(identifier, L1 | L2 | L1L2):
        return identifier()
    raise TypeError(f"a regularizer must be a name, L1, L2, L1L2 or None, got {identifier!r}.")
