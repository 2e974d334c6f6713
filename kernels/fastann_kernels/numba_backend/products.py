"""Products of matrices in vector instructions: what a step of training asks for.

A BLAS packs its operands and dispatches by size, which costs more than the product where matrices fit into the inner
caches, and OpenBLAS is at half of its speed up to some hundred rows. Here a block of some rows and two vectors of
columns of C stays in registers while k runs over a slab of the inner axis: each vector of B is loaded once for all
rows, each element of A is broadcast to two vectors. Factors that are read more than once are copied into panels first,
see `panels`. (Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication".)
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from fastann_kernels.numba_backend.compiling import cgutils, intrinsic, types
from fastann_kernels.numba_backend.panels import Panels
from fastann_kernels.numba_backend.vectors import BIT, INT, REGISTERS, Writer, function_of

#: Rows of C that are kept in registers together: as many as leave some for two vectors of B and an element of A.
_ROWS = (8, 4, 2, 1) if REGISTERS >= 32 else (6, 4, 2, 1)
#: Rows of C from which a panel of B is worth while, and columns from which those of A are (measured).
_B_ROWS, _A_COLUMNS = 16, 512

#: Rows of A that one pointer serves: with one for all, adding up addresses in a chain would take as long as
#: the arithmetic, and with one for each row there are too few registers.
_SHARING = 3
#: Distance of rows of B from which the processor does not fetch the next panel by itself: a page.
_FAR = 1024

#: Vectors of columns of a single row.
_BROAD = 8

#: Elements of C from which it may not be in the first cache.
_LARGE = 1 << 12


class _Product(Writer):
    """C <- bias + A B (+ C); the arguments are those of `small_gemm`, bias behind c_row and null where it is absent."""

    def __init__(self, function: Any, number: Any) -> None:
        super().__init__(function, number)
        self.panels = Panels(self, _ROWS[0])
        (self.rows, self.columns, self.inner, self.a, self.a_row, self.a_column, self.b, self.b_row, self.b_column,
         self.c, self.c_row, self.bias, self.add) = function.args  # fmt: skip

    def write(self) -> None:
        """Write the loops over slabs of the inner axis, blocks of rows, and two vectors of columns at a time."""
        builder, zero = self.builder, self.constant(0)
        given = builder.icmp_unsigned("!=", builder.ptrtoint(self.bias, INT), zero)
        self.large = builder.icmp_signed(">", builder.mul(self.rows, self.columns), self.constant(_LARGE))
        slabs = builder.select(builder.icmp_signed(">", self.inner, zero), self.inner, self.constant(1))
        with cgutils.for_range_slice(builder, zero, slabs, self.constant(self.panels.depth), INT) as (top, _):
            self.top, self.count = top, self._at_most(self.panels.depth, builder.sub(self.inner, top))
            first_slab = builder.icmp_signed("==", top, zero)
            self.adding = builder.or_(self.add, builder.not_(first_slab))
            self.biased = builder.and_(given, first_slab)
            with cgutils.for_range_slice(builder, zero, self.rows, self.constant(self.panels.block), INT) as (begin, _):
                self._rows(begin)
        builder.ret_void()

    def _rows(self, begin: Any) -> None:
        """Write what a slab adds to a block of rows."""
        builder = self.builder
        self.begin, self.height_left = begin, self._at_most(self.panels.block, builder.sub(self.rows, begin))
        row, column = builder.mul(begin, self.a_row), builder.mul(self.top, self.a_column)
        self.a_first = builder.gep(self.a, [builder.add(row, column)])
        alone = builder.icmp_signed("==", self.height_left, self.constant(1))
        many = builder.icmp_signed(">", self.columns, self.constant(_A_COLUMNS))
        self.a_packed = builder.and_(many, builder.not_(alone))
        with builder.if_then(self.a_packed):
            upright = builder.icmp_signed("==", self.a_row, self.constant(1))
            with builder.if_else(upright) as (in_columns, in_rows):
                with in_columns:
                    self.panels.fill_a(self.a_first, self.a_column, self.count, self.height_left)
                with in_rows:
                    self.panels.fill_a_turned(self.a_first, self.a_row, self.count, self.height_left)
        self.row_step = builder.select(self.a_packed, self.constant(1), self.a_row)
        self.column_step = builder.select(self.a_packed, self.constant(self.panels.height), self.a_column)
        upright = builder.icmp_signed("==", self.b_column, self.constant(1))
        done = self._one_row(builder.and_(alone, upright))
        step, lanes = self.constant(self.panels.width), self.constant(self.lanes)
        with cgutils.for_range_slice(builder, done, self.columns, step, INT) as (first, _):
            left = builder.sub(self.columns, first)
            with builder.if_else(builder.icmp_signed(">", left, lanes)) as (wide, narrow):
                with wide:
                    self._columns(first, left, 2)
                with narrow:
                    self._columns(first, left, 1)

    def _one_row(self, wanted: Any) -> Any:
        """Write the product with a single row, if `wanted`, and return how many columns that are.

        Two sums wait for one another, and so narrow a part of each row of B is not fetched from memory in time: here
        there are `_BROAD` vectors of them.
        """
        builder, width = self.builder, self.constant(_BROAD * self.lanes)
        whole = builder.mul(builder.sdiv(self.columns, width), width)
        done = builder.select(wanted, whole, self.constant(0))
        with cgutils.for_range_slice(builder, self.constant(0), done, width, INT) as (first, _):
            self.whole, self.remainder = ir.Constant(BIT, 1), self.constant(0)
            self.b_start = builder.gep(self.b, [builder.add(builder.mul(self.top, self.b_row), first)])
            self.b_step = self.b_row
            self._block(self.constant(0), 1, first, self._biases(first, _BROAD))
        return done

    def _columns(self, first: Any, left: Any, vectors: int) -> None:
        """Write the product with one or two vectors of columns of B, of which `left` columns are left."""
        builder = self.builder
        self.whole = builder.icmp_signed(">=", left, self.constant(vectors * self.lanes))
        self.remainder = builder.sub(left, self.constant((vectors - 1) * self.lanes))
        turned = builder.icmp_signed("!=", self.b_column, self.constant(1))
        reread = builder.and_(
            builder.icmp_signed(">", self.height_left, self.constant(_B_ROWS)),
            builder.icmp_signed(">", self.b_row, self.constant(self.panels.width)),
        )
        # a mask in the loop over k would be made anew at each turn where the processor has no registers for masks
        copied = builder.or_(reread, builder.not_(self.whole))
        row, column = builder.mul(self.top, self.b_row), builder.mul(first, self.b_column)
        source = builder.gep(self.b, [builder.add(row, column)])
        with builder.if_then(turned):
            self.panels.fill_b_turned(source, self.b_column, self.count, left)
        with builder.if_then(builder.and_(copied, builder.not_(turned))):
            self.panels.fill_b(source, self.b_row, self.count, left)
        packed = builder.or_(turned, copied)
        self.b_start = builder.select(packed, self.panels.b, source)
        self.b_step = builder.select(packed, self.constant(self.panels.width), self.b_row)
        self._plan_ahead(builder.and_(reread, builder.not_(turned)), source, left)
        self._all_rows(first, vectors)

    def _plan_ahead(self, filled: Any, source: Any, left: Any) -> None:
        """Note which lines of B each block of rows is to have fetched for the next panel, if one is to be `filled`."""
        builder, width = self.builder, self.constant(self.panels.width)
        far = builder.icmp_signed(">=", self.b_row, self.constant(_FAR))
        more = builder.icmp_signed(">", left, width)
        self.ahead = builder.and_(filled, builder.and_(far, more))
        self.next_source = builder.gep(source, [width])
        share = builder.udiv(builder.mul(self.count, self.constant(_ROWS[0])), self.height_left)
        self.lines = builder.add(share, self.constant(1))

    def _masks(self, vectors: int) -> list[Any]:
        """Return the masks of vectors of which the last is not whole; to be made only where they are wanted."""
        return [self.full] * (vectors - 1) + [self.mask(self.remainder)]

    def _all_rows(self, first: Any, vectors: int) -> None:
        """Write the loops over rows, in blocks of most registers, then what is left in smaller ones."""
        builder, done = self.builder, self.constant(0)
        initial = self._biases(first, vectors)
        for height in _ROWS:
            size = self.constant(height)
            left = builder.sub(self.height_left, done)
            blocks = builder.sdiv(left, size)
            if height == 6:
                blocks = self._without_two_left(blocks, left)
            end = builder.add(done, builder.mul(blocks, size))
            with cgutils.for_range_slice(builder, done, end, size, INT) as (row, _):
                self._block(row, height, first, initial)
            done = end

    def _without_two_left(self, blocks: Any, left: Any) -> Any:
        """Return one of the blocks of six rows less where two rows would be left.

        Two rows take as long as four, having too few sums to keep the processor busy: 4 + 4 rows are faster than 6 + 2.
        Panels of A hold six rows, and a block lies in one of them.
        """
        builder = self.builder
        two = builder.icmp_signed("==", builder.srem(left, self.constant(6)), self.constant(2))
        some = builder.icmp_signed(">", blocks, self.constant(0))
        fewer = builder.and_(builder.and_(two, some), builder.not_(self.a_packed))
        return builder.sub(blocks, builder.zext(fewer, INT))

    def _block(self, row: Any, height: int, first: Any, initial: list[Any]) -> None:
        """Write one block of C: its sums live in registers while k runs, and begin with `initial` in each row."""
        builder, vectors = self.builder, len(initial)
        offsets = [self.constant(v * self.lanes) for v in range(vectors)]
        direct = builder.gep(self.a_first, [builder.mul(row, self.a_row)])
        start = builder.select(self.a_packed, builder.gep(self.panels.a, [self.panels.place_in_a(row)]), direct)
        row_steps = [builder.mul(self.constant(r), self.row_step) for r in range(min(height, _SHARING))]
        starts = [
            builder.gep(start, [builder.mul(self.constant(r), self.row_step)]) for r in range(0, height, _SHARING)
        ]
        above = builder.mul(builder.add(self.begin, row), self.c_row)
        # else LLVM would keep a pointer to each row of C, in each of these loops, most of them in memory
        target = self.opaque(builder.gep(self.c, [builder.add(above, first)]))
        c_rows = [builder.mul(self.constant(r), self.c_row) for r in range(height)]
        places = [builder.gep(target, [builder.add(c_row, offset)]) for c_row in c_rows for offset in offsets]
        with builder.if_then(self.large):
            for place in places:  # which are wanted after the loop
                self.prefetch(place, self.constant(0))
        if height == _ROWS[0]:
            self._fetch_ahead(builder.udiv(row, self.constant(height)))
        before = builder.block
        loop, after = builder.append_basic_block("k"), builder.append_basic_block("k_end")
        builder.cbranch(builder.icmp_signed(">", self.count, self.constant(0)), loop, after)
        builder.position_at_end(loop)
        k = self._phi(INT, (self.constant(0), before))
        sums = [self._phi(self.vector, (value, before)) for _ in range(height) for value in initial]
        b = self._phi(self.b_start.type, (self.b_start, before))
        columns = [self._phi(start.type, (place, before)) for place in starts]
        loaded = [self.load(b, offset, self.full) for offset in offsets]
        grown: list[Any] = []
        for r in range(height):
            place = builder.gep(columns[r // _SHARING], [row_steps[r % _SHARING]])
            factor = self.splat(builder.load(place), self.vector)
            grown += [self.fma(factor, vector, sums[len(grown) + v]) for v, vector in enumerate(loaded)]
        following = builder.add(k, self.constant(1))
        # LLVM would make one pointer of them again, and take its steps from row to row, if it saw how they grow
        b_next = self.opaque(builder.gep(b, [self.b_step]))
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

    def _fetch_ahead(self, block: Any) -> None:
        """Write that the block has its share of the next panel of B fetched; a line too many does no harm."""
        builder = self.builder
        begin = builder.mul(block, self.lines)
        end = builder.add(begin, self.lines)
        with (
            builder.if_then(self.ahead),
            cgutils.for_range_slice(builder, begin, end, self.constant(1), INT) as (k, _),
        ):
            self.prefetch(self.next_source, builder.mul(k, self.b_row))

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
                builder.store(self.load(self.bias, builder.add(first, self.constant(v * self.lanes)), mask), place)

        with builder.if_then(self.biased), builder.if_else(self.whole) as (whole, partial):
            with whole:
                read([self.full] * vectors)
            with partial:
                read(self._masks(vectors))
        return [builder.load(place) for place in found]

    def _at_most(self, limit: int, value: Any) -> Any:
        bound = self.constant(limit)
        return self.builder.select(self.builder.icmp_signed("<", value, bound), value, bound)


def _product(module: Any, number: Any) -> Any:
    pointer = number.as_pointer()
    function, new = function_of(
        module, "small_gemm", number,
        [INT, INT, INT, pointer, INT, INT, pointer, INT, INT, pointer, INT, pointer, BIT],
    )  # fmt: skip
    if new:
        _Product(function, number).write()
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
