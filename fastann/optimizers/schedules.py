"""The schedules of `fastann.schedules` at the place where Keras has them."""

from __future__ import annotations

from fastann.schedules import (
    CosineDecay,
    CosineDecayRestarts,
    CyclicalLearningRate,
    ExponentialDecay,
    InverseTimeDecay,
    LearningRateSchedule,
    LinearScaling,
    LinearWarmup,
    OneCycle,
    PiecewiseConstantDecay,
    PolynomialDecay,
    Scaled,
    StepDecay,
)

__all__ = [
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
    "Scaled",
    "StepDecay",
]
