"""What every metric is: a number that is brought up to date batch by batch."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from fastann.losses.base import snake_case
from fastann.losses.settings import check_dtype


class Metric(ABC):
    """A number over all batches seen since `reset_state`.

    A metric of your own overrides `update_state`, `result` and `reset_state`, and `get_config` if it has settings;
    decorated with `fastann.spec.register("metrics")` it can be saved with a model. During training it is computed in
    Python from the outputs of the network.

    Args:
        dtype: "float32" or "float64" (None means that), the type that values are computed in; sums are float64.
        name: by default the class name in lower case with underscores.

    Attributes:
        op: what a program computes for every row, a name of `fastann_kernels.program.LOSSES` or `METRICS`, if a
            program can compute this metric; else None. Its other settings are attributes of the names that
            `fastann_kernels.program.Metric` has, and `from_logits`, `label_smoothing`.
    """

    op: str | None = None

    #: Whether the result may depend on which rows stand in a batch together. Training gives such a metric one batch at
    #: a time, and many batches at once to one that only adds up what rows contribute, which is faster.
    by_batch: ClassVar[bool] = True

    #: Settings that `get_config` returns besides name and dtype.
    settings: ClassVar[tuple[str, ...]] = ()

    def __init__(self, dtype: str | None = None, name: str | None = None) -> None:
        if not isinstance(name, str | None):
            raise TypeError(f"the name of a metric must be a string, got {name!r}.")
        self.name = name or snake_case(type(self).__name__)
        self.dtype = check_dtype(dtype) or "float64"

    @abstractmethod
    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Take one batch into account."""

    @abstractmethod
    def result(self) -> float | NDArray[np.float64]:
        """Return the metric over all batches since the last reset; some give an array, of a number a class."""

    @abstractmethod
    def reset_state(self) -> None:
        """Forget all batches."""

    def __call__(self, *args: Any, **kwargs: Any) -> float | NDArray[np.float64]:
        """Take one batch into account and return the result."""
        self.update_state(*args, **kwargs)
        return self.result()

    def check_shapes(self, target_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> None:  # noqa: B027
        """Raise ValueError unless rows of targets and predictions of these shapes can be compared.

        `compile` asks before any training; a metric that does not override this takes what comes.
        """

    def finalize(self, mean: float) -> float:
        """Return the metric from the mean of what `op` computes."""
        return mean

    def get_config(self) -> dict[str, Any]:
        """Return the settings as JSON-able data."""
        return {"name": self.name, "dtype": self.dtype} | {key: getattr(self, key) for key in self.settings}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make the metric that `get_config` described, without any batches; raises ValueError for unknown settings."""
        try:
            inspect.signature(cls).bind(**config)
        except TypeError:
            raise ValueError(f"{cls.__name__} does not have just the settings {', '.join(config)}.") from None
        return cls(**config)

    def __repr__(self) -> str:
        config = ", ".join(f"{key}={value!r}" for key, value in self.get_config().items())
        return f"{type(self).__name__}({config})"
