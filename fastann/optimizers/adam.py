"""Adam and its kin: rules that follow means of the gradient and of its size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from fastann.optimizers.base import Coefficients, Optimizer, below_one
from fastann.spec import bounded, flag, register


def one_minus_power(beta: float, t: Coefficients) -> Coefficients:
    """Return 1 - beta^t, of beta in [0, 1) and rising t >= 1, which is how far a moving mean has come to its size.

    Powers too small to show beside 1 are not taken: where they are subnormal or 0 they take some 15 times as long.
    """
    shown = math.log(2.0**-54) / math.log(beta) if beta else 0.0
    count = int(np.searchsorted(t, shown, side="right"))
    found = np.ones_like(t)
    found[:count] -= beta ** t[:count]
    return found


@dataclass(frozen=True)
class _Moments(Optimizer):
    """What rules with two moments share: beta_1, beta_2 in [0, 1) and epsilon."""

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-7

    def _check(self) -> None:
        self._set(
            beta_1=below_one(self.beta_1, "beta_1"),
            beta_2=below_one(self.beta_2, "beta_2"),
            epsilon=bounded(self.epsilon, "epsilon"),
        )

    def _slots(self) -> tuple[float, ...]:
        return (0.0, 0.0)

    def _fill(self, columns: dict[str, Coefficients], t: Coefficients, rates: Coefficients) -> None:
        for name in ("beta_1", "beta_2", "epsilon"):
            columns[name][:] = getattr(self, name)


@register("optimizers")
@dataclass(frozen=True)
class Adam(_Moments):
    """m, v: moving means of g and g^2; w <- w - lr sqrt(1 - beta_2^t) / (1 - beta_1^t) m / (sqrt(v) + epsilon).

    Kingma & Ba 2015, the form before section 2.1 ("epsilon hat"), as in Keras; PyTorch and optax add epsilon after the
    correction of v instead.

    >>> Adam(learning_rate=3e-4).learning_rate
    0.0003

    Args:
        learning_rate: lr; see `Optimizer` for this and the settings that are keywords only.
        beta_1, beta_2: in [0, 1).
        epsilon: outside the root.
        amsgrad: use the largest v so far. Reddi, Kale & Kumar 2018, algorithm 2.
    """

    op: ClassVar[str] = "adam"

    amsgrad: bool = False

    def _check(self) -> None:
        super()._check()
        self._set(amsgrad=flag(self.amsgrad, "amsgrad"))

    def _slots(self) -> tuple[float, ...]:
        return (0.0, 0.0, 0.0) if self.amsgrad else (0.0, 0.0)

    def _flags(self) -> tuple[str, ...]:
        return ("amsgrad",) if self.amsgrad else ()

    def _fill(self, columns: dict[str, Coefficients], t: Coefficients, rates: Coefficients) -> None:
        super()._fill(columns, t, rates)
        columns["alpha"][:] = rates * np.sqrt(one_minus_power(self.beta_2, t)) / one_minus_power(self.beta_1, t)


@register("optimizers")
@dataclass(frozen=True)
class AdamW(Adam):
    """Adam with decoupled weight decay, w <- w - lr weight_decay w before each update. Loshchilov & Hutter 2019.

    Args:
        learning_rate, weight_decay, beta_1, beta_2, epsilon, amsgrad: in this order, as in Keras.
    """

    weight_decay: float | None = 0.004


@register("optimizers")
@dataclass(frozen=True)
class Nadam(_Moments):
    """Adam with Nesterov momentum and a beta_1 that warms up: mu_t = beta_1 (1 - 0.96^t / 2).

    w <- w - lr (mu_(t+1) / (1 - mu_1 ... mu_(t+1)) m + (1 - mu_t) / (1 - mu_1 ... mu_t) g)
             / (sqrt(v / (1 - beta_2^t)) + epsilon). Dozat 2016, algorithm 8, as in Keras.

    Args:
        learning_rate: lr; see `Optimizer` for this and the settings that are keywords only.
        beta_1, beta_2: in [0, 1).
        epsilon: outside the root.
    """

    op: ClassVar[str] = "nadam"

    #: From this update on, mu is beta_1 to the last bit of a float64.
    SETTLED: ClassVar[int] = 1000

    def _fill(self, columns: dict[str, Coefficients], t: Coefficients, rates: Coefficients) -> None:
        super()._fill(columns, t, rates)
        mu, mu_next, product = self._mu(t), self._mu(t + 1), self._product(t)
        columns["lr"][:] = rates
        columns["m_scale"][:] = mu_next / (1 - product * mu_next)
        columns["g_scale"][:] = (1 - mu) / (1 - product)
        columns["v_scale"][:] = 1 / one_minus_power(self.beta_2, t)

    def _mu(self, t: Coefficients) -> Coefficients:
        return self.beta_1 * (1 - 0.5 * 0.96**t)

    def _product(self, t: Coefficients) -> Coefficients:
        """Return mu_1 ... mu_t, without walking through updates long gone."""
        head = np.cumprod(self._mu(np.arange(1.0, self.SETTLED + 1)))
        inside = np.minimum(t, self.SETTLED).astype(np.int64)
        return np.asarray(head[inside - 1] * self.beta_1 ** np.maximum(t - self.SETTLED, 0))


@register("optimizers")
@dataclass(frozen=True)
class Adamax(_Moments):
    """m as in Adam; u <- max(beta_2 u, |g|); w <- w - lr / (1 - beta_1^t) m / (u + epsilon).

    Kingma & Ba 2015, algorithm 2, with Keras's epsilon.

    Args:
        learning_rate: lr; see `Optimizer` for this and the settings that are keywords only.
        beta_1, beta_2: in [0, 1).
        epsilon: what is added to u.
    """

    op: ClassVar[str] = "adamax"

    def _fill(self, columns: dict[str, Coefficients], t: Coefficients, rates: Coefficients) -> None:
        super()._fill(columns, t, rates)
        columns["alpha"][:] = rates / one_minus_power(self.beta_1, t)
