"""A slow float64 NumPy model of a whole `Program`: the values that the backends must reproduce.

It shares no code with the kernels, nor their short cuts: derivatives are written in terms of z (the kernels use the
output), softmax goes through its full Jacobian, parameters are separate arrays rather than one loop over a flat vector.

    run = run_steps(program, params, slots, (x, y, weights), steps)
    run.params, run.slots, run.losses, run.metrics

Letters: B rows, K width of the last axis, P parameters, S slots. `weights` may be None.
"""

from __future__ import annotations

from .activations import activate, activate_back
from .losses import loss_values
from .metrics import metric_values
from .network import Run, backward, forward, loss_and_gradient, metric_sums, run_steps
from .random import dropout_factors, fold_in, random_bits, threefry2x32
from .types import join, split
from .updates import update

__all__ = [
    "Run",
    "activate",
    "activate_back",
    "backward",
    "dropout_factors",
    "fold_in",
    "forward",
    "join",
    "loss_and_gradient",
    "loss_values",
    "metric_sums",
    "metric_values",
    "random_bits",
    "run_steps",
    "split",
    "threefry2x32",
    "update",
]
