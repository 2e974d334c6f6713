"""What follows the backward pass: gradients of all members put together, and the optimizer's step.

The flat vectors are divided among the members. Gradients are made and used block by block, so that those of a block are
in the cache when the optimizer wants them; clipping wants all gradients first.
"""

from __future__ import annotations

from fastann_kernels.numba_backend import arguments as A
from fastann_kernels.numba_backend import calls as C
from fastann_kernels.numba_backend import frame as F
from fastann_kernels.numba_backend import plan as T
from fastann_kernels.numba_backend.by_address import call_unit
from fastann_kernels.numba_backend.compiling import lean
from fastann_kernels.numba_backend.halves import as_halves, round_to_halves
from fastann_kernels.numba_backend.team import wait_for_all
from fastann_kernels.numba_backend.updates import (
    CLIP_FLAGS,
    add_penalty_gradients,
    clip,
    gather_gradients,
    gradient_square,
)
from fastann_kernels.numba_backend.walk import share_of_kernel, shares

#: Parameters of which the gradients of all members, weights and slots stay in the cache.
_BLOCK = 4096
#: Elements of a slab of a kernel of which gradient, weights and slots stay in the cache, and rows of a batch up to
#: which it is worth while: a library packs the whole of delta for every slab.
_SLAB, _SLAB_ROWS = 1 << 16, 512


@lean
def stretch(size, member, members):
    """Return begin and end of a member's part of so many numbers."""
    # they begin at multiples of 32 numbers, so that no two members write to one cache line
    begin = (size * member // members) // 32 * 32
    end = size if member == members - 1 else (size * (member + 1) // members) // 32 * 32
    return begin, end


@lean
def round_parameters(params, start, stop, buffer):
    """Round a stretch of the parameters to bfloat16, where products have such factors."""
    if buffer.size:
        round_to_halves(params[start:stop], as_halves(buffer)[start:stop])


@lean
def _update(frame, first, last):
    """Take the step of parameters first..last."""
    call_unit(F.units(frame)[A.UPDATE], frame, first, last)
    round_parameters(F.params(frame), first, last, F.half_params(frame))


@lean
def _use(frame, first, last, at_once):
    """Do what parameters first..last want of their gradients, which are complete: measure them, add those of penalties
    and, if `at_once`, take the step."""
    call, params, g = F.call(frame), F.params(frame), F.grads(frame)[0]
    if call[C.SQUARES]:
        F.squares(frame)[call[C.MEMBER], call[C.STEP], 1] += gradient_square(F.spans(frame), first, last, g)
    add_penalty_gradients(F.tensors(frame), F.penalties(frame), params, first, last, g)
    if at_once:
        _update(frame, first, last)


@lean
def _use_blocks(frame, first, last, at_once):
    """Put the members' gradients of parameters first..last together and use them."""
    for begin in range(first, last, _BLOCK):
        end = min(last, begin + _BLOCK)
        gather_gradients(F.grads(frame), begin, end)
        _use(frame, begin, end, at_once)


@lean
def _add_shares(frame):
    """Make this member's shares of the gradients of kernels; those of all but the first part of a batch are added to
    what is there."""
    instructions, call = F.instructions(frame), F.call(frame)
    member, members = call[C.MEMBER], call[C.MEMBERS]
    for i in range(instructions.shape[0]):
        t = instructions[i]
        if shares(t, call):
            begin, end = t[T.WIDTH_IN] * member // members, t[T.WIDTH_IN] * (member + 1) // members
            share_of_kernel(frame, i, begin, end)


@lean
def _take_step(frame):
    """Complete the gradients and, in a training, use them."""
    call, params = F.call(frame), F.params(frame)
    instructions, tensors = F.instructions(frame), F.tensors(frame)
    member, members, flags = call[C.MEMBER], call[C.MEMBERS], F.arguments(frame)[A.FLAGS]
    training = F.arguments(frame)[A.MODE] == A.TRAIN
    at_once = training and not flags & CLIP_FLAGS
    if call[C.SQUARES]:
        F.squares(frame)[member, call[C.STEP], 1] = 0.0
    if members == 1:
        _use_blocks(frame, 0, params.size, at_once)
    else:
        for i in range(tensors.shape[0]):
            if not tensors[i, 5]:
                begin, end = stretch(tensors[i, 1], member, members)
                _use_blocks(frame, tensors[i, 0] + begin, tensors[i, 0] + end, at_once)
        for i in range(instructions.shape[0] - 1, -1, -1):
            t = instructions[i]
            first, width = t[T.KERNEL], t[T.WIDTH_OUT]
            if not shares(t, call):
                begin, end = stretch(t[T.WIDTH_IN] * width if t[T.SHARED] else 0, member, members)
                _use_blocks(frame, first + begin, first + end, at_once)
                continue
            begin, end = t[T.WIDTH_IN] * member // members, t[T.WIDTH_IN] * (member + 1) // members
            few = call[C.PART_ROWS] * t[T.ROWS] <= _SLAB_ROWS
            height = max(1, _SLAB // width) if few else max(1, end - begin)
            for top in range(begin, end, height):
                bottom = min(end, top + height)
                share_of_kernel(frame, i, top, bottom)
                _use(frame, first + top * width, first + bottom * width, at_once)
    if training and not at_once:
        barrier = F.barrier(frame)
        wait_for_all(barrier, members)
        if member == 0:
            clip(flags, F.coefficients(frame)[call[C.STEP]], tensors, F.grads(frame)[0])
        wait_for_all(barrier, members)
        begin, end = stretch(params.size, member, members)
        _update(frame, begin, end)


@lean
def follow(frame, last):
    """Do this member's part of what follows the backward pass of some rows of a batch, all of them or its `last`."""
    if last:
        _take_step(frame)
    else:
        _add_shares(frame)
    return 0.0
