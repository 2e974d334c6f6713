"""Adagrad."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fastann.optimizers.base import Coefficients, Optimizer
from fastann.spec import bounded, register


@register("optimizers")
@dataclass(frozen=True)
class Adagrad(Optimizer):
    """a <- a + g^2; w <- w - lr g / sqrt(a + epsilon). Duchi, Hazan & Singer 2011.

    Args:
        learning_rate: lr; see `Optimizer` for this and the settings that are keywords only.
        initial_accumulator_value: where a starts, not negative.
        epsilon: inside the root, as in Keras; PyTorch has it outside.
    """

    op: ClassVar[str] = "adagrad"

    initial_accumulator_value: float = 0.1
    epsilon: float = 1e-7

    def _check(self) -> None:
        self._set(
            initial_accumulator_value=bounded(self.initial_accumulator_value, "initial_accumulator_value"),
            epsilon=bounded(self.epsilon, "epsilon"),
        )

    def _slots(self) -> tuple[float, ...]:
        return (self.initial_accumulator_value,)

    def _fill(self, columns: dict[str, Coefficients], t: Coefficients, rates: Coefficients) -> None:
        columns["lr"][:] = rates
        columns["epsilon"][:] = self.epsilon
