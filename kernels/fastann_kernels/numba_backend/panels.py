"""Copies of parts of the factors of a product, laid out in the order in which `products` reads them.

Rows of a matrix are often a power of two apart, which would push one another out of the first cache. A panel of B holds
two vectors of columns, a row of it after the other; one of A holds as many rows as stay in registers together, a column
of it after the other. What lies beyond the end of a matrix is 0 in a panel of B, and anything in one of A.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from fastann_kernels.numba_backend.compiling import cgutils
from fastann_kernels.numba_backend.vectors import INT, SHORT, VECTOR_BYTES, Writer, function_of

#: Bytes of a panel of B, half of the first cache, and of the panels of A together, a part of the second.
_B_BYTES, _A_BYTES = 1 << 14, 192 << 10


class Panels:
    """The panels of a product, and calls of the functions that fill them.

    Those are functions of their own: inside the loops of a product, LLVM would prepare what they need in every call,
    wanted or not.

    Attributes:
        height: rows of a panel of A.
        depth: rows of a panel of B, columns of one of A.
        block: rows of A whose panels there is room for.
        width: columns of a panel of B.
        b, a: where they lie.
    """

    def __init__(self, writer: Writer, height: int) -> None:
        self._writer = writer
        self.height, self.width = height, 2 * writer.lanes
        self.depth = _B_BYTES // (2 * VECTOR_BYTES)
        self.block = _A_BYTES // (self.depth * writer.size) // height * height
        # behind each panel of A is room for a vector that reaches beyond it, and an odd number of cache lines between
        # one panel and the next keeps them out of each other's place in the cache
        lines = (self.depth * height + writer.lanes) * writer.size // 64 | 1
        self._distance = (lines + 2) * 64 // writer.size
        self.b = self._room(self.depth * self.width)
        self.a = self._room(self.block // height * self._distance)

    def place_in_a(self, row: Any) -> Any:
        """Return where the first element of a row of the block lies in the panels of A."""
        return _place_in_a(self._writer, self.height, self._distance, row)

    def fill_b(self, source: Any, row_step: Any, count: Any, columns: Any) -> None:
        """Copy `count` rows of B, of which each lies in one piece, and at most a panel's columns; `source` points at
        the first element."""
        self._call("fill_b", self.b, source, row_step, count, columns)

    def fill_b_turned(self, source: Any, column_step: Any, count: Any, columns: Any) -> None:
        """Do what `fill_b` does where each column of B lies in one piece."""
        self._call("fill_b_turned", self.b, source, column_step, count, columns)

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
            filling = _Filling(function, writer.number, self.height, self._distance)
            getattr(filling, name)(*function.args)
            filling.builder.ret_void()
        writer.builder.call(function, arguments)

    def _room(self, elements: int) -> Any:
        room = self._writer.builder.alloca(self._writer.number, elements)
        room.align = 64
        return room


def _place_in_a(writer: Writer, height: int, distance: int, row: Any) -> Any:
    builder, rows = writer.builder, writer.constant(height)
    panel = builder.udiv(row, rows)
    within = builder.sub(row, builder.mul(panel, rows))
    return builder.add(builder.mul(panel, writer.constant(distance)), within)


class _Filling(Writer):
    """Writes the functions that fill panels, see `Panels`; `panel` is where they are to write."""

    def __init__(self, function: Any, number: Any, height: int, distance: int) -> None:
        super().__init__(function, number)
        self.height, self.width, self._distance = height, 2 * self.lanes, distance

    def fill_b(self, panel: Any, source: Any, row_step: Any, count: Any, columns: Any) -> None:
        builder, lanes = self.builder, self.constant(self.lanes)

        def copy(masks: list[Any]) -> None:
            with cgutils.for_range_slice(builder, self.constant(0), count, self.constant(1), INT) as (k, _):
                row, target = builder.mul(k, row_step), builder.mul(k, self.constant(self.width))
                for v, mask in enumerate(masks):
                    column = self.constant(v * self.lanes)
                    value = self.load(source, builder.add(row, column), mask)
                    self.store(value, panel, builder.add(target, column), self.full)

        with builder.if_else(builder.icmp_signed(">=", columns, self.constant(self.width))) as (whole, partial):
            with whole:
                copy([self.full, self.full])
            with partial, builder.if_else(builder.icmp_signed(">", columns, lanes)) as (wide, narrow):
                with wide:
                    copy([self.full, self.mask(builder.sub(columns, lanes))])
                with narrow:
                    copy([self.mask(columns)])

    def fill_b_turned(self, panel: Any, source: Any, column_step: Any, count: Any, columns: Any) -> None:
        builder, lanes = self.builder, self.lanes
        for v in range(2):
            there = builder.icmp_signed(">=", columns, self.constant((v + 1) * lanes))
            wanted = builder.icmp_signed(">", columns, self.constant(v * lanes))
            with builder.if_then(wanted), self._pieces(count) as (k, left):
                steps = [builder.mul(self.constant(j), column_step) for j in range(v * lanes, (v + 1) * lanes)]
                places = [builder.add(step, k) for step in steps]
                full = builder.and_(there, builder.icmp_signed(">=", left, self.constant(lanes)))

                def store(found: list[Any], k: Any = k, v: int = v) -> None:
                    for i, vector in enumerate(self._turn(found)):
                        row = builder.mul(builder.add(k, self.constant(i)), self.constant(self.width))
                        self.store(vector, panel, builder.add(row, self.constant(v * lanes)), self.full)

                with builder.if_else(full) as (whole, partial):
                    with whole:
                        store([self.load(source, place, self.full) for place in places])
                    with partial:
                        present, masks = self.mask(left), []
                        for j in range(v * lanes, (v + 1) * lanes):
                            inside = builder.icmp_signed("<", self.constant(j), columns)
                            masks.append(builder.select(inside, present, self.none))
                        store([self.load(source, place, mask) for place, mask in zip(places, masks, strict=True)])

    def fill_a(self, panel: Any, source: Any, column_step: Any, count: Any, rows: Any) -> None:
        builder, height = self.builder, self.height
        reach = -(-height // self.lanes) * self.lanes
        with (
            cgutils.for_range_slice(builder, self.constant(0), count, self.constant(1), INT) as (k, _),
            cgutils.for_range_slice(builder, self.constant(0), rows, self.constant(height), INT) as (row, _),
        ):
            place = builder.add(builder.mul(k, column_step), row)
            start = _place_in_a(self, height, self._distance, row)
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
            start = _place_in_a(self, height, self._distance, row)
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
