"""Large batches: learning rates that follow the batch size, noisy gradients, and the batch that a machine runs best."""

from __future__ import annotations

from fastann.scaling.advice import Advice, ProbeRun
from fastann.scaling.advising import advise
from fastann.scaling.batch_finder import BatchSizeSearch, BatchSizeTrial, find_batch_size
from fastann.scaling.noise import Interval, NoiseEstimate
from fastann.scaling.noise_callback import NoiseScale
from fastann.scaling.noise_scale import ExactNoise, noise_scale
from fastann.scaling.rules import half_life, scale_beta_2, scale_ema_momentum, scale_optimizer
from fastann.schedules import RULES, LinearScaling, Run, scale_learning_rate

__all__ = [
    "RULES",
    "Advice",
    "BatchSizeSearch",
    "BatchSizeTrial",
    "ExactNoise",
    "Interval",
    "LinearScaling",
    "NoiseEstimate",
    "NoiseScale",
    "ProbeRun",
    "Run",
    "advise",
    "find_batch_size",
    "half_life",
    "noise_scale",
    "scale_beta_2",
    "scale_ema_momentum",
    "scale_learning_rate",
    "scale_optimizer",
]
