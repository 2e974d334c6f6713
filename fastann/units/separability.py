"""Whether a straight line can part two classes, with a proof either way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fastann.units.data import features, two_classes

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Separability:
    """The answer, and what proves it.

    Attributes:
        separable: whether weights and a bias exist with w x + b > 0 for the second class and < 0 for the first.
        weights, bias: such ones, |w x + b| >= 1 on every row; None if there are none.
        point: a point in the convex hulls of both classes, on which no line can have both on their sides; or None.
        shares: for each row its share in that point; they sum to 1 in each class.
    """

    separable: bool
    weights: Array | None = None
    bias: float | None = None
    point: Array | None = None
    shares: Array | None = None

    def __str__(self) -> str:
        if self.separable:
            return "the classes are linearly separable."
        assert self.point is not None
        shown = ", ".join(f"{value:g}" for value in self.point[:5]) + (", ..." if len(self.point) > 5 else "")
        return (
            f"the classes are not linearly separable: both have the point ({shown}) in their convex hull; use a "
            "hidden layer."
        )


def separability(x: Any, y: Any) -> Separability:
    """Say whether two classes are linearly separable; decided by linear programming (scipy's HiGHS).

    Two finite sets can be parted by a hyperplane just if their convex hulls have no point in common (the separation
    theorem of Minkowski), so one of two linear programs has a solution, and the solution is the proof. The solver works
    to about 1e-7 of the spread of the columns: classes that lie closer together may be taken to touch.

    Args:
        x: (N, columns).
        y: (N,), two classes.

    Raises:
        ValueError, TypeError: the data are malformed.

    >>> x = [[0, 0], [0, 1], [1, 0], [1, 1]]
    >>> print(separability(x, [0, 1, 1, 0]))
    the classes are not linearly separable: both have the point (0.5, 0.5) in their convex hull; use a hidden layer.
    >>> print(separability(x, [0, 0, 0, 1]))
    the classes are linearly separable.
    """
    rows = features(x)
    _, second = two_classes(y, len(rows))
    # columns of one size keep the solver's tolerances meaningful
    centre, scale = rows.mean(axis=0), np.maximum(np.abs(rows - rows.mean(axis=0)).max(axis=0), 1e-300)
    found = _common_point((rows - centre) / scale, second)
    if found is not None:
        return Separability(False, point=(found * ~second) @ rows, shares=found)
    weights, bias = _hyperplane((rows - centre) / scale, second)
    weights = weights / scale
    return Separability(True, weights=weights, bias=float(bias - weights @ centre))


def proof_of_line(x: Array, second: NDArray[np.bool_], weights: Array) -> Separability | None:
    """Return the proof of separability that weights are, or None if no bias makes them part the classes.

    Args:
        x: float64[N, columns].
        second: bool[N], whether a row is of the second class.
        weights: float64[columns], of any length.
    """
    along = x @ weights
    above, below = float(along[second].min()), float(along[~second].max())
    if not above > below:
        return None
    half = (above - below) / 2
    return Separability(True, weights=weights / half, bias=-(above + below) / 2 / half)


def _common_point(x: Array, second: NDArray[np.bool_]) -> Array | None:
    """Return shares of rows whose weighted sums agree in both classes, or None if there are none."""
    from scipy.optimize import linprog

    sign = np.where(second, -1.0, 1.0)
    equal = np.vstack([(x * sign[:, None]).T, (~second).astype(float), second.astype(float)])
    wanted = np.concatenate([np.zeros(x.shape[1]), [1.0, 1.0]])
    answer = linprog(np.zeros(len(x)), A_eq=equal, b_eq=wanted, bounds=(0, None), method="highs")
    return None if answer.x is None else np.asarray(answer.x, np.float64)


def _hyperplane(x: Array, second: NDArray[np.bool_]) -> tuple[Array, float]:
    """Return weights and bias with sign (w x + b) >= 1 on every row, of the least sum of absolute weights."""
    from scipy.optimize import linprog

    sign = np.where(second, 1.0, -1.0)[:, None]
    columns = x.shape[1]
    # w = p - q with p, q >= 0
    rows = -sign * np.hstack([x, -x, np.ones((len(x), 1))])
    cost = np.concatenate([np.ones(2 * columns), [0.0]])
    bounds = [(0, None)] * (2 * columns) + [(None, None)]
    answer = linprog(cost, A_ub=rows, b_ub=-np.ones(len(x)), bounds=bounds, method="highs")
    if answer.x is None:
        raise ValueError(f"the classes lie too close together to say whether a line parts them: {answer.message}")
    return answer.x[:columns] - answer.x[columns : 2 * columns], float(answer.x[-1])
