"""Single units: what one neuron can and cannot learn."""

from __future__ import annotations

from fastann.units.perceptron import Perceptron
from fastann.units.regression import LinearRegressionUnit, LogisticRegressionUnit
from fastann.units.separability import Separability, separability

__all__ = ["LinearRegressionUnit", "LogisticRegressionUnit", "Perceptron", "Separability", "separability"]
