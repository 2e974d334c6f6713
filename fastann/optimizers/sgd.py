"""Stochastic gradient descent: plain, with momentum and with Nesterov's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fastann.optimizers.base import Coefficients, LearningRateLike, Optimizer, below_one
from fastann.spec import flag, register


@register("optimizers")
@dataclass(frozen=True)
class SGD(Optimizer):
    """v <- momentum v - lr g; w <- w + v, or with `nesterov` w <- w + momentum v - lr g.

    >>> SGD(0.1, momentum=0.9).update_rule()
    UpdateRule(op='sgd', slots=(0.0,), flags=('momentum',))

    Args:
        learning_rate: lr; see `Optimizer` for this and the settings that are keywords only.
        momentum: in [0, 1); with 0 there is no v and `nesterov` changes nothing.
        nesterov: look ahead. Sutskever et al. 2013, equations 3 and 4.
    """

    op: ClassVar[str] = "sgd"

    learning_rate: LearningRateLike = 0.01
    momentum: float = 0.0
    nesterov: bool = False

    def _check(self) -> None:
        self._set(momentum=below_one(self.momentum, "momentum"), nesterov=flag(self.nesterov, "nesterov"))

    def _slots(self) -> tuple[float, ...]:
        return (0.0,) if self.momentum else ()

    def _flags(self) -> tuple[str, ...]:
        if not self.momentum:
            return ()
        return ("momentum", "nesterov") if self.nesterov else ("momentum",)

    def _fill(self, columns: dict[str, Coefficients], t: Coefficients, rates: Coefficients) -> None:
        columns["lr"][:] = rates
        columns["momentum"][:] = self.momentum
