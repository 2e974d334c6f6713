"""The shortest way to a prediction of few rows: all that `predict` finds out about model and data, found out once."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastann_kernels.backend import Array

from fastann.training.session import Session, last_stamp


class QuickPrediction:
    """Few rows through a network of one input and one output, both vectors, as long as no model has changed.

    Which weights count can depend on other models that share layers. Instead of asking them all, this asks whether
    any weights at all have changed since it was made.

    Args:
        session: whose state predicts; it has run before.
    """

    def __init__(self, session: Session) -> None:
        self._stamp = last_stamp()
        self._few = session.few_rows()
        self._lock = session.lock
        self._dtype = session.dtype
        program = session.program
        self._columns = program.input_columns
        vectors = [program.values[value].shape for value in (*program.inputs, *program.outputs)]
        self._fits = len(vectors) == 2 and all(len(shape) == 1 for shape in vectors)

    def __call__(self, x: Any) -> Array | None:
        """Return float[N, output columns]; None if `predict` has to look closer."""
        few = self._few
        if few is None or not self._fits or type(x) is not np.ndarray or x.dtype != self._dtype or x.ndim != 2:
            return None
        rows, columns = x.shape
        # one who trains or predicts at the moment is not waited for here
        if columns != self._columns or not 0 < rows <= few.rows or not self._lock.acquire(blocking=False):
            return None
        try:
            return few(x) if last_stamp() == self._stamp else None
        finally:
            self._lock.release()


def remember(session: Session) -> None:
    """Let the session predict quickly from now on, if nothing has changed between two predictions."""
    if session.predicted == last_stamp():
        session.quick = QuickPrediction(session)
    session.predicted = last_stamp()
