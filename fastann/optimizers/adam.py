"""Adam and its relatives: AdamW, Nadam, Adamax."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from fastann.optimizers.base import Coefficients, LearningRateLike, Optimizer, momentum_share
from fastann.spec import bounded, register

# Nadam's momentum schedule is beta_1 from here on, to the last bit of a float64.
_NADAM_SETTLED = 1000
_NADAM_DECAY = 0.96


@dataclass(frozen=True)
class _Moments(Optimizer):
    """The checks and slots of rules with two moments."""

    def _check(self) -> None:
        for key in ("beta_1", "beta_2"):
            self._set(**{key: momentum_share(getattr(self, key), key)})
        self._set(epsilon=bounded(self.epsilon, "epsilon"))  # type: ignore[attr-defined]
        if not isinstance(getattr(self, "amsgrad", False), bool):
            raise TypeError(f"amsgrad must be True or False, got {self.amsgrad!r}.")  # type: ignore[attr-defined]

    def _slots(self) -> tuple[float, ...]:
        return (0.0,) * (2 + getattr(self, "amsgrad", False))

    def _flags(self) -> tuple[str, ...]:
        return ("amsgrad",) if getattr(self, "amsgrad", False) else ()

    def _fill(self, rows: dict[str, Coefficients], t: Coefficients, rates: Coefficients) -> None:
        for key in ("beta_1", "beta_2", "epsilon"):
            rows[key][:] = getattr(self, key)


@register("optimizers")
@dataclass(frozen=True)
class Adam(_Moments):
    """m, v: moving means of g and g^2; w <- w - lr sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon).

    Kingma & Ba 2015, the form before section 2.1 ("epsilon hat"), as in Keras; PyTorch and optax add epsilon after the
    correction of v instead.

    Args:
        learning_rate: a number, a schedule or a function of the step.
        beta_1, beta_2: in [0, 1).
        epsilon: outside the root.
        amsgrad: use the largest v so far. Reddi, Kale & Kumar 2018.
    """

    op: ClassVar[str] = "adam"

    learning_rate: LearningRateLike = 0.001  # type: ignore[misc]
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7
    amsgrad: bool = False

    def _fill(self, rows: dict[str, Coefficients], t: Coefficients, rates: Coefficients) -> None:
        super()._fill(rows, t, rates)
        rows["alpha"][:] = rates * np.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)


@register("optimizers")
@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay, on by default. Loshchilov & Hutter 2019."""

    weight_decay: float | None = field(default=0.004, kw_only=True)


@register("optimizers")
@dataclass(frozen=True)
class Nadam(_Moments):
    """Adam with Nesterov momentum, whose beta_1 warms up as beta_1 (1 - 0.96^t / 2). Dozat 2016, as in Keras."""

    op: ClassVar[str] = "nadam"

    learning_rate: LearningRateLike = 0.001  # type: ignore[misc]
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    def _fill(self, rows: dict[str, Coefficients], t: Coefficients, rates: Coefficients) -> None:
        super()._fill(rows, t, rates)
        u, u_next = self._momentum(t), self._momentum(t + 1)
        product = self._momentum_product(t)
        rows["lr"][:] = rates
        rows["m_scale"][:] = u_next / (1 - product * u_next)
        rows["g_scale"][:] = (1 - u) / (1 - product)
        rows["v_scale"][:] = 1 / (1 - self.beta_2**t)

    def _momentum(self, t: Coefficients) -> Coefficients:
        return self.beta_1 * (1 - 0.5 * _NADAM_DECAY**t)

    def _momentum_product(self, t: Coefficients) -> Coefficients:
        """Return the product of the momenta of updates 1..t, without walking through all of them."""
        head = np.cumprod(self._momentum(np.arange(1.0, _NADAM_SETTLED + 1)))
        inside = np.minimum(t, _NADAM_SETTLED).astype(np.int64)
        return np.asarray(head[inside - 1] * self.beta_1 ** np.maximum(t - _NADAM_SETTLED, 0))


@register("optimizers")
@dataclass(frozen=True)
class Adamax(_Moments):
    """u <- max(beta_2 u, |g|); w <- w - lr / (1 - beta_1^t) m / (u + epsilon). Kingma & Ba 2015, section 7.1."""

    op: ClassVar[str] = "adamax"

    learning_rate: LearningRateLike = 0.001  # type: ignore[misc]
    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    def _fill(self, rows: dict[str, Coefficients], t: Coefficients, rates: Coefficients) -> None:
        super()._fill(rows, t, rates)
        rows["alpha"][:] = rates / (1 - self.beta_1**t)
