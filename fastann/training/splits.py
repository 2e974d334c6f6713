"""Holding back rows for validation."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from fastann_kernels.backend import Array
from fastann_kernels.program import Program

from fastann.training.data import Dataset
from fastann.training.targets import PROBABILITIES, class_labels

_CLASS_LOSSES = PROBABILITIES | {"sparse_categorical_crossentropy", "hinge", "squared_hinge", "categorical_hinge"}


def split_off(data: Dataset, fraction: float, program: Program) -> tuple[Dataset, Dataset]:
    """Return the first rows to train on and the last ones, that fraction of them, to validate on (as Keras splits).

    Warns if the classes of the two parts differ, as they do when the rows are sorted.

    Raises:
        ValueError: one part would be empty.
    """
    cut = math.floor(data.rows * (1.0 - fraction))
    if cut in (0, data.rows):
        raise ValueError(
            f"validation_split must leave rows in both parts, got {fraction} for {data.rows} rows; use validation_data."
        )
    first, last = data.part(0, cut), data.part(cut, data.rows)
    if len(program.losses) == 1 and program.losses[0].op in _CLASS_LOSSES:
        _warn_if_classes_differ(first.y, last.y, program)
    return first, last


def _warn_if_classes_differ(training: Array | None, validation: Array | None, program: Program) -> None:
    assert training is not None
    assert validation is not None
    parts = [class_labels(y, program) for y in (training, validation)]
    if parts[0] is None or parts[1] is None:
        return
    there, here = np.unique(parts[0]), np.unique(parts[1])
    lacking = [
        f"the {name} part has no row of class {_listed(missing)}"
        for name, missing in (("training", np.setdiff1d(here, there)), ("validation", np.setdiff1d(there, here)))
        if len(missing)
    ]
    if lacking:
        warnings.warn(
            f"validation_split takes the last rows, and {' and '.join(lacking)}; shuffle the rows first or give "
            "validation_data.",
            UserWarning,
            stacklevel=5,
        )


def _listed(classes: Any) -> str:
    shown = ", ".join(str(int(c)) for c in classes[:5])
    return shown + (", ..." if len(classes) > 5 else "")
