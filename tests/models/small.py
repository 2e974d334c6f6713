"""The network that most tests of models use."""

from __future__ import annotations

from fastann import Sequential
from fastann.layers import Dense


def small() -> Sequential:
    """Return a built network 3-4-2 with the seed 1."""
    return Sequential([Dense(4, "relu", input_shape=(3,)), Dense(2)], seed=1)
