"""Model functions in native code, called from Python one by one: what a VMM does at each exit."""

import ctypes
import hashlib
import inspect
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rvemu.engine import jit
from rvemu.engine.compiler.builder import Builder
from rvemu.engine.compiler.program import Program
from rvemu.engine.compiler.signature import signature
from rvemu.engine.compiler.values import CompileError, Object, Static, Value, Word, constant
from rvemu.engine.native.cache import cached
from rvemu.engine.native.calls import call_native
from rvemu.engine.native.library import source_digest
from rvemu.lang import Range


def _call_native(b: Builder, arguments: list[Value]) -> None:
    function, structure, number = arguments
    if isinstance(number, Static):
        number = constant(number.value)
    if not isinstance(function, Word) or not isinstance(number, Word):
        raise CompileError("call_native wants numbers around its structure")
    if not isinstance(structure, Object):
        raise CompileError("call_native passes a structure")
    pointer = b.value(f"inttoptr i64 {function.text} to ptr")
    b.emit(f"call void {pointer}(ptr {structure.pointer}, i64 {number.text})")


def _module(functions: Sequence[Callable[..., Any]]) -> str:
    """The functions, each exported, and what they call."""
    program = Program(extra_intrinsics={call_native: _call_native})
    for function in functions:
        compiled = program.function(function)
        assert not compiled.raises, f"{function.__name__} raises, and its caller is Python"
        declared = ", ".join(
            f"{'i64' if isinstance(p.kind, Range) else 'ptr'} %{p.name}"
            for p in signature(function).parameters
        )
        result = compiled.return_type
        returned = "ret void" if result == "void" else f"ret {result} %result"
        assigned = "" if result == "void" else "%result = "
        program.add(
            f"define {result} @rvemu_{function.__name__}({declared}) nounwind {{\n"
            f"  {assigned}call {result} @{compiled.name}({declared})\n  {returned}\n}}"
        )
    return program.text()


def _prototype(function: Callable[..., Any], long: bool) -> Any:
    """The C type of a function. The interpreter's lock is kept, unless it is long."""
    sig = signature(function)
    results = [ctypes.c_int64 if r.low < 0 else ctypes.c_uint64 for r in sig.results]
    parameters = [
        ctypes.c_uint64 if isinstance(p.kind, Range) else ctypes.c_void_p for p in sig.parameters
    ]
    kind = ctypes.CFUNCTYPE if long else ctypes.PYFUNCTYPE
    return kind(results[0] if results else None, *parameters)


class Functions:
    """Some model functions, compiled. They have one result at most, no static parameters, and raise
    nothing. long: those that take long; other threads run meanwhile. Raises where LLVM has no code
    for the host."""

    def __init__(
        self, functions: Sequence[Callable[..., Any]], long: Collection[Callable[..., Any]] = ()
    ) -> None:
        digest = hashlib.sha256(source_digest().encode())
        # What they call, and their constants, are in the same folders, or the model's.
        for folder in sorted({Path(inspect.getfile(f)).parent for f in functions}):
            for path in sorted(folder.glob("*.py")):
                digest.update(path.read_bytes())
        names = " ".join(f"{f.__module__}.{f.__name__}" for f in functions)
        key = f"{names} {digest.hexdigest()} {jit.host_description()}"
        self._library = jit.Library(cached(key, lambda: jit.compile_module(_module(functions))))
        self._pointers = {
            f: _prototype(f, f in long)(self._library.address(f"rvemu_{f.__name__}"))
            for f in functions
        }

    def bind(
        self, function: Callable[..., Any], *structures: ctypes.Structure
    ) -> Callable[..., Any]:
        """One of the functions, with its first arguments given."""
        bound = partial(self._pointers[function], *map(ctypes.addressof, structures))
        bound.__dict__["keeps"] = self, structures  # whose memory it uses
        return bound
