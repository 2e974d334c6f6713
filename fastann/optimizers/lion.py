"""Lion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fastann.optimizers.base import Coefficients, Optimizer, below_one
from fastann.spec import register


@register("optimizers")
@dataclass(frozen=True)
class Lion(Optimizer):
    """w <- w - lr sign(beta_1 m + (1 - beta_1) g); m <- beta_2 m + (1 - beta_2) g.

    Chen et al. 2023, algorithm 2, without its weight decay unless `weight_decay` is given.

    Args:
        learning_rate: lr, best a third to a tenth of Adam's; see `Optimizer` for this and the settings that are
            keywords only.
        beta_1, beta_2: in [0, 1).
    """

    op: ClassVar[str] = "lion"

    beta_1: float = 0.9
    beta_2: float = 0.99

    def _check(self) -> None:
        self._set(beta_1=below_one(self.beta_1, "beta_1"), beta_2=below_one(self.beta_2, "beta_2"))

    def _slots(self) -> tuple[float, ...]:
        return (0.0,)

    def _fill(self, columns: dict[str, Coefficients], t: Coefficients, rates: Coefficients) -> None:
        columns["lr"][:] = rates
        columns["beta_1"][:] = self.beta_1
        columns["beta_2"][:] = self.beta_2
