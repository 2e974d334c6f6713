"""Learning rates as functions of the number of updates made, with Keras' names, arguments and values and some more.

A schedule takes a step or an integer array of steps and returns a float or a float64 array. Steps count from 0.
"""

from __future__ import annotations

from fastann.schedules.base import LearningRateSchedule, Rates, Run
from fastann.schedules.cosine import CosineDecay, CosineDecayRestarts
from fastann.schedules.cyclical import CyclicalLearningRate, OneCycle
from fastann.schedules.decays import ExponentialDecay, InverseTimeDecay, PolynomialDecay, StepDecay
from fastann.schedules.linear_scaling import LinearScaling
from fastann.schedules.linear_warmup import LinearWarmup
from fastann.schedules.piecewise_constant_decay import PiecewiseConstantDecay
from fastann.schedules.scaled import Scaled
from fastann.schedules.scaling_rules import RULES, scale_learning_rate

__all__ = [
    "RULES",
    "CosineDecay",
    "CosineDecayRestarts",
    "CyclicalLearningRate",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "LinearScaling",
    "LinearWarmup",
    "OneCycle",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "Rates",
    "Run",
    "Scaled",
    "StepDecay",
    "scale_learning_rate",
]
