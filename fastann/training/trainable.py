"""What the loops ask of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from fastann.training.session import Session


class Trainable(Protocol):
    """A model as the loops see it; callbacks may ask more of it, such as its weights and its optimizer.

    Attributes:
        history: the loops put the `History` of a `fit` here.
        stop_training: set to True to end `fit` after the epoch, or after the batch.
    """

    history: Any
    stop_training: bool

    @property
    def built(self) -> bool:
        """Whether the shape of the input is known."""

    @property
    def compiled(self) -> bool:
        """Whether the model can be trained."""

    @property
    def input_shape(self) -> Any:
        """Shape of the data, None standing for the rows."""

    def prepare(
        self, x_shape: Sequence[int], y_shape: Sequence[int] | None = None, y_is_integer: bool = False
    ) -> Session:
        """Return a session that runs on data and targets of these shapes, rows first."""
