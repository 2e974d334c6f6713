"""The gradient noise scale on the way of a run: tr(Sigma) / |G|^2 at the present weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastann.training.session import PlacedData, Session

#: Rows whose own gradients are measured.
_ROWS = 128


def noise_of(session: Session, data: PlacedData, arrays: tuple[NDArray[Any], NDArray[Any]]) -> tuple[float, float]:
    """Return tr(Sigma) and |G|^2: mean |g_i|^2 - |G|^2 over the first rows, G being the gradient of all rows.

    McCandlish et al. 2018 (arXiv:1812.06162): B_simple = tr(Sigma) / |G|^2. The split shuffles the rows,
    so the first ones are as good as any.
    """
    whole = float(np.square(session.gradients(data)[1], dtype=np.float64).sum())
    x, y = arrays
    single = [
        float(np.square(session.gradients(session.put(x[i : i + 1], y[i : i + 1]))[1], dtype=np.float64).sum())
        for i in range(min(_ROWS, len(x)))
    ]
    return max(float(np.mean(single)) - whole, 0.0), whole
