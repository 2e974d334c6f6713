"""The optimizer of a compiled model: its frozen settings, the learning rate of now, the updates made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastann.models.network import Network
    from fastann.optimizers import Optimizer


class OptimizerView:
    """What `model.optimizer` is. Settings such as `beta_1` are read from `spec`; the learning rate can be set.

    Attributes:
        spec: the frozen optimizer that `compile` was given.
    """

    def __init__(self, spec: Optimizer, model: Network) -> None:
        self.spec = spec
        self._model = model

    def __repr__(self) -> str:
        return f"<{type(self.spec).__name__} after {self.iterations} updates, learning rate {self.learning_rate:g}>"

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_") or attribute == "spec":
            raise AttributeError(attribute)
        return getattr(self.spec, attribute)

    @property
    def iterations(self) -> int:
        """Updates made since the model was compiled."""
        return self._model.iterations

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next update.

        Setting it takes effect at once and recompiles nothing; it raises TypeError where a schedule decides.
        """
        return self._model.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        self._model.learning_rate = value
