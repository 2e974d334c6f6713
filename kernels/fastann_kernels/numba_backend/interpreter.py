"""The epoch loop: one jitted function that trains, evaluates and predicts any program.

It walks the integer tables of `plan` over preallocated buffers, releases the GIL, and is compiled once for all
architectures. Data are read through addresses, so that read-only arrays, memory maps and uint8 images need no version
of their own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fastann_kernels.numba_backend import arguments as A
from fastann_kernels.numba_backend import calls as C
from fastann_kernels.numba_backend import frame as F
from fastann_kernels.numba_backend import losses as L
from fastann_kernels.numba_backend import operations as O
from fastann_kernels.numba_backend import plan as T
from fastann_kernels.numba_backend.compiling import compiled, intrinsic, lean, types
from fastann_kernels.numba_backend.dropout import threefry
from fastann_kernels.numba_backend.elementary import fill
from fastann_kernels.numba_backend.machine_code import Code
from fastann_kernels.numba_backend.metrics import metric
from fastann_kernels.numba_backend.steps import add_shares, round_parameters, stretch, take_step
from fastann_kernels.numba_backend.team import meet, wait_for_all
from fastann_kernels.numba_backend.updates import penalty
from fastann_kernels.numba_backend.vectors import gather_rows
from fastann_kernels.numba_backend.walk import backward, call_instruction, forward
from fastann_kernels.program import LOSSES

_LOSSES = len(LOSSES)

#: Rows of a batch up to which the cache has room for those of the next beside what a step needs, and how far ahead of
#: its turn a row of a larger batch is fetched.
_FEW_ROWS, _AHEAD = 64, 12


@intrinsic
def _array_at(typingctx: Any, address: Any, size: Any, dtype: Any) -> Any:
    """Return the memory at an address as a one-dimensional array."""
    kind = types.Array(dtype.dtype, 1, "C")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return F.array_at(context, builder, kind, args[0], [args[1]])

    return kind(address, size, dtype), codegen


@lean
def _copy_rows(source, columns, first, width, order, ordered, start, rows, out):
    """out[r, :] = source[row r of the batch, first : first + width]."""
    for r in range(rows):
        row = order[start + r] if ordered else start + r
        begin = row * columns + first
        for j in range(width):
            out[r * width + j] = source[begin + j]


@lean
def _gather(address, is_bytes, columns, n_rows, first, width, order, ordered, start, rows, ahead, out):
    if is_bytes:
        source8 = _array_at(address, n_rows * columns, np.uint8)
        _copy_rows(source8, columns, first, width, order, ordered, start, rows, out)
    else:
        source = _array_at(address, n_rows * columns, out.dtype)
        if ordered:
            gather_rows(rows, width, columns, source[first:], order[start:], ahead, out)
            return
        _copy_rows(source, columns, first, width, order, ordered, start, rows, out)


@lean
def _clear_idle(tensors, grads):
    """Zero the gradients that no instruction writes, so that penalties do not pile up there."""
    for i in range(tensors.shape[0]):
        if tensors[i, 4]:
            fill(grads[tensors[i, 0] : tensors[i, 0] + tensors[i, 1]], 0)


@lean
def _commit(frame):
    """Let the instructions that keep statistics take those of the batch."""
    calls = F.calls(frame)
    for i in range(calls.shape[0]):
        if calls[i, O.COMMIT]:
            call_instruction(frame, O.COMMIT, i)


@lean
def _sample_weights(frame, row, out):
    """Copy the sample weights of a loss or metric to `out` and return how many there are: 0 where it has none."""
    columns, rows, batch_w = F.arguments(frame)[A.W_COLUMNS], F.call(frame)[C.ROWS], F.batch_w(frame)
    if columns == 0 or not row[T.L_WEIGHTED]:
        return 0
    for r in range(rows):
        out[r] = batch_w[r * columns + row[T.L_WEIGHT_COLUMN]]
    return rows


@lean
def _loss(frame, row, number, weights, scale):
    """Evaluate one loss (or metric that is one) on this member's rows; a scale of 0 asks for the value alone."""
    call, values, deltas, top = F.call(frame), F.values(frame), F.deltas(frame), F.top(frame)
    rows, capacity, columns = call[C.ROWS], call[C.CAPACITY], row[T.L_POSITIONS] * row[T.L_WIDTH]
    size, above = rows * columns, call[C.PLACE] * columns
    z_first, p_first = row[T.L_Z] * capacity + above, row[T.L_P] * capacity + above
    z = values[:0] if row[T.L_Z] < 0 else values[z_first : z_first + size]
    # where the logits are the prediction, the probabilities go to the far end of the scratch
    p = top[top.size - size :] if row[T.L_P] < 0 else values[p_first : p_first + size]
    first = row[T.L_DELTA] * capacity + above
    delta = deltas[first : first + size] if scale != 0 and row[T.L_DELTA] >= 0 else deltas[:0]
    return L.loss(
        row[T.L_OP], row[T.L_LOGITS], F.batch_y(frame)[row[T.L_COLUMN] :], F.arguments(frame)[A.Y_COLUMNS], z, p,
        row[T.L_WIDTH], weights, row[T.L_POSITIONS], number[T.N_FACTOR], number[T.N_SMOOTHING], scale, delta, top,
    )  # fmt: skip


@lean
def _losses(frame, step, training):
    """Add the share of this member's rows of the mean of each loss over a batch to its parts; the gradients go to
    `deltas`."""
    table, numbers, call, spare = F.loss_table(frame), F.loss_numbers(frame), F.call(frame), F.spare(frame)
    parts = F.parts(frame)[call[C.MEMBER], step]
    for i in range(table.shape[0]):
        weights = spare[: _sample_weights(frame, table[i], spare)]
        count = call[C.BATCH_ROWS] * table[i, T.L_POSITIONS]
        scale = numbers[i, T.N_WEIGHT] / count if training else 0.0
        parts[i] += _loss(frame, table[i], numbers[i], weights, scale) / count


@lean
def _metrics(frame, step):
    """Add this member's rows to its metric sums and to their weights."""
    table, numbers, call, spare = F.metric_table(frame), F.metric_numbers(frame), F.call(frame), F.spare(frame)
    values, batch_y, stride = F.values(frame), F.batch_y(frame), F.arguments(frame)[A.Y_COLUMNS]
    sums, totals = F.sums(frame)[call[C.MEMBER], step], F.totals(frame)[call[C.MEMBER], step]
    rows = call[C.ROWS]
    for i in range(table.shape[0]):
        row = table[i]
        weights = spare[: _sample_weights(frame, row, spare)]
        if row[T.L_OP] < _LOSSES:
            sums[i] += _loss(frame, row, numbers[i], weights, 0.0)
        else:
            columns = row[T.L_POSITIONS] * row[T.L_WIDTH]
            first = row[T.L_P] * call[C.CAPACITY] + call[C.PLACE] * columns
            p = values[first : first + rows * columns]
            sums[i] += metric(
                row[T.L_OP], batch_y[row[T.L_COLUMN] :], stride, p, row[T.L_WIDTH], weights, row[T.L_POSITIONS],
                numbers[i, T.N_THRESHOLD], row[T.L_K],
            )  # fmt: skip
        total = float(rows)
        if weights.size:
            total = 0.0
            for r in range(rows):
                total += weights[r]
        totals[i] += total * row[T.L_POSITIONS]


@lean
def _total_loss(frame, step):
    """Return the loss of a batch from the members' shares, penalties included."""
    numbers, tensors, penalties, params = F.loss_numbers(frame), F.tensors(frame), F.penalties(frame), F.params(frame)
    parts = F.parts(frame)
    total = 0.0
    for member in range(parts.shape[0]):
        total += parts[member, step, numbers.shape[0]]
    for i in range(numbers.shape[0]):
        for member in range(parts.shape[0]):
            total += numbers[i, T.N_WEIGHT] * parts[member, step, i]
    for i in range(tensors.shape[0]):
        if penalties[i, 0] != 0 or penalties[i, 1] != 0:
            w = params[tensors[i, 0] : tensors[i, 0] + tensors[i, 1]]
            total += penalty(w, penalties[i, 0], penalties[i, 1])
    return total


@lean
def _collect(frame, first):
    """Copy the outputs of this member's rows, side by side, to rows first, first + 1, ... of `collected`."""
    outputs, values, call, collected = F.outputs(frame), F.values(frame), F.call(frame), F.collected(frame)
    column = 0
    for i in range(outputs.shape[0]):
        width = outputs[i, 1]
        place = outputs[i, 0] * call[C.CAPACITY] + call[C.PLACE] * width
        for r in range(call[C.ROWS]):
            for j in range(width):
                collected[first + r, column + j] = values[place + r * width + j]
        column += width


@lean
def _load(frame, first):
    """Gather inputs, targets and weights of this member's rows, at places first, first + 1, ... of the order."""
    arguments, call, inputs = F.arguments(frame), F.call(frame), F.inputs(frame)
    order, values = F.order(frame), F.values(frame)
    n_rows, ordered, rows, batch = arguments[A.N_ROWS], arguments[A.ORDERED], call[C.ROWS], call[C.BATCH_ROWS]
    ahead = batch if batch <= _FEW_ROWS else _AHEAD
    column = 0
    for i in range(inputs.shape[0]):
        width = inputs[i, 1]
        place = inputs[i, 0] * call[C.CAPACITY] + call[C.PLACE] * width
        _gather(
            arguments[A.X_ADDRESS], arguments[A.X_IS_BYTES], arguments[A.X_COLUMNS], n_rows, column, width, order,
            ordered, first, rows, ahead, values[place : place + rows * width],
        )  # fmt: skip
        column += width
    if arguments[A.MODE] == A.PREDICT:
        return
    for address, columns, out in (
        (arguments[A.Y_ADDRESS], arguments[A.Y_COLUMNS], F.batch_y(frame)),
        (arguments[A.W_ADDRESS], arguments[A.W_COLUMNS], F.batch_w(frame)),
    ):
        if columns:
            _gather(address, 0, columns, n_rows, 0, columns, order, ordered, first, rows, ahead, out)


@lean
def _place(arguments, step):
    """Return where in the order a batch begins, and how many rows it has: a pass ends with a short one."""
    batch, a_pass = arguments[A.BATCH], arguments[A.PASS_ROWS]
    if (step + 1) * batch <= a_pass:
        return step * batch, batch
    steps = (a_pass + batch - 1) // batch
    within = step % steps * batch
    return step // steps * a_pass + within, min(batch, a_pass - within)


@lean
def _prepare(frame, step):
    """Note what is the same for all rows of a batch."""
    arguments, call = F.arguments(frame), F.call(frame)
    key_0, key_1 = np.uint32(arguments[A.KEY_0]), np.uint32(arguments[A.KEY_1])
    k0, k1 = threefry(key_0, key_1, np.uint32(0), np.uint32(arguments[A.FIRST_STEP] + step))
    mode, every = arguments[A.MODE], arguments[A.SQUARES_EVERY]
    call[C.CAPACITY], call[C.SMALL] = arguments[A.CAPACITY], arguments[A.SMALL]
    call[C.TRAINING] = mode == A.TRAIN or (mode == A.GRADIENTS and arguments[A.DROP] != 0)
    call[C.MEMBER], call[C.MEMBERS] = F.member(frame).size, arguments[A.MEMBERS]
    call[C.KEY_0], call[C.KEY_1] = k0, k1
    call[C.SQUARES] = every > 0 and (arguments[A.FIRST_STEP] + step) % every == 0
    call[C.BATCH_ROWS] = _place(arguments, step)[1]


@lean
def _forward_pass(frame, part, n_parts, step):
    """Run this member's rows of one part of a batch forward, losses and metrics included."""
    arguments, call, cleared, deltas = F.arguments(frame), F.call(frame), F.cleared(frame), F.deltas(frame)
    mode, member, members = arguments[A.MODE], call[C.MEMBER], call[C.MEMBERS]
    begin, size = _place(arguments, step)
    above = size * part // n_parts
    part_rows = size * (part + 1) // n_parts - above
    place = part_rows * member // members
    call[C.PLACE], call[C.PART_ROWS], call[C.FIRST] = place, part_rows, above + place
    call[C.ROWS] = part_rows * (member + 1) // members - place
    start = begin + above + place
    _load(frame, start)
    added = forward(frame, mode != A.PREDICT)
    if mode <= A.GRADIENTS:
        for i in range(cleared.shape[0]):
            first = cleared[i, 0] * call[C.CAPACITY] + place * cleared[i, 1]
            fill(deltas[first : first + call[C.ROWS] * cleared[i, 1]], 0)
    if mode != A.PREDICT:
        _losses(frame, step, mode <= A.GRADIENTS)
        F.parts(frame)[member, step, F.loss_table(frame).shape[0]] += added
        _metrics(frame, step)
    if arguments[A.COLLECT]:
        _collect(frame, start)


@lean
def run(frame):
    """Run one team member's share of every batch until the rows are used up; return how many steps were completed,
    or -1 if the team did not come together.

    Of the results, shared by the team, the frame has
        losses float64[steps];
        parts float64[members, steps, losses + 1], the last what instructions add;
        sums, totals float64[members, steps, n];
        squares float64[members, steps, 2], or with no steps if nothing is measured;
        collected float[rows, columns], each member writing its part.
    """
    arguments, call, barrier, squares = F.arguments(frame), F.call(frame), F.barrier(frame), F.squares(frame)
    params, penalties, losses = F.params(frame), F.penalties(frame), F.losses(frame)
    member, mode, members = F.member(frame).size, arguments[A.MODE], arguments[A.MEMBERS]
    if not meet(barrier, members):
        return -1
    begin, end = stretch(params.size, member, members)
    round_parameters(params, begin, end, F.half_params(frame))
    if F.half_params(frame).size:
        wait_for_all(barrier, members)
    visited = F.order(frame).size if arguments[A.ORDERED] else arguments[A.N_ROWS]
    a_pass = arguments[A.PASS_ROWS]
    steps = visited // max(a_pass, 1) * ((a_pass + arguments[A.BATCH] - 1) // arguments[A.BATCH])
    for step in range(steps):
        _prepare(frame, step)
        n_parts = (call[C.BATCH_ROWS] + arguments[A.PART] - 1) // arguments[A.PART]
        if mode <= A.GRADIENTS:
            _clear_idle(F.tensors(frame), F.own_grads(frame))
            if call[C.SQUARES]:
                squares[member, step, 0] = 0.0
        for part in range(n_parts):
            if part > 0 and mode <= A.GRADIENTS:
                add_shares(frame, part > 1)
                wait_for_all(barrier, members)  # nobody may write values that another still reads
            _forward_pass(frame, part, n_parts, step)
            if mode > A.GRADIENTS:
                wait_for_all(barrier, members)  # the next rows, which may be divided otherwise, take the same place
                continue
            examples = backward(frame, part > 0)
            if call[C.SQUARES]:
                squares[member, step, 0] += examples
            wait_for_all(barrier, members)
        if mode > A.GRADIENTS:
            continue
        loss = _total_loss(frame, step)
        if member == 0:
            losses[step] = loss
        if arguments[A.STOP] and not math.isfinite(loss):
            return step
        if mode == A.TRAIN and member == 0:
            _commit(frame)
        # nobody may change a weight while another still adds up the penalties
        if mode == A.TRAIN and members > 1 and penalties.any():
            wait_for_all(barrier, members)
        take_step(frame, step, mode == A.TRAIN, n_parts > 1)
        wait_for_all(barrier, members)
    return steps


def build(dtype: str) -> Code:
    """Compile the epoch loop for buffers of one type."""
    return compiled(run, (types.CPointer(getattr(types, dtype)),), by_address=True)
