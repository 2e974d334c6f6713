"""Figures of training runs. They are plain `matplotlib.figure.Figure` objects: pyplot's state is never touched.

Needs matplotlib: `pip install 'fastann[plots]'`.
"""

from __future__ import annotations

from fastann.plots.activation_functions import activation_functions, step_and_sigmoid
from fastann.plots.comparisons import learning_rate_effect, optimizer_curves
from fastann.plots.confusion_matrix import confusion_matrix
from fastann.plots.curves import Curve, loss_curves
from fastann.plots.decision_boundary import decision_boundary
from fastann.plots.figure import save_png
from fastann.plots.gradient_norms import gradient_norms
from fastann.plots.layer_activations import layer_activations
from fastann.plots.learning_curves import learning_curves
from fastann.plots.learning_rate_finder import learning_rate_finder
from fastann.plots.network_diagram import network_diagram
from fastann.plots.paths import descent_paths, optimizer_paths
from fastann.plots.projections import projections
from fastann.plots.roofline import roofline
from fastann.plots.speedups import speedups
from fastann.plots.throughput import Speed, throughput
from fastann.plots.weight_histograms import weight_histograms

__all__ = [
    "Curve",
    "Speed",
    "activation_functions",
    "confusion_matrix",
    "decision_boundary",
    "descent_paths",
    "gradient_norms",
    "layer_activations",
    "learning_curves",
    "learning_rate_effect",
    "learning_rate_finder",
    "loss_curves",
    "network_diagram",
    "optimizer_curves",
    "optimizer_paths",
    "projections",
    "roofline",
    "save_png",
    "speedups",
    "step_and_sigmoid",
    "throughput",
    "weight_histograms",
]
