"""Update rules over separate arrays, each as its paper (and Keras 3) states it."""

from __future__ import annotations

import numpy as np
from fastann_kernels.program import Program, UpdateRule

from .types import Array, join, split


def clip(rule: UpdateRule, grads: list[Array], c: dict[str, float]) -> list[Array]:
    """Clip by norm of each tensor, by the norm of all of them, or by value. Pascanu et al. 2013, algorithm 1."""

    def shrink(limit: float, norm: float) -> float:
        return limit / norm if norm > limit else 1.0

    if "clipnorm" in rule.flags:
        grads = [g * shrink(c["clipnorm"], float(np.linalg.norm(g))) for g in grads]
    if "global_clipnorm" in rule.flags:
        norm = float(np.sqrt(sum((g**2).sum() for g in grads)))
        grads = [g * shrink(c["global_clipnorm"], norm) for g in grads]
    if "clipvalue" in rule.flags:
        grads = [np.clip(g, -c["clipvalue"], c["clipvalue"]) for g in grads]
    return grads


def _sgd(w: Array, g: Array, s: list[Array], c: dict[str, float], flags: tuple[str, ...]) -> Array:
    """Sutskever et al. 2013, equations 1 to 4, the velocity holding the learning rate; Goyal et al. 2017, section 3."""
    if "momentum" not in flags:
        return w - c["lr"] * g
    s[0] = c["carried"] * s[0] - c["lr"] * g
    return w + (c["momentum"] * s[0] - c["lr"] * g if "nesterov" in flags else s[0])


def _rmsprop(w: Array, g: Array, s: list[Array], c: dict[str, float], flags: tuple[str, ...]) -> Array:
    """Tieleman & Hinton 2012, lecture 6e; epsilon inside the root; centered: Graves 2013, equations 38 to 41."""
    s[0] = c["rho"] * s[0] + (1 - c["rho"]) * g**2
    variance = s[0]
    if "centered" in flags:
        at = 2 if "momentum" in flags else 1
        s[at] = c["rho"] * s[at] + (1 - c["rho"]) * g
        variance = s[0] - s[at] ** 2
    step = c["lr"] * g / np.sqrt(variance + c["epsilon"])
    if "momentum" in flags:
        step = s[1] = c["momentum"] * s[1] + step
    return w - step


def _adagrad(w: Array, g: Array, s: list[Array], c: dict[str, float], flags: tuple[str, ...]) -> Array:
    """Duchi et al. 2011, with epsilon inside the root."""
    s[0] = s[0] + g**2
    return w - c["lr"] * g / np.sqrt(s[0] + c["epsilon"])


def _adam(w: Array, g: Array, s: list[Array], c: dict[str, float], flags: tuple[str, ...]) -> Array:
    """Kingma & Ba 2015, algorithm 1 in the form of its section 2; amsgrad: Reddi et al. 2018, algorithm 2."""
    s[0] = c["beta_1"] * s[0] + (1 - c["beta_1"]) * g
    s[1] = c["beta_2"] * s[1] + (1 - c["beta_2"]) * g**2
    second = s[1]
    if "amsgrad" in flags:
        second = s[2] = np.maximum(s[2], s[1])
    return w - c["alpha"] * s[0] / (np.sqrt(second) + c["epsilon"])


def _nadam(w: Array, g: Array, s: list[Array], c: dict[str, float], flags: tuple[str, ...]) -> Array:
    """Dozat 2016, algorithm 8."""
    s[0] = c["beta_1"] * s[0] + (1 - c["beta_1"]) * g
    s[1] = c["beta_2"] * s[1] + (1 - c["beta_2"]) * g**2
    ahead = c["m_scale"] * s[0] + c["g_scale"] * g
    return w - c["lr"] * ahead / (np.sqrt(c["v_scale"] * s[1]) + c["epsilon"])


def _adamax(w: Array, g: Array, s: list[Array], c: dict[str, float], flags: tuple[str, ...]) -> Array:
    """Kingma & Ba 2015, algorithm 2."""
    s[0] = c["beta_1"] * s[0] + (1 - c["beta_1"]) * g
    s[1] = np.maximum(c["beta_2"] * s[1], np.abs(g))
    return w - c["alpha"] * s[0] / (s[1] + c["epsilon"])


def _lion(w: Array, g: Array, s: list[Array], c: dict[str, float], flags: tuple[str, ...]) -> Array:
    """Chen et al. 2023, algorithm 2."""
    direction = np.sign(c["beta_1"] * s[0] + (1 - c["beta_1"]) * g)
    s[0] = c["beta_2"] * s[0] + (1 - c["beta_2"]) * g
    return w - c["lr"] * direction


RULES = {
    "sgd": _sgd, "rmsprop": _rmsprop, "adagrad": _adagrad, "adam": _adam, "nadam": _nadam, "adamax": _adamax,
    "lion": _lion,
}  # fmt: skip


def update(program: Program, params: Array, slots: Array, gradient: Array, row: Array) -> tuple[Array, Array]:
    """Make one update; `row` is a row of `Steps.coefficients`. Returns new (params, slots); frozen tensors stay."""
    rule = program.update
    if rule is None:
        raise ValueError("the program has no update rule")
    c = dict(zip(rule.columns, map(float, row), strict=True))
    weights, state = split(program, params), [split(program, s) for s in slots]
    moving = [n for n, p in enumerate(program.parameters) if p.trainable]
    gradients = split(program, gradient)
    for n, g in zip(moving, clip(rule, [gradients[n] for n in moving], c), strict=True):
        w, s = weights[n], [tensors[n] for tensors in state]
        if "decay" in rule.flags and program.parameters[n].decay:
            w = w - w * c["decay"]
        w = RULES[rule.op](w, g, s, c, rule.flags)
        if "ema" in rule.flags:
            s[-1] = c["ema_momentum"] * s[-1] + (1 - c["ema_momentum"]) * w
            if c["ema_overwrite"]:
                w = s[-1]
        weights[n] = w
        for tensors, tensor in zip(state, s, strict=True):
            tensors[n] = tensor
    return join(program, weights), np.array([join(program, t) for t in state]).reshape(slots.shape)
