"""Figures of training runs. They are plain `matplotlib.figure.Figure` objects: pyplot's state is never touched.

Needs matplotlib: `pip install 'fastann[plots]'`.
"""

from __future__ import annotations

from fastann.plots.curves import Curve, loss_curves
from fastann.plots.figure import save_png
from fastann.plots.throughput import Speed, throughput

__all__ = ["Curve", "Speed", "loss_curves", "save_png", "throughput"]
