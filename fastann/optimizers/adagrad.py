"""Adagrad."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from fastann.optimizers.base import Coefficients, LearningRateLike, Optimizer
from fastann.spec import bounded, register


@register("optimizers")
@dataclass(frozen=True)
class Adagrad(Optimizer):
    """a <- a + g^2; w <- w - lr g / sqrt(a + epsilon). Duchi, Hazan & Singer 2011.

    Args:
        learning_rate: a number, a schedule or a function of the step.
        initial_accumulator_value: where a starts.
        epsilon: inside the root, as in Keras.
    """

    op: ClassVar[str] = "adagrad"

    learning_rate: LearningRateLike = 0.001  # type: ignore[misc]
    initial_accumulator_value: float = 0.1
    epsilon: float = 1e-7

    def _check(self) -> None:
        self._set(
            initial_accumulator_value=bounded(self.initial_accumulator_value, "initial_accumulator_value"),
            epsilon=bounded(self.epsilon, "epsilon"),
        )

    def _slots(self) -> tuple[float, ...]:
        return (self.initial_accumulator_value,)

    def _fill(self, rows: dict[str, Coefficients], t: Coefficients, rates: Coefficients) -> None:
        rows["lr"][:], rows["epsilon"][:] = rates, self.epsilon
