"""The data of a lab, cut in two once, and the networks it trains."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastann.datasets import Dataset, Scaling, load
from fastann.datasets import split as split_dataset
from fastann.layers import Dense, Input
from fastann.models import Sequential
from fastann.optimizers import SGD, Adam, Optimizer
from fastann.scaling.lab.design import Design
from fastann.scaling.rules import scale_optimizer
from fastann.schedules import LinearWarmup

Array = NDArray[Any]

#: Rows of the training part that its loss is measured on; all of a smaller one.
MOST_LOOKED_AT = 1024
_SPLIT_SEED = 0


@dataclass(frozen=True, eq=False)
class Parts:
    """Rows to train on and to validate with, scaled by the first."""

    x: Array
    y: Array
    x_validation: Array
    y_validation: Array


class Workbench:
    """Data and networks of a design; nothing in it changes, so threads may share it.

    All seeds see the same split: a validation loss means the same in every run, and intervals over seeds say what other
    initial weights and another order of rows would change, not what other validation rows would.

    Args:
        design: what is to be run.
        dataset: in place of the data that the design names.

    Attributes:
        rows: N, to train on: the largest power of two within 85 % of all rows, so that powers of two divide it and no
            step is short.
        sizes: the batch sizes.
        parts: the split, scaled.
        fingerprint: of the data.
    """

    def __init__(self, design: Design, dataset: Dataset | None = None) -> None:
        self.design = design
        dataset = load(design.source, design.target) if dataset is None else dataset
        dataset = replace(dataset, test=None)
        if design.rows is not None and design.rows < len(dataset.x):
            dataset = dataset.take(np.random.default_rng(0).permutation(len(dataset.x))[: design.rows])
        if len(dataset.x) < 20:
            raise ValueError(f"{dataset.name}: expected at least 20 rows to experiment with, got {len(dataset.x)}.")
        self.dataset = dataset
        self.rows = 1 << int(np.log2(0.85 * len(dataset.x)))
        self.sizes = design.sizes(self.rows)
        self.base_batch = min(design.base_batch, self.rows)
        self.fingerprint = _fingerprint(dataset)
        self.parts = self._cut()

    @property
    def classification(self) -> bool:
        """Whether there is an accuracy."""
        return self.dataset.classes > 0

    @property
    def budget_steps(self) -> int:
        """The budget of equal steps: what the base batch takes for `Design.step_epochs`."""
        return self.epochs_in_steps(self.base_batch, self.design.step_epochs)

    def epochs_in_steps(self, batch_size: int, epochs: float | None = None) -> int:
        """Return the steps of so many epochs (those of the design) at a batch size."""
        return max(1, round((self.design.epochs if epochs is None else epochs) * -(-self.rows // batch_size)))

    def longest(self, batch_size: int) -> int:
        """Return the steps of a run: both budgets, and so the cap of the run until the target, are within them."""
        return max(self.budget_steps, self.epochs_in_steps(batch_size))

    def model(self, optimizer: Optimizer, seed: int) -> Sequential:
        """Return a compiled network with the weights of a seed: ReLU from He's normal, softmax or linear at the end."""
        hidden = [Dense(units, "relu", kernel_initializer="he_normal") for units in self.design.hidden]
        if self.classification:
            last, loss, metrics = (
                Dense(self.dataset.classes, "softmax"),
                "sparse_categorical_crossentropy",
                ["accuracy"],
            )
        else:
            last, loss, metrics = Dense(self.dataset.y.reshape(len(self.dataset.y), -1).shape[1]), "mse", []
        model = Sequential([Input((self.dataset.x.shape[1],)), *hidden, last], seed=seed)
        model.compile(optimizer, loss, metrics=metrics, backend=self.design.backend, on_nonfinite="ignore")
        return model

    def _cut(self) -> Parts:
        train, held = split_dataset(self.dataset, 1 - self.rows / len(self.dataset.x), _SPLIT_SEED)
        if len(train.x) != self.rows:  # stratified rounding: move the rest over
            x, y = np.concatenate([train.x, held.x]), np.concatenate([train.y, held.y])
            train, held = (
                replace(train, x=x[: self.rows], y=y[: self.rows]),
                replace(held, x=x[self.rows :], y=y[self.rows :]),
            )
        inputs = Scaling.fit(train.x)
        if self.classification:
            return Parts(inputs.apply(train.x), train.y, inputs.apply(held.x), held.y)
        y_train, y_held = train.y.reshape(len(train.y), -1), held.y.reshape(len(held.y), -1)
        outputs = Scaling.fit(y_train)
        return Parts(inputs.apply(train.x), outputs.apply(y_train), inputs.apply(held.x), outputs.apply(y_held))


def make_optimizer(
    name: str, rate: float, warmup_steps: int = 0, warmup_from: float = 0.0, sizes: tuple[int, int] | None = None
) -> Optimizer:
    """Return one of `design.OPTIMIZERS` with a constant rate, or one that is reached by a gradual warm-up.

    With `sizes`, Adam's betas and epsilon are carried over from the first batch size to the second by "sde-sqrt".
    """
    schedule: Any = LinearWarmup(rate, warmup_steps, warmup_from) if warmup_steps else rate
    if name == "adam":
        adam = Adam() if sizes is None else scale_optimizer(Adam(), *sizes, "sde-sqrt")
        return replace(adam, learning_rate=schedule)
    return SGD(schedule, momentum=0.9, nesterov=True) if name == "nesterov" else SGD(schedule)


def _fingerprint(dataset: Dataset) -> str:
    digest = hashlib.sha256()
    for array in (dataset.x, dataset.y):
        digest.update(repr((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:16]
