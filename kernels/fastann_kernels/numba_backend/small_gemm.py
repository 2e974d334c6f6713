"""Products of small matrices: a register-blocked kernel in vector instructions, without packing or calls.

A BLAS packs its operands and dispatches by size, which costs more than the product itself where matrices fit into the
inner caches. Here a block of up to 8 rows and two vectors of columns of C stays in registers while k runs over the inner
axis: each vector of B is loaded once for 8 rows, each element of A is broadcast to two vectors. Columns beyond the last
whole vector are masked.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_INT = ir.IntType(64)
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


class _Product:
    """Writes the body of C <- bias + A B (+ C) into an LLVM function.

    Args:
        function: takes rows, columns, inner, a, a_row, a_column, b, b_row, c, c_row, bias (null: none) and add (bit).
        number: the type of the elements.
        lanes: elements a vector.
    """

    def __init__(self, function: Any, number: Any, lanes: int) -> None:
        self.number, self.lanes = number, lanes
        self.vector = ir.VectorType(number, lanes)
        self.mask_type = ir.VectorType(_BIT, lanes)
        (self.rows, self.columns, self.inner, self.a, self.a_row, self.a_column, self.b, self.b_row,
         self.c, self.c_row, self.bias, self.add) = function.args  # fmt: skip
        self.module = function.module
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))
        self.zero = ir.Constant(_INT, 0)

    def write(self) -> None:
        """Write the loops over columns: two vectors at a time, the last ones masked."""
        builder, lanes = self.builder, ir.Constant(_INT, self.lanes)
        two = ir.Constant(_INT, 2 * self.lanes)
        with cgutils.for_range_slice(builder, self.zero, self.columns, two, _INT) as (first, _):
            left = builder.sub(self.columns, first)
            with builder.if_else(builder.icmp_signed(">", left, lanes)) as (wide, narrow):
                with wide:
                    full = ir.Constant(self.mask_type, [1] * self.lanes)
                    self._all_rows(first, [full, self._mask(builder.sub(left, lanes))])
                with narrow:
                    self._all_rows(first, [self._mask(left)])
        builder.ret_void()

    def _mask(self, count: Any) -> Any:
        """Return a mask of the first `count` lanes."""
        index = ir.Constant(ir.VectorType(_INT, self.lanes), list(range(self.lanes)))
        return self.builder.icmp_signed("<", index, self._splat(count, ir.VectorType(_INT, self.lanes)))

    def _splat(self, value: Any, kind: Any) -> Any:
        single = self.builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        return self.builder.shuffle_vector(single, ir.Constant(kind, ir.Undefined), lanes)

    def _all_rows(self, first: Any, masks: list[Any]) -> None:
        """Write the loops over rows, in blocks of 8, then what is left in blocks of 4, 2 and 1."""
        builder = self.builder
        done = self.zero
        for block in _ROWS:
            size = ir.Constant(_INT, block)
            stop = builder.mul(builder.sdiv(builder.sub(self.rows, done), size), size)
            end = builder.add(done, stop)
            with cgutils.for_range_slice(builder, done, end, size, _INT) as (row, _):
                self._block(row, block, first, masks)
            done = end

    def _block(self, row: Any, height: int, first: Any, masks: list[Any]) -> None:
        """Write one block of C: its sums live in registers while k runs."""
        builder = self.builder
        starts = [self._start(first, v) for v in range(len(masks))]
        a_rows = [
            builder.gep(self.a, [builder.mul(builder.add(row, ir.Constant(_INT, r)), self.a_row)])
            for r in range(height)
        ]
        initial = [self._bias(start, mask) for start, mask in zip(starts, masks, strict=True)]
        before = builder.block
        loop, after = builder.append_basic_block("k"), builder.append_basic_block("k_end")
        builder.cbranch(builder.icmp_signed(">", self.inner, self.zero), loop, after)
        builder.position_at_end(loop)
        k = builder.phi(_INT)
        k.add_incoming(self.zero, before)
        sums = []
        for _ in range(height):
            for value in initial:
                phi = builder.phi(self.vector)
                phi.add_incoming(value, before)
                sums.append(phi)
        b_row = builder.mul(k, self.b_row)
        vectors = [
            self._load(builder.gep(self.b, [builder.add(b_row, start)]), mask)
            for start, mask in zip(starts, masks, strict=True)
        ]
        step = builder.mul(k, self.a_column)
        fused = []
        for r in range(height):
            factor = self._splat(builder.load(builder.gep(a_rows[r], [step])), self.vector)
            for v, vector in enumerate(vectors):
                fused.append(self._fma(factor, vector, sums[r * len(masks) + v]))
        following = builder.add(k, ir.Constant(_INT, 1))
        k.add_incoming(following, loop)
        for phi, value in zip(sums, fused, strict=True):
            phi.add_incoming(value, loop)
        builder.cbranch(builder.icmp_signed("<", following, self.inner), loop, after)
        builder.position_at_end(after)
        results = []
        for r in range(height):
            for v, value in enumerate(initial):
                result = builder.phi(self.vector)
                result.add_incoming(value, before)
                result.add_incoming(fused[r * len(masks) + v], loop)
                results.append(result)
        with builder.if_else(self.add) as (adding, replacing):
            with adding:
                self._store(row, results, starts, masks, add=True)
            with replacing:
                self._store(row, results, starts, masks, add=False)

    def _store(self, row: Any, results: list[Any], starts: list[Any], masks: list[Any], *, add: bool) -> None:
        """Write the sums of a block to C. Old values are read only to be added to: reading beside a masked store stalls."""
        builder = self.builder
        for i, result in enumerate(results):
            r, v = divmod(i, len(masks))
            c_row = builder.mul(builder.add(row, ir.Constant(_INT, r)), self.c_row)
            place = builder.gep(self.c, [builder.add(c_row, starts[v])])
            value = builder.fadd(result, self._load(place, masks[v])) if add else result
            self._masked_store(value, place, masks[v])

    def _start(self, first: Any, v: int) -> Any:
        return self.builder.add(first, ir.Constant(_INT, v * self.lanes))

    def _bias(self, start: Any, mask: Any) -> Any:
        """Return what sums begin with: the bias, or zeros where there is none."""
        builder = self.builder
        zeros = ir.Constant(self.vector, [0.0] * self.lanes)
        absent = builder.icmp_unsigned("==", builder.ptrtoint(self.bias, _INT), self.zero)
        none = ir.Constant(self.mask_type, [0] * self.lanes)
        mask = builder.select(absent, none, mask)
        return self._load(builder.gep(self.bias, [start]), mask, zeros)

    def _load(self, pointer: Any, mask: Any, otherwise: Any = None) -> Any:
        otherwise = ir.Constant(self.vector, [0.0] * self.lanes) if otherwise is None else otherwise
        kind = ir.FunctionType(self.vector, [self.vector.as_pointer(), ir.IntType(32), self.mask_type, self.vector])
        name = f"llvm.masked.load.{self._suffix}.p0"
        load = cgutils.get_or_insert_function(self.module, kind, name)
        cast = self.builder.bitcast(pointer, self.vector.as_pointer())
        return self.builder.call(load, [cast, self._alignment, mask, otherwise])

    def _masked_store(self, value: Any, pointer: Any, mask: Any) -> None:
        builder = self.builder
        kind = ir.FunctionType(
            ir.VoidType(), [self.vector, self.vector.as_pointer(), ir.IntType(32), self.mask_type]
        )
        store = cgutils.get_or_insert_function(self.module, kind, f"llvm.masked.store.{self._suffix}.p0")
        builder.call(store, [value, builder.bitcast(pointer, self.vector.as_pointer()), self._alignment, mask])

    def _fma(self, a: Any, b: Any, c: Any) -> Any:
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        fma = cgutils.get_or_insert_function(self.module, kind, f"llvm.fma.{self._suffix}")
        return self.builder.call(fma, [a, b, c])

    @property
    def _suffix(self) -> str:
        return f"v{self.lanes}f{32 if self.number == ir.FloatType() else 64}"

    @property
    def _alignment(self) -> Any:
        return ir.Constant(ir.IntType(32), 4 if self.number == ir.FloatType() else 8)


def _product(module: Any, number: Any) -> Any:
    """Return the LLVM function of one element type in a module, written at its first use."""
    name = f"fastann_small_gemm_f{32 if number == ir.FloatType() else 64}"
    pointer = number.as_pointer()
    kind = ir.FunctionType(
        ir.VoidType(), [_INT, _INT, _INT, pointer, _INT, _INT, pointer, _INT, pointer, _INT, pointer, _BIT]
    )
    function = cgutils.get_or_insert_function(module, kind, name)
    if function.is_declaration:
        function.linkage = "internal"
        function.attributes.add("noinline")
        _Product(function, number, VECTOR_BYTES // (4 if number == ir.FloatType() else 8)).write()
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
