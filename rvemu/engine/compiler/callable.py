"""Compiled model functions that Python can call, as if they were the functions they came from.

The engine does not need this: it calls nothing but its interpreter. Tests do, and who tries out a
model function.

    [half] = compile_functions([(halve, ())])
    assert half(7) == halve(7)
"""

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

from rvemu.engine import jit
from rvemu.engine.compiler.program import Compiled, Program, is_wide
from rvemu.engine.compiler.signature import STATIC
from rvemu.lang import M64, TRAP, Range

# Arguments and results are passed in memory, each in two words.
_WORDS = 2


class NativeFunction:
    """A compiled function. Takes the arguments that are not static; raises TRAP where the function
    raises a Trap (or a Stop)."""

    def __init__(self, library: jit.Library, name: str, compiled: Compiled) -> None:
        self._library = library  # its code must outlive this
        self._call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(library.address(name))
        self._kinds = [p.kind for p in compiled.signature.parameters if p.kind != STATIC]
        self._results = compiled.signature.results
        self._raises = compiled.raises
        self._passed = (ctypes.c_uint64 * (_WORDS * max(1, len(self._kinds))))()
        self._returned = (ctypes.c_uint64 * (_WORDS * (len(self._results) + 1)))()

    def __call__(self, *arguments: Any) -> Any:
        for n, (value, kind) in enumerate(zip(arguments, self._kinds, strict=True)):
            if isinstance(kind, Range):
                assert kind.low <= value <= kind.high, (value, kind)
                self._passed[_WORDS * n] = value & M64
                self._passed[_WORDS * n + 1] = (value >> 64) & M64
            else:
                self._passed[_WORDS * n] = ctypes.addressof(value)
        self._call(ctypes.addressof(self._passed), ctypes.addressof(self._returned))
        if self._raises and self._returned[_WORDS * len(self._results)]:
            raise TRAP
        values = [self._result(n, r) for n, r in enumerate(self._results)]
        if not values:
            return None
        return values[0] if len(values) == 1 else tuple(values)

    def _result(self, n: int, declared: Range) -> int:
        bits = 128 if is_wide(declared) else 64
        value = int(self._returned[_WORDS * n])
        if bits == 128:
            value |= int(self._returned[_WORDS * n + 1]) << 64
        return value - (1 << bits) if declared.low < 0 and value >> (bits - 1) else value


def compile_functions(
    functions: Sequence[tuple[Callable[..., Any], tuple[Any, ...]]],
) -> list[NativeFunction]:
    """Compile functions, each given with the values of its static parameters. Raises CompileError
    where one leaves the subset."""
    program = Program()
    names = [f"call_{n}" for n in range(len(functions))]
    program.reserve(*names)
    compiled = [program.function(function, statics) for function, statics in functions]
    for name, target in zip(names, compiled, strict=True):
        program.add(_wrapper(name, target))
    library = jit.Library(jit.compile_module(program.text()))
    return [
        NativeFunction(library, name, target) for name, target in zip(names, compiled, strict=True)
    ]


def _wrapper(name: str, target: Compiled) -> str:
    """A function that takes where arguments are, and where results go."""
    lines = []
    passed = []
    kinds = [p.kind for p in target.signature.parameters if p.kind != STATIC]
    for n, kind in enumerate(kinds):
        lines.append(f"  %p{n} = getelementptr i64, ptr %arguments, i64 {_WORDS * n}")
        type_ = "ptr"
        if isinstance(kind, Range):
            type_ = "i128" if is_wide(kind) else "i64"
        lines.append(f"  %a{n} = load {type_}, ptr %p{n}, align 8")
        passed.append(f"{type_} %a{n}")
    call = f"call {target.return_type} @{target.name}({', '.join(passed)})"
    types = target.result_types
    lines.append(f"  %whole = {call}" if types else f"  {call}")
    for n, type_ in enumerate(types):
        value = "%whole"
        if len(types) > 1:
            value = f"%r{n}"
            lines.append(f"  {value} = extractvalue {target.return_type} %whole, {n}")
        if type_ == "i1":
            lines.append(f"  %w{n} = zext i1 {value} to i64")
            type_, value = "i64", f"%w{n}"
        lines.append(f"  %q{n} = getelementptr i64, ptr %results, i64 {_WORDS * n}")
        lines.append(f"  store {type_} {value}, ptr %q{n}, align 8")
    return "\n".join(
        [
            f"define void @{name}(ptr %arguments, ptr %results) nounwind {{",
            *lines,
            "  ret void",
            "}",
        ]
    )
