"""What all parts of the function compiler share."""

import ast
import builtins
from typing import Any

from rvemu.engine.compiler.builder import Builder
from rvemu.engine.compiler.frames import FastPath, Frame, Variable
from rvemu.engine.compiler.program import Program, is_wide
from rvemu.engine.compiler.values import CompileError, Static, Value, Word, Words, constant
from rvemu.lang import Range


class Core:
    """State of the compilation of one LLVM function. Its methods are in layers, one class each:
    `StaticParts`, `Fields`, `Expressions`, `Calls`, `Compiler`."""

    def __init__(
        self,
        program: Program,
        widths: dict[Any, Range],
        fast: FastPath | None = None,
    ) -> None:
        self.program = program
        self.widths = widths  # ranges of variables, as far as earlier attempts found out
        self.b = Builder()
        self.fast = fast
        self.raises = False
        self.raise_label = "raised"
        self.frames: list[Frame] = []
        self.written = False  # fast path: whether state may have been changed already

    @property
    def frame(self) -> Frame:
        return self.frames[-1]

    def expression(self, node: ast.expr) -> Value:
        """Emit an expression; its value."""
        raise NotImplementedError(node)

    def word(self, value: Value) -> Word:
        """A value as a run-time integer."""
        if isinstance(value, Word):
            return value
        if isinstance(value, Static) and isinstance(value.value, int):
            number = int(value.value)
            return constant(number, wide=is_wide(Range(number, number)) and number >> 64 != 0)
        if isinstance(value, Words) and len(value.items) == 1:
            return value.items[0]
        raise CompileError(f"an integer is expected, not {value}")

    def _name(self, name: str) -> Value:
        found = self.frame.locals.get(name)
        if isinstance(found, Variable):
            kind = "i128" if found.wide else "i64"
            return Word(self.b.value(f"load {kind}, ptr {found.slot}"), found.range, found.wide)
        if found is not None:
            return found
        namespace = self.frame.function.__globals__
        if name in namespace:
            return Static(namespace[name])
        if hasattr(builtins, name):
            return Static(getattr(builtins, name))
        raise CompileError(f"{name} is not defined here")

    def _bail(self) -> None:
        assert self.fast
        if self.written and self.b.open:
            raise CompileError("something is written before the last place that may bail out")
        self.b.jump(self.fast.bail_label)
