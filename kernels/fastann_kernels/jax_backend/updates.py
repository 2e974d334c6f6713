"""Update rules, tensor by tensor: Keras 3's formulas. `c` holds the coefficients of the step by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from fastann_kernels.program import Parameter, UpdateRule

Array = jax.Array
Slots = tuple[Array, ...]  # those of one tensor
Coefficients = Mapping[str, Array]
Rule = Callable[[Array, Array, list[Array], Coefficients, tuple[str, ...]], Array]

#: Columns whose complement 1 - c a rule needs. It is taken in float64: 1 - float32(0.999) is off in the fifth digit.
DECAYS = ("rho", "beta_1", "beta_2", "ema_momentum")


def names(rule: UpdateRule) -> tuple[str, ...]:
    """Names of the columns that `prepare` returns."""
    return rule.columns + tuple(f"1 - {name}" for name in rule.columns if name in DECAYS)


def prepare(rule: UpdateRule, coefficients: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `coefficients` (steps, columns) with the complements of the `DECAYS` appended."""
    decays = [i for i, name in enumerate(rule.columns) if name in DECAYS]
    return np.concatenate([coefficients, 1 - coefficients[:, decays]], axis=1)


def clip_gradients(rule: UpdateRule, grads: Sequence[Array], c: Coefficients) -> Sequence[Array]:
    """Clip by the norm of each tensor, the norm of all, or by value. Pascanu et al. 2013, algorithm 1."""
    squares = [jnp.square(g).sum() for g in grads]
    if "clipnorm" in rule.flags:
        grads = [g * jnp.minimum(1.0, c["clipnorm"] / jnp.sqrt(s)) for g, s in zip(grads, squares, strict=True)]
    if "global_clipnorm" in rule.flags:
        factor = jnp.minimum(1.0, c["global_clipnorm"] / jnp.sqrt(sum(squares[1:], squares[0])))
        grads = [g * factor for g in grads]
    if "clipvalue" in rule.flags:
        grads = [jnp.clip(g, -c["clipvalue"], c["clipvalue"]) for g in grads]
    return grads


def sgd(w: Array, g: Array, s: list[Array], c: Coefficients, flags: tuple[str, ...]) -> Array:
    """v <- carried v - lr g;  w <- w + v, or w + momentum v - lr g (nesterov). Sutskever et al. 2013."""
    if "momentum" not in flags:
        return w - c["lr"] * g
    s[0] = c["carried"] * s[0] - c["lr"] * g
    return w + (c["momentum"] * s[0] - c["lr"] * g if "nesterov" in flags else s[0])


def rmsprop(w: Array, g: Array, s: list[Array], c: Coefficients, flags: tuple[str, ...]) -> Array:
    """v <- rho v + (1 - rho) g^2;  w <- w - lr g / sqrt(v + eps). Tieleman & Hinton 2012; centered: Graves 2013."""
    s[0] = c["rho"] * s[0] + c["1 - rho"] * jnp.square(g)
    d = s[0]
    if "centered" in flags:
        at = 2 if "momentum" in flags else 1
        s[at] = c["rho"] * s[at] + c["1 - rho"] * g
        d = d - jnp.square(s[at])
    u = c["lr"] * g / jnp.sqrt(d + c["epsilon"])
    if "momentum" in flags:
        s[1] = u = c["momentum"] * s[1] + u
    return w - u


def adagrad(w: Array, g: Array, s: list[Array], c: Coefficients, flags: tuple[str, ...]) -> Array:
    """a <- a + g^2;  w <- w - lr g / sqrt(a + eps). Duchi et al. 2011."""
    s[0] = s[0] + jnp.square(g)
    return w - c["lr"] * g / jnp.sqrt(s[0] + c["epsilon"])


def moments(g: Array, s: list[Array], c: Coefficients) -> None:
    """m <- m + (1 - beta_1)(g - m);  v <- v + (1 - beta_2)(g^2 - v)"""
    s[0] = s[0] + c["1 - beta_1"] * (g - s[0])
    s[1] = s[1] + c["1 - beta_2"] * (jnp.square(g) - s[1])


def adam(w: Array, g: Array, s: list[Array], c: Coefficients, flags: tuple[str, ...]) -> Array:
    """w <- w - alpha m / (sqrt(v) + eps). Kingma & Ba 2015, "epsilon hat"; amsgrad: Reddi et al. 2018."""
    moments(g, s, c)
    v = s[1]
    if "amsgrad" in flags:
        s[2] = v = jnp.maximum(s[2], v)
    return w - c["alpha"] * s[0] / (jnp.sqrt(v) + c["epsilon"])


def nadam(w: Array, g: Array, s: list[Array], c: Coefficients, flags: tuple[str, ...]) -> Array:
    """w <- w - lr (m_scale m + g_scale g) / (sqrt(v_scale v) + eps). Dozat 2016."""
    moments(g, s, c)
    ahead = c["m_scale"] * s[0] + c["g_scale"] * g
    return w - c["lr"] * ahead / (jnp.sqrt(c["v_scale"] * s[1]) + c["epsilon"])


def adamax(w: Array, g: Array, s: list[Array], c: Coefficients, flags: tuple[str, ...]) -> Array:
    """u <- max(beta_2 u, |g|);  w <- w - alpha m / (u + eps). Kingma & Ba 2015, algorithm 2."""
    s[0] = s[0] + c["1 - beta_1"] * (g - s[0])
    s[1] = jnp.maximum(c["beta_2"] * s[1], jnp.abs(g))
    return w - c["alpha"] * s[0] / (s[1] + c["epsilon"])


def lion(w: Array, g: Array, s: list[Array], c: Coefficients, flags: tuple[str, ...]) -> Array:
    """w <- w - lr sign(beta_1 m + (1 - beta_1) g);  m <- beta_2 m + (1 - beta_2) g. Chen et al. 2023."""
    w = w - c["lr"] * jnp.sign(c["beta_1"] * s[0] + c["1 - beta_1"] * g)
    s[0] = c["beta_2"] * s[0] + c["1 - beta_2"] * g
    return w


RULES: dict[str, Rule] = {
    "sgd": sgd,
    "rmsprop": rmsprop,
    "adagrad": adagrad,
    "adam": adam,
    "nadam": nadam,
    "adamax": adamax,
    "lion": lion,
}


def update_tensor(
    rule: UpdateRule, parameter: Parameter, w: Array, g: Array, slots: Slots, c: Coefficients
) -> tuple[Array, Slots]:
    """Return one tensor and its slots after the step: decay, the rule, the moving average."""
    s = list(slots)
    if "decay" in rule.flags and parameter.decay:
        w = w - w * c["decay"]
    w = RULES[rule.op](w, g, s, c, rule.flags)
    if "ema" in rule.flags:
        s[-1] = c["ema_momentum"] * s[-1] + c["1 - ema_momentum"] * w
        w = jnp.where(c["ema_overwrite"] != 0, s[-1], w)
    return w, tuple(s)


def update(
    rule: UpdateRule,
    parameters: Sequence[Parameter],
    tensors: Sequence[Array],
    slots: Sequence[Slots],
    grads: Sequence[Array],
    row: Array,
) -> tuple[tuple[Array, ...], tuple[Slots, ...]]:
    """Make one update of the trainable tensors; `row` is a row of `prepare`. Return all tensors and their slots."""
    c = dict(zip(names(rule), row, strict=True))
    moving = [i for i, parameter in enumerate(parameters) if parameter.trainable]
    clipped = clip_gradients(rule, [grads[i] for i in moving], c) if moving else ()
    new_tensors, new_slots = list(tensors), list(slots)
    for i, g in zip(moving, clipped, strict=True):
        new_tensors[i], new_slots[i] = update_tensor(rule, parameters[i], tensors[i], g, slots[i], c)
    return tuple(new_tensors), tuple(new_slots)
