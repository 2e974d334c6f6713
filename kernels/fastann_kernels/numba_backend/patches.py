"""The matrix of patches: what each output position of a convolution sees of the images, and back.

It has two layouts. Where cells have many channels, a patch is a row, copied a run of cells at a time. Where they have
few, a patch is a column, copied a line of cells at a time: runs would be too short then.

Output positions are taken in lines: line n P + p is line p of image n. Of the channels only those of one group count.
"""

from __future__ import annotations

from fastann_kernels.numba_backend import windows as V
from fastann_kernels.numba_backend.compiling import lean
from fastann_kernels.numba_backend.elementary import copy, fill, like
from fastann_kernels.numba_backend.windows import span

#: Layouts: patches as rows, patches as columns, and the images themselves, whose cells are the patches.
ROWS, COLUMNS, IMAGES = range(3)

# Channels from which on a cell is long enough to be copied as a whole.
_MANY = 8


def layout_of(g: tuple[int, ...]) -> int:
    """Return the layout for a geometry."""
    if g[V.CHANNELS] // g[V.GROUPS] < _MANY:
        return COLUMNS
    alone = g[V.KERNEL_H] * g[V.KERNEL_W] * g[V.STRIDE_H] * g[V.STRIDE_W] == 1
    return IMAGES if alone and g[V.TOP] == g[V.LEFT] == 0 and (g[V.H], g[V.W]) == (g[V.P], g[V.Q]) else ROWS


@lean
def gather(x, g, layout, group, start, stop, patches):
    """Fill the matrix of the patches that the positions of lines start to stop see, 0 for what is outside the image."""
    if layout == COLUMNS:
        _gather_columns(x, g, group, start, stop, patches)
    else:
        _gather_rows(x, g, group, start, stop, patches)


@lean
def scatter(patches, g, layout, group, start, stop, dx):
    """Add each element of the matrix to the cell of dx it was gathered from: the transpose of `gather`."""
    if layout == COLUMNS:
        _scatter_columns(patches, g, group, start, stop, dx)
    else:
        _scatter_rows(patches, g, group, start, stop, dx)


@lean
def _run(g):
    """Return how many cells lie side by side both in an image and in a patch."""
    return g[V.KERNEL_W] if g[V.DILATION_W] == 1 and g[V.GROUPS] == 1 else 1


@lean
def _inside(g, h, w, run):
    """Return begin and end of the cells (h, w), ..., (h, w + run - 1) that lie in the image."""
    if h < 0 or h >= g[V.H]:
        return 0, 0
    begin = min(run, max(0, -w))
    return begin, max(begin, min(run, g[V.W] - w))


@lean
def _gather_rows(x, g, group, start, stop, patches):
    """patches[m, (i, j, c)] = cell (i, j), channel c of what position m sees."""
    channels, run = g[V.CHANNELS] // g[V.GROUPS], _run(g)
    size = run * channels
    to = 0
    for line in range(start, stop):
        n, p = line // g[V.P], line % g[V.P]
        for q in range(g[V.Q]):
            for i in range(g[V.KERNEL_H]):
                h = p * g[V.STRIDE_H] + i * g[V.DILATION_H] - g[V.TOP]
                for j in range(0, g[V.KERNEL_W], run):
                    w = q * g[V.STRIDE_W] + j * g[V.DILATION_W] - g[V.LEFT]
                    begin, end = _inside(g, h, w, run)
                    into = patches[to : to + size]
                    if end - begin < run:
                        fill(into, 0)
                    if begin < end:
                        first = ((n * g[V.H] + h) * g[V.W] + w + begin) * g[V.CHANNELS] + group * channels
                        into = into[begin * channels : end * channels]
                        copy(x[first : first + into.size], into)
                    to += size


@lean
def _scatter_rows(patches, g, group, start, stop, dx):
    channels, run = g[V.CHANNELS] // g[V.GROUPS], _run(g)
    source = 0
    for line in range(start, stop):
        n, p = line // g[V.P], line % g[V.P]
        for q in range(g[V.Q]):
            for i in range(g[V.KERNEL_H]):
                h = p * g[V.STRIDE_H] + i * g[V.DILATION_H] - g[V.TOP]
                for j in range(0, g[V.KERNEL_W], run):
                    w = q * g[V.STRIDE_W] + j * g[V.DILATION_W] - g[V.LEFT]
                    begin, end = _inside(g, h, w, run)
                    if begin < end:
                        first = ((n * g[V.H] + h) * g[V.W] + w + begin) * g[V.CHANNELS] + group * channels
                        size = (end - begin) * channels
                        add(patches[source + begin * channels :], dx[first : first + size])
                    source += run * channels


@lean
def add(x, out):
    """out += x, element by element."""
    for i in range(out.size):
        out[i] += x[i]


@lean
def _gather_columns(x, g, group, start, stop, patches):
    """patches[(i, j, c), m] = cell (i, j), channel c of what position m sees."""
    channels, count = g[V.CHANNELS] // g[V.GROUPS], g[V.Q]
    positions = (stop - start) * count
    step = g[V.STRIDE_W] * g[V.CHANNELS]
    shifted = step > 1 and g[V.STRIDE_W] == g[V.DILATION_W]
    for j in range(g[V.KERNEL_W]):
        offset = j * g[V.DILATION_W] - g[V.LEFT]
        begin, end = span(count, g[V.STRIDE_W], offset, g[V.W])
        cell = (offset + begin * g[V.STRIDE_W]) * g[V.CHANNELS] + group * channels
        for line in range(start, stop):
            n, p = line // g[V.P], line % g[V.P]
            for i in range(g[V.KERNEL_H]):
                h = p * g[V.STRIDE_H] + i * g[V.DILATION_H] - g[V.TOP]
                inside = begin < end and 0 <= h and h < g[V.H]
                for c in range(channels):
                    to = ((i * g[V.KERNEL_W] + j) * channels + c) * positions + (line - start) * count
                    into = patches[to : to + count]
                    if not inside:
                        fill(into, 0)
                        continue
                    seen = x[(n * g[V.H] + h) * g[V.W] * g[V.CHANNELS] + cell + c :]
                    if shifted and j > 0:
                        # the tap to the left sees the same cells one position later
                        copy(patches[to - channels * positions + 1 : to - channels * positions + count], into)
                        into[count - 1] = seen[(count - 1 - begin) * step] if end == count else like(x, 0)
                        continue
                    if end - begin < count:
                        fill(into, 0)
                    _take(seen, step, into[begin:end])


@lean
def _take(x, step, out):
    """out[q] = x[q step]."""
    if step == 1:
        copy(x[: out.size], out)
    else:
        for q in range(out.size):
            out[q] = x[q * step]


@lean
def _scatter_columns(patches, g, group, start, stop, dx):
    channels, count = g[V.CHANNELS] // g[V.GROUPS], g[V.Q]
    positions = (stop - start) * count
    step = g[V.STRIDE_W] * g[V.CHANNELS]
    for j in range(g[V.KERNEL_W]):
        offset = j * g[V.DILATION_W] - g[V.LEFT]
        begin, end = span(count, g[V.STRIDE_W], offset, g[V.W])
        if begin == end:
            continue
        cell = (offset + begin * g[V.STRIDE_W]) * g[V.CHANNELS] + group * channels
        for line in range(start, stop):
            n, p = line // g[V.P], line % g[V.P]
            for i in range(g[V.KERNEL_H]):
                h = p * g[V.STRIDE_H] + i * g[V.DILATION_H] - g[V.TOP]
                if h < 0 or h >= g[V.H]:
                    continue
                for c in range(channels):
                    place = ((i * g[V.KERNEL_W] + j) * channels + c) * positions + (line - start) * count
                    into = dx[(n * g[V.H] + h) * g[V.W] * g[V.CHANNELS] + cell + c :]
                    _give(patches[place + begin : place + end], step, into)


@lean
def _give(x, step, out):
    """out[q step] += x[q]."""
    if step == 1:
        add(x, out[: x.size])
    else:
        for q in range(x.size):
            out[q * step] += x[q]
