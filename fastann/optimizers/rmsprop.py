"""RMSprop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fastann.optimizers.base import Coefficients, Optimizer, below_one
from fastann.spec import bounded, flag, register


@register("optimizers")
@dataclass(frozen=True)
class RMSprop(Optimizer):
    """v <- rho v + (1 - rho) g^2; w <- w - lr g / sqrt(v + epsilon).

    Tieleman & Hinton 2012, lecture 6e; centered: Graves 2013, equations 38 to 41.

    Args:
        learning_rate: lr; see `Optimizer` for this and the settings that are keywords only.
        rho: in [0, 1).
        momentum: in [0, 1): b <- momentum b + lr g / sqrt(v + epsilon); w <- w - b.
        epsilon: inside the root, as in Keras; PyTorch has it outside.
        centered: subtract the square of the mean gradient from v.
    """

    op: ClassVar[str] = "rmsprop"

    rho: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-7
    centered: bool = False

    def _check(self) -> None:
        self._set(
            rho=below_one(self.rho, "rho"),
            momentum=below_one(self.momentum, "momentum"),
            epsilon=bounded(self.epsilon, "epsilon"),
            centered=flag(self.centered, "centered"),
        )

    def _slots(self) -> tuple[float, ...]:
        return (0.0,) * (1 + bool(self.momentum) + self.centered)

    def _flags(self) -> tuple[str, ...]:
        return (("centered",) if self.centered else ()) + (("momentum",) if self.momentum else ())

    def _fill(self, columns: dict[str, Coefficients], t: Coefficients, rates: Coefficients) -> None:
        columns["lr"][:] = rates
        for name in ("rho", "momentum", "epsilon"):
            columns[name][:] = getattr(self, name)
