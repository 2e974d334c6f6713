"""Models: networks with weights that can be trained."""

from __future__ import annotations

from fastann.models.inside import layer_outputs
from fastann.models.model import Model
from fastann.models.sequential import Sequential

__all__ = ["Model", "Sequential", "layer_outputs"]
