"""A straight line with neither part below 0: the law of step times, and that of steps to a goal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Line:
    """a + b x with neither a nor b below 0."""

    a: float
    b: float


def fit_line(x: ArrayLike, y: ArrayLike) -> Line:
    """Return the line a + b x, a and b not below 0, with the least squares of relative errors, 1 - (a + b x) / y.

    >>> line = fit_line([1, 2, 4], [3, 4, 6])
    >>> round(line.a, 6), round(line.b, 6)
    (2.0, 1.0)

    Args:
        x, y: float[n], n at least 1, x and y above 0.
    """
    at, height = np.asarray(x, np.float64), np.asarray(y, np.float64)
    constant, slope = 1 / height, at / height

    def alone(part: NDArray[np.float64]) -> float:
        return float(part.sum() / (part * part).sum())

    def error(line: Line) -> float:
        return float(((1 - line.a * constant - line.b * slope) ** 2).sum())

    candidates = [Line(alone(constant), 0.0), Line(0.0, alone(slope))]
    if len(at) > 1:
        a, b = np.linalg.lstsq(np.stack([constant, slope], axis=1), np.ones(len(at)), rcond=None)[0]
        if a >= 0 and b >= 0:
            candidates.append(Line(float(a), float(b)))
    return min(candidates, key=error)
