"""Vector instructions written by hand, where the loops that LLVM makes of Python lose: small matrices and single rows.

`small_gemm`: a BLAS packs its operands and dispatches by size, which costs more than the product where matrices fit
into the inner caches. Here a block of up to 8 rows and two vectors of columns of C stays in registers while k runs over
the inner axis: each vector of B is loaded once for 8 rows, each element of A is broadcast to two vectors.

`column_sums` and `gather_rows` treat rows as whole vectors too. Columns beyond the last whole vector are masked.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_INT = ir.IntType(64)
_SHORT = ir.IntType(32)
_BIT = ir.IntType(1)
#: Rows of C that are kept in registers together.
_ROWS = (8, 4, 2, 1)


def _vector_bytes() -> int:
    """Return the width of the processor's vectors; code for other widths would run too, only slower."""
    features = llvmlite.binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 64
    return 32 if features.get("avx") else 16


VECTOR_BYTES = _vector_bytes()


class _Writer:
    """Writes the body of an LLVM function with vectors of `lanes` numbers."""

    def __init__(self, function: Any, number: Any) -> None:
        self.number = number
        self.size = 4 if number == ir.FloatType() else 8
        self.lanes = VECTOR_BYTES // self.size
        self.vector = ir.VectorType(number, self.lanes)
        self.mask_type = ir.VectorType(_BIT, self.lanes)
        self.module = function.module
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))
        self.zeros = ir.Constant(self.vector, [0.0] * self.lanes)
        self.full = ir.Constant(self.mask_type, [1] * self.lanes)
        self.none = ir.Constant(self.mask_type, [0] * self.lanes)

    def mask(self, count: Any) -> Any:
        """Return a mask of the first `count` lanes."""
        integers = ir.VectorType(_INT, self.lanes)
        index = ir.Constant(integers, list(range(self.lanes)))
        return self.builder.icmp_signed("<", index, self.splat(count, integers))

    def splat(self, value: Any, kind: Any) -> Any:
        """Return a vector with `value` in every lane."""
        undefined = ir.Constant(kind, ir.Undefined)
        single = self.builder.insert_element(undefined, value, ir.Constant(_SHORT, 0))
        return self.builder.shuffle_vector(
            single, undefined, ir.Constant(ir.VectorType(_SHORT, self.lanes), [0] * self.lanes)
        )

    def load(self, start: Any, offset: Any, mask: Any) -> Any:
        """Return start[offset : offset + lanes], 0 where the mask is."""
        kind = ir.FunctionType(self.vector, [self.vector.as_pointer(), _SHORT, self.mask_type, self.vector])
        load = cgutils.get_or_insert_function(self.module, kind, f"llvm.masked.load.{self._suffix}.p0")
        return self.builder.call(load, [self._place(start, offset), self._alignment, mask, self.zeros])

    def store(self, value: Any, start: Any, offset: Any, mask: Any) -> None:
        """start[offset : offset + lanes] = value, where the mask allows."""
        kind = ir.FunctionType(ir.VoidType(), [self.vector, self.vector.as_pointer(), _SHORT, self.mask_type])
        store = cgutils.get_or_insert_function(self.module, kind, f"llvm.masked.store.{self._suffix}.p0")
        self.builder.call(store, [value, self._place(start, offset), self._alignment, mask])

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """Return a b + c."""
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        return self.builder.call(
            cgutils.get_or_insert_function(self.module, kind, f"llvm.fma.{self._suffix}"), [a, b, c]
        )

    def constant(self, value: int) -> Any:
        """Return a 64-bit integer."""
        return ir.Constant(_INT, value)

    def _place(self, start: Any, offset: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(start, [offset]), self.vector.as_pointer())

    @property
    def _suffix(self) -> str:
        return f"v{self.lanes}f{8 * self.size}"

    @property
    def _alignment(self) -> Any:
        return ir.Constant(_SHORT, self.size)


class _Product(_Writer):
    """C <- bias + A B (+ C); takes rows, columns, inner, a, a_row, a_column, b, b_row, c, c_row, bias, add."""

    def __init__(self, function: Any, number: Any) -> None:
        super().__init__(function, number)
        (self.rows, self.columns, self.inner, self.a, self.a_row, self.a_column, self.b, self.b_row,
         self.c, self.c_row, self.bias, self.add) = function.args  # fmt: skip

    def write(self) -> None:
        """Write the loops over columns: two vectors at a time, the last ones masked."""
        builder, lanes = self.builder, self.constant(self.lanes)
        step = self.constant(2 * self.lanes)
        with cgutils.for_range_slice(builder, self.constant(0), self.columns, step, _INT) as (first, _):
            left = builder.sub(self.columns, first)
            with builder.if_else(builder.icmp_signed(">", left, lanes)) as (wide, narrow):
                with wide:
                    self._all_rows(first, [self.full, self.mask(builder.sub(left, lanes))])
                with narrow:
                    self._all_rows(first, [self.mask(left)])
        builder.ret_void()

    def _all_rows(self, first: Any, masks: list[Any]) -> None:
        """Write the loops over rows, in blocks of 8, then what is left in blocks of 4, 2 and 1."""
        builder, done = self.builder, self.constant(0)
        for height in _ROWS:
            size = self.constant(height)
            blocks = builder.sdiv(builder.sub(self.rows, done), size)
            end = builder.add(done, builder.mul(blocks, size))
            with cgutils.for_range_slice(builder, done, end, size, _INT) as (row, _):
                self._block(row, height, first, masks)
            done = end

    def _block(self, row: Any, height: int, first: Any, masks: list[Any]) -> None:
        """Write one block of C: its sums live in registers while k runs."""
        builder = self.builder
        starts = [builder.add(first, self.constant(v * self.lanes)) for v in range(len(masks))]
        places = [builder.add(row, self.constant(r)) for r in range(height)]
        a_rows = [builder.gep(self.a, [builder.mul(place, self.a_row)]) for place in places]
        initial = [self._biases(start, mask) for start, mask in zip(starts, masks, strict=True)]
        before = builder.block
        loop, after = builder.append_basic_block("k"), builder.append_basic_block("k_end")
        builder.cbranch(builder.icmp_signed(">", self.inner, self.constant(0)), loop, after)
        builder.position_at_end(loop)
        k = self._phi(_INT, (self.constant(0), before))
        sums = [self._phi(self.vector, (value, before)) for _ in range(height) for value in initial]
        b_row, a_column = builder.mul(k, self.b_row), builder.mul(k, self.a_column)
        vectors = [
            self.load(self.b, builder.add(b_row, start), mask) for start, mask in zip(starts, masks, strict=True)
        ]
        grown: list[Any] = []
        for r in range(height):
            factor = self.splat(builder.load(builder.gep(a_rows[r], [a_column])), self.vector)
            grown += [self.fma(factor, vector, sums[len(grown) + v]) for v, vector in enumerate(vectors)]
        following = builder.add(k, self.constant(1))
        for phi, value in zip([k, *sums], [following, *grown], strict=True):
            phi.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed("<", following, self.inner), loop, after)
        builder.position_at_end(after)
        results = [
            self._phi(self.vector, (initial[i % len(masks)], before), (value, loop)) for i, value in enumerate(grown)
        ]
        with builder.if_else(self.add) as (adding, replacing):
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
        """Return what sums begin with: the biases, or zeros where their address is null."""
        absent = self.builder.icmp_unsigned("==", self.builder.ptrtoint(self.bias, _INT), self.constant(0))
        return self.load(self.bias, start, self.builder.select(absent, self.none, mask))


class _Sums(_Writer):
    """out[j] = sum over rows of x[:, j] (+ out[j]); takes rows, columns, x, out, add."""

    #: Rows that are added to sums of their own, so that no addition waits for the one before.
    _LANES = 4

    def write(self, rows: Any, columns: Any, x: Any, out: Any, add: Any) -> None:
        """Write a loop over vectors of columns with one over rows in it."""
        builder, step = self.builder, self.constant(self.lanes)
        whole = builder.mul(builder.sdiv(rows, self.constant(self._LANES)), self.constant(self._LANES))
        with cgutils.for_range_slice(builder, self.constant(0), columns, step, _INT) as (first, _):
            mask = self.mask(builder.sub(columns, first))
            sums = [cgutils.alloca_once_value(builder, self.zeros) for _ in range(self._LANES)]
            for place in sums:
                builder.store(self.zeros, place)
            for start, stop, height in ((self.constant(0), whole, self._LANES), (whole, rows, 1)):
                with cgutils.for_range_slice(builder, start, stop, self.constant(height), _INT) as (row, _):
                    for r in range(height):
                        offset = builder.add(builder.mul(builder.add(row, self.constant(r)), columns), first)
                        total = builder.fadd(builder.load(sums[r]), self.load(x, offset, mask))
                        builder.store(total, sums[r])
            a, b, c, d = (builder.load(place) for place in sums)
            old = self.load(out, first, builder.select(add, mask, self.none))
            self.store(builder.fadd(old, builder.fadd(builder.fadd(a, b), builder.fadd(c, d))), out, first, mask)
        builder.ret_void()


class _Gather(_Writer):
    """out[r] = x[order[r]]; takes rows, width, columns, x, order, out."""

    #: Rows whose first lines are fetched ahead of their turn.
    _AHEAD = 12

    def write(self, rows: Any, width: Any, columns: Any, x: Any, order: Any, out: Any) -> None:
        """Write a loop over rows; that of a later row is fetched while one is copied."""
        builder = self.builder
        last = builder.sub(rows, self.constant(1))
        step = self.constant(self.lanes)
        whole = builder.mul(builder.sdiv(width, step), step)
        rest = self.mask(builder.sub(width, whole))
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer(), _SHORT, _SHORT, _SHORT])
        prefetch = cgutils.get_or_insert_function(self.module, kind, "llvm.prefetch.p0")
        with cgutils.for_range_slice(builder, self.constant(0), rows, self.constant(1), _INT) as (row, _):
            later = builder.add(row, self.constant(self._AHEAD))
            later = builder.select(builder.icmp_signed("<", later, rows), later, last)
            for line in range(2):
                ahead = builder.mul(builder.load(builder.gep(order, [later])), columns)
                place = builder.gep(x, [builder.add(ahead, self.constant(line * 64 // self.size))])
                address = builder.bitcast(place, ir.IntType(8).as_pointer())
                builder.call(prefetch, [address, *(ir.Constant(_SHORT, n) for n in (0, 3, 1))])
            source = builder.mul(builder.load(builder.gep(order, [row])), columns)
            target = builder.mul(row, width)
            with cgutils.for_range_slice(builder, self.constant(0), whole, step, _INT) as (first, _):
                value = self.load(x, builder.add(source, first), self.full)
                self.store(value, out, builder.add(target, first), self.full)
            value = self.load(x, builder.add(source, whole), rest)
            self.store(value, out, builder.add(target, whole), rest)
        builder.ret_void()


def _function(module: Any, name: str, number: Any, arguments: list[Any]) -> tuple[Any, bool]:
    """Return a function of a module that is private to it, and whether its body is still to be written."""
    name = f"fastann_{name}_f{32 if number == ir.FloatType() else 64}"
    function = cgutils.get_or_insert_function(module, ir.FunctionType(ir.VoidType(), arguments), name)
    new = bool(function.is_declaration)
    if new:
        function.linkage = "internal"
        function.attributes.add("noinline")
    return function, new


def _product(module: Any, number: Any) -> Any:
    pointer = number.as_pointer()
    function, new = _function(
        module, "small_gemm", number,
        [_INT, _INT, _INT, pointer, _INT, _INT, pointer, _INT, pointer, _INT, pointer, _BIT],
    )  # fmt: skip
    if new:
        _Product(function, number).write()
    return function


@intrinsic
def small_gemm(typingctx, rows, columns, inner, a, a_row, a_column, b, b_row, bias, c, c_row, add):
    """C <- A B + bias, or C <- C + A B + bias if `add`.

    C is (rows, columns) with rows `c_row` elements apart, A (rows, inner) with elements at a_row i + a_column k, B
    (inner, columns) with rows b_row apart; `bias` has an element a column, or is empty.
    """
    signature = types.void(
        types.intp, types.intp, types.intp, a, types.intp, types.intp, b, types.intp, bias, c, types.intp,
        types.boolean,
    )  # fmt: skip

    def codegen(context, builder, signature, args):
        rows, columns, inner, a, a_row, a_column, b, b_row, bias, c, c_row, add = args

        def array(index: int, value: Any) -> Any:
            return context.make_array(signature.args[index])(context, builder, value)

        number = context.get_data_type(signature.args[3].dtype)
        biases = array(8, bias)
        length = cgutils.unpack_tuple(builder, biases.shape, 1)[0]
        none = ir.Constant(number.as_pointer(), None)
        present = builder.icmp_signed(">", length, ir.Constant(_INT, 0))
        builder.call(
            _product(builder.module, number),
            [
                rows, columns, inner, array(3, a).data, a_row, a_column, array(6, b).data, b_row, array(9, c).data,
                c_row, builder.select(present, biases.data, none), builder.trunc(add, _BIT),
            ],
        )  # fmt: skip
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def column_sums(typingctx, rows, columns, x, out, add):
    """out[j] = sum over rows of x, a (rows, columns) matrix, added to what is there if `add`."""

    def codegen(context, builder, signature, args):
        number = context.get_data_type(signature.args[2].dtype)
        pointer = number.as_pointer()
        function, new = _function(builder.module, "column_sums", number, [_INT, _INT, pointer, pointer, _BIT])
        if new:
            _Sums(function, number).write(*function.args)
        data = [context.make_array(signature.args[i])(context, builder, args[i]).data for i in (2, 3)]
        builder.call(function, [*args[:2], *data, builder.trunc(args[4], _BIT)])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, x, out, types.boolean), codegen


@intrinsic
def gather_rows(typingctx, rows, width, columns, x, order, out):
    """out[r] = x[order[r]][:width] for r < rows; x has rows of `columns`, out of `width` elements."""

    def codegen(context, builder, signature, args):
        number = context.get_data_type(signature.args[3].dtype)
        pointer = number.as_pointer()
        function, new = _function(
            builder.module, "gather_rows", number, [_INT, _INT, _INT, pointer, _INT.as_pointer(), pointer]
        )
        if new:
            _Gather(function, number).write(*function.args)
        data = [context.make_array(signature.args[i])(context, builder, args[i]).data for i in (3, 4, 5)]
        builder.call(function, [*args[:3], *data])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, x, order, out), codegen
