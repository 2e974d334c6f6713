"""Copies of parts of the factors of a product, laid out in the order in which `products` reads them.

Rows of a matrix are often a power of two apart, which would push one another out of the caches, and each lies in
another page of memory. A panel of B holds two vectors of columns, a row of it after the other; one of A holds as many
rows as stay in registers together, a column of it after the other. What lies beyond the end of a matrix is 0 in a panel
of B, and anything in one of A.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from llvmlite import ir

from fastann_kernels.numba_backend.compiling import cgutils
from fastann_kernels.numba_backend.vectors import INT, REGISTERS, SHORT, VECTOR_BYTES, Writer, function_of


class Blocking(NamedTuple):
    """How products are divided, by what a processor has.

    Attributes:
        heights: rows of C that are kept in registers together, most first; the most leave some for two vectors of B and
            an element of A.
        a_columns: columns of C from which panels of A are worth while.
        depth: rows of a panel of B, columns of one of A, which is a part of the first cache.
        shallow: the same without panels of A: what is read of A and B stays in the first cache.
        b_bytes, a_bytes: room for panels of B and of A, parts of the second cache.
    """

    heights: tuple[int, ...]
    a_columns: int
    depth: int
    shallow: int
    b_bytes: int
    a_bytes: int


def blocking(vector_bytes: int, registers: int) -> Blocking:
    """Return how products are divided on a processor; one with AVX-512 has 1 to 2 MiB of second cache, others may have
    256 KiB. (Measured on one Intel with AVX-512; the bytes of others follow from their caches.)"""
    heights = (12, 8, 4, 2, 1) if registers >= 32 else (6, 4, 2, 1)
    if vector_bytes >= 64:
        return Blocking(heights, 128, 256, 128, 512 << 10, 192 << 10)
    return Blocking(heights, 512, 256, 256, 160 << 10, 48 << 10)


BLOCKING = blocking(VECTOR_BYTES, REGISTERS)

#: Bytes of a line of the cache.
_LINE = 64

#: Where room is, as the system sees it.
_BYTES = ir.IntType(8).as_pointer()


class Panels:
    """The panels of a product, and calls of the functions that fill them.

    Those are functions of their own: inside the loops of a product, LLVM would prepare what they need in every call,
    wanted or not.

    Attributes:
        height: rows of a panel of A.
        depth: rows of a panel of B, columns of one of A.
        block: rows of A whose panels there is room for.
        width: columns of a panel of B.
        chunk: columns of B whose panels there is room for; on the stack, of one panel.
        b, a: where they lie; `a` only where there is room for panels of both.
        distance: elements from one panel of A to the next; panels of B follow one another.
    """

    def __init__(self, writer: Writer, room: Any = None) -> None:
        """Panels in `room`, see `take_room`, or a panel of B on the stack, which is all that small products need."""
        self._writer, self._alone = writer, room is None
        height, self.depth = BLOCKING.heights[0], BLOCKING.depth
        self.height, self.width = height, 2 * writer.lanes
        self.chunk = BLOCKING.b_bytes // (self.width * writer.size * self.depth) * self.width
        self.block = BLOCKING.a_bytes // (self.depth * writer.size) // height * height
        # behind each panel of A is room for a vector that reaches beyond it, and an odd number of cache lines between
        # one panel and the next keeps them out of each other's place in the cache
        lines = (self.depth * height + writer.lanes) * writer.size // _LINE | 1
        self.distance = (lines + 2) * _LINE // writer.size
        self._most_b = self.depth * self.chunk
        if room is None:
            self.chunk = self.width
            self.b = self.a = writer.builder.alloca(writer.number, BLOCKING.shallow * self.width)
            self.b.align = _LINE
        else:
            self.b = self._aligned(room)
            self.a = writer.builder.gep(self.b, [writer.constant(self._most_b)])

    def _aligned(self, room: Any) -> Any:
        builder, constant = self._writer.builder, self._writer.constant
        address = builder.add(builder.ptrtoint(room, INT), constant(_LINE - 1))
        return builder.inttoptr(builder.and_(address, constant(-_LINE)), self._writer.number.as_pointer())

    def take_room(self) -> Any:
        """Write that the system is asked for room for panels of A and B, as threads may have stacks of less than that,
        and return where it is: null where it has none."""
        numbers = self._most_b + self.block // self.height * self.distance
        size = self._writer.constant(numbers * self._writer.size + _LINE)
        return self._writer.builder.call(self._routine("malloc", _BYTES, INT), [size])

    def let_go(self, room: Any) -> None:
        """Write that room is given back."""
        self._writer.builder.call(self._routine("free", ir.VoidType(), _BYTES), [room])

    def _routine(self, name: str, result: Any, argument: Any) -> Any:
        return cgutils.get_or_insert_function(self._writer.module, ir.FunctionType(result, [argument]), name)

    def place_of_b(self, first: Any) -> Any:
        """Return where the panel of the columns of a chunk from `first` on lies."""
        builder = self._writer.builder
        return self.b if self._alone else builder.gep(self.b, [builder.mul(first, self._writer.constant(self.depth))])

    def place_in_a(self, row: Any) -> Any:
        """Return where the first element of a row of the block lies in the panels of A."""
        return _place_in_a(self._writer, self, row)

    def fill_b(self, panels: Any, source: Any, row_step: Any, count: Any, columns: Any) -> None:
        """Copy `count` rows of B, of which each lies in one piece, to panels; `source` points at the first element."""
        self._call("fill_b", panels, source, row_step, count, columns)

    def fill_b_turned(self, panels: Any, source: Any, column_step: Any, count: Any, columns: Any) -> None:
        """Do what `fill_b` does where each column of B lies in one piece."""
        self._call("fill_b_turned", panels, source, column_step, count, columns)

    def fill_a(self, source: Any, column_step: Any, count: Any, rows: Any) -> None:
        """Copy `count` columns of A, of which each lies in one piece, and `rows` rows."""
        self._call("fill_a", self.a, source, column_step, count, rows)

    def fill_a_turned(self, source: Any, row_step: Any, count: Any, rows: Any) -> None:
        """Do what `fill_a` does where each row of A lies in one piece."""
        self._call("fill_a_turned", self.a, source, row_step, count, rows)

    def _call(self, name: str, *arguments: Any) -> None:
        writer = self._writer
        pointer = writer.number.as_pointer()
        function, new = function_of(writer.module, name, writer.number, [pointer, pointer, INT, INT, INT])
        if new:
            filling = _Filling(function, writer.number, self)
            getattr(filling, name)(*function.args)
            filling.builder.ret_void()
        writer.builder.call(function, arguments)


def _place_in_a(writer: Writer, panels: Panels, row: Any) -> Any:
    builder, rows = writer.builder, writer.constant(panels.height)
    panel = builder.udiv(row, rows)
    within = builder.sub(row, builder.mul(panel, rows))
    return builder.add(builder.mul(panel, writer.constant(panels.distance)), within)


class _Filling(Writer):
    """Writes the functions that fill panels, see `Panels`; `panel` is where they are to write."""

    def __init__(self, function: Any, number: Any, panels: Panels) -> None:
        super().__init__(function, number)
        self.panels, self.height, self.width = panels, panels.height, panels.width

    def fill_b(self, panels: Any, source: Any, row_step: Any, count: Any, columns: Any) -> None:
        builder, zero, step = self.builder, self.constant(0), self.constant(self.lanes)
        whole = builder.mul(builder.sdiv(columns, self.constant(self.lanes)), self.constant(self.lanes))
        rest = builder.sub(columns, whole)
        mask = self.mask(rest)
        with cgutils.for_range_slice(builder, zero, count, self.constant(1), INT) as (k, _):
            row = builder.gep(source, [builder.mul(k, row_step)])
            target = builder.gep(panels, [builder.mul(k, self.constant(self.width))])
            with cgutils.for_range_slice(builder, zero, whole, step, INT) as (first, _):
                self.store(self.load(row, first, self.full), target, self._place_in_b(first), self.full)
            with builder.if_then(builder.icmp_signed(">", rest, zero)):
                self.store(self.load(row, whole, mask), target, self._place_in_b(whole), self.full)

    def _place_in_b(self, first: Any) -> Any:
        """Return where a vector of columns lies in a row of panels."""
        builder, width = self.builder, self.constant(self.width)
        panel = builder.udiv(first, width)
        within = builder.sub(first, builder.mul(panel, width))
        return builder.add(builder.mul(panel, self.constant(self.panels.depth * self.width)), within)

    def fill_b_turned(self, panels: Any, source: Any, column_step: Any, count: Any, columns: Any) -> None:
        builder, lanes = self.builder, self.lanes
        with cgutils.for_range_slice(builder, self.constant(0), columns, self.constant(lanes), INT) as (first, _):
            start = builder.gep(source, [builder.mul(first, column_step)])
            panel = builder.gep(panels, [self._place_in_b(first)])
            there = builder.sub(columns, first)
            with self._pieces(count) as (k, left):
                places = [builder.add(builder.mul(self.constant(j), column_step), k) for j in range(lanes)]
                full = builder.and_(
                    builder.icmp_signed(">=", there, self.constant(lanes)),
                    builder.icmp_signed(">=", left, self.constant(lanes)),
                )

                def store(found: list[Any], k: Any = k, panel: Any = panel) -> None:
                    for i, vector in enumerate(self._turn(found)):
                        row = builder.mul(builder.add(k, self.constant(i)), self.constant(self.width))
                        self.store(vector, panel, row, self.full)

                with builder.if_else(full) as (whole, partial):
                    with whole:
                        store([self.load(start, place, self.full) for place in places])
                    with partial:
                        present, masks = self.mask(left), []
                        for j in range(lanes):
                            inside = builder.icmp_signed("<", self.constant(j), there)
                            masks.append(builder.select(inside, present, self.none))
                        store([self.load(start, place, mask) for place, mask in zip(places, masks, strict=True)])

    def fill_a(self, panel: Any, source: Any, column_step: Any, count: Any, rows: Any) -> None:
        builder, height = self.builder, self.height
        reach = -(-height // self.lanes) * self.lanes
        with (
            cgutils.for_range_slice(builder, self.constant(0), count, self.constant(1), INT) as (k, _),
            cgutils.for_range_slice(builder, self.constant(0), rows, self.constant(height), INT) as (row, _),
        ):
            place = builder.add(builder.mul(k, column_step), row)
            start = _place_in_a(self, self.panels, row)
            target = builder.add(start, builder.mul(k, self.constant(height)))
            left = builder.sub(rows, row)
            offsets = [self.constant(first) for first in range(0, height, self.lanes)]

            def copy(masks: list[Any], place: Any = place, target: Any = target, offsets: list[Any] = offsets) -> None:
                for offset, mask in zip(offsets, masks, strict=True):
                    value = self.load(source, builder.add(place, offset), mask)
                    self.store(value, panel, builder.add(target, offset), self.full)

            with builder.if_else(builder.icmp_signed(">=", left, self.constant(reach))) as (whole, partial):
                with whole:
                    copy([self.full] * len(offsets))
                with partial:
                    copy([self.mask(builder.sub(left, offset)) for offset in offsets])

    def fill_a_turned(self, panel: Any, source: Any, row_step: Any, count: Any, rows: Any) -> None:
        builder, lanes, height = self.builder, self.lanes, self.height
        last = builder.sub(rows, self.constant(1))
        with cgutils.for_range_slice(builder, self.constant(0), rows, self.constant(height), INT) as (row, _):
            places = []
            for r in range(height):
                place = builder.add(row, self.constant(r))
                place = builder.select(builder.icmp_signed("<", place, last), place, last)
                places.append(builder.mul(place, row_step))
            start = _place_in_a(self, self.panels, row)
            with self._pieces(count) as (k, left):

                def store(mask: Any, k: Any = k, start: Any = start, places: list[Any] = places) -> None:
                    found = [self.load(source, builder.add(place, k), mask) for place in places]
                    found += [self.zeros] * (-height % lanes)
                    turned = [self._turn(found[first : first + lanes]) for first in range(0, height, lanes)]
                    target = builder.add(start, builder.mul(k, self.constant(height)))
                    # a vector may reach into the next column: that is written after it
                    for j in range(lanes):
                        for part, vectors in enumerate(turned):
                            place = builder.add(target, self.constant(j * height + part * lanes))
                            self.store(vectors[j], panel, place, self.full)

                with builder.if_else(builder.icmp_signed(">=", left, self.constant(lanes))) as (whole, partial):
                    with whole:
                        store(self.full)
                    with partial:
                        store(self.mask(left))

    @contextmanager
    def _pieces(self, count: Any) -> Iterator[tuple[Any, Any]]:
        """Write a loop over vectors of the inner axis: yield where each begins and how much is left from there."""
        step = self.constant(self.lanes)
        with cgutils.for_range_slice(self.builder, self.constant(0), count, step, INT) as (k, _):
            yield k, self.builder.sub(count, k)

    def _turn(self, vectors: list[Any]) -> list[Any]:
        """Return the columns of a square of vectors: blocks off the diagonal change places, ever larger ones."""
        vectors, distance = list(vectors), 1
        while distance < self.lanes:
            for i in (i for i in range(self.lanes) if not i & distance):
                a, b = vectors[i], vectors[i | distance]
                lower = [j if not j & distance else self.lanes + (j ^ distance) for j in range(self.lanes)]
                upper = [j ^ distance if not j & distance else self.lanes + j for j in range(self.lanes)]
                vectors[i], vectors[i | distance] = (self._shuffled(a, b, chosen) for chosen in (lower, upper))
            distance *= 2
        return vectors

    def _shuffled(self, a: Any, b: Any, chosen: list[int]) -> Any:
        """Return the chosen elements of two vectors, those of b numbered after those of a."""
        return self.builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(SHORT, self.lanes), chosen))
