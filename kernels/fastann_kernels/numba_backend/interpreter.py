"""The epoch loop: a jitted function that trains, evaluates and predicts any program.

It walks the integer tables of `plan` over preallocated buffers, releases the GIL, and is compiled once for all
architectures. What it does with the rows of a batch are functions of their own, see `units`. Data are read through
addresses, so that read-only arrays, memory maps and uint8 images need no version of their own.
"""

from __future__ import annotations

import math

import numpy as np

from fastann_kernels.numba_backend import arguments as A
from fastann_kernels.numba_backend import calls as C
from fastann_kernels.numba_backend import frame as F
from fastann_kernels.numba_backend import operations as O
from fastann_kernels.numba_backend import plan as T
from fastann_kernels.numba_backend.by_address import call_unit
from fastann_kernels.numba_backend.compiling import lean
from fastann_kernels.numba_backend.dropout import threefry
from fastann_kernels.numba_backend.elementary import fill
from fastann_kernels.numba_backend.measures import sample_weights
from fastann_kernels.numba_backend.steps import round_parameters, stretch
from fastann_kernels.numba_backend.team import meet, wait_for_all
from fastann_kernels.numba_backend.updates import penalty
from fastann_kernels.numba_backend.vectors import gather_rows
from fastann_kernels.numba_backend.walk import call_instruction

#: Rows of a batch up to which the cache has room for those of the next beside what a step needs, and how far ahead of
#: its turn a row of a larger batch is fetched.
_FEW_ROWS, _AHEAD = 64, 12


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
        source8 = F.array_of(address, n_rows * columns, np.uint8)
        _copy_rows(source8, columns, first, width, order, ordered, start, rows, out)
    else:
        source = F.array_of(address, n_rows * columns, out.dtype)
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
def _losses(frame, training):
    """Add the share of this member's rows of the mean of each loss over a batch to its parts; the gradients go to
    `deltas`."""
    table, call, units = F.loss_table(frame), F.call(frame), F.units(frame)
    parts = F.parts(frame)[call[C.MEMBER], call[C.STEP]]
    for i in range(table.shape[0]):
        total = call_unit(units[A.FIRST_LOSS + i], frame, i, training)
        parts[i] += total / (call[C.BATCH_ROWS] * table[i, T.L_POSITIONS])


@lean
def _metrics(frame):
    """Add this member's rows to its metric sums and to their weights."""
    table, call, units, spare = F.metric_table(frame), F.call(frame), F.units(frame), F.spare(frame)
    member, step, losses = call[C.MEMBER], call[C.STEP], F.loss_table(frame).shape[0]
    sums, totals = F.sums(frame)[member, step], F.totals(frame)[member, step]
    for i in range(table.shape[0]):
        sums[i] += call_unit(units[A.FIRST_LOSS + losses + i], frame, losses + i, 0)
        total = float(call[C.ROWS])
        count = sample_weights(frame, table[i], spare)
        if count:
            total = 0.0
            for r in range(count):
                total += spare[r]
        totals[i] += total * table[i, T.L_POSITIONS]


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
    call[C.CAPACITY] = arguments[A.CAPACITY]
    call[C.SMALL], call[C.SMALL_TURNED] = arguments[A.SMALL], arguments[A.SMALL_TURNED]
    call[C.TRAINING] = mode == A.TRAIN or (mode == A.GRADIENTS and arguments[A.DROP] != 0)
    call[C.MEMBER], call[C.MEMBERS] = F.member(frame).size, arguments[A.MEMBERS]
    call[C.KEY_0], call[C.KEY_1] = k0, k1
    call[C.SQUARES] = every > 0 and (arguments[A.FIRST_STEP] + step) % every == 0
    call[C.BATCH_ROWS] = _place(arguments, step)[1]
    call[C.STEP] = step


@lean
def _forward_pass(frame, part, n_parts):
    """Run this member's rows of one part of a batch forward, losses and metrics included."""
    arguments, call, cleared, deltas = F.arguments(frame), F.call(frame), F.cleared(frame), F.deltas(frame)
    mode, member, members = arguments[A.MODE], call[C.MEMBER], call[C.MEMBERS]
    begin, size = _place(arguments, call[C.STEP])
    above = size * part // n_parts
    part_rows = size * (part + 1) // n_parts - above
    place = part_rows * member // members
    call[C.PLACE], call[C.PART_ROWS], call[C.FIRST] = place, part_rows, above + place
    call[C.ROWS], call[C.PART] = part_rows * (member + 1) // members - place, part
    start = begin + above + place
    _load(frame, start)
    added = call_unit(F.units(frame)[A.FORWARD], frame)
    if mode <= A.GRADIENTS:
        for i in range(cleared.shape[0]):
            first = cleared[i, 0] * call[C.CAPACITY] + place * cleared[i, 1]
            fill(deltas[first : first + call[C.ROWS] * cleared[i, 1]], 0)
    if mode != A.PREDICT:
        _losses(frame, int(mode <= A.GRADIENTS))
        F.parts(frame)[member, call[C.STEP], F.loss_table(frame).shape[0]] += added
        _metrics(frame)
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
    params, penalties, losses, units = F.params(frame), F.penalties(frame), F.losses(frame), F.units(frame)
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
                call_unit(units[A.FOLLOW], frame, 0)
                wait_for_all(barrier, members)  # nobody may write values that another still reads
            _forward_pass(frame, part, n_parts)
            if mode > A.GRADIENTS:
                wait_for_all(barrier, members)  # the next rows, which may be divided otherwise, take the same place
                continue
            examples = call_unit(units[A.BACKWARD], frame)
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
        call_unit(units[A.FOLLOW], frame, 1)
        wait_for_all(barrier, members)
    return steps
