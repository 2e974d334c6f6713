"""What a contender is: a library at work as its users would write it, on the same problem as the others.

Every contender gets the same data, the same initial weights (kernels (in, out)), ReLU hidden layers, Adam with learning
rate 1e-3. fastann, like Keras, adds epsilon before the bias correction, PyTorch, optax and scikit-learn after it; with
epsilon 1e-10 that makes no difference, which it does with 1e-7 and the small gradients of wide networks. An epoch
includes drawing its order and gathering its rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Order = NDArray[np.int64]
Weights = list[NDArray[np.float32]]

LEARNING_RATE, EPSILON = 1e-3, 1e-10


class Contender(Protocol):
    """Built in a process of its own from a case and the first weights; `about` says what ran."""

    about: dict[str, Any]

    def epoch(self, order: Order | None = None) -> float:
        """Train one epoch in the given or a random order, and return the mean loss over its batches."""

    def epochs(self, count: int) -> None:
        """Train epochs in random orders, one after another."""


class EpochByEpoch:
    """Contenders whose users write the loop over epochs themselves."""

    epoch: Callable[..., float]

    def epochs(self, count: int) -> None:
        """Train epochs in random orders, one after another."""
        for _ in range(count):
            self.epoch()


@dataclass(frozen=True)
class Entry:
    """A contender in the registry.

    Attributes:
        title: in tables.
        needs: packages that must be installed.
        module: where it is defined, in this package.
        dense: name of the class for dense networks; None if there is none.
        images: the same for the convolutional network.
        agreement: largest relative difference of its first epoch's loss from that of the first contender. Adam's early
            steps follow the signs of gradients, so that rounding alone parts runs of 160 steps of a deep network by
            half a percent, those of fastann's own two backends among them.
    """

    title: str
    needs: tuple[str, ...]
    module: str
    dense: str | None
    images: str | None = None
    agreement: float = 1e-2
