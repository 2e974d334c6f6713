"""Stochastic gradient descent, plain, with momentum and with Nesterov's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fastann.optimizers.base import Coefficients, LearningRateLike, Optimizer, momentum_share
from fastann.spec import register


@register("optimizers")
@dataclass(frozen=True)
class SGD(Optimizer):
    """v <- momentum v - lr g; w <- w + v, or with `nesterov` w <- w + momentum v - lr g.

    Args:
        learning_rate: a number, a schedule or a function of the step.
        momentum: in [0, 1).
        nesterov: look ahead. Sutskever et al. 2013.

    The settings of `Optimizer` are keywords.
    """

    op: ClassVar[str] = "sgd"

    learning_rate: LearningRateLike = 0.01  # type: ignore[misc]
    momentum: float = 0.0
    nesterov: bool = False

    def _check(self) -> None:
        self._set(momentum=momentum_share(self.momentum, "momentum"))
        if not isinstance(self.nesterov, bool):
            raise TypeError(f"nesterov must be True or False, got {self.nesterov!r}.")

    def _slots(self) -> tuple[float, ...]:
        return (0.0,) if self.momentum else ()

    def _flags(self) -> tuple[str, ...]:
        if not self.momentum:
            return ()
        return ("momentum", "nesterov") if self.nesterov else ("momentum",)

    def _fill(self, rows: dict[str, Coefficients], t: Coefficients, rates: Coefficients) -> None:
        rows["lr"][:] = rates
        rows["momentum"][:] = self.momentum
