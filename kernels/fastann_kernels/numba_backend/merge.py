"""Several values into one: sums, differences, products, means, extremes, and values side by side.

All work in blocks that stay in the cache: stretches of the whole batch where the inputs have the shape of the output,
else a row of the batch, into which the inputs are expanded.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from fastann_kernels.numba_backend import calls as C
from fastann_kernels.numba_backend.broadcasting import axes_of, collapse, expand
from fastann_kernels.numba_backend.calls import Encoding, Operation
from fastann_kernels.numba_backend.compiling import inlined, kernel, lean
from fastann_kernels.numba_backend.elementary import copy, fill, like
from fastann_kernels.program import Instruction, Program

#: Elements of a block where nothing is repeated.
_BLOCK = 1024

# Own integers: elements of a block, whether inputs are expanded, then for each input where its axes begin and end.
_SIZE, _EXPANDED, _AXES = range(3)

# Own integers of concatenate: stretches a row, columns of a stretch, then for each input its share of them.
_STRETCHES, _COLUMNS, _SHARES = range(3)


def _encode(program: Program, instruction: Instruction) -> Encoding:
    whole = program.values[instruction.output]
    shapes = [program.values[v].shape for v in instruction.inputs]
    expanded = any(shape != whole.shape for shape in shapes)
    size = whole.size if expanded else _BLOCK
    places: list[int] = []
    axes: list[int] = []
    for shape in shapes:
        places.append(_AXES + 2 * len(shapes) + len(axes))
        axes += axes_of(shape, whole.shape)
        places.append(_AXES + 2 * len(shapes) + len(axes))
    return Encoding(integers=(size, int(expanded), *places, *axes), workspace=4 * size)


@kernel
def _operand(call, t, values, k, start, size, space):
    """Return input number k for elements start.. of the output: a part of it, or expanded into `space`."""
    own = C.own(t)
    x = C.source(call, t, values, k)
    if not own[_EXPANDED]:
        return x[start : start + size]
    r, width = start // size, x.size // call[C.ROWS]
    expand(x[r * width : (r + 1) * width], own[own[_AXES + 2 * k] : own[_AXES + 2 * k + 1]], space[:size])
    return space[:size]


@kernel
def _clear(call, t, deltas):
    """Zero the gradients that `_deliver` is to add up."""
    if C.own(t)[_EXPANDED]:
        for k in range(t[C.INPUTS]):
            if not C.accumulates(t, k):
                fill(C.source_delta(call, t, deltas, k), 0)


@kernel
def _deliver(call, t, deltas, k, start, gradient):
    """Hand input number k its gradient for elements start.. of the output."""
    own = C.own(t)
    dx = C.source_delta(call, t, deltas, k)
    if dx.size == 0:
        return
    if own[_EXPANDED]:
        r, width = start // gradient.size, dx.size // call[C.ROWS]
        collapse(gradient, own[own[_AXES + 2 * k] : own[_AXES + 2 * k + 1]], dx[r * width : (r + 1) * width])
    else:
        C.put(gradient, dx[start : start + gradient.size], C.accumulates(t, k))


@inlined
def _sum(a, b):
    return a + b


@inlined
def _difference(a, b):
    return a - b


@inlined
def _product(a, b):
    return a * b


@inlined
def _larger(a, b):
    # NaN wins from either side
    return b if b > a or b != b else a


@inlined
def _smaller(a, b):
    return b if b < a or b != b else a


@lean
def _multiply_by(x, factor):
    for i in range(x.size):
        x[i] *= factor


def _folding(combine: Callable[..., Any], mean: bool = False) -> Any:
    """Return the forward pass y = combine(combine(x_0, x_1), x_2) ..., divided by the number of inputs for a mean."""

    @lean
    def into(x, y):
        for i in range(y.size):
            y[i] = combine(y[i], x[i])

    @kernel
    def forward(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
        y, size = C.output(call, t, values), C.own(t)[_SIZE]
        for start in range(0, y.size, size):
            part = y[start : min(start + size, y.size)]
            copy(_operand(call, t, values, 0, start, part.size, workspace), part)
            for k in range(1, t[C.INPUTS]):
                into(_operand(call, t, values, k, start, part.size, workspace), part)
            if mean:
                _multiply_by(part, like(y, 1.0 / t[C.INPUTS]))
        return 0.0

    return forward


def _linear(later: float, mean: bool = False) -> Any:
    """Return the backward pass that gives dL/dy to input 0 and `later` dL/dy to the others, a mean its share of it."""

    @kernel
    def backward(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
        delta, size = C.delta(call, t, deltas), C.own(t)[_SIZE]
        _clear(call, t, deltas)
        for start in range(0, delta.size, size):
            part = delta[start : min(start + size, delta.size)]
            if mean:
                _multiply_by(part, like(delta, 1.0 / t[C.INPUTS]))
            _deliver(call, t, deltas, 0, start, part)
            if later != 1.0:
                _multiply_by(part, like(delta, later))
            for k in range(1, t[C.INPUTS]):
                _deliver(call, t, deltas, k, start, part)

    return backward


@lean
def _multiply_into(x, y):
    for i in range(y.size):
        y[i] *= x[i]


@kernel
def _multiply_backward(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    """dL/dx_k = dL/dy times the product of the other inputs."""
    delta, size = C.delta(call, t, deltas), C.own(t)[_SIZE]
    _clear(call, t, deltas)
    for start in range(0, delta.size, size):
        part = delta[start : min(start + size, delta.size)]
        gradient = workspace[size : size + part.size]
        for k in range(t[C.INPUTS]):
            if C.source_delta(call, t, deltas, k).size:
                copy(part, gradient)
                for j in range(t[C.INPUTS]):
                    if j != k:
                        _multiply_into(_operand(call, t, values, j, start, part.size, workspace), gradient)
                _deliver(call, t, deltas, k, start, gradient)


@lean
def _halve_where_equal(x, y, w):
    half, one = like(y, 0.5), like(y, 1)
    for i in range(y.size):
        w[i] *= half if x[i] == y[i] else one


@lean
def _share(x, y, w, given, out):
    """out = what the first input that equals y gets of w, else as much again as was given before; 0 for a smaller x."""
    zero = like(y, 0)
    for i in range(y.size):
        part = w[i] if given[i] == zero else given[i]
        part = part if x[i] == y[i] else zero
        given[i] += part
        out[i] = part


@kernel
def _extreme_backward(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    """Give dL/dy to the input that is y; between equal ones as if two at a time were compared, each time by halves.

    Of m equal inputs the last gets 1/2, the one before 1/4, ..., and the first as much as the second, 2^(1 - m).
    """
    delta, y, size = C.delta(call, t, deltas), C.output(call, t, values), C.own(t)[_SIZE]
    _clear(call, t, deltas)
    for start in range(0, delta.size, size):
        stop = min(start + size, delta.size)
        n = stop - start
        w, best = delta[start:stop], y[start:stop]
        given, share = workspace[size : size + n], workspace[2 * size : 2 * size + n]
        _multiply_by(w, like(y, 2))
        for k in range(t[C.INPUTS]):
            _halve_where_equal(_operand(call, t, values, k, start, n, workspace), best, w)
        fill(given, 0)
        for k in range(t[C.INPUTS]):
            _share(_operand(call, t, values, k, start, n, workspace), best, w, given, share)
            _deliver(call, t, deltas, k, start, share)


def _encode_concatenate(program: Program, instruction: Instruction) -> Encoding:
    axis = int(instruction.get("axis"))
    shapes = [program.values[v].shape for v in instruction.inputs]
    shares = [prod(shape[axis:]) for shape in shapes]
    return Encoding(integers=(prod(shapes[0][:axis]), sum(shares), *shares))


@kernel
def _concatenate(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    own, y = C.own(t), C.output(call, t, values)
    place = 0
    for k in range(t[C.INPUTS]):
        x, share = C.source(call, t, values, k), own[_SHARES + k]
        for s in range(call[C.ROWS] * own[_STRETCHES]):
            begin = s * own[_COLUMNS] + place
            copy(x[s * share : (s + 1) * share], y[begin : begin + share])
        place += share
    return 0.0


@kernel
def _concatenate_backward(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    own, delta = C.own(t), C.delta(call, t, deltas)
    place = 0
    for k in range(t[C.INPUTS]):
        dx, share = C.source_delta(call, t, deltas, k), own[_SHARES + k]
        if dx.size:
            for s in range(call[C.ROWS] * own[_STRETCHES]):
                begin = s * own[_COLUMNS] + place
                C.put(delta[begin : begin + share], dx[s * share : (s + 1) * share], C.accumulates(t, k))
        place += share


ADD = Operation(_encode, _folding(_sum), _linear(1.0))
SUBTRACT = Operation(_encode, _folding(_difference), _linear(-1.0))
MULTIPLY = Operation(_encode, _folding(_product), _multiply_backward)
AVERAGE = Operation(_encode, _folding(_sum, mean=True), _linear(1.0, mean=True))
MAXIMUM = Operation(_encode, _folding(_larger), _extreme_backward)
MINIMUM = Operation(_encode, _folding(_smaller), _extreme_backward)
CONCATENATE = Operation(_encode_concatenate, _concatenate, _concatenate_backward)
