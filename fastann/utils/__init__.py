"""Small public functions that belong to no layer, loss or model."""

from __future__ import annotations

from fastann.random import set_random_seed
from fastann.utils.categorical import to_categorical

__all__ = ["set_random_seed", "to_categorical"]
