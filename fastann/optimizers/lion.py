"""Lion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fastann.optimizers.base import Coefficients, LearningRateLike, Optimizer, momentum_share
from fastann.spec import register


@register("optimizers")
@dataclass(frozen=True)
class Lion(Optimizer):
    """w <- w - lr sign(beta_1 m + (1 - beta_1) g); m <- beta_2 m + (1 - beta_2) g. Chen et al. 2023.

    Args:
        learning_rate: a number, a schedule or a function of the step; a tenth to a third of Adam's.
        beta_1, beta_2: in [0, 1).
    """

    op: ClassVar[str] = "lion"

    learning_rate: LearningRateLike = 0.001  # type: ignore[misc]
    beta_1: float = 0.9
    beta_2: float = 0.99

    def _check(self) -> None:
        self._set(beta_1=momentum_share(self.beta_1, "beta_1"), beta_2=momentum_share(self.beta_2, "beta_2"))

    def _slots(self) -> tuple[float, ...]:
        return (0.0,)

    def _fill(self, rows: dict[str, Coefficients], t: Coefficients, rates: Coefficients) -> None:
        rows["lr"][:], rows["beta_1"][:], rows["beta_2"][:] = rates, self.beta_1, self.beta_2
