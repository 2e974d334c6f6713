"""RMSprop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fastann.optimizers.base import Coefficients, LearningRateLike, Optimizer, momentum_share
from fastann.spec import bounded, register


@register("optimizers")
@dataclass(frozen=True)
class RMSprop(Optimizer):
    """v <- rho v + (1 - rho) g^2; w <- w - lr g / sqrt(v + epsilon). Tieleman & Hinton 2012.

    Args:
        learning_rate: a number, a schedule or a function of the step.
        rho: in [0, 1). momentum: of a buffer behind the step, in [0, 1).
        epsilon: inside the root, as in Keras.
        centered: subtract the squared mean gradient from v.
    """

    op: ClassVar[str] = "rmsprop"

    learning_rate: LearningRateLike = 0.001  # type: ignore[misc]
    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-7
    centered: bool = False

    def _check(self) -> None:
        self._set(
            rho=momentum_share(self.rho, "rho"),
            momentum=momentum_share(self.momentum, "momentum"),
            epsilon=bounded(self.epsilon, "epsilon"),
        )
        if not isinstance(self.centered, bool):
            raise TypeError(f"centered must be True or False, got {self.centered!r}.")

    def _slots(self) -> tuple[float, ...]:
        return (0.0,) * (1 + bool(self.momentum) + self.centered)

    def _flags(self) -> tuple[str, ...]:
        return (("centered",) if self.centered else ()) + (("momentum",) if self.momentum else ())

    def _fill(self, rows: dict[str, Coefficients], t: Coefficients, rates: Coefficients) -> None:
        rows["lr"][:] = rates
        rows["rho"][:], rows["momentum"][:], rows["epsilon"][:] = self.rho, self.momentum, self.epsilon
