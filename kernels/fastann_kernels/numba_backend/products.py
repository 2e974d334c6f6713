"""Products of matrices in vector instructions: what a step of training asks for.

A BLAS packs its operands and dispatches by size, which costs more than the product where matrices fit into the inner
caches, and OpenBLAS is at half of its speed up to some hundred rows. Here a block of some rows and two vectors of
columns of C stays in registers while k runs over a slab of the inner axis: each vector of B is loaded once for all
rows, each element of A is broadcast to two vectors. Factors that are read more than once are copied into panels first,
see `panels`: those of B for a chunk of columns stay in the second cache, one of A in the first while the block moves
along the rows of C, which are read and written in the order in which they lie. (Goto and van de Geijn 2008, "Anatomy of
high-performance matrix multiplication".)
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from fastann_kernels.numba_backend import panels
from fastann_kernels.numba_backend.compiling import cgutils, intrinsic, types
from fastann_kernels.numba_backend.vectors import BIT, INT, Writer, function_of

#: Rows of C from which panels of B are worth while (measured).
_B_ROWS = 16

#: Rows of A that one pointer serves: with one for all, adding up addresses in a chain would take as long as
#: the arithmetic, and with one for each row there are too few registers.
_SHARING = 3

#: Vectors of columns of a single row.
_BROAD = 8

#: Elements of C from which it may not be in the first cache.
_LARGE = 1 << 12


class _Product(Writer):
    """C <- bias + A B (+ C); the arguments are those of `small_gemm`, bias behind c_row, null where it is absent, and
    where all of B is read from panels, room for them.

    What is decided here is known when the function is compiled, or once a call:

    Attributes:
        blocking, panels: see `panels`.
        turned: whether columns of B lie in one piece, not rows.
        b_packed, a_packed: whether all of B, and of A, is read from panels.
        alone: whether there is one row of C, and rows of B lie in one piece.
        large: whether C may not be in the first cache.
    """

    def __init__(self, function: Any, number: Any) -> None:
        super().__init__(function, number)
        (self.rows, self.columns, self.inner, self.a, self.a_row, self.a_column, self.b, self.b_row, self.b_column,
         self.c, self.c_row, self.bias, self.add, *room) = function.args  # fmt: skip
        builder = self.builder
        self.blocking = panels.BLOCKING
        self.panels = panels.Panels(self, *room)
        self.turned = builder.icmp_signed("!=", self.b_column, self.constant(1))
        self.large = self._more(builder.mul(self.rows, self.columns), _LARGE)
        if room:
            self.b_packed, self.alone = ir.Constant(BIT, 1), ir.Constant(BIT, 0)
            self.a_packed = self._more(self.columns, self.blocking.a_columns)
        else:
            again = builder.and_(self._more(self.rows, _B_ROWS), self._more(self.b_row, self.panels.width))
            self.b_packed, self.a_packed = builder.or_(self.turned, again), ir.Constant(BIT, 0)
            one = builder.icmp_signed("==", self.rows, self.constant(1))
            self.alone = builder.and_(one, builder.not_(self.turned))

    def pass_on(self, paneled: Any) -> None:
        """Write that products of many rows and columns are left to `paneled`, if the system has room for its panels."""
        builder = self.builder
        several = builder.and_(self._more(self.rows, _B_ROWS), self._more(self.columns, self.panels.width))
        with builder.if_then(several):
            room = self.panels.take_room()
            there = builder.icmp_unsigned("!=", builder.ptrtoint(room, INT), self.constant(0))
            with builder.if_then(there):
                builder.call(paneled, [*builder.function.args, room])
                self.panels.let_go(room)
                builder.ret_void()

    def write(self) -> None:
        """Write the loops over slabs of the inner axis, chunks of columns, and blocks of rows."""
        builder, zero = self.builder, self.constant(0)
        given = builder.icmp_unsigned("!=", builder.ptrtoint(self.bias, INT), zero)
        slabs = builder.select(builder.icmp_signed(">", self.inner, zero), self.inner, self.constant(1))
        chunk = builder.select(self.alone, self.columns, self.constant(self.panels.chunk))
        depth = builder.select(self.a_packed, self.constant(self.panels.depth), self.constant(self.blocking.shallow))
        with cgutils.for_range_slice(builder, zero, slabs, depth, INT) as (top, _):
            self.top, self.count = top, self._at_most(depth, builder.sub(self.inner, top))
            first_slab = builder.icmp_signed("==", top, zero)
            self.adding = builder.or_(self.add, builder.not_(first_slab))
            self.biased = builder.and_(given, first_slab)
            with cgutils.for_range_slice(builder, zero, self.columns, chunk, INT) as (first, _):
                self._chunk(first, chunk)
        builder.ret_void()

    def _more(self, value: Any, limit: int) -> Any:
        return self.builder.icmp_signed(">", value, self.constant(limit))

    def _chunk(self, begin: Any, most: Any) -> None:
        """Write what a slab adds to a chunk of columns."""
        builder, zero = self.builder, self.constant(0)
        self.chunk = self._at_most(most, builder.sub(self.columns, begin))
        row, column = builder.mul(self.top, self.b_row), builder.mul(begin, self.b_column)
        self.b_first = builder.gep(self.b, [builder.add(row, column)])
        self.c_first = builder.gep(self.c, [begin])
        self.bias_first = builder.gep(self.bias, [begin])
        self.done = self._one_row(self.alone)
        self._fill_b()
        with cgutils.for_range_slice(builder, zero, self.rows, self.constant(self.panels.block), INT) as (row, _):
            self._rows(row)

    def _fill_b(self) -> None:
        """Write that panels of B are filled: all that will be read more than once, else one that is not whole, as a
        mask in the loop over k would be made anew at each turn where the processor has no registers for masks."""
        builder, width = self.builder, self.constant(self.panels.width)
        with builder.if_else(self.turned) as (turned, upright):
            with turned:
                self.panels.fill_b_turned(self.panels.b, self.b_first, self.b_column, self.count, self.chunk)
            with upright:
                whole = builder.mul(builder.sdiv(self.chunk, width), width)
                whole = builder.select(self._ragged(self.chunk), whole, self.chunk)
                first = builder.select(self.b_packed, self.constant(0), whole)
                left = builder.sub(self.chunk, first)
                with builder.if_then(builder.icmp_signed(">", left, self.constant(0))):
                    target = self.panels.place_of_b(first)
                    self.panels.fill_b(target, builder.gep(self.b_first, [first]), self.b_row, self.count, left)

    def _ragged(self, columns: Any) -> Any:
        """Return whether so many columns do not fill their last vector."""
        builder = self.builder
        rest = builder.and_(columns, self.constant(self.lanes - 1))
        return builder.icmp_signed("!=", rest, self.constant(0))

    def _rows(self, begin: Any) -> None:
        """Write what a slab adds to a block of rows of a chunk."""
        builder = self.builder
        self.begin, self.height_left = begin, self._at_most(self.panels.block, builder.sub(self.rows, begin))
        row, column = builder.mul(begin, self.a_row), builder.mul(self.top, self.a_column)
        self.a_first = builder.gep(self.a, [builder.add(row, column)])
        with builder.if_then(self.a_packed):
            upright = builder.icmp_signed("==", self.a_row, self.constant(1))
            with builder.if_else(upright) as (in_columns, in_rows):
                with in_columns:
                    self.panels.fill_a(self.a_first, self.a_column, self.count, self.height_left)
                with in_rows:
                    self.panels.fill_a_turned(self.a_first, self.a_row, self.count, self.height_left)
        self.row_step = builder.select(self.a_packed, self.constant(1), self.a_row)
        self.column_step = builder.select(self.a_packed, self.constant(self.panels.height), self.a_column)
        self._all_rows()

    def _one_row(self, wanted: Any) -> Any:
        """Write the product with a single row, if `wanted`, and return how many columns of the chunk that are.

        Two sums wait for one another, and so narrow a part of each row of B is not fetched from memory in time: here
        there are `_BROAD` vectors of them.
        """
        builder, width = self.builder, self.constant(_BROAD * self.lanes)
        whole = builder.mul(builder.sdiv(self.chunk, width), width)
        done = builder.select(wanted, whole, self.constant(0))
        self.begin, self.row_step, self.column_step = self.constant(0), self.a_row, self.a_column
        self.a_first = builder.gep(self.a, [builder.mul(self.top, self.a_column)])
        with cgutils.for_range_slice(builder, self.constant(0), done, width, INT) as (first, _):
            self.whole, self.remainder = ir.Constant(BIT, 1), self.constant(0)
            self._block(self.constant(0), 1, first, _BROAD, builder.gep(self.b_first, [first]), self.b_row)
        return done

    def _columns(self, row: Any, height: int) -> None:
        """Write the blocks of C in some rows, one or two vectors of columns at a time."""
        builder, lanes, width = self.builder, self.constant(self.lanes), self.constant(self.panels.width)
        with cgutils.for_range_slice(builder, self.done, self.chunk, width, INT) as (first, _):
            left = builder.sub(self.chunk, first)
            copied = builder.or_(
                self.b_packed, builder.and_(builder.icmp_signed("<", left, width), self._ragged(self.chunk))
            )
            panel = self.panels.place_of_b(first)
            start = builder.select(copied, panel, builder.gep(self.b_first, [first]))
            step = builder.select(copied, width, self.b_row)
            with builder.if_else(builder.icmp_signed(">", left, lanes)) as (wide, narrow):
                for vectors, case in ((2, wide), (1, narrow)):
                    with case:
                        self.whole = builder.icmp_signed(">=", left, self.constant(vectors * self.lanes))
                        self.remainder = builder.sub(left, self.constant((vectors - 1) * self.lanes))
                        self._block(row, height, first, vectors, start, step)

    def _masks(self, vectors: int) -> list[Any]:
        """Return the masks of vectors of which the last is not whole; to be made only where they are wanted."""
        return [self.full] * (vectors - 1) + [self.mask(self.remainder)]

    def _all_rows(self) -> None:
        """Write the loops over rows, in blocks of most registers, then what is left in smaller ones."""
        builder, done = self.builder, self.constant(0)
        for height in self.blocking.heights:
            size = self.constant(height)
            left = builder.sub(self.height_left, done)
            blocks = builder.sdiv(left, size)
            if height == self.panels.height:
                blocks = self._without_few_left(blocks, left)
            end = builder.add(done, builder.mul(blocks, size))
            with cgutils.for_range_slice(builder, done, end, size, INT) as (row, _):
                self._columns(row, height)
            done = end

    def _without_few_left(self, blocks: Any, left: Any) -> Any:
        """Return one of the highest blocks less where a third of one would be left: 2 rows of 6, or 4 of 12.

        Those take as long as twice as many, having too few sums to keep the processor busy: 4 + 4 rows are faster than
        6 + 2. Panels of A hold the rows of a highest block, and any block lies in one of them.
        """
        builder, highest = self.builder, self.panels.height
        few = builder.icmp_signed("==", builder.srem(left, self.constant(highest)), self.constant(highest // 3))
        some = builder.icmp_signed(">", blocks, self.constant(0))
        fewer = builder.and_(builder.and_(few, some), builder.not_(self.a_packed))
        return builder.sub(blocks, builder.zext(fewer, INT))

    def _block(self, row: Any, height: int, first: Any, vectors: int, b_start: Any, b_step: Any) -> None:
        """Write one block of C: its sums live in registers while k runs. Rows of B begin at `b_start`, a step apart."""
        builder = self.builder
        initial = self._biases(first, vectors)
        offsets = [self.constant(v * self.lanes) for v in range(vectors)]
        direct = builder.gep(self.a_first, [builder.mul(row, self.a_row)])
        start = builder.select(self.a_packed, builder.gep(self.panels.a, [self.panels.place_in_a(row)]), direct)
        row_steps = [builder.mul(self.constant(r), self.row_step) for r in range(min(height, _SHARING))]
        starts = [
            builder.gep(start, [builder.mul(self.constant(r), self.row_step)]) for r in range(0, height, _SHARING)
        ]
        above = builder.mul(builder.add(self.begin, row), self.c_row)
        # else LLVM would keep a pointer to each row of C, in each of these loops, most of them in memory
        target = self.opaque(builder.gep(self.c_first, [builder.add(above, first)]))
        # else it would have the products prepared in every call, for blocks of every height
        c_row = self.opaque(self.c_row)
        c_rows = [builder.mul(self.constant(r), c_row) for r in range(height)]
        places = [builder.gep(target, [builder.add(place, offset)]) for place in c_rows for offset in offsets]
        with builder.if_then(self.large):
            for place in places:  # which are wanted after the loop
                self.prefetch(place, self.constant(0))
        before = builder.block
        loop, after = builder.append_basic_block("k"), builder.append_basic_block("k_end")
        builder.cbranch(builder.icmp_signed(">", self.count, self.constant(0)), loop, after)
        builder.position_at_end(loop)
        k = self._phi(INT, (self.constant(0), before))
        sums = [self._phi(self.vector, (value, before)) for _ in range(height) for value in initial]
        b = self._phi(b_start.type, (b_start, before))
        columns = [self._phi(start.type, (place, before)) for place in starts]
        loaded = [self.load(b, offset, self.full) for offset in offsets]
        grown: list[Any] = []
        for r in range(height):
            place = builder.gep(columns[r // _SHARING], [row_steps[r % _SHARING]])
            factor = self.splat(builder.load(place), self.vector)
            grown += [self.fma(factor, vector, sums[len(grown) + v]) for v, vector in enumerate(loaded)]
        following = builder.add(k, self.constant(1))
        # LLVM would make one pointer of them again, and take its steps from row to row, if it saw how they grow
        b_next = self.opaque(builder.gep(b, [b_step]))
        next_columns = [self.opaque(builder.gep(place, [self.column_step])) for place in columns]
        for phi, value in zip([k, *sums, b, *columns], [following, *grown, b_next, *next_columns], strict=True):
            phi.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed("<", following, self.count), loop, after)
        builder.position_at_end(after)
        results = [
            self._phi(self.vector, (initial[i % vectors], before), (value, loop)) for i, value in enumerate(grown)
        ]
        with builder.if_else(self.whole) as (whole, partial):
            with whole:
                self._write_block(places, [self.full] * vectors, results)
            with partial:
                self._write_block(places, self._masks(vectors), results)

    def _write_block(self, places: list[Any], masks: list[Any], results: list[Any]) -> None:
        """Write sums to C. Old values are read only to be added to: reading right behind a masked store stalls."""
        builder, own = self.builder, masks * (len(places) // len(masks))
        with builder.if_else(self.adding) as (adding, replacing):
            with adding:
                olds = [self.load(place, self.constant(0), mask) for place, mask in zip(places, own, strict=True)]
                grown = [builder.fadd(result, old) for result, old in zip(results, olds, strict=True)]
                self._store_block(places, own, grown)
            with replacing:
                self._store_block(places, own, results)

    def _store_block(self, places: list[Any], masks: list[Any], results: list[Any]) -> None:
        for place, mask, result in zip(places, masks, results, strict=True):
            if mask is self.full:
                self.store(result, place, self.constant(0), mask)
            else:
                self.store_some(result, place, self.constant(0), self.remainder, mask)

    def _phi(self, kind: Any, *incoming: tuple[Any, Any]) -> Any:
        phi = self.builder.phi(kind)
        for value, block in incoming:
            phi.add_incoming(value, block)
        return phi

    def _biases(self, first: Any, vectors: int) -> list[Any]:
        """Return what the sums of each row begin with: in the first slab the biases, if there are any, else zeros."""
        builder = self.builder
        found = [cgutils.alloca_once(builder, self.vector) for _ in range(vectors)]
        for place in found:
            builder.store(self.zeros, place)

        def read(masks: list[Any]) -> None:
            for v, (place, mask) in enumerate(zip(found, masks, strict=True)):
                column = builder.add(first, self.constant(v * self.lanes))
                builder.store(self.load(self.bias_first, column, mask), place)

        with builder.if_then(self.biased), builder.if_else(self.whole) as (whole, partial):
            with whole:
                read([self.full] * vectors)
            with partial:
                read(self._masks(vectors))
        return [builder.load(place) for place in found]

    def _at_most(self, limit: Any, value: Any) -> Any:
        bound = self.constant(limit) if isinstance(limit, int) else limit
        return self.builder.select(self.builder.icmp_signed("<", value, bound), value, bound)


def _product(module: Any, number: Any) -> Any:
    """Return `small_gemm` as a function of a module; what has panels of A and B is one of its own, as small products
    should not pay for them."""
    pointer, room = number.as_pointer(), ir.IntType(8).as_pointer()
    arguments = [INT, INT, INT, pointer, INT, INT, pointer, INT, INT, pointer, INT, pointer, BIT]
    function, new = function_of(module, "small_gemm", number, arguments)
    if new:
        paneled, _ = function_of(module, "panel_gemm", number, [*arguments, room])
        _Product(paneled, number).write()
        product = _Product(function, number)
        product.pass_on(paneled)
        product.write()
    return function


@intrinsic
def small_gemm(typingctx, rows, columns, inner, a, a_row, a_column, b, b_row, b_column, bias, c, c_row, add):
    """C <- A B + bias, or C <- C + A B + bias if `add`.

    C is (rows, columns) with rows `c_row` elements apart, A (rows, inner) with elements at a_row i + a_column k, B
    (inner, columns) with elements at b_row k + b_column j, where one of a_row and a_column is 1 and one of b_row and
    b_column; `bias` has an element a column, or is empty.
    """
    signature = types.void(
        types.intp, types.intp, types.intp, a, types.intp, types.intp, b, types.intp, types.intp, bias, c, types.intp,
        types.boolean,
    )  # fmt: skip

    def codegen(context, builder, signature, args):
        rows, columns, inner, a, a_row, a_column, b, b_row, b_column, bias, c, c_row, add = args

        def array(index: int, value: Any) -> Any:
            return context.make_array(signature.args[index])(context, builder, value)

        number = context.get_data_type(signature.args[3].dtype)
        biases = array(9, bias)
        length = cgutils.unpack_tuple(builder, biases.shape, 1)[0]
        none = ir.Constant(number.as_pointer(), None)
        present = builder.icmp_signed(">", length, ir.Constant(INT, 0))
        builder.call(
            _product(builder.module, number),
            [
                rows, columns, inner, array(3, a).data, a_row, a_column, array(6, b).data, b_row, b_column,
                array(10, c).data, c_row, builder.select(present, biases.data, none), builder.trunc(add, BIT),
            ],
        )  # fmt: skip
        return context.get_dummy_value()

    return signature, codegen
