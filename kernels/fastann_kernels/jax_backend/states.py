"""The state of a training: tensors on the device, flat vectors on the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from fastann_kernels.backend import Array as HostArray
from fastann_kernels.backend import HostState
from fastann_kernels.jax_backend.updates import Slots
from fastann_kernels.program import Program

Array = jax.Array
Tensors = tuple[Array, ...]


class State(NamedTuple):
    """Of a training, on the device: the tensors of the program's parameters, and the slots of each.

    They are never one vector there: cutting one up and putting it together again would cost every call several copies
    of all there is.
    """

    tensors: Tensors
    slots: tuple[Slots, ...]


def split(program: Program, flat: HostArray) -> list[HostArray]:
    """Return copies of the tensors that a vector (P,) holds."""
    return [flat[p.offset : p.offset + p.size].reshape(p.shape).copy() for p in program.parameters]


def join(program: Program, tensors: Sequence[Any], dtype: np.dtype[Any]) -> HostArray:
    """Put tensors together to a vector (P,) on the host."""
    flat = np.empty(program.parameter_count, dtype)
    for parameter, tensor in zip(program.parameters, jax.device_get(list(tensors)), strict=True):
        flat[parameter.offset : parameter.offset + parameter.size] = np.asarray(tensor).reshape(-1)
    return flat


def to_device(program: Program, host: HostState, dtype: np.dtype[Any]) -> State:
    """Copy a state to the default device."""
    # The copy is made by `split`: on a CPU `device_put` shares the memory of an array, or copies it some time later.
    tensors = split(program, np.asarray(host.params, dtype))
    by_slot = [split(program, np.asarray(vector, dtype)) for vector in host.slots]
    slots = tuple(tuple(own[number] for own in by_slot) for number in range(len(tensors)))
    state: State = jax.device_put(State(tuple(tensors), slots))  # type: ignore[arg-type]
    return state


def to_host(program: Program, state: State, slots: int, dtype: np.dtype[Any]) -> HostState:
    """Return a copy of a state with so many slots as NumPy arrays."""
    vectors = np.empty((slots, program.parameter_count), dtype)
    for number, vector in enumerate(vectors):
        vector[:] = join(program, [own[number] for own in state.slots], dtype)
    return HostState(join(program, state.tensors, dtype), vectors)
