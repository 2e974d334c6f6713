"""Steps cut into stretches that are compiled alike."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fastann_kernels.backend import Steps
from fastann_kernels.jax_backend.interpreter import Data


def visited_rows(steps: Steps, data: Data) -> int:
    """Return how many rows the steps visit."""
    return data.x.shape[0] if steps.order is None else len(steps.order)


def passes_of(steps: Steps, data: Data) -> list[Steps]:
    """Return the steps of each pass; those given, if they are one. No pass has no rows."""
    rows = visited_rows(steps, data)
    if rows == 0:
        return []
    if steps.pass_rows is None:
        return [steps]
    order = _order(steps, data)
    count = -(-steps.pass_rows // steps.batch_size)
    return [
        replace(
            steps,
            order=order[number * steps.pass_rows : (number + 1) * steps.pass_rows],
            first_step=steps.first_step + number * count,
            coefficients=steps.coefficients[number * count : (number + 1) * count],
            pass_rows=None,
        )
        for number in range(rows // steps.pass_rows)
    ]


def first_steps(steps: Steps, data: Data, count: int) -> Steps:
    """Return the first `count` steps, all of full batches."""
    return replace(
        steps,
        order=_order(steps, data)[: count * steps.batch_size],
        coefficients=steps.coefficients[:count],
    )


def _order(steps: Steps, data: Data) -> NDArray[np.int64]:
    return np.arange(data.x.shape[0]) if steps.order is None else steps.order
