"""Vector instructions written by hand, where the loops that LLVM makes of Python lose: what `products` is written with,
and `column_sums` and `gather_rows`, which treat rows as whole vectors.
"""

from __future__ import annotations

from typing import Any

import llvmlite.binding
from llvmlite import ir

from fastann_kernels.numba_backend.compiling import cgutils, intrinsic, types

INT = ir.IntType(64)
SHORT = ir.IntType(32)
BIT = ir.IntType(1)


def _vector_bytes() -> int:
    """Return the width of the processor's vectors; code for other widths would run too, only slower."""
    features = llvmlite.binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 64
    return 32 if features.get("avx") else 16


VECTOR_BYTES = _vector_bytes()

#: Registers for vectors: 16 in x86 before AVX-512, 32 there and in ARM's NEON.
REGISTERS = 16 if VECTOR_BYTES < 64 and llvmlite.binding.get_process_triple().startswith(("x86", "i")) else 32


class Writer:
    """Writes the body of an LLVM function with vectors of `lanes` numbers."""

    def __init__(self, function: Any, number: Any) -> None:
        self.number = number
        self.size = 4 if number == ir.FloatType() else 8
        self.lanes = VECTOR_BYTES // self.size
        self.vector = ir.VectorType(number, self.lanes)
        self.mask_type = ir.VectorType(BIT, self.lanes)
        self.module = function.module
        self.builder = ir.IRBuilder(function.append_basic_block("entry"))
        self.zeros = ir.Constant(self.vector, [0.0] * self.lanes)
        self.full = ir.Constant(self.mask_type, [1] * self.lanes)
        self.none = ir.Constant(self.mask_type, [0] * self.lanes)

    def mask(self, count: Any) -> Any:
        """Return a mask of the first `count` lanes."""
        integers = ir.VectorType(INT, self.lanes)
        index = ir.Constant(integers, list(range(self.lanes)))
        return self.builder.icmp_signed("<", index, self.splat(count, integers))

    def splat(self, value: Any, kind: Any) -> Any:
        """Return a vector with `value` in every lane."""
        undefined = ir.Constant(kind, ir.Undefined)
        single = self.builder.insert_element(undefined, value, ir.Constant(SHORT, 0))
        return self.builder.shuffle_vector(
            single, undefined, ir.Constant(ir.VectorType(SHORT, self.lanes), [0] * self.lanes)
        )

    def load(self, start: Any, offset: Any, mask: Any) -> Any:
        """Return start[offset : offset + lanes], 0 where the mask is."""
        kind = ir.FunctionType(self.vector, [self.vector.as_pointer(), SHORT, self.mask_type, self.vector])
        load = cgutils.get_or_insert_function(self.module, kind, f"llvm.masked.load.{self._suffix}.p0")
        return self.builder.call(load, [self._place(start, offset), self._alignment, mask, self.zeros])

    def store(self, value: Any, start: Any, offset: Any, mask: Any) -> None:
        """start[offset : offset + lanes] = value, where the mask allows."""
        kind = ir.FunctionType(ir.VoidType(), [self.vector, self.vector.as_pointer(), SHORT, self.mask_type])
        store = cgutils.get_or_insert_function(self.module, kind, f"llvm.masked.store.{self._suffix}.p0")
        self.builder.call(store, [value, self._place(start, offset), self._alignment, mask])

    def store_some(self, value: Any, start: Any, offset: Any, count: Any, mask: Any) -> None:
        """start[offset : offset + count] = value; `mask` is that of so many lanes, `count` less than all."""
        if VECTOR_BYTES == 64:
            self.store(value, start, offset, mask)
            return
        # without registers for masks a masked store takes as long as tens of others: half a vector if the count has
        # that bit, half of what follows, and so on
        builder, place, half = self.builder, self.builder.gep(start, [offset]), self.lanes // 2
        while half:
            lower, upper = (self._lanes(value, range(first, first + half)) for first in (0, half))
            wanted = builder.icmp_signed("!=", builder.and_(count, self.constant(half)), self.constant(0))
            with builder.if_then(wanted):
                builder.store(lower, builder.bitcast(place, lower.type.as_pointer()), align=self.size)
            value = builder.select(wanted, upper, lower)
            place = builder.select(wanted, builder.gep(place, [self.constant(half)]), place)
            half //= 2

    def _lanes(self, value: Any, chosen: range) -> Any:
        """Return a shorter vector of the chosen lanes."""
        kind = ir.VectorType(SHORT, len(chosen))
        undefined = ir.Constant(value.type, ir.Undefined)
        return self.builder.shuffle_vector(value, undefined, ir.Constant(kind, list(chosen)))

    def prefetch(self, start: Any, offset: Any) -> None:
        """Have the cache line of start[offset] fetched; it need not exist."""
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, SHORT, SHORT, SHORT])
        fetch = cgutils.get_or_insert_function(self.module, kind, "llvm.prefetch.p0")
        address = self.builder.bitcast(self.builder.gep(start, [offset]), byte)
        self.builder.call(fetch, [address, *(ir.Constant(SHORT, n) for n in (0, 3, 1))])

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """Return a b + c."""
        kind = ir.FunctionType(self.vector, [self.vector] * 3)
        return self.builder.call(
            cgutils.get_or_insert_function(self.module, kind, f"llvm.fma.{self._suffix}"), [a, b, c]
        )

    def opaque(self, value: Any) -> Any:
        """Return a value of which LLVM does not know how it came about."""
        return self.builder.asm(ir.FunctionType(value.type, [value.type]), "", "=r,0", [value], False)

    def constant(self, value: int) -> Any:
        """Return a 64-bit integer."""
        return ir.Constant(INT, value)

    def _place(self, start: Any, offset: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(start, [offset]), self.vector.as_pointer())

    @property
    def _suffix(self) -> str:
        return f"v{self.lanes}f{8 * self.size}"

    @property
    def _alignment(self) -> Any:
        return ir.Constant(SHORT, self.size)


class _Sums(Writer):
    """out[j] = sum over rows of x[:, j] (+ out[j]); takes rows, columns, x, out, add."""

    #: Rows that are added to sums of their own, so that no addition waits for the one before.
    _LANES = 4

    def write(self, rows: Any, columns: Any, x: Any, out: Any, add: Any) -> None:
        """Write a loop over vectors of columns with one over rows in it; the last vector may be masked."""
        builder, step = self.builder, self.constant(self.lanes)
        with cgutils.for_range_slice(builder, self.constant(0), columns, step, INT) as (first, _):
            left = builder.sub(columns, first)
            with builder.if_else(builder.icmp_signed(">=", left, step)) as (whole, partial):
                with whole:
                    self._vector(first, self.full, rows, columns, x, out, add)
                with partial:
                    self._vector(first, self.mask(left), rows, columns, x, out, add)
        builder.ret_void()

    def _vector(self, first: Any, mask: Any, rows: Any, columns: Any, x: Any, out: Any, add: Any) -> None:
        """Write the sums of a vector of columns."""
        builder = self.builder
        in_turns = builder.mul(builder.sdiv(rows, self.constant(self._LANES)), self.constant(self._LANES))
        sums = [cgutils.alloca_once_value(builder, self.zeros) for _ in range(self._LANES)]
        for place in sums:
            builder.store(self.zeros, place)
        for start, stop, height in ((self.constant(0), in_turns, self._LANES), (in_turns, rows, 1)):
            with cgutils.for_range_slice(builder, start, stop, self.constant(height), INT) as (row, _):
                for r in range(height):
                    offset = builder.add(builder.mul(builder.add(row, self.constant(r)), columns), first)
                    total = builder.fadd(builder.load(sums[r]), self.load(x, offset, mask))
                    builder.store(total, sums[r])
        a, b, c, d = (builder.load(place) for place in sums)
        old = self.load(out, first, builder.select(add, mask, self.none))
        self.store(builder.fadd(old, builder.fadd(builder.fadd(a, b), builder.fadd(c, d))), out, first, mask)


class _Gather(Writer):
    """out[r] = x[order[r]]; takes rows, width, columns, x, order, visited, ahead, out."""

    def write(
        self, rows: Any, width: Any, columns: Any, x: Any, order: Any, visited: Any, ahead: Any, out: Any
    ) -> None:
        """Write a loop over rows; both ends of a later row are fetched while one is copied."""
        builder = self.builder
        last_row = builder.sub(visited, self.constant(1))
        lanes = self.constant(self.lanes)
        last = builder.sub(width, lanes)
        wide = builder.icmp_signed(">=", last, self.constant(0))
        line = self.constant(64 // self.size)
        ends = [self.constant(0), line, builder.sub(width, self.constant(1))]
        with cgutils.for_range_slice(builder, self.constant(0), rows, self.constant(1), INT) as (row, _):
            later = builder.add(row, ahead)
            later = builder.select(builder.icmp_signed("<", later, last_row), later, last_row)
            begin = builder.mul(builder.load(builder.gep(order, [later])), columns)
            for end in ends:
                self.prefetch(x, builder.add(begin, end))
            source = builder.mul(builder.load(builder.gep(order, [row])), columns)
            target = builder.mul(row, width)

            def copy(first: Any, source: Any = source, target: Any = target) -> None:
                value = self.load(x, builder.add(source, first), self.full)
                self.store(value, out, builder.add(target, first), self.full)

            with builder.if_else(wide) as (vectors, numbers):
                with vectors:
                    with cgutils.for_range_slice(builder, self.constant(0), last, lanes, INT) as (first, _):
                        copy(first)
                    copy(last)  # some numbers of which may have been copied
                one = self.constant(1)
                with numbers, cgutils.for_range_slice(builder, self.constant(0), width, one, INT) as (j, _):
                    value = builder.load(builder.gep(x, [builder.add(source, j)]))
                    builder.store(value, builder.gep(out, [builder.add(target, j)]))
        builder.ret_void()


def function_of(module: Any, name: str, number: Any, arguments: list[Any]) -> tuple[Any, bool]:
    """Return a function of a module that is private to it, and whether its body is still to be written."""
    name = f"fastann_{name}_f{32 if number == ir.FloatType() else 64}"
    function = cgutils.get_or_insert_function(module, ir.FunctionType(ir.VoidType(), arguments), name)
    new = bool(function.is_declaration)
    if new:
        function.linkage = "internal"
        function.attributes.add("noinline")
    return function, new


@intrinsic
def column_sums(typingctx, rows, columns, x, out, add):
    """out[j] = sum over rows of x, a (rows, columns) matrix, added to what is there if `add`."""

    def codegen(context, builder, signature, args):
        number = context.get_data_type(signature.args[2].dtype)
        pointer = number.as_pointer()
        function, new = function_of(builder.module, "column_sums", number, [INT, INT, pointer, pointer, BIT])
        if new:
            _Sums(function, number).write(*function.args)
        data = [context.make_array(signature.args[i])(context, builder, args[i]).data for i in (2, 3)]
        builder.call(function, [*args[:2], *data, builder.trunc(args[4], BIT)])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, x, out, types.boolean), codegen


@intrinsic
def gather_rows(typingctx, rows, width, columns, x, order, ahead, out):
    """out[r] = x[order[r]][:width] for r < rows; x has rows of `columns`, out of `width` elements.

    Row order[r + ahead] is fetched into the cache when row r is copied, where the order goes on that far.
    """

    def codegen(context, builder, signature, args):
        number = context.get_data_type(signature.args[3].dtype)
        pointer = number.as_pointer()
        function, new = function_of(
            builder.module, "gather_rows", number, [INT, INT, INT, pointer, INT.as_pointer(), INT, INT, pointer]
        )
        if new:
            _Gather(function, number).write(*function.args)
        x, order, out = (context.make_array(signature.args[i])(context, builder, args[i]) for i in (3, 4, 6))
        visited = cgutils.unpack_tuple(builder, order.shape, 1)[0]
        builder.call(function, [*args[:3], x.data, order.data, visited, args[5], out.data])
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp, x, order, types.intp, out), codegen
