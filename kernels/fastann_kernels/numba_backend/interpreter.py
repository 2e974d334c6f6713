"""The epoch loop: one jitted function that trains, evaluates and predicts any program.

It walks the integer tables of `plan` over preallocated buffers, releases the GIL, and is compiled once for all
architectures. Data are read through addresses, so that read-only arrays, memory maps and uint8 images need no version
of their own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from fastann_kernels.numba_backend import calls as C
from fastann_kernels.numba_backend import losses as L
from fastann_kernels.numba_backend import operations as O
from fastann_kernels.numba_backend import plan as T
from fastann_kernels.numba_backend.activations import activate, activate_backward
from fastann_kernels.numba_backend.compiling import entry, lean, sources_digest
from fastann_kernels.numba_backend.dense import dense, dense_backward, example_squares
from fastann_kernels.numba_backend.dropout import dropout, dropout_backward, stream_key, threefry
from fastann_kernels.numba_backend.elementary import copy, fill
from fastann_kernels.numba_backend.halves import as_halves, round_to_halves
from fastann_kernels.numba_backend.metrics import metric
from fastann_kernels.numba_backend.team import meet, wait_for_all
from fastann_kernels.numba_backend.updates import (
    CLIP_FLAGS,
    add_penalty_gradients,
    clip,
    gather_gradients,
    gradient_square,
    penalty,
    update,
)
from fastann_kernels.numba_backend.vectors import gather_rows
from fastann_kernels.program import LOSSES

DENSE, ACTIVATION, DROPOUT, RESHAPE = range(4)
CALLED = 4  # the first of the instructions that are compiled on their own, see `calls`
TRAIN, GRADIENTS, EVALUATE, PREDICT = range(4)

# Slots of the integer arguments of a run.
(
    MODE, N_ROWS, BATCH, CAPACITY, FIRST_STEP, KEY_0, KEY_1, RULE, FLAGS, STOP, DROP, COLLECT,
    X_ADDRESS, X_IS_BYTES, X_COLUMNS, Y_ADDRESS, Y_COLUMNS, W_ADDRESS, W_COLUMNS, ORDERED, MEMBERS,
    SMALL, PASS_ROWS, SQUARES_EVERY,
) = range(24)  # fmt: skip
ARGUMENTS = 24

_LOSSES = len(LOSSES)
#: Parameters of which the gradients of all members, weights and slots stay in the cache.
_BLOCK = 4096


@intrinsic
def _array_at(typingctx: Any, address: Any, size: Any, dtype: Any) -> Any:
    """Return the memory at an address as a one-dimensional array; nothing owns it."""
    kind = types.Array(dtype.dtype, 1, "C")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(kind)(context, builder)
        number = context.get_data_type(kind.dtype)
        width = context.get_constant(types.intp, context.get_abi_sizeof(number))
        populate_array(
            array, data=builder.inttoptr(args[0], number.as_pointer()), shape=[args[1]], strides=[width],
            itemsize=width, meminfo=None,
        )  # fmt: skip
        return array._getvalue()

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
def _gather(address, is_bytes, columns, n_rows, first, width, order, ordered, start, rows, out):
    if is_bytes:
        source8 = _array_at(address, n_rows * columns, np.uint8)
        _copy_rows(source8, columns, first, width, order, ordered, start, rows, out)
    else:
        source = _array_at(address, n_rows * columns, out.dtype)
        if ordered:
            gather_rows(rows, width, columns, source[first:], order[start:], out)
            return
        _copy_rows(source, columns, first, width, order, ordered, start, rows, out)


@lean
def _call(kind, i, tables, call, params, grads, buffers, shared, barrier):
    """Call instruction i, which is compiled on its own, and return what it adds to the loss."""
    t, integers, reals, calls = tables[0][i], tables[11], tables[12], tables[13]
    return O.call_operation(
        calls[i, kind], call, integers[t[T.INTEGERS] : t[T.INTEGERS_END]], reals[t[T.NUMBERS] : t[T.NUMBERS_END]],
        params, grads, buffers[0], buffers[1], buffers[2], buffers[7], shared, barrier,
    )  # fmt: skip


@lean
def forward(tables, call, params, grads, buffers, shared, barrier, skip_fused):
    """Run every instruction on this member's rows; return what instructions add to the loss."""
    instructions, numbers = tables[0], tables[1]
    values, scratch = buffers[0], buffers[2]
    halves, half_params = as_halves(buffers[8]), as_halves(buffers[9])
    rows, capacity, training = call[C.ROWS], call[C.CAPACITY], call[C.TRAINING]
    added = 0.0
    for i in range(instructions.shape[0]):
        t = instructions[i]
        if t[T.OP] == RESHAPE or (skip_fused and t[T.FUSED]):
            continue
        if t[T.OP] >= CALLED:
            added += _call(O.FORWARD, i, tables, call, params, grads, buffers, shared, barrier)
            continue
        wide = rows * t[T.ROWS]
        n_in, n_out = t[T.WIDTH_IN], t[T.WIDTH_OUT]
        x = values[t[T.IN] * capacity : t[T.IN] * capacity + rows * t[T.ROWS] * n_in]
        y = values[t[T.OUT] * capacity : t[T.OUT] * capacity + wide * n_out]
        if t[T.OP] == DENSE:
            z = scratch[:0] if t[T.PRE] < 0 else scratch[t[T.PRE] * capacity : t[T.PRE] * capacity + y.size]
            W = params[t[T.KERNEL] : t[T.KERNEL] + n_in * n_out]
            b = params[:0] if t[T.BIAS] < 0 else params[t[T.BIAS] : t[T.BIAS] + n_out]
            # all empty without bfloat16: slices of empty arrays are
            half_x = halves[t[T.IN] * capacity : t[T.IN] * capacity + x.size]
            half_W = half_params[t[T.KERNEL] : t[T.KERNEL] + n_in * n_out]
            dense(x, W, b, wide, n_in, n_out, t[T.CODE], numbers[i], y, z, call[C.SMALL], half_x, half_W)
        elif t[T.OP] == ACTIVATION:
            top = y if t[T.SCRATCH] < 0 else scratch[t[T.SCRATCH] * capacity : t[T.SCRATCH] * capacity + wide]
            activate(t[T.CODE], numbers[i], x, n_out, y, top)
        elif t[T.OP] == DROPOUT:
            if training:
                mask = scratch[t[T.SCRATCH] * capacity : t[T.SCRATCH] * capacity + y.size]
                s0, s1 = stream_key(call, t[T.STREAM])
                dropout(x, numbers[i], s0, s1, call[C.FIRST] * t[T.ROWS] * n_out, y, mask)
            else:
                copy(x, y)
    return added


@lean
def backward(tables, call, params, grads, buffers, shared, barrier):
    """Run every instruction's gradient, last to first; the losses have written the gradients of the outputs.

    Return the squared norms of the gradients of this member's rows, added up, if they are to be measured.
    """
    instructions, numbers = tables[0], tables[1]
    values, deltas, scratch = buffers[0], buffers[1], buffers[2]
    halves, half_params = as_halves(buffers[8]), as_halves(buffers[9])
    rows, capacity, training = call[C.ROWS], call[C.CAPACITY], call[C.TRAINING]
    squares = 0.0
    for i in range(instructions.shape[0] - 1, -1, -1):
        t = instructions[i]
        if not t[T.BACKWARD]:
            continue
        if t[T.OP] >= CALLED:
            _call(O.BACKWARD, i, tables, call, params, grads, buffers, shared, barrier)
            continue
        wide = rows * t[T.ROWS]
        n_in, n_out = t[T.WIDTH_IN], t[T.WIDTH_OUT]
        x = values[t[T.IN] * capacity : t[T.IN] * capacity + wide * n_in]
        y = values[t[T.OUT] * capacity : t[T.OUT] * capacity + wide * n_out]
        delta = deltas[t[T.D_OUT] * capacity : t[T.D_OUT] * capacity + wide * n_out]
        dx = deltas[:0] if t[T.D_IN] < 0 else deltas[t[T.D_IN] * capacity : t[T.D_IN] * capacity + x.size]
        if t[T.OP] == DENSE:
            z = y if t[T.PRE] < 0 else scratch[t[T.PRE] * capacity : t[T.PRE] * capacity + y.size]
            kernel_end = t[T.KERNEL] + n_in * n_out
            W, dW = params[t[T.KERNEL] : kernel_end], grads[t[T.KERNEL] : kernel_end]
            db = grads[:0] if t[T.BIAS] < 0 else grads[t[T.BIAS] : t[T.BIAS] + n_out]
            half_x = halves[t[T.IN] * capacity : t[T.IN] * capacity + x.size]
            half_delta = halves[values.size : values.size + delta.size]
            half_W = half_params[t[T.KERNEL] : t[T.KERNEL] + W.size]
            dense_backward(
                x, W, y, z, delta, wide, n_in, n_out, t[T.CODE], numbers[i], dW, db, dx, t[T.ADD_KERNEL],
                t[T.ADD_BIAS], t[T.ACCUMULATE], call[C.SMALL], buffers[7], half_x, half_W, half_delta,
            )  # fmt: skip
            if call[C.SQUARES]:
                squares += example_squares(x, delta, wide, n_in, n_out, t[T.TRAIN_KERNEL], t[T.TRAIN_BIAS])
        elif dx.size and t[T.OP] == DROPOUT and training:
            mask = scratch[t[T.SCRATCH] * capacity : t[T.SCRATCH] * capacity + y.size]
            dropout_backward(delta, mask, dx, t[T.ACCUMULATE])
        elif dx.size:
            if t[T.OP] == ACTIVATION:
                activate_backward(t[T.CODE], numbers[i], y, x, n_out, delta)
            if t[T.ACCUMULATE]:
                for j in range(delta.size):
                    dx[j] += delta[j]
            else:
                copy(delta, dx)
    return squares


@lean
def _clear_idle(tensors, grads):
    """Zero the gradients that no instruction writes, so that penalties do not pile up there."""
    for i in range(tensors.shape[0]):
        if tensors[i, 4]:
            fill(grads[tensors[i, 0] : tensors[i, 0] + tensors[i, 1]], 0)


@lean
def _commit(tables, call, params, grads, buffers, shared, barrier):
    """Let the instructions that keep statistics take those of the batch."""
    calls = tables[13]
    for i in range(calls.shape[0]):
        if calls[i, O.COMMIT]:
            _call(O.COMMIT, i, tables, call, params, grads, buffers, shared, barrier)


@lean
def _sample_weights(row, batch_w, columns, rows, out):
    """Copy the sample weights of a loss or metric to `out` and return how many there are: 0 where it has none."""
    if columns == 0 or not row[T.L_WEIGHTED]:
        return 0
    for r in range(rows):
        out[r] = batch_w[r * columns + row[T.L_WEIGHT_COLUMN]]
    return rows


@lean
def _loss(row, number, y, stride, weights, values, deltas, top, capacity, rows, scale):
    """Evaluate one loss (or metric that is one) on a batch; a scale of 0 asks for the value alone."""
    size = rows * row[T.L_POSITIONS] * row[T.L_WIDTH]
    z = values[:0] if row[T.L_Z] < 0 else values[row[T.L_Z] * capacity : row[T.L_Z] * capacity + size]
    # where the logits are the prediction, the probabilities go to the far end of the scratch
    p = top[top.size - size :] if row[T.L_P] < 0 else values[row[T.L_P] * capacity : row[T.L_P] * capacity + size]
    want = scale != 0 and row[T.L_DELTA] >= 0
    delta = deltas[row[T.L_DELTA] * capacity : row[T.L_DELTA] * capacity + size] if want else deltas[:0]
    return L.loss(
        row[T.L_OP], row[T.L_LOGITS], y[row[T.L_COLUMN] :], stride, z, p, row[T.L_WIDTH], weights, row[T.L_POSITIONS],
        number[T.N_FACTOR], number[T.N_SMOOTHING], scale, delta, top,
    )  # fmt: skip


@lean
def _losses(
    table, numbers, y, stride, batch_w, w_columns, values, deltas, spare, top, capacity, rows, batch, training, parts
):
    """parts[i] = this member's share of the mean of loss i over a batch; the gradients go to `deltas`."""
    for i in range(table.shape[0]):
        weights = spare[: _sample_weights(table[i], batch_w, w_columns, rows, spare)]
        count = batch * table[i, T.L_POSITIONS]
        scale = numbers[i, T.N_WEIGHT] / count if training else 0.0
        value = _loss(table[i], numbers[i], y, stride, weights, values, deltas, top, capacity, rows, scale)
        parts[i] = value / count


@lean
def _metrics(table, numbers, y, stride, batch_w, w_columns, values, deltas, spare, top, capacity, rows, sums, totals):
    """Fill this member's row of metric sums and of their weights."""
    for i in range(table.shape[0]):
        row = table[i]
        weights = spare[: _sample_weights(row, batch_w, w_columns, rows, spare)]
        if row[T.L_OP] < _LOSSES:
            sums[i] = _loss(row, numbers[i], y, stride, weights, values, deltas, top, capacity, rows, 0.0)
        else:
            size = rows * row[T.L_POSITIONS] * row[T.L_WIDTH]
            p = values[row[T.L_P] * capacity : row[T.L_P] * capacity + size]
            sums[i] = metric(
                row[T.L_OP], y[row[T.L_COLUMN] :], stride, p, row[T.L_WIDTH], weights, row[T.L_POSITIONS],
                numbers[i, T.N_THRESHOLD], row[T.L_K],
            )  # fmt: skip
        total = float(rows)
        if weights.size:
            total = 0.0
            for r in range(rows):
                total += weights[r]
        totals[i] = total * row[T.L_POSITIONS]


@lean
def _total_loss(numbers, tensors, penalties, params, parts):
    """Return the loss of a batch from the members' shares float64[members, losses + 1], penalties included."""
    total = 0.0
    for member in range(parts.shape[0]):
        total += parts[member, numbers.shape[0]]
    for i in range(numbers.shape[0]):
        for member in range(parts.shape[0]):
            total += numbers[i, T.N_WEIGHT] * parts[member, i]
    for i in range(tensors.shape[0]):
        if penalties[i, 0] != 0 or penalties[i, 1] != 0:
            w = params[tensors[i, 0] : tensors[i, 0] + tensors[i, 1]]
            total += penalty(w, penalties[i, 0], penalties[i, 1])
    return total


@lean
def _collect(outputs, values, capacity, first, rows, collected):
    """Copy the outputs of a batch, side by side, to rows first, first + 1, ... of `collected`."""
    column = 0
    for i in range(outputs.shape[0]):
        place, width = outputs[i, 0] * capacity, outputs[i, 1]
        for r in range(rows):
            for j in range(width):
                collected[first + r, column + j] = values[place + r * width + j]
        column += width


@lean
def _load(arguments, inputs, order, capacity, first, rows, values, batch_y, batch_w):
    """Gather inputs, targets and weights of the rows at places first, first + 1, ... of the order."""
    n_rows, ordered = arguments[N_ROWS], arguments[ORDERED]
    column = 0
    for i in range(inputs.shape[0]):
        place, width = inputs[i, 0] * capacity, inputs[i, 1]
        _gather(
            arguments[X_ADDRESS], arguments[X_IS_BYTES], arguments[X_COLUMNS], n_rows, column, width, order, ordered,
            first, rows, values[place : place + rows * width],
        )  # fmt: skip
        column += width
    y_columns, w_columns = arguments[Y_COLUMNS], arguments[W_COLUMNS]
    if arguments[MODE] != PREDICT and y_columns:
        _gather(arguments[Y_ADDRESS], 0, y_columns, n_rows, 0, y_columns, order, ordered, first, rows, batch_y)
    if arguments[MODE] != PREDICT and w_columns:
        _gather(arguments[W_ADDRESS], 0, w_columns, n_rows, 0, w_columns, order, ordered, first, rows, batch_w)


@lean
def _stretch(params, member, members):
    """Return begin and end of a member's part of the flat vectors."""
    # they begin at multiples of 32 numbers, so that no two members write to one cache line
    start = (params.size * member // members) // 32 * 32
    stop = params.size if member == members - 1 else (params.size * (member + 1) // members) // 32 * 32
    return start, stop


@lean
def _round_parameters(params, start, stop, buffer):
    """Round a stretch of the parameters to bfloat16, where products have such factors."""
    if buffer.size:
        round_to_halves(params[start:stop], as_halves(buffer)[start:stop])


@lean
def _take_step(member, barrier, step, arguments, call, tensors, spans, penalties, coefficients, params, grads, slots,
               half_params, squares):  # fmt: skip
    """Do this member's part of what follows the backward pass: one stretch of the flat vectors.

    Block by block, so that gradients are in the cache when the optimizer wants them; clipping and measuring want all
    gradients first.
    """
    members, flags = arguments[MEMBERS], arguments[FLAGS]
    start, stop = _stretch(params, member, members)
    if call[C.SQUARES] or arguments[MODE] != TRAIN or flags & CLIP_FLAGS:
        gather_gradients(grads, start, stop)
        if call[C.SQUARES]:
            squares[member, step, 1] = gradient_square(spans, start, stop, grads[0])
        add_penalty_gradients(tensors, penalties, params, start, stop, grads[0])
        if arguments[MODE] != TRAIN:
            return
        if flags & CLIP_FLAGS:
            wait_for_all(barrier, members)
            if member == 0:
                clip(flags, coefficients[step], tensors, grads[0])
            wait_for_all(barrier, members)
        update(arguments[RULE], flags, coefficients[step], spans, params, grads[0], slots, start, stop)
    else:
        for first in range(start, stop, _BLOCK):
            last = min(stop, first + _BLOCK)
            gather_gradients(grads, first, last)
            add_penalty_gradients(tensors, penalties, params, first, last, grads[0])
            update(arguments[RULE], flags, coefficients[step], spans, params, grads[0], slots, first, last)
    _round_parameters(params, start, stop, half_params)


@lean
def _place(arguments, step):
    """Return where in the order a batch begins, and how many rows it has: a pass ends with a short one."""
    batch, a_pass = arguments[BATCH], arguments[PASS_ROWS]
    if (step + 1) * batch <= a_pass:
        return step * batch, batch
    steps = (a_pass + batch - 1) // batch
    within = step % steps * batch
    return step // steps * a_pass + within, min(batch, a_pass - within)


@lean
def _forward_pass(
    member,
    step,
    arguments,
    tables,
    order,
    params,
    grads,
    buffers,
    shared,
    barrier,
    call,
    parts,
    sums,
    totals,
    collected,
):
    """Run this member's rows of one batch forward, losses and metrics included."""
    (_instructions, _numbers, loss_table, loss_numbers, metric_table, metric_numbers,
     cleared, inputs, outputs, _tensors, _spans, _integers, _reals, _calls) = tables  # fmt: skip
    values, deltas, _scratch, spare, top, batch_y, batch_w, _workspace, _halves, _half_params = buffers
    mode, capacity, members = arguments[MODE], arguments[CAPACITY], arguments[MEMBERS]
    begin, size = _place(arguments, step)
    first = size * member // members
    rows = size * (member + 1) // members - first
    start = begin + first
    _load(arguments, inputs, order, capacity, start, rows, values, batch_y, batch_w)
    k0, k1 = threefry(
        np.uint32(arguments[KEY_0]), np.uint32(arguments[KEY_1]), np.uint32(0), np.uint32(arguments[FIRST_STEP] + step)
    )
    call[C.ROWS], call[C.FIRST], call[C.CAPACITY], call[C.BATCH_ROWS] = rows, first, capacity, size
    call[C.TRAINING] = mode == TRAIN or (mode == GRADIENTS and arguments[DROP] != 0)
    call[C.MEMBER], call[C.MEMBERS], call[C.KEY_0], call[C.KEY_1] = member, members, k0, k1
    call[C.SMALL], every = arguments[SMALL], arguments[SQUARES_EVERY]
    call[C.SQUARES] = every > 0 and (arguments[FIRST_STEP] + step) % every == 0
    added = forward(tables, call, params, grads, buffers, shared, barrier, mode != PREDICT)
    if mode <= GRADIENTS:
        for i in range(cleared.shape[0]):
            fill(deltas[cleared[i, 0] * capacity : cleared[i, 0] * capacity + rows * cleared[i, 1]], 0)
    if mode != PREDICT:
        y_columns, w_columns = arguments[Y_COLUMNS], arguments[W_COLUMNS]
        _losses(
            loss_table, loss_numbers, batch_y, y_columns, batch_w, w_columns, values, deltas, spare, top, capacity,
            rows, size, mode <= GRADIENTS, parts[member, step],
        )  # fmt: skip
        parts[member, step, loss_table.shape[0]] = added
        _metrics(
            metric_table, metric_numbers, batch_y, y_columns, batch_w, w_columns, values, deltas, spare, top, capacity,
            rows, sums[member, step], totals[member, step],
        )  # fmt: skip
    if arguments[COLLECT]:
        _collect(outputs, values, capacity, start, rows, collected)


def _make_run(digest: str) -> Any:
    """Build the entry with the digest of the sources in its closure, where the cache key sees it."""

    @entry
    def run(
        member, barrier, arguments, tables, order, coefficients, penalties, params, grads, slots, buffers, shared, call,
        losses, parts, sums, totals, squares, collected,
    ):  # fmt: skip
        """Run one team member's share of every batch until the rows are used up; return how many steps were completed,
        or -1 if the team did not come together.

        Args:
            member: 0 .. members - 1; barrier: int64[1]; arguments: the integers named at the head of this file.
            order, coefficients, penalties: as in `Steps`.
            params float[P], grads float[members, P], slots float[S, P], shared: shared by the team.
            buffers: this member's own, as `executor.Workspace` lists them.
            losses float64[steps]; parts float64[members, steps, losses + 1], the last what instructions add;
            sums, totals float64[members, steps, n]; squares float64[members, steps, 2], or with no steps if nothing is
            measured; collected float[rows, columns]: results, shared, each member writing its part.
        """
        digest  # noqa: B018
        loss_numbers, tensors, spans = tables[3], tables[9], tables[10]
        mode, members = arguments[MODE], arguments[MEMBERS]
        if not meet(barrier, members):
            return -1
        start, stop = _stretch(params, member, members)
        _round_parameters(params, start, stop, buffers[9])
        if buffers[9].size:
            wait_for_all(barrier, members)
        own_grads = grads[member] if mode <= GRADIENTS else grads[0]
        visited = order.size if arguments[ORDERED] else arguments[N_ROWS]
        a_pass = arguments[PASS_ROWS]
        steps = visited // max(a_pass, 1) * ((a_pass + arguments[BATCH] - 1) // arguments[BATCH])
        for step in range(steps):
            _forward_pass(
                member, step, arguments, tables, order, params, own_grads, buffers, shared, barrier, call, parts, sums,
                totals, collected,
            )  # fmt: skip
            if mode > GRADIENTS:
                continue
            _clear_idle(tensors, own_grads)
            examples = backward(tables, call, params, own_grads, buffers, shared, barrier)
            if call[C.SQUARES]:
                squares[member, step, 0] = examples
            wait_for_all(barrier, members)
            loss = _total_loss(loss_numbers, tensors, penalties, params, parts[:, step])
            if member == 0:
                losses[step] = loss
            if arguments[STOP] and not math.isfinite(loss):
                return step
            if mode == TRAIN and member == 0:
                _commit(tables, call, params, own_grads, buffers, shared, barrier)
            # nobody may change a weight while another still adds up the penalties
            if mode == TRAIN and members > 1 and penalties.any():
                wait_for_all(barrier, members)
            _take_step(
                member, barrier, step, arguments, call, tensors, spans, penalties, coefficients, params, grads,
                slots, buffers[9], squares,
            )  # fmt: skip
            wait_for_all(barrier, members)
        if mode > GRADIENTS:
            wait_for_all(barrier, members)
        return steps

    return run


run = _make_run(sources_digest())
