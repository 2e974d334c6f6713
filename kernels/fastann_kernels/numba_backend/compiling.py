"""What every kernel is decorated with, and the way from a decorated function to machine code.

Decorating needs no Numba: it is imported, and functions are compiled, when there is no machine code on disk yet (see
`machine_code`). Importing Numba and starting it would be most of the time of a first call.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, cached_property
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir

from fastann_kernels.numba_backend.early import import_numba
from fastann_kernels.numba_backend.machine_code import Code

# error_model="numpy": a float division that may raise blocks vectorisation. fastmath: only what lets sums be split
# over SIMD lanes and multiply-adds be fused; "nnan" and "ninf" would delete the checks for divergence. Wrappers for
# Python and C would take half of the compile time.
_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"contract", "reassoc", "nsz", "arcp"},
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}

# Without reference counts: a slice costs nothing then, where it would cost two atomic additions, and there is a third
# less to compile (a step of 30-16-8-1 at batch 32 took 7.4 microseconds with them, 4.5 without).
_LEAN: dict[str, Any] = {**_OPTIONS, "_nrt": False}


class Part:
    """A module of Numba that is imported when one of its names is used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        import_numba()
        return getattr(importlib.import_module(self._name), name)


numba, types = Part("numba"), Part("numba.core.types")
cgutils, arrayobj = Part("numba.core.cgutils"), Part("numba.np.arrayobj")
_extending, _registry = Part("numba.extending"), Part("numba.core.registry")
_codegen, _compiler_lock = Part("numba.core.codegen"), Part("numba.core.compiler_lock")


class Kernel:
    """A function that is compiled with those that call it.

    Numba asks every global name that a function uses for `_numba_type_`; only then does it hear of a kernel.
    """

    def __init__(self, function: Callable[..., Any], options: dict[str, Any]) -> None:
        self.__name__, self.__doc__ = function.__name__, function.__doc__
        self._function, self._options = function, options

    @property
    def parameters(self) -> int:
        """How many the function has."""
        return self._function.__code__.co_argcount

    @cached_property
    def dispatcher(self) -> Any:
        """The function as Numba knows it."""
        _register_overloads()
        return numba.njit(**self._options)(self._function)

    @property
    def _numba_type_(self) -> Any:
        return self.dispatcher._numba_type_


class Intrinsic:
    """A function that is written in LLVM's language where it is called, see `numba.extending.intrinsic`."""

    def __init__(self, write: Callable[..., Any]) -> None:
        self.__name__, self.__doc__ = write.__name__, write.__doc__
        self._write = write

    @cached_property
    def _numba_type_(self) -> Any:
        context = _registry.cpu_target.typing_context
        made = _extending.intrinsic(self._write)
        context.refresh()
        return context.resolve_value_type(made)


def lean(function: Callable[..., Any]) -> Any:
    """Compile a kernel of the epoch loop: it allocates nothing, returns no array and assigns to no slice as a whole."""
    return Kernel(function, _LEAN)


def kernel(function: Callable[..., Any]) -> Any:
    """Compile a kernel that may return slices; for instructions that are compiled on their own, see `calls`."""
    return Kernel(function, _OPTIONS)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a scalar formula that must end up inside the loop that calls it."""
    return Kernel(function, {**_LEAN, "forceinline": True})


def intrinsic(write: Callable[..., Any]) -> Any:
    """Make a function that is called in kernels of one that writes it: `write` returns its signature and the writer."""
    return Intrinsic(write)


#: What `overload` was given and Numba has not heard of.
_OVERLOADS: list[tuple[Callable[..., Any], dict[str, Any], Callable[..., Any]]] = []


def overload(function: Callable[..., Any], **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Say what kernels call in the place of a Python function, see `numba.extending.overload`."""

    def keep(choose: Callable[..., Any]) -> Callable[..., Any]:
        _OVERLOADS.append((function, options, choose))
        return choose

    return keep


def _register_overloads() -> None:
    while _OVERLOADS:
        function, options, choose = _OVERLOADS.pop()
        _extending.overload(function, **options)(choose)


def compiled(function: Any, arguments: tuple[Any, ...], by_address: bool = False) -> Code:
    """Compile a kernel for arguments of these types.

    The code is called as Numba calls it: int32 f(result*, error**, arguments ...), where anything but 0 is an error.
    With `by_address`, for a kernel that takes a pointer and returns an integer, it is int32 f(place*): the result goes
    to the first word there, the second is for an error, and the pointer is to the third.
    """
    dispatcher = function.dispatcher
    with _unloaded() as codegen:
        dispatcher.compile(arguments)
        made = dispatcher.overloads[arguments]
        made.library.optimize_all()
        module, symbol = made.library._final_module, made.fndesc.llvm_func_name
        if by_address:
            module.link_in(llvm.parse_assembly(str(_jump(codegen, symbol))))
            symbol = "fastann_jump"
        data = codegen._tm.emit_object(module)
    named = [*module.functions, *module.global_variables]
    externals = [item.name for item in named if item.is_declaration and not item.name.startswith("llvm.")]
    return Code(symbol, tuple(sorted(externals)), data)


def _jump(codegen: Any, symbol: str) -> Any:
    """Return a module with a function of one argument, which Python calls faster than one of three."""
    module, word = codegen._create_empty_module("jump"), ir.IntType(64)
    place, number = word.as_pointer(), ir.IntType(32)
    target = ir.Function(module, ir.FunctionType(number, [place, place, place]), symbol)
    jump = ir.Function(module, ir.FunctionType(number, [place]), "fastann_jump")
    builder = ir.IRBuilder(jump.append_basic_block())
    result, error, rest = (builder.gep(jump.args[0], [word(i)]) for i in range(3))
    builder.ret(builder.call(target, [result, error, rest]))
    return module


@contextmanager
def _unloaded() -> Iterator[Any]:
    """Let Numba compile functions no further than to LLVM's language, and yield what makes machine code of it.

    Otherwise it makes and loads machine code of every function, most of which end up inside others: a quarter of the
    time. It would also optimise again, with each function, all that it calls: a third of the rest.
    """
    context = _registry.cpu_target.target_context
    context.refresh()  # Numba's own functions that are called are to be loaded
    codegen = context.codegen()
    with _compiler_lock.global_compiler_lock:
        codegen._library_class, codegen.set_env = _library_class(), lambda *_: None
        try:
            yield codegen
        finally:
            del codegen._library_class, codegen.set_env


@cache
def _library_class() -> Any:
    class Library(_codegen.JITCodeLibrary):  # type: ignore[misc, name-defined]
        deferred = False

        def _optimize_final_module(self) -> None:
            # loops are small functions, or call such: those are optimised on their own, and then inside the outermost
            self.deferred = any(called._linking_libraries for called in self._linking_libraries)
            if not self.deferred:
                super()._optimize_final_module()

        def optimize_all(self) -> None:
            """Optimise the outermost function with all that it calls."""
            if self.deferred:
                super()._optimize_final_module()

        def _finalize_final_module(self) -> None:
            self._finalize_dynamic_globals()
            self._verify_declare_only_symbols()
            self._finalized = True

    return Library
