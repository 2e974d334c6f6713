"""Products of matrices in vector instructions: what a step of training asks for, up to a few hundred rows.

A BLAS packs its operands and dispatches by size, which costs more than the product where matrices fit into the inner
caches, and OpenBLAS is at half of its speed up to some hundred rows. Here a block of up to 8 rows and two vectors of
columns of C stays in registers while k runs over a slab of the inner axis: each vector of B is loaded once for 8 rows,
each element of A is broadcast to two vectors. B is copied into a panel of these columns first if it is read more than
once: its rows, often a power of two apart, would push one another out of the first cache.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from fastann_kernels.numba_backend.compiling import cgutils, intrinsic, types
from fastann_kernels.numba_backend.vectors import BIT, INT, SHORT, Writer, function_of

#: Rows of C that are kept in registers together.
_ROWS = (8, 4, 2, 1)
#: Length of a panel.
_DEPTH = 128
#: Rows of C from which a panel is worth while.
_PANEL_ROWS = 16


class _Product(Writer):
    """C <- bias + A B (+ C); the arguments are those of `small_gemm`, bias behind c_row and null where it is absent."""

    def __init__(self, function: Any, number: Any) -> None:
        super().__init__(function, number)
        (self.rows, self.columns, self.inner, self.a, self.a_row, self.a_column, self.b, self.b_row, self.b_column,
         self.c, self.c_row, self.bias, self.add) = function.args  # fmt: skip
        self.panel = self.builder.alloca(number, _DEPTH * 2 * self.lanes)
        self.panel.align = 64

    def write(self) -> None:
        """Write the loop over slabs of the inner axis."""
        builder, depth = self.builder, self.constant(_DEPTH)
        one = self.constant(1)
        slabs = builder.sdiv(builder.add(self.inner, self.constant(_DEPTH - 1)), depth)
        slabs = builder.select(builder.icmp_signed(">", slabs, one), slabs, one)
        end = builder.mul(slabs, depth)
        with cgutils.for_range_slice(builder, self.constant(0), end, depth, INT) as (top, _):
            self._slab(top)
        builder.ret_void()

    def _slab(self, top: Any) -> None:
        """Write what a slab that begins at `top` adds to C: two vectors of columns at a time, the last ones masked."""
        builder, lanes = self.builder, self.constant(self.lanes)
        left = builder.sub(self.inner, top)
        self.depth = builder.select(builder.icmp_signed("<", left, self.constant(_DEPTH)), left, self.constant(_DEPTH))
        self.top, self.first_slab = top, builder.icmp_signed("==", top, self.constant(0))
        self.adding = builder.or_(self.add, builder.not_(self.first_slab))
        step = self.constant(2 * self.lanes)
        with cgutils.for_range_slice(builder, self.constant(0), self.columns, step, INT) as (first, _):
            left = builder.sub(self.columns, first)
            with builder.if_else(builder.icmp_signed(">", left, lanes)) as (wide, narrow):
                with wide:
                    self._columns(first, [self.full, self.mask(builder.sub(left, lanes))])
                with narrow:
                    self._columns(first, [self.mask(left)])

    def _columns(self, first: Any, masks: list[Any]) -> None:
        """Write the product with one or two vectors of columns of B."""
        builder = self.builder
        turned = builder.icmp_signed("!=", self.b_column, self.constant(1))
        reread = builder.and_(
            builder.icmp_signed(">", self.rows, self.constant(_PANEL_ROWS)),
            builder.icmp_signed(">", self.b_row, self.constant(2 * self.lanes)),
        )
        with builder.if_then(turned):
            for v in range(len(masks)):
                self._fill_turned(first, v)
        with builder.if_then(builder.and_(reread, builder.not_(turned))):
            self._fill(first, masks)
        packed = builder.or_(turned, reread)
        place = builder.add(builder.mul(self.top, self.b_row), first)
        self.panel_start = builder.select(packed, self.panel, builder.gep(self.b, [place]))
        self.panel_row = builder.select(packed, self.constant(2 * self.lanes), self.b_row)
        self._all_rows(first, masks)

    def _fill(self, first: Any, masks: list[Any]) -> None:
        """Write the loop that copies columns of B to the panel."""
        builder = self.builder
        with cgutils.for_range_slice(builder, self.constant(0), self.depth, self.constant(1), INT) as (k, _):
            source = builder.add(builder.mul(builder.add(self.top, k), self.b_row), first)
            target = builder.mul(k, self.constant(2 * self.lanes))
            for v, mask in enumerate(masks):
                column = self.constant(v * self.lanes)
                value = self.load(self.b, builder.add(source, column), mask)
                self.store(value, self.panel, builder.add(target, column), self.full)

    def _fill_turned(self, first: Any, v: int) -> None:
        """Write the loop that copies a vector of columns of B, each of which lies in one piece, to the panel."""
        builder, lanes = self.builder, self.lanes
        first = builder.add(first, self.constant(v * lanes))
        with cgutils.for_range_slice(builder, self.constant(0), self.depth, self.constant(lanes), INT) as (k, _):
            present = self.mask(builder.sub(self.depth, k))
            vectors = []
            for j in range(lanes):
                column = builder.add(first, self.constant(j))
                mask = builder.select(builder.icmp_signed("<", column, self.columns), present, self.none)
                place = builder.add(builder.mul(column, self.b_column), builder.add(self.top, k))
                vectors.append(self.load(self.b, place, mask))
            for i, vector in enumerate(self._turn(vectors)):
                row = builder.mul(builder.add(k, self.constant(i)), self.constant(2 * lanes))
                self.store(vector, self.panel, builder.add(row, self.constant(v * lanes)), self.full)

    def _turn(self, vectors: list[Any]) -> list[Any]:
        """Return the columns of a square of vectors: blocks off the diagonal change places, ever larger ones."""
        distance = 1
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

    def _all_rows(self, first: Any, masks: list[Any]) -> None:
        """Write the loops over rows, in blocks of 8, then what is left in blocks of 4, 2 and 1."""
        builder, done = self.builder, self.constant(0)
        for height in _ROWS:
            size = self.constant(height)
            blocks = builder.sdiv(builder.sub(self.rows, done), size)
            end = builder.add(done, builder.mul(blocks, size))
            with cgutils.for_range_slice(builder, done, end, size, INT) as (row, _):
                self._block(row, height, first, masks)
            done = end

    def _block(self, row: Any, height: int, first: Any, masks: list[Any]) -> None:
        """Write one block of C: its sums live in registers while k runs."""
        builder = self.builder
        offsets = [self.constant(v * self.lanes) for v in range(len(masks))]
        starts = [builder.add(first, offset) for offset in offsets]
        places = [builder.add(row, self.constant(r)) for r in range(height)]
        top = builder.mul(self.top, self.a_column)
        a_rows = [builder.gep(self.a, [builder.add(builder.mul(place, self.a_row), top)]) for place in places]
        initial = [self._biases(start, mask) for start, mask in zip(starts, masks, strict=True)]
        before = builder.block
        loop, after = builder.append_basic_block("k"), builder.append_basic_block("k_end")
        builder.cbranch(builder.icmp_signed(">", self.depth, self.constant(0)), loop, after)
        builder.position_at_end(loop)
        k = self._phi(INT, (self.constant(0), before))
        sums = [self._phi(self.vector, (value, before)) for _ in range(height) for value in initial]
        b_row, a_column = builder.mul(k, self.panel_row), builder.mul(k, self.a_column)
        vectors = [
            self.load(self.panel_start, builder.add(b_row, offset), mask)
            for offset, mask in zip(offsets, masks, strict=True)
        ]
        grown: list[Any] = []
        for r in range(height):
            factor = self.splat(builder.load(builder.gep(a_rows[r], [a_column])), self.vector)
            grown += [self.fma(factor, vector, sums[len(grown) + v]) for v, vector in enumerate(vectors)]
        following = builder.add(k, self.constant(1))
        for phi, value in zip([k, *sums], [following, *grown], strict=True):
            phi.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed("<", following, self.depth), loop, after)
        builder.position_at_end(after)
        results = [
            self._phi(self.vector, (initial[i % len(masks)], before), (value, loop)) for i, value in enumerate(grown)
        ]
        with builder.if_else(self.adding) as (adding, replacing):
            with adding:
                self._write_block(places, starts, masks, results, add=True)
            with replacing:
                self._write_block(places, starts, masks, results, add=False)

    def _write_block(
        self, places: list[Any], starts: list[Any], masks: list[Any], results: list[Any], *, add: bool
    ) -> None:
        """Write sums to C. Old values are read only to be added to: reading right behind a masked store stalls."""
        builder = self.builder
        for i, result in enumerate(results):
            r, v = divmod(i, len(masks))
            place = builder.add(builder.mul(places[r], self.c_row), starts[v])
            value = builder.fadd(result, self.load(self.c, place, masks[v])) if add else result
            self.store(value, self.c, place, masks[v])

    def _phi(self, kind: Any, *incoming: tuple[Any, Any]) -> Any:
        phi = self.builder.phi(kind)
        for value, block in incoming:
            phi.add_incoming(value, block)
        return phi

    def _biases(self, start: Any, mask: Any) -> Any:
        """Return what sums begin with: in the first slab the biases, unless their address is null, else zeros."""
        builder = self.builder
        given = builder.icmp_unsigned("!=", builder.ptrtoint(self.bias, INT), self.constant(0))
        return self.load(self.bias, start, builder.select(builder.and_(given, self.first_slab), mask, self.none))


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
    (inner, columns) with elements at b_row k + b_column j, where one of b_row and b_column is 1; `bias` has an element
    a column, or is empty.
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
