"""Metrics: the value at each position."""

from __future__ import annotations

import numpy as np
from fastann_kernels.program import Loss, Metric

from .losses import loss_values
from .types import Array


def metric_values(metric: Metric, y: Array, p: Array) -> Array:
    """Return m (B, positions...). `keras.metrics`."""
    if metric.op == "accuracy":
        return (y == p).mean(-1)
    if metric.op == "binary_accuracy":
        return ((p > metric.threshold).astype(float) == y).mean(-1)
    if "accuracy" in metric.op:
        label = y.astype(int) if metric.sparse else y.argmax(-1)
        k = metric.k if "top_k" in metric.op else 1
        best = np.argsort(-p, axis=-1, kind="stable")[..., :k]
        return (best == label[..., None]).any(-1).astype(float)
    as_loss = Loss(metric.op, metric.prediction, metric.logits, delta=metric.delta, smoothing=metric.smoothing)
    return loss_values(as_loss, y, p)[0]
