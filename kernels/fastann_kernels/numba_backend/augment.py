"""Random flips and random affine maps of images (H, W, C), drawn anew for every row of every training step.

The bits of row r of the batch come from counters n r, n r + 1, ..., so they depend neither on the size of a team nor
on the size of an image.
"""

from __future__ import annotations

import math

import numpy as np

from fastann_kernels.numba_backend import calls as C
from fastann_kernels.numba_backend.calls import Encoding, Operation
from fastann_kernels.numba_backend.compiling import kernel, lean
from fastann_kernels.numba_backend.dropout import stream_key, threefry
from fastann_kernels.numba_backend.elementary import copy, fill, like
from fastann_kernels.program import Instruction, Program

# Own integers: of both, then of each.
_HEIGHT, _WIDTH, _CHANNELS, _STREAM, _OWN = range(5)
_HORIZONTAL, _VERTICAL = _OWN, _OWN + 1
_NEAREST, _FILL, _SQUARE = _OWN, _OWN + 1, _OWN + 2

#: What lies outside of an image.
_FILLS = ("constant", "nearest", "reflect", "wrap")
_CONSTANT, _EDGE, _REFLECT, _WRAP = range(4)

#: Numbers that are drawn for each row: low and high of each are the numbers of the instruction, then the fill value.
_DRAWN = ("angle", "shift_h", "shift_w", "zoom_h", "zoom_w")
_FILL_VALUE = 2 * len(_DRAWN)


def _shape(program: Program, instruction: Instruction) -> tuple[int, ...]:
    return (*program.values[instruction.output].shape, int(instruction.get("stream")))


def _encode_flip(program: Program, instruction: Instruction) -> Encoding:
    flags = (int(instruction.get("horizontal")), int(instruction.get("vertical")))
    return Encoding(integers=(*_shape(program, instruction), *flags))


@lean
def _bits(k0, k1, counter):
    x0, x1 = threefry(k0, k1, np.uint32(0), np.uint32(counter))
    return np.uint32(x0 ^ x1)


@lean
def _flip(image, height, width, channels, left_right, up_down, add, out):
    """out = the image, mirrored as the two flags say, or out += that."""
    line = width * channels
    for p in range(height):
        row = image[(height - 1 - p if up_down else p) * line :]
        to = out[p * line : (p + 1) * line]
        if not left_right:
            C.put(row, to, add)
        elif channels == 1:
            for q in range(width):
                to[q] = to[q] + row[width - 1 - q] if add else row[width - 1 - q]
        else:
            for q in range(width):
                C.put(row[(width - 1 - q) * channels :], to[q * channels : (q + 1) * channels], add)


@kernel
def _flip_rows(call, t, images, add, out):
    """Mirror each image of the batch in its own way; doing it twice undoes it."""
    own = C.own(t)
    size = t[C.OUT_SIZE]
    k0, k1 = stream_key(call, own[_STREAM])
    half = np.uint32(1 << 31)
    for r in range(out.size // size):
        row = call[C.FIRST] + r
        left_right = own[_HORIZONTAL] and _bits(k0, k1, 2 * row) < half
        up_down = own[_VERTICAL] and _bits(k0, k1, 2 * row + 1) < half
        part = slice(r * size, (r + 1) * size)
        _flip(images[part], own[_HEIGHT], own[_WIDTH], own[_CHANNELS], left_right, up_down, add, out[part])


@kernel
def _random_flip(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    x, y = C.source(call, t, values, 0), C.output(call, t, values)
    if call[C.TRAINING]:
        _flip_rows(call, t, x, False, y)
    else:
        copy(x, y)
    return 0.0


@kernel
def _random_flip_backward(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    delta, dx = C.delta(call, t, deltas), C.source_delta(call, t, deltas, 0)
    if call[C.TRAINING]:
        _flip_rows(call, t, delta, C.accumulates(t, 0), dx)
    else:
        C.put(delta, dx, C.accumulates(t, 0))


def _encode_affine(program: Program, instruction: Instruction) -> Encoding:
    nearest = int(instruction.get("interpolation", "bilinear") == "nearest")
    fill_code = _FILLS.index(str(instruction.get("fill", "constant")))
    ranges = [
        float(instruction.get(f"{name}_{end}", 1.0 if name.startswith("zoom") else 0.0))
        for name in _DRAWN
        for end in ("low", "high")
    ]
    return Encoding(
        integers=(*_shape(program, instruction), nearest, fill_code, int(instruction.get("zoom_square"))),
        numbers=(*ranges, float(instruction.get("fill_value"))),
    )


@lean
def _inside(i, length, code):
    """Return the place along an axis that stands for i, or -1 for the fill value."""
    if 0 <= i < length:
        return i
    if code == _EDGE:
        return 0 if i < 0 else length - 1
    if code == _WRAP:
        return i % length
    if code == _REFLECT:
        i %= 2 * length
        return i if i < length else 2 * length - 1 - i
    return -1


@lean
def _draw(k0, k1, counter, low, high):
    return low + like(1.0, _bits(k0, k1, counter) >> np.uint32(8)) * 2.0**-24 * (high - low)


@lean
def _read(image, place, weight, fill_value, pixel):
    """pixel += weight * what lies at `place`, -1 being outside."""
    if weight == 0:
        return
    if place < 0:
        for c in range(pixel.size):
            pixel[c] += weight * fill_value
    else:
        for c in range(pixel.size):
            pixel[c] += weight * image[place + c]


@lean
def _blend(corner, line, a, b, pixel):
    """pixel = the four cells around (a, b), all inside: `corner` begins with the first, `line` further is the next."""
    one, n = like(corner, 1), pixel.size
    for c in range(n):
        upper = (one - b) * corner[c] + b * corner[c + n]
        lower = (one - b) * corner[c + line] + b * corner[c + line + n]
        pixel[c] = (one - a) * upper + a * lower


@lean
def _write(pixel, place, weight, image):
    """The transpose of `_read`."""
    if weight != 0 and place >= 0:
        for c in range(pixel.size):
            image[place + c] += weight * pixel[c]


@lean
def _place(p, q, own):
    """Return where in an image cell (p, q) begins, or -1 if it is outside and constant."""
    row, column = _inside(p, own[_HEIGHT], own[_FILL]), _inside(q, own[_WIDTH], own[_FILL])
    return -1 if row < 0 or column < 0 else (row * own[_WIDTH] + column) * own[_CHANNELS]


@lean
def _matrix(call, own, numbers, row):
    """Draw the map of a row: the four numbers of the matrix, and what is added."""
    k0, k1 = stream_key(call, own[_STREAM])
    angle = _draw(k0, k1, 8 * row, numbers[0], numbers[1])
    shift_h = _draw(k0, k1, 8 * row + 1, numbers[2], numbers[3])
    shift_w = _draw(k0, k1, 8 * row + 2, numbers[4], numbers[5])
    zoom_h = _draw(k0, k1, 8 * row + 3, numbers[6], numbers[7])
    zoom_w = zoom_h if own[_SQUARE] else _draw(k0, k1, 8 * row + 4, numbers[8], numbers[9])
    cos, sin = math.cos(angle), math.sin(angle)
    return cos * zoom_h, sin * zoom_w, -sin * zoom_h, cos * zoom_w, shift_h, shift_w


@lean
def _transform(call, own, numbers, row, image, out, backwards):
    """Read the pixels of `out` from the image, or add the gradients `out` of the pixels to where they were read."""
    height, width, n = own[_HEIGHT], own[_WIDTH], own[_CHANNELS]
    hh, hw, wh, ww, shift_h, shift_w = _matrix(call, own, numbers, row)
    middle_h, middle_w = (height - 1) / 2, (width - 1) / 2
    one, fill_value = like(image, 1), like(image, numbers[_FILL_VALUE])
    for p in range(height):
        for q in range(width):
            row_at = middle_h + hh * (p - middle_h) + hw * (q - middle_w) - shift_h
            column_at = middle_w + wh * (p - middle_h) + ww * (q - middle_w) - shift_w
            if own[_NEAREST]:
                row_at, column_at = math.floor(row_at + 0.5), math.floor(column_at + 0.5)
            i, j = math.floor(row_at), math.floor(column_at)
            a, b = like(image, row_at - i), like(image, column_at - j)
            pixel = out[(p * width + q) * n : (p * width + q + 1) * n]
            if not backwards and 0 <= i < height - 1 and 0 <= j < width - 1:
                _blend(image[(i * width + j) * n :], width * n, a, b, pixel)
                continue
            if not backwards:
                fill(pixel, 0)
            for corner in range(4):
                down, right = corner // 2, corner % 2
                weight = (a if down else one - a) * (b if right else one - b)
                place = _place(i + down, j + right, own)
                if backwards:
                    _write(pixel, place, weight, image)
                else:
                    _read(image, place, weight, fill_value, pixel)


@kernel
def _random_affine(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    x, y, size = C.source(call, t, values, 0), C.output(call, t, values), t[C.OUT_SIZE]
    if not call[C.TRAINING]:
        copy(x, y)
        return 0.0
    for r in range(call[C.ROWS]):
        part = slice(r * size, (r + 1) * size)
        _transform(call, C.own(t), numbers, call[C.FIRST] + r, x[part], y[part], False)
    return 0.0


@kernel
def _random_affine_backward(call, t, numbers, params, grads, values, deltas, scratch, workspace, shared, barrier):
    delta, dx, size = C.delta(call, t, deltas), C.source_delta(call, t, deltas, 0), t[C.OUT_SIZE]
    if not call[C.TRAINING]:
        C.put(delta, dx, C.accumulates(t, 0))
        return
    if not C.accumulates(t, 0):
        fill(dx, 0)
    for r in range(dx.size // size):
        part = slice(r * size, (r + 1) * size)
        _transform(call, C.own(t), numbers, call[C.FIRST] + r, dx[part], delta[part], True)


RANDOM_FLIP = Operation(_encode_flip, _random_flip, _random_flip_backward)
RANDOM_AFFINE = Operation(_encode_affine, _random_affine, _random_affine_backward)
