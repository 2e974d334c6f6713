"""What every loss is: a frozen description that can be called on arrays."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from numpy.typing import ArrayLike

from fastann.losses.arrays import Array, as_float, match_ranks
from fastann.losses.reductions import reduce
from fastann.losses.settings import check_dtype, check_reduction
from fastann.spec import Spec, register


def snake_case(name: str) -> str:
    """Return `MeanSquaredError` as `mean_squared_error`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


@dataclass(frozen=True)
class Loss(Spec):
    """A loss as data: settings only; two losses with the same settings are equal.

    A subclass says what `op` it is, has `reduction`, `name` and `dtype` among its fields (in the places Keras gives
    them) and overrides `call`. To train with a loss of your own, give `compile` a function of y_true and y_pred.

    Args:
        reduction: "sum_over_batch_size" (or "mean"), "sum", "mean_with_sample_weight", "none" or None; see
            `fastann.losses.reductions.reduce`.
        name: what it is called in messages.
        dtype: "float32", "float64", or None for the type that y_pred has (float64 for whole numbers and lists).
    """

    #: A name of `fastann_kernels.program.LOSSES`, or "callable".
    op: ClassVar[str] = "callable"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str | None):
            raise TypeError(f"the name of a loss must be a string, got {self.name!r}.")
        self._set(
            name=self.name or snake_case(type(self).__name__),
            reduction=check_reduction(self.reduction),
            dtype=check_dtype(self.dtype),
        )

    def _set(self, **settings: Any) -> None:
        """Store checked values while the loss is being made; what is a property here stays one."""
        for key, value in settings.items():
            if getattr(self, key) != value:
                object.__setattr__(self, key, value)

    @property
    def name(self) -> str:
        """What the loss is called in messages."""
        return snake_case(type(self).__name__)

    @property
    def reduction(self) -> str | None:
        """What becomes of the values of the samples."""
        return "sum_over_batch_size"

    @property
    def dtype(self) -> str | None:
        """The float type to compute in, or None for that of y_pred."""
        return None

    @property
    def from_logits(self) -> bool:
        """Whether predictions are taken as they are before sigmoid or softmax; only cross-entropies can."""
        return False

    def call(self, y_true: Array, y_pred: Array) -> Array:
        """Return one value for each sample, not reduced."""
        raise TypeError(f"{type(self).__name__} does not say how its values are computed; override call.")

    def mask(self, y_true: Array, y_pred: Array) -> Array | None:
        """Return which of the values count, in the shape of `call`'s result, or None if all do."""
        return None

    def __call__(self, y_true: ArrayLike, y_pred: ArrayLike, sample_weight: ArrayLike | None = None) -> Any:
        """Return the reduced loss, a NumPy float, or an array with reduction "none".

        Args:
            y_true: targets, shape (N, ...).
            y_pred: predictions of that shape; beside (N,) also (N, 1).
            sample_weight: a number, or weights with the shape of the values or of their leading axes.

        Raises:
            ValueError, TypeError: something is no array of numbers, or the shapes do not fit.
        """
        p = as_float(y_pred, "y_pred", self.dtype)
        y, p = match_ranks(as_float(y_true, "y_true", str(p.dtype)), p)
        return reduce(self.call(y, p), self.reduction, sample_weight, self.mask(y, p))


@register("losses")
@dataclass(frozen=True)
class CallableLoss(Loss):
    """A Python function as a loss.

    On arrays the function may use NumPy or JAX. In `compile` it has to be written with `jax.numpy`, because only
    the JAX backend can differentiate it. It cannot be saved with a model.

    Args:
        function: f(y_true, y_pred) -> one value for each sample.
        reduction, name, dtype: as in `Loss`; the name is by default that of the function.
    """

    function: Callable[..., Any]
    reduction: str | None = "sum_over_batch_size"
    name: str | None = None  # type: ignore[assignment]
    dtype: str | None = None

    def __post_init__(self) -> None:
        if not callable(self.function) or type(self.function).__hash__ is None:
            raise TypeError(f"a loss must be a hashable function f(y_true, y_pred), got {self.function!r}.")
        if self.name is None:
            self._set(name=getattr(self.function, "__name__", "function"))
        super().__post_init__()

    def call(self, y_true: Array, y_pred: Array) -> Array:
        """Return what the function returns, as an array."""
        return as_float(self.function(y_true, y_pred), "the result of the loss function")
