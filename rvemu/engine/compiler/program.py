"""A set of model functions as one LLVM module."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from rvemu.engine.compiler import intrinsics
from rvemu.engine.compiler.builder import METADATA, mangle
from rvemu.engine.compiler.signature import Signature
from rvemu.engine.compiler.values import CompileError, contains
from rvemu.lang import Range


@cache
def parse(function: Callable[..., Any]) -> ast.FunctionDef:
    """The syntax tree of a function, with line numbers of its file."""
    lines, start = inspect.getsourcelines(function)
    tree = ast.parse(textwrap.dedent("".join(lines)))
    ast.increment_lineno(tree, start - 1)
    definition = tree.body[0]
    if not isinstance(definition, ast.FunctionDef):
        raise CompileError(f"{function}: not a plain function")
    return definition


def is_wide(values: Range) -> bool:
    """Whether a declared range takes 128 bits."""
    return not (
        contains(Range(0, (1 << 64) - 1), values)
        or contains(Range(-(1 << 63), (1 << 63) - 1), values)
    )


@dataclass(frozen=True)
class Compiled:
    """A function in the module: its LLVM name, and whether it may raise."""

    name: str
    signature: Signature
    raises: bool

    @property
    def result_types(self) -> list[str]:
        types = ["i128" if is_wide(r) else "i64" for r in self.signature.results]
        return types + (["i1"] if self.raises else [])

    @property
    def return_type(self) -> str:
        """Nothing, one value, or a structure; whether it raised comes last."""
        types = self.result_types
        if not types:
            return "void"
        return types[0] if len(types) == 1 else "{ " + ", ".join(types) + " }"


@dataclass
class Program:
    """Functions are compiled when first called for, with what they call before them."""

    _functions: dict[Any, Compiled] = field(default_factory=dict)
    _texts: list[str] = field(default_factory=list)
    _tables: dict[tuple[int, ...], tuple[str, int, Range]] = field(default_factory=dict)
    _names: set[str] = field(default_factory=set)
    _active: list[str] = field(default_factory=list)
    extra_intrinsics: dict[Any, intrinsics.Emit] = field(default_factory=dict)

    def intrinsic(self, function: Any) -> intrinsics.Emit | None:
        """How a function of the language is emitted; None for other functions."""
        try:
            return intrinsics.TABLE.get(function) or self.extra_intrinsics.get(function)
        except TypeError:  # unhashable
            return None

    def reserve(self, *names: str) -> None:
        """Keep global names for definitions that are `add`ed."""
        self._names.update(names)

    def unique(self, name: str) -> str:
        """A global name not used before."""
        name = mangle(name)
        candidate, n = name, 1
        while candidate in self._names:
            n += 1
            candidate = f"{name}.{n}"
        self._names.add(candidate)
        return candidate

    def function(self, function: Callable[..., Any], statics: tuple[Any, ...] = ()) -> Compiled:
        """A function's copy for the given static arguments."""
        from rvemu.engine.compiler.function import compile_function

        key = (function, statics)
        if key not in self._functions:
            where = f"{function.__module__}.{function.__qualname__}"
            if self._active.count(where) > 8:  # copies for static arguments may nest a little
                raise CompileError(f"recursion: {' -> '.join(self._active)}")
            self._active.append(where)
            name = self.unique(function.__name__)
            self._functions[key], text = compile_function(self, function, statics, name)
            self._active.pop()
            self._texts.append(text)
        return self._functions[key]

    def table(self, values: Sequence[int]) -> tuple[str, int, Range]:
        """A constant table: its name, bits per element, and the range of its values."""
        key = tuple(int(v) for v in values)
        if key not in self._tables:
            values_range = Range(min(key), max(key))
            bits = next(
                (n for n in (8, 16, 32) if values_range.low >= 0 and values_range.high < 1 << n), 64
            )
            name = self.unique("table")
            items = ", ".join(f"i{bits} {v}" for v in key)
            self._texts.append(
                f"@{name} = internal unnamed_addr constant [{len(key)} x i{bits}] [{items}]"
            )
            self._tables[key] = (name, bits, values_range)
        return self._tables[key]

    def add(self, text: str) -> None:
        """Add a definition in LLVM IR."""
        self._texts.append(text)

    def text(self) -> str:
        """The module."""
        return "\n\n".join([intrinsics.DECLARATIONS, *self._texts, METADATA])
