"""The epoch loop: one jitted function that trains, evaluates and predicts any program.

It walks the integer tables of `plan` over preallocated buffers, releases the GIL, and is compiled once for all
architectures. Data are read through addresses, so that read-only arrays, memory maps and uint8 images need no version
of their own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from fastann_kernels.numba_backend import arguments as A
from fastann_kernels.numba_backend import calls as C
from fastann_kernels.numba_backend import losses as L
from fastann_kernels.numba_backend import operations as O
from fastann_kernels.numba_backend import plan as T
from fastann_kernels.numba_backend.compiling import arrayobj, compiled, intrinsic, lean, types
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


def _array(context: Any, builder: Any, kind: Any, address: Any, shape: list[Any]) -> Any:
    """Write the array at an address; nothing owns it."""
    number = context.get_data_type(kind.dtype)
    width = context.get_constant(types.intp, context.get_abi_sizeof(number))
    strides = [width]
    for length in reversed(shape[1:]):
        strides.insert(0, builder.mul(strides[0], length))
    made = context.make_array(kind)(context, builder)
    arrayobj.populate_array(
        made, data=builder.inttoptr(address, number.as_pointer()), shape=shape, strides=strides, itemsize=width,
        meminfo=None,
    )  # fmt: skip
    return made._getvalue()


@intrinsic
def _array_at(typingctx: Any, address: Any, size: Any, dtype: Any) -> Any:
    """Return the memory at an address as a one-dimensional array."""
    kind = types.Array(dtype.dtype, 1, "C")

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _array(context, builder, kind, args[0], [args[1]])

    return kind(address, size, dtype), codegen


def _given(first: int, kinds: Sequence[tuple[str, int]]) -> Any:
    """Return a function that takes arrays out of the table at an address: from row `first` on, each of one type and so
    many axes."""

    @intrinsic
    def arrays(typingctx: Any, address: Any) -> Any:
        found = [types.Array(getattr(types, dtype), axes, "C") for dtype, axes in kinds]

        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            word = context.get_value_type(types.int64)
            table = builder.inttoptr(args[0], word.as_pointer())
            made = []
            for row, kind in enumerate(found, first):
                place = [word(A.WORDS * row + i) for i in range(kind.ndim + 1)]
                start, *shape = (builder.load(builder.gep(table, [i])) for i in place)
                made.append(_array(context, builder, kind, start, shape))
            return context.make_tuple(builder, signature.return_type, made)

        return types.BaseTuple.from_types(found)(address), codegen

    return arrays


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
            call_instruction(O.COMMIT, i, tables, call, params, grads, buffers, shared, barrier)


@lean
def _sample_weights(row, batch_w, columns, rows, out):
    """Copy the sample weights of a loss or metric to `out` and return how many there are: 0 where it has none."""
    if columns == 0 or not row[T.L_WEIGHTED]:
        return 0
    for r in range(rows):
        out[r] = batch_w[r * columns + row[T.L_WEIGHT_COLUMN]]
    return rows


@lean
def _loss(row, number, y, stride, weights, values, deltas, top, call, scale):
    """Evaluate one loss (or metric that is one) on this member's rows; a scale of 0 asks for the value alone."""
    rows, capacity, columns = call[C.ROWS], call[C.CAPACITY], row[T.L_POSITIONS] * row[T.L_WIDTH]
    size, above = rows * columns, call[C.PLACE] * columns
    z_first, p_first = row[T.L_Z] * capacity + above, row[T.L_P] * capacity + above
    z = values[:0] if row[T.L_Z] < 0 else values[z_first : z_first + size]
    # where the logits are the prediction, the probabilities go to the far end of the scratch
    p = top[top.size - size :] if row[T.L_P] < 0 else values[p_first : p_first + size]
    first = row[T.L_DELTA] * capacity + above
    delta = deltas[first : first + size] if scale != 0 and row[T.L_DELTA] >= 0 else deltas[:0]
    return L.loss(
        row[T.L_OP], row[T.L_LOGITS], y[row[T.L_COLUMN] :], stride, z, p, row[T.L_WIDTH], weights, row[T.L_POSITIONS],
        number[T.N_FACTOR], number[T.N_SMOOTHING], scale, delta, top,
    )  # fmt: skip


@lean
def _losses(table, numbers, y, stride, batch_w, w_columns, values, deltas, spare, top, call, training, parts):
    """parts[i] += the share of this member's rows of the mean of loss i over a batch; the gradients go to `deltas`."""
    for i in range(table.shape[0]):
        weights = spare[: _sample_weights(table[i], batch_w, w_columns, call[C.ROWS], spare)]
        count = call[C.BATCH_ROWS] * table[i, T.L_POSITIONS]
        scale = numbers[i, T.N_WEIGHT] / count if training else 0.0
        parts[i] += _loss(table[i], numbers[i], y, stride, weights, values, deltas, top, call, scale) / count


@lean
def _metrics(table, numbers, y, stride, batch_w, w_columns, values, deltas, spare, top, call, sums, totals):
    """Add this member's rows to its metric sums and to their weights."""
    rows = call[C.ROWS]
    for i in range(table.shape[0]):
        row = table[i]
        weights = spare[: _sample_weights(row, batch_w, w_columns, rows, spare)]
        if row[T.L_OP] < _LOSSES:
            sums[i] += _loss(row, numbers[i], y, stride, weights, values, deltas, top, call, 0.0)
        else:
            columns = row[T.L_POSITIONS] * row[T.L_WIDTH]
            first = row[T.L_P] * call[C.CAPACITY] + call[C.PLACE] * columns
            p = values[first : first + rows * columns]
            sums[i] += metric(
                row[T.L_OP], y[row[T.L_COLUMN] :], stride, p, row[T.L_WIDTH], weights, row[T.L_POSITIONS],
                numbers[i, T.N_THRESHOLD], row[T.L_K],
            )  # fmt: skip
        total = float(rows)
        if weights.size:
            total = 0.0
            for r in range(rows):
                total += weights[r]
        totals[i] += total * row[T.L_POSITIONS]


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
def _collect(outputs, values, call, first, collected):
    """Copy the outputs of this member's rows, side by side, to rows first, first + 1, ... of `collected`."""
    column = 0
    for i in range(outputs.shape[0]):
        width = outputs[i, 1]
        place = outputs[i, 0] * call[C.CAPACITY] + call[C.PLACE] * width
        for r in range(call[C.ROWS]):
            for j in range(width):
                collected[first + r, column + j] = values[place + r * width + j]
        column += width


@lean
def _load(arguments, inputs, order, call, first, values, batch_y, batch_w):
    """Gather inputs, targets and weights of this member's rows, at places first, first + 1, ... of the order."""
    n_rows, ordered, rows = arguments[A.N_ROWS], arguments[A.ORDERED], call[C.ROWS]
    column = 0
    for i in range(inputs.shape[0]):
        width = inputs[i, 1]
        place = inputs[i, 0] * call[C.CAPACITY] + call[C.PLACE] * width
        _gather(
            arguments[A.X_ADDRESS], arguments[A.X_IS_BYTES], arguments[A.X_COLUMNS], n_rows, column, width, order,
            ordered, first, rows, values[place : place + rows * width],
        )  # fmt: skip
        column += width
    y_columns, w_columns = arguments[A.Y_COLUMNS], arguments[A.W_COLUMNS]
    if arguments[A.MODE] != A.PREDICT and y_columns:
        _gather(arguments[A.Y_ADDRESS], 0, y_columns, n_rows, 0, y_columns, order, ordered, first, rows, batch_y)
    if arguments[A.MODE] != A.PREDICT and w_columns:
        _gather(arguments[A.W_ADDRESS], 0, w_columns, n_rows, 0, w_columns, order, ordered, first, rows, batch_w)


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
def _prepare(member, step, arguments, call):
    """Note what is the same for all rows of a batch."""
    key_0, key_1 = np.uint32(arguments[A.KEY_0]), np.uint32(arguments[A.KEY_1])
    k0, k1 = threefry(key_0, key_1, np.uint32(0), np.uint32(arguments[A.FIRST_STEP] + step))
    mode, every = arguments[A.MODE], arguments[A.SQUARES_EVERY]
    call[C.CAPACITY], call[C.SMALL] = arguments[A.CAPACITY], arguments[A.SMALL]
    call[C.TRAINING] = mode == A.TRAIN or (mode == A.GRADIENTS and arguments[A.DROP] != 0)
    call[C.MEMBER], call[C.MEMBERS], call[C.KEY_0], call[C.KEY_1] = member, arguments[A.MEMBERS], k0, k1
    call[C.SQUARES] = every > 0 and (arguments[A.FIRST_STEP] + step) % every == 0
    call[C.BATCH_ROWS] = _place(arguments, step)[1]


@lean
def _forward_pass(
    part, n_parts, step, arguments, tables, order, params, grads, buffers, shared, barrier, call, parts, sums, totals,
    collected,
):  # fmt: skip
    """Run this member's rows of one part of a batch forward, losses and metrics included."""
    (_instructions, _numbers, loss_table, loss_numbers, metric_table, metric_numbers,
     cleared, inputs, outputs, _tensors, _spans, _integers, _reals, _calls) = tables  # fmt: skip
    values, deltas, _scratch, spare, top, batch_y, batch_w, _workspace, _halves, _half_params = buffers
    mode, y_columns, w_columns = arguments[A.MODE], arguments[A.Y_COLUMNS], arguments[A.W_COLUMNS]
    member, members, (begin, size) = call[C.MEMBER], call[C.MEMBERS], _place(arguments, step)
    above = size * part // n_parts
    part_rows = size * (part + 1) // n_parts - above
    place = part_rows * member // members
    call[C.PLACE], call[C.PART_ROWS], call[C.FIRST] = place, part_rows, above + place
    call[C.ROWS] = part_rows * (member + 1) // members - place
    start = begin + above + place
    _load(arguments, inputs, order, call, start, values, batch_y, batch_w)
    added = forward(tables, call, params, grads, buffers, shared, barrier, mode != A.PREDICT)
    if mode <= A.GRADIENTS:
        for i in range(cleared.shape[0]):
            first = cleared[i, 0] * call[C.CAPACITY] + place * cleared[i, 1]
            fill(deltas[first : first + call[C.ROWS] * cleared[i, 1]], 0)
    if mode != A.PREDICT:
        _losses(
            loss_table, loss_numbers, batch_y, y_columns, batch_w, w_columns, values, deltas, spare, top, call,
            mode <= A.GRADIENTS, parts[member, step],
        )  # fmt: skip
        parts[member, step, loss_table.shape[0]] += added
        _metrics(
            metric_table, metric_numbers, batch_y, y_columns, batch_w, w_columns, values, deltas, spare, top, call,
            sums[member, step], totals[member, step],
        )  # fmt: skip
    if arguments[A.COLLECT]:
        _collect(outputs, values, call, start, collected)


@lean
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
        buffers: as `executor.Workspace` lists them for this member.
        losses float64[steps]; parts float64[members, steps, losses + 1], the last what instructions add;
        sums, totals float64[members, steps, n]; squares float64[members, steps, 2], or with no steps if nothing is
        measured; collected float[rows, columns]: results, shared, each member writing its part.
    """
    loss_numbers, tensors = tables[3], tables[9]
    mode, members, rule, flags = arguments[A.MODE], arguments[A.MEMBERS], arguments[A.RULE], arguments[A.FLAGS]
    if not meet(barrier, members):
        return -1
    begin, end = stretch(params.size, member, members)
    round_parameters(params, begin, end, buffers[9])
    if buffers[9].size:
        wait_for_all(barrier, members)
    own_grads = grads[member] if mode <= A.GRADIENTS else grads[0]
    visited = order.size if arguments[A.ORDERED] else arguments[A.N_ROWS]
    a_pass = arguments[A.PASS_ROWS]
    steps = visited // max(a_pass, 1) * ((a_pass + arguments[A.BATCH] - 1) // arguments[A.BATCH])
    for step in range(steps):
        _prepare(member, step, arguments, call)
        n_parts = (call[C.BATCH_ROWS] + arguments[A.PART] - 1) // arguments[A.PART]
        if mode <= A.GRADIENTS:
            _clear_idle(tensors, own_grads)
            if call[C.SQUARES]:
                squares[member, step, 0] = 0.0
        for part in range(n_parts):
            if part > 0 and mode <= A.GRADIENTS:
                add_shares(member, tables, call, buffers, grads[0], part > 1)
                wait_for_all(barrier, members)  # nobody may write values that another still reads
            _forward_pass(
                part, n_parts, step, arguments, tables, order, params, own_grads, buffers, shared, barrier, call,
                parts, sums, totals, collected,
            )  # fmt: skip
            if mode > A.GRADIENTS:
                wait_for_all(barrier, members)  # the next rows, which may be divided otherwise, take the same place
                continue
            examples = backward(tables, call, params, own_grads, buffers, shared, barrier, part > 0)
            if call[C.SQUARES]:
                squares[member, step, 0] += examples
            wait_for_all(barrier, members)
        if mode > A.GRADIENTS:
            continue
        loss = _total_loss(loss_numbers, tensors, penalties, params, parts[:, step])
        if member == 0:
            losses[step] = loss
        if arguments[A.STOP] and not math.isfinite(loss):
            return step
        if mode == A.TRAIN and member == 0:
            _commit(tables, call, params, own_grads, buffers, shared, barrier)
        # nobody may change a weight while another still adds up the penalties
        if mode == A.TRAIN and members > 1 and penalties.any():
            wait_for_all(barrier, members)
        take_step(
            member, barrier, step, mode == A.TRAIN, rule, flags, tables, call, penalties, coefficients, params, grads,
            slots, buffers, squares, n_parts > 1,
        )  # fmt: skip
        wait_for_all(barrier, members)
    return steps


def _entry(number: str) -> Any:
    """Return the function that Python calls: `run` on the arrays of the table at an address, see `arguments`."""
    whole, wide = "int64", "float64"
    take_member = _given(A.MEMBER, [(whole, 1)])
    take_tables = _given(
        A.FIRST_TABLE,
        [(whole, 2), (wide, 1), (whole, 2), (wide, 2), (whole, 2), (wide, 2), *[(whole, 2)] * 5, (whole, 1), (wide, 1),
         (whole, 2)],
    )  # fmt: skip
    take_buffers = _given(A.FIRST_BUFFER, [(number, 1)] * A.BUFFERS)
    take_rest = _given(
        A.CALL,
        [*[(whole, 1)] * 4, (wide, 2), (wide, 2), (number, 1), (number, 2), (number, 2), (number, 1), (wide, 1),
         *[(wide, 3)] * 4, (number, 2)],
    )  # fmt: skip

    @lean
    def begin(address):
        (member,) = take_member(address)
        (call, barrier, arguments, order, coefficients, penalties, params, grads, slots, shared, losses, parts, sums,
         totals, squares, collected) = take_rest(address)  # fmt: skip
        return run(
            member.size, barrier, arguments, take_tables(address), order, coefficients, penalties, params, grads, slots,
            take_buffers(address), shared, call, losses, parts, sums, totals, squares, collected,
        )  # fmt: skip

    return begin


def build(dtype: str) -> Code:
    """Compile the epoch loop for buffers of one type."""
    return compiled(_entry(dtype), (types.int64,), by_address=True)
