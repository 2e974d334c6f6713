"""Weights as one flat vector and as a list of arrays in Keras's order, and the way between the two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from fastann_kernels.backend import HostState
from fastann_kernels.program import Parameter, UpdateRule
from numpy.typing import NDArray

from fastann.models.graph import LayerGraph
from fastann.random import weight_generator

Array = NDArray[Any]


def draw(graph: LayerGraph, seed: int) -> NDArray[np.float64]:
    """Return the flat vector a model starts with: weight number i comes from `weight_generator(seed, i)`."""
    parts = [
        np.ravel(weight.spec.initializer.initialize(weight.spec.shape, weight_generator(seed, number)))
        for number, weight in enumerate(graph.weights)
    ]
    return np.concatenate([np.empty(0), *parts])


def split(vector: Array, layout: Sequence[Parameter]) -> list[Array]:
    """Return a copy of each tensor in `vector`, in its shape."""
    return [vector[p.offset : p.offset + p.size].reshape(p.shape).copy() for p in layout]


def fill(vector: Array, layout: Sequence[Parameter], arrays: Any, what: str) -> None:
    """Copy `arrays` into their places in `vector`, in place.

    Args:
        vector: float[P].
        layout: the parameters the arrays are for, in order.
        arrays: as many arrays, each of its parameter's shape.
        what: who takes them, for messages.

    Raises:
        ValueError: another number of arrays, or another shape.
        TypeError: something that is no array of numbers.
    """
    try:
        given = list(arrays)
    except TypeError:
        raise TypeError(f"{what} expects a list of {len(layout)} arrays, got {type(arrays).__name__}.") from None
    if len(given) != len(layout):
        names = ", ".join(p.name for p in layout)
        raise ValueError(f"{what} expects {len(layout)} arrays ({names}), got {len(given)}.")
    checked = [_check(array, parameter, what) for array, parameter in zip(given, layout, strict=True)]
    for array, parameter in zip(checked, layout, strict=True):
        vector[parameter.offset : parameter.offset + parameter.size] = array.ravel()


def _check(given: Any, parameter: Parameter, what: str) -> Array:
    try:
        array = np.asarray(given)
    except ValueError:
        raise ValueError(f"{what} expects shape {parameter.shape} for {parameter.name}, got a ragged list.") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{what} expects real numbers for {parameter.name}, got an array of dtype {array.dtype}.")
    if array.shape != parameter.shape:
        raise ValueError(f"{what} expects shape {parameter.shape} for {parameter.name}, got {array.shape}.")
    return array


def with_slots(params: Array, rule: UpdateRule | None, slots: Array | None = None) -> HostState:
    """Return the state of `params` with the slots of `rule`: those given where they fit, else their first values."""
    first = () if rule is None else rule.slots
    if slots is None or slots.shape != (len(first), len(params)):
        slots = np.repeat(np.array(first, params.dtype).reshape(-1, 1), len(params), axis=1)
    return HostState(params, np.ascontiguousarray(slots, params.dtype))
