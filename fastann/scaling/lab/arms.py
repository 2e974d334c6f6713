"""What is compared at a batch size: the rules, without and with warm-up, and the rates tuned for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastann.optimizers import Adam
from fastann.scaling.lab.choosing import score
from fastann.scaling.lab.design import BUDGETS
from fastann.scaling.lab.trials import Trial
from fastann.scaling.lab.workbench import Workbench
from fastann.schedules import scale_learning_rate


def arms_of(
    bench: Workbench, optimizer: str, size: int, anchor: float, tuned: Mapping[str, float], noise: float | None
) -> list[dict[str, Any]]:
    """Return the arms of a batch size, each with what `arm_trial` needs to know.

    Args:
        bench: data and design.
        optimizer: of the design.
        size: the batch size.
        anchor: the learning rate tuned at the base batch.
        tuned: the learning rates tuned at this one, by budget.
        noise: the noise scale at the base batch, for the saturating rule.
    """
    design, base = bench.design, bench.base_batch
    rules = [rule for rule in design.rules
             if applies(rule, optimizer, base, size) and not (rule == "saturating" and noise is None)]  # fmt: skip
    plain: dict[str, dict[str, Any]] = {}
    for rule in rules:
        given = noise if rule == "saturating" else None
        plain[rule] = {"learning_rate": rounded(scale_learning_rate(anchor, base, size, rule, noise_scale=given))}
        if rule == "sde-sqrt":
            plain[rule]["scaled_from"] = base
    shared = {"optimizer": optimizer, "batch_size": size, "warmup_steps": 0, "warmup_from": 0.0}
    arms = [{**shared, "arm": rule, **entries} for rule, entries in plain.items()]
    arms += [{**shared, "arm": f"tuned:{budget}", "learning_rate": tuned[budget]} for budget in BUDGETS]
    if design.warmup_epochs and size > base:
        shared |= {"warmup_steps": bench.epochs_in_steps(size, design.warmup_epochs), "warmup_from": anchor}
        arms += [{**shared, "arm": f"{rule}+warmup", **plain[rule]} for rule in rules if rule != "none"]
    return arms


def applies(rule: str, optimizer: str, base_batch: int, size: int) -> bool:
    """Return whether a rule applies: "sde-sqrt" is for Adam while kappa (1 - beta_1) < 1 (Malladi et al. 2022)."""
    return rule != "sde-sqrt" or (optimizer == "adam" and size / base_batch * (1 - Adam().beta_1) < 1)


def arm_trial(arm: Mapping[str, Any], bench: Workbench, seed: int) -> Trial:
    """Return the trial of an arm with a seed."""
    size = arm["batch_size"]
    return Trial(arm["optimizer"], size, arm["learning_rate"], bench.longest(size), seed, arm["warmup_steps"],
                 arm["warmup_from"], scaled_from=arm.get("scaled_from"))  # fmt: skip


def noise_on_the_way(runs: Sequence[Mapping[str, Any]], target: float) -> float | None:
    """Return the noise scale halfway to the target, in the logarithm of the steps; None where it is not a number.

    It grows along a training, and what counts until a target is about its middle: mean tr(Sigma) over mean |G|^2 of the
    runs, at the look nearest to the square root of the steps that the median run takes.
    """
    limits = {"epochs": math.inf, "steps": math.inf}
    steps = np.median([min(score(run, "target", limits, target), run["trial"]["steps"]) for run in runs])
    looks = set.intersection(*({step for step, _, _ in run["noise"] if step > 0} for run in runs))
    if not looks:
        return None
    chosen = min(looks, key=lambda step: abs(math.log(step) - math.log(max(steps, 1.0)) / 2))
    moments = np.mean([(trace, square) for run in runs for step, trace, square in run["noise"] if step == chosen], 0)
    scale = float(moments[0] / moments[1]) if moments[1] > 0 else math.nan
    return scale if math.isfinite(scale) and scale > 0 else None


def rounded(rate: float) -> float:
    """Return a learning rate with four digits: equal rates are then equal numbers."""
    return float(f"{rate:.4g}")
