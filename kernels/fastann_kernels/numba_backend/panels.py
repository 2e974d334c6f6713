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
from fastann_kernels.numba_backend.vectors import INT, SHORT, VECTOR_BYTES, Writer

#: Bytes of a panel of B, half of the first cache, and of the panels of A together, a part of the second.
_B_BYTES, _A_BYTES = 1 << 14, 192 << 10


class Panels(Writer):
    """Writes the loops that copy.

    Attributes:
        height: rows of a panel of A.
        depth: rows of a panel of B, columns of one of A.
        block: rows of A whose panels there is room for.
        width: columns of a panel of B.
    """

    def __init__(self, function: Any, number: Any, height: int) -> None:
        super().__init__(function, number)
        self.height, self.width = height, 2 * self.lanes
        self.depth = _B_BYTES // (2 * VECTOR_BYTES)
        self.block = _A_BYTES // (self.depth * self.size) // height * height
        # behind each panel of A is room for a vector that reaches beyond it, and an odd number of cache lines between
        # one panel and the next keeps them out of each other's place in the cache
        lines = (self.depth * height + self.lanes) * self.size // 64 | 1
        self._panel_a = (lines + 2) * 64 // self.size
        self.b_panel = self._room(self.depth * self.width)
        self.a_panels = self._room(self.block // height * self._panel_a)

    def place_in_a(self, row: Any) -> Any:
        """Return where the first element of a row of the block lies in the panels of A."""
        builder, height = self.builder, self.constant(self.height)
        panel = builder.udiv(row, height)
        within = builder.sub(row, builder.mul(panel, height))
        return builder.add(builder.mul(panel, self.constant(self._panel_a)), within)

    def fill_b(self, source: Any, row_step: Any, count: Any, masks: list[Any]) -> None:
        """Copy `count` rows of B, of which each lies in one piece; `source` points at the first."""
        builder = self.builder
        with cgutils.for_range_slice(builder, self.constant(0), count, self.constant(1), INT) as (k, _):
            row, target = builder.mul(k, row_step), builder.mul(k, self.constant(self.width))
            for v, mask in enumerate(masks):
                column = self.constant(v * self.lanes)
                value = self.load(source, builder.add(row, column), mask)
                self.store(value, self.b_panel, builder.add(target, column), self.full)

    def fill_b_turned(self, source: Any, column_step: Any, count: Any, columns: Any, vectors: int) -> None:
        """Copy `count` rows and `columns` columns of B, of which each column lies in one piece."""
        builder, lanes = self.builder, self.lanes
        for v in range(vectors):
            there = builder.icmp_signed(">=", columns, self.constant((v + 1) * lanes))
            with self._pieces(count) as (k, left):
                steps = [builder.mul(self.constant(j), column_step) for j in range(v * lanes, (v + 1) * lanes)]
                places = [builder.add(step, k) for step in steps]
                full = builder.and_(there, builder.icmp_signed(">=", left, self.constant(lanes)))

                def store(found: list[Any], k: Any = k, v: int = v) -> None:
                    for i, vector in enumerate(self._turn(found)):
                        row = builder.mul(builder.add(k, self.constant(i)), self.constant(self.width))
                        self.store(vector, self.b_panel, builder.add(row, self.constant(v * lanes)), self.full)

                with builder.if_else(full) as (whole, partial):
                    with whole:
                        store([self.load(source, place, self.full) for place in places])
                    with partial:
                        present, masks = self.mask(left), []
                        for j in range(v * lanes, (v + 1) * lanes):
                            inside = builder.icmp_signed("<", self.constant(j), columns)
                            masks.append(builder.select(inside, present, self.none))
                        store([self.load(source, place, mask) for place, mask in zip(places, masks, strict=True)])

    def fill_a(self, source: Any, column_step: Any, count: Any, rows: Any) -> None:
        """Copy `count` columns of A, of which each lies in one piece, and `rows` rows."""
        builder, height = self.builder, self.height
        reach = -(-height // self.lanes) * self.lanes
        with (
            cgutils.for_range_slice(builder, self.constant(0), count, self.constant(1), INT) as (k, _),
            cgutils.for_range_slice(builder, self.constant(0), rows, self.constant(height), INT) as (row, _),
        ):
            place = builder.add(builder.mul(k, column_step), row)
            target = builder.add(self.place_in_a(row), builder.mul(k, self.constant(height)))
            left = builder.sub(rows, row)
            offsets = [self.constant(first) for first in range(0, height, self.lanes)]

            def copy(masks: list[Any], place: Any = place, target: Any = target, offsets: list[Any] = offsets) -> None:
                for offset, mask in zip(offsets, masks, strict=True):
                    value = self.load(source, builder.add(place, offset), mask)
                    self.store(value, self.a_panels, builder.add(target, offset), self.full)

            with builder.if_else(builder.icmp_signed(">=", left, self.constant(reach))) as (whole, partial):
                with whole:
                    copy([self.full] * len(offsets))
                with partial:
                    copy([self.mask(builder.sub(left, offset)) for offset in offsets])

    def fill_a_turned(self, source: Any, row_step: Any, count: Any, rows: Any) -> None:
        """Copy `count` columns of A and `rows` rows, of which each lies in one piece."""
        builder, lanes, height = self.builder, self.lanes, self.height
        last = builder.sub(rows, self.constant(1))
        with cgutils.for_range_slice(builder, self.constant(0), rows, self.constant(height), INT) as (row, _):
            places = []
            for r in range(height):
                place = builder.add(row, self.constant(r))
                place = builder.select(builder.icmp_signed("<", place, last), place, last)
                places.append(builder.mul(place, row_step))
            start = self.place_in_a(row)
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
                            self.store(vectors[j], self.a_panels, place, self.full)

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

    def _room(self, elements: int) -> Any:
        room = self.builder.alloca(self.number, elements)
        room.align = 64
        return room

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
