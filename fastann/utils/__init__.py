"""Small public functions and classes that belong to no layer, loss or model."""

from __future__ import annotations

from fastann.random import set_random_seed
from fastann.utils.categorical import to_categorical
from fastann.utils.normalizing import normalize
from fastann.utils.py_dataset import PyDataset, Sequence

__all__ = ["PyDataset", "Sequence", "normalize", "set_random_seed", "to_categorical"]
