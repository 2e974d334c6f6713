"""What the loops ask of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from fastann.training.session import Session
from fastann.training.targets import Target


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
        """Shape of the data, None standing for the rows; a list of shapes for several inputs."""

    @property
    def input_names(self) -> Sequence[str]:
        """Names of the inputs; asked for once the model is built."""

    @property
    def output_names(self) -> Sequence[str]:
        """Names of the outputs; asked for once the model is built."""

    @property
    def session(self) -> Session:
        """The running state; made if there is none yet."""

    def arranged(self, values: Sequence[Any]) -> Any:
        """Return one thing an output in the form that users see: alone, as a list, or as a dict."""

    def prepare(self, x_shape: Sequence[int], targets: Sequence[Target] | None = None) -> Session:
        """Return a session that runs on data of this shape, rows first, with a target for each output, if any."""
