"""Calling the compiled interpreter without Numba's dispatcher, which looks at the type of every argument.

That costs ten microseconds, many times a prediction of a tiny network. Here all arguments are written once, as the
machine words that Numba passes for them, into a table; a call hands over its address. A few instructions of our own
load the words and jump.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numpy.typing import NDArray

_WORD = ir.IntType(64)
_POINTER = _WORD.as_pointer()


def words(arguments: Sequence[Any]) -> list[int]:
    """Return arguments as machine words: integers themselves, arrays as (owner, parent, size, item size, address,
    shape, strides), both owners absent, tuples as what they hold."""
    found: list[int] = []
    for argument in arguments:
        if isinstance(argument, np.ndarray):
            found += [0, 0, argument.size, argument.itemsize, argument.ctypes.data, *argument.shape, *argument.strides]
        elif isinstance(argument, tuple):
            found += words(argument)
        else:
            found.append(int(argument))
    return found


class DirectCall:
    """A compiled function with arguments that stay where they are; calling it runs it.

    Args:
        dispatcher: the jitted function.
        signature: the types of a version that is compiled.
        arguments: integers, contiguous arrays and tuples of them; they are kept alive, and read at each call.

    Raises:
        ValueError: that version takes other arguments.
    """

    def __init__(self, dispatcher: Any, signature: Any, arguments: Sequence[Any]) -> None:
        compiled = dispatcher.overloads[tuple(signature)]
        table = words(arguments)
        expected = len(compiled.target_context.get_arg_packer(compiled.fndesc.argtypes).argument_types)
        if expected != len(table):
            raise ValueError(f"expected {expected} machine words, got {len(table)}.")
        address = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
        self._kept = arguments
        self._table: NDArray[np.int64] = np.array(table, np.int64)
        self._jump = _jump(address, len(table))
        self._address = ctypes.c_void_p(self._table.ctypes.data)

    def __call__(self) -> None:
        """Run; the GIL is released."""
        self._jump(self._address)


@lru_cache(maxsize=8)
def _jump(address: int, count: int) -> Callable[[ctypes.c_void_p], None]:
    """Return a function that calls the one at `address` with `count` words of a table.

    Numba's functions take where to write the result, where to write an exception, then the arguments.
    """
    module = ir.Module("fastann_direct")
    module.triple = llvm.get_process_triple()
    function = ir.Function(module, ir.FunctionType(ir.VoidType(), [_POINTER]), "jump")
    builder = ir.IRBuilder(function.append_basic_block())
    (table,) = function.args
    result, error = builder.alloca(_WORD), builder.alloca(_WORD)
    kind = ir.FunctionType(ir.IntType(32), [_POINTER, _POINTER] + [_WORD] * count)
    target = builder.inttoptr(ir.Constant(_WORD, address), kind.as_pointer())
    loaded = [builder.load(builder.gep(table, [ir.Constant(_WORD, i)])) for i in range(count)]
    builder.call(target, [result, error, *loaded])
    builder.ret_void()
    machine = llvm.Target.from_triple(module.triple).create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(str(module)), machine)
    engine.finalize_object()
    _ENGINES.append(engine)
    return ctypes.CFUNCTYPE(None, ctypes.c_void_p)(engine.get_function_address("jump"))


#: Own the machine code of `_jump`.
_ENGINES: list[Any] = []
