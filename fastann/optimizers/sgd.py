"""Stochastic gradient descent: plain, with momentum and with Nesterov's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from fastann.optimizers.base import Coefficients, LearningRateLike, Optimizer, below_one
from fastann.schedules import LearningRateSchedule
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
        momentum_correction: keyword only: v <- momentum lr_t / lr_(t-1) v - lr_t g, so that a velocity made at another
            learning rate is brought to the new one, as if lr were not part of it (Goyal et al. 2017, arXiv:1706.02677,
            section 3, remark 2; what PyTorch computes by its form of the rule). Keras does not correct. None leaves it
            to the schedule: `LinearScaling` asks for it, a number and all other schedules do not. After a step with a
            learning rate of 0 nothing is corrected.
    """

    op: ClassVar[str] = "sgd"

    learning_rate: LearningRateLike = 0.01
    momentum: float = 0.0
    nesterov: bool = False
    momentum_correction: bool | None = field(default=None, kw_only=True)

    def _check(self) -> None:
        self._set(momentum=below_one(self.momentum, "momentum"), nesterov=flag(self.nesterov, "nesterov"))
        if self.momentum_correction is not None:
            self._set(momentum_correction=flag(self.momentum_correction, "momentum_correction"))

    @property
    def corrects_momentum(self) -> bool:
        """Whether a step depends on the learning rate of the step before."""
        asked = self.momentum_correction
        if asked is None:
            rate = self.learning_rate
            asked = isinstance(rate, LearningRateSchedule) and rate.momentum_correction
        return bool(self.momentum) and asked

    def coefficients(
        self, first_step: int, learning_rates: NDArray[np.float64], previous_rate: float | None = None
    ) -> Coefficients:
        """Return float64[steps, K], a row for each update; see `Optimizer.coefficients`."""
        table = super().coefficients(first_step, learning_rates, previous_rate)
        if self.corrects_momentum and len(table):
            rates = np.asarray(learning_rates, np.float64)
            before = np.append(rates[0] if previous_rate is None else previous_rate, rates[:-1])
            changes = np.divide(rates, before, out=np.ones_like(rates), where=before > 0)
            table[:, self.update_rule().columns.index("carried")] *= changes
        return table

    def _slots(self) -> tuple[float, ...]:
        return (0.0,) if self.momentum else ()

    def _flags(self) -> tuple[str, ...]:
        if not self.momentum:
            return ()
        return ("momentum", "nesterov") if self.nesterov else ("momentum",)

    def _fill(self, columns: dict[str, Coefficients], t: Coefficients, rates: Coefficients) -> None:
        columns["lr"][:] = rates
        columns["momentum"][:] = columns["carried"][:] = self.momentum
