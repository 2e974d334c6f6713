"""The walk over a program's instructions: forward, backward, and the gradients of kernels that the team shares.

Members share the buffers of values, of their gradients and of scratch: each works on rows of its own, C.PLACE and
following. In a team, dW = x^T delta of a large dense layer is not made by rows of the batch, which would give as many
parts to add up as there are members: once all members are through with their rows, each makes some rows of dW from all
rows of the batch, and takes the step of those rows of W. Where the batch has few rows it also multiplies by these
alone, forward and backward: it reads W once where it would be read by each, and what it has changed itself is in the
cache of its core.
"""

from __future__ import annotations

from fastann_kernels.numba_backend import arguments as A
from fastann_kernels.numba_backend import calls as C
from fastann_kernels.numba_backend import frame as F
from fastann_kernels.numba_backend import operations as O
from fastann_kernels.numba_backend import plan as T
from fastann_kernels.numba_backend.by_address import call_activation
from fastann_kernels.numba_backend.compiling import lean
from fastann_kernels.numba_backend.dense import (
    dense,
    dense_backward,
    example_squares,
    finish,
    input_gradient,
    kernel_gradient,
    multiply,
)
from fastann_kernels.numba_backend.dropout import dropout, dropout_backward, stream_key
from fastann_kernels.numba_backend.elementary import copy
from fastann_kernels.numba_backend.halves import as_halves
from fastann_kernels.numba_backend.team import wait_for_all

DENSE, ACTIVATION, DROPOUT, RESHAPE = range(4)
#: Inputs and outputs of a layer from which reading is a small part of a product.
_LARGE = 512
CALLED = 4  # the first of the instructions that are compiled on their own, see `calls`


@lean
def call_instruction(frame, kind, i):
    """Call instruction i, which is compiled on its own, and return what it adds to the loss."""
    t, integers, reals = F.instructions(frame)[i], F.integers(frame), F.reals(frame)
    return O.call_operation(
        F.calls(frame)[i, kind], F.call(frame), integers[t[T.INTEGERS] : t[T.INTEGERS_END]],
        reals[t[T.NUMBERS] : t[T.NUMBERS_END]], F.params(frame), F.own_grads(frame), F.values(frame), F.deltas(frame),
        F.scratch(frame), F.workspace(frame), F.shared(frame), F.barrier(frame),
    )  # fmt: skip


@lean
def forward(frame):
    """Run every instruction on this member's rows; return what instructions add to the loss."""
    # what is fused with a loss is left to it
    skip_fused = F.arguments(frame)[A.MODE] != A.PREDICT
    instructions, numbers, call, params = F.instructions(frame), F.numbers(frame), F.call(frame), F.params(frame)
    values, scratch, calls = F.values(frame), F.scratch(frame), F.calls(frame)
    halves, half_params = as_halves(F.halves(frame)), as_halves(F.half_params(frame))
    rows, capacity, place, training = call[C.ROWS], call[C.CAPACITY], call[C.PLACE], call[C.TRAINING]
    added = 0.0
    for i in range(instructions.shape[0]):
        t = instructions[i]
        if t[T.OP] == RESHAPE or (skip_fused and t[T.FUSED]):
            continue
        if t[T.OP] >= CALLED:
            added += call_instruction(frame, O.FORWARD, i)
            continue
        f = calls[i, O.FORWARD]
        wide, above = rows * t[T.ROWS], place * t[T.ROWS]
        n_in, n_out = t[T.WIDTH_IN], t[T.WIDTH_OUT]
        x_first, y_first = t[T.IN] * capacity + above * n_in, t[T.OUT] * capacity + above * n_out
        x, y = values[x_first : x_first + wide * n_in], values[y_first : y_first + wide * n_out]
        kept = t[T.SCRATCH] * capacity + above * n_out
        if t[T.OP] == DENSE:
            before = t[T.PRE] * capacity + above * n_out
            z = scratch[:0] if t[T.PRE] < 0 else scratch[before : before + y.size]
            W = params[t[T.KERNEL] : t[T.KERNEL] + n_in * n_out]
            b = params[:0] if t[T.BIAS] < 0 else params[t[T.BIAS] : t[T.BIAS] + n_out]
            # all empty without bfloat16: slices of empty arrays are
            half_x = halves[x_first : x_first + x.size]
            half_W = half_params[t[T.KERNEL] : t[T.KERNEL] + n_in * n_out]
            if training and half_W.size == 0 and owned(t, call):
                _dense_together(frame, t, W, y)
                finish(b, wide, n_out, f, numbers[i], y, z)
                continue
            dense(x, W, b, wide, n_in, n_out, f, numbers[i], y, z, call[C.SMALL], half_x, half_W)
        elif t[T.OP] == ACTIVATION:
            tops = t[T.SCRATCH] * capacity + above
            top = y if t[T.SCRATCH] < 0 else scratch[tops : tops + wide]
            copy(x, y)
            if f:
                call_activation(f, x, y, top, y.size, n_out, numbers[i])
        elif t[T.OP] == DROPOUT:
            if training:
                s0, s1 = stream_key(call, t[T.STREAM])
                mask = scratch[kept : kept + y.size]
                dropout(x, numbers[i], s0, s1, call[C.FIRST] * t[T.ROWS] * n_out, y, mask)
            else:
                copy(x, y)
    return added


@lean
def backward(frame):
    """Run every instruction's gradient, last to first; the losses have written the gradients of the outputs.

    Gradients of parameters are added to what earlier parts of the batch have left; those of kernels that the team
    shares are left to `share_of_kernel`. Return the squared norms of the gradients of this member's rows, added up, if
    they are to be measured.
    """
    instructions, numbers, call, params = F.instructions(frame), F.numbers(frame), F.call(frame), F.params(frame)
    values, deltas, scratch, grads = F.values(frame), F.deltas(frame), F.scratch(frame), F.own_grads(frame)
    halves, half_params = as_halves(F.halves(frame)), as_halves(F.half_params(frame))
    rows, capacity, place, training = call[C.ROWS], call[C.CAPACITY], call[C.PLACE], call[C.TRAINING]
    again, calls = call[C.PART] > 0, F.calls(frame)
    squares = 0.0
    for i in range(instructions.shape[0] - 1, -1, -1):
        t = instructions[i]
        if not t[T.BACKWARD]:
            continue
        if t[T.OP] >= CALLED:
            call_instruction(frame, O.BACKWARD, i)
            continue
        f = calls[i, O.BACKWARD]
        wide, above = rows * t[T.ROWS], place * t[T.ROWS]
        n_in, n_out = t[T.WIDTH_IN], t[T.WIDTH_OUT]
        x_first, y_first = t[T.IN] * capacity + above * n_in, t[T.OUT] * capacity + above * n_out
        x, y = values[x_first : x_first + wide * n_in], values[y_first : y_first + wide * n_out]
        first = t[T.D_OUT] * capacity + above * n_out
        delta = deltas[first : first + y.size]
        dx_first = t[T.D_IN] * capacity + above * n_in
        dx = deltas[:0] if t[T.D_IN] < 0 else deltas[dx_first : dx_first + x.size]
        if t[T.OP] == DENSE:
            before = t[T.PRE] * capacity + above * n_out
            z = y if t[T.PRE] < 0 else scratch[before : before + y.size]
            W = params[t[T.KERNEL] : t[T.KERNEL] + n_in * n_out]
            db = grads[:0] if t[T.BIAS] < 0 else grads[t[T.BIAS] : t[T.BIAS] + n_out]
            half_x = halves[x_first : x_first + x.size]
            half_delta = halves[values.size + first : values.size + first + delta.size]
            half_W = half_params[t[T.KERNEL] : t[T.KERNEL] + W.size]
            together = training and half_W.size == 0 and owned(t, call)
            dense_backward(
                W, y, z, delta, wide, n_in, n_out, f, numbers[i], db, dx[:0] if together else dx,
                t[T.ADD_BIAS] or again, t[T.ACCUMULATE], call[C.SMALL], half_W, half_delta,
            )  # fmt: skip
            if together and t[T.D_IN] >= 0:  # also where this member has no rows
                _input_gradient_together(frame, t, W)
            if not shares(t, call):
                kernel_gradient(
                    x, delta, wide, n_in, n_out, 0, n_in, grads[t[T.KERNEL] : t[T.KERNEL] + W.size],
                    t[T.ADD_KERNEL] or again, call[C.SMALL_TURNED], half_x, half_delta,
                )  # fmt: skip
            if call[C.SQUARES]:
                squares += example_squares(x, delta, wide, n_in, n_out, t[T.TRAIN_KERNEL], t[T.TRAIN_BIAS])
        elif dx.size and t[T.OP] == DROPOUT and training:
            kept = t[T.SCRATCH] * capacity + above * n_out
            dropout_backward(delta, scratch[kept : kept + y.size], dx, t[T.ACCUMULATE])
        elif dx.size:
            if t[T.OP] == ACTIVATION and f:
                call_activation(f, y, x, delta, delta.size, n_out, numbers[i])
            if t[T.ACCUMULATE]:
                for j in range(delta.size):
                    dx[j] += delta[j]
            else:
                copy(delta, dx)
    return squares


@lean
def shares(t, call):
    """Return whether the team shares the gradient of a kernel by its rows, in this batch.

    Then members read the values and gradients that others wrote, else the gradients of kernels that others made: what
    is less is chosen, unless the product takes so long that reading does not count; then one gradient for all is.
    """
    if call[C.MEMBERS] == 1 or not t[T.SHARED]:
        return False
    n_in, n_out = t[T.WIDTH_IN], t[T.WIDTH_OUT]
    return owned(t, call) or min(n_in, n_out) >= _LARGE


@lean
def owned(t, call):
    """Return whether each member of the team multiplies by the rows of a kernel that it changes, and no others."""
    weights, moved = t[T.WIDTH_IN] * t[T.WIDTH_OUT], t[T.WIDTH_IN] + t[T.WIDTH_OUT]
    return call[C.MEMBERS] > 1 and t[T.SHARED] and weights >= call[C.BATCH_ROWS] * t[T.ROWS] * moved


@lean
def _dense_together(frame, t, W, y):
    """y = x W for this member's rows, from products of all rows with some rows of W that each member makes."""
    call, values, partial, barrier = F.call(frame), F.values(frame), F.partial(frame), F.barrier(frame)
    member, members, n_in, n_out = call[C.MEMBER], call[C.MEMBERS], t[T.WIDTH_IN], t[T.WIDTH_OUT]
    rows, x_first, y_first = call[C.PART_ROWS] * t[T.ROWS], t[T.IN] * call[C.CAPACITY], t[T.OUT] * call[C.CAPACITY]
    size = rows * n_out
    # that of the first goes where the result is to be
    part = values[y_first : y_first + size] if member == 0 else partial[(member - 1) * size : member * size]
    wait_for_all(barrier, members)  # for the rows of the others
    begin, end = n_in * member // members, n_in * (member + 1) // members
    multiply(values[x_first:], W, W[:0], rows, n_in, n_out, begin, end, part, call[C.SMALL])
    wait_for_all(barrier, members)
    own = call[C.PLACE] * t[T.ROWS] * n_out
    for other in range(members - 1):
        share = partial[other * size + own : other * size + own + y.size]
        for j in range(y.size):
            y[j] += share[j]


@lean
def _input_gradient_together(frame, t, W):
    """dx = delta W^T: each member makes the columns of all rows that some rows of W give."""
    call, deltas, barrier = F.call(frame), F.deltas(frame), F.barrier(frame)
    member, members, n_in, n_out = call[C.MEMBER], call[C.MEMBERS], t[T.WIDTH_IN], t[T.WIDTH_OUT]
    delta, dx = deltas[t[T.D_OUT] * call[C.CAPACITY] :], deltas[t[T.D_IN] * call[C.CAPACITY] :]
    wait_for_all(barrier, members)  # for the rows of the others
    begin, end = n_in * member // members, n_in * (member + 1) // members
    rows = call[C.PART_ROWS] * t[T.ROWS]
    input_gradient(delta, W, rows, n_in, n_out, begin, end, dx, t[T.ACCUMULATE], call[C.SMALL])
    wait_for_all(barrier, members)


@lean
def share_of_kernel(frame, i, begin, end):
    """Write rows begin..end of the gradient of instruction i's kernel, from all rows in the buffers, to member 0's
    gradients, or add them to what the parts of the batch before those rows have left there.

    All members must be through with `backward`.
    """
    t, call, g = F.instructions(frame)[i], F.call(frame), F.grads(frame)[0]
    values, deltas, halves = F.values(frame), F.deltas(frame), as_halves(F.halves(frame))
    rows, n_in, n_out = call[C.PART_ROWS] * t[T.ROWS], t[T.WIDTH_IN], t[T.WIDTH_OUT]
    x, delta = t[T.IN] * call[C.CAPACITY], t[T.D_OUT] * call[C.CAPACITY]
    x_end, delta_end = x + rows * n_in, delta + rows * n_out
    kernel_gradient(
        values[x:x_end], deltas[delta:delta_end], rows, n_in, n_out, begin, end,
        g[t[T.KERNEL] : t[T.KERNEL] + n_in * n_out], call[C.PART] > 0, call[C.SMALL_TURNED], halves[x:x_end],
        halves[values.size + delta : values.size + delta_end],
    )  # fmt: skip
