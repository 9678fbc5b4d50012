"""The hart's fields and arrays, and constant tables."""

import ast
import ctypes
from typing import Any

from rvemu.engine.compiler import arithmetic
from rvemu.engine.compiler.static import StaticParts
from rvemu.engine.compiler.values import (
    Array,
    CompileError,
    Object,
    Static,
    Value,
    Word,
    contains,
    fits,
)
from rvemu.hart.state import Shared
from rvemu.lang import Range

# C types: bits, and whether signed.
_C_TYPES: dict[Any, tuple[int, bool]] = {
    ctypes.c_uint8: (8, False),
    ctypes.c_uint16: (16, False),
    ctypes.c_uint32: (32, False),
    ctypes.c_uint64: (64, False),
    ctypes.c_int32: (32, True),
    ctypes.c_int64: (64, True),
}


def _fields_of(struct: type[ctypes.Structure]) -> dict[str, Any]:
    """The C types of a structure's fields, by name."""
    return {field[0]: field[1] for field in struct._fields_}


class Fields(StaticParts):
    """Reads and writes memory that has a name."""

    def _attribute(self, base: Value, name: str) -> Value:
        if isinstance(base, Static):
            return Static(getattr(base.value, name))
        if not isinstance(base, Object):
            raise CompileError(f"no attribute {name} here")
        if self.fast and name in self.fast.fields:
            return self.fast.fields[name](self.b)
        kinds = _fields_of(base.struct)
        host = kinds.get(f"{name}_host")
        if name not in kinds and f"_{name}" not in kinds and host is not None:
            pointer = self._load(self._pointer(base, f"{name}_host"), host, None)
            return Object(Shared, self.b.value(f"inttoptr i64 {pointer.text} to ptr"))
        stored = name if name in kinds else f"_{name}"
        if stored not in kinds:
            raise CompileError(f"{base.struct.__name__} has no field {name}")
        kind = kinds[stored]
        if issubclass(kind, ctypes.Array):
            offset = getattr(base.struct, stored).offset
            return Array(base, offset, kind._type_, kind._length_)
        ranges = getattr(base.struct, "RANGES", {})
        return self._load(self._pointer(base, stored), kind, ranges.get(name))

    def _pointer(self, base: Object, name: str) -> str:
        offset = getattr(base.struct, name).offset
        return self.b.value(f"getelementptr i8, ptr {base.pointer}, i64 {offset}")

    def _load(self, pointer: str, kind: Any, values: Range | None) -> Word:
        bits, signed = _C_TYPES[kind]
        text = self.b.value(f"load i{bits}, ptr {pointer}")
        if bits < 64:
            text = self.b.value(f"{'sext' if signed else 'zext'} i{bits} {text} to i64")
        if values is None:
            values = Range(-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else None
        return Word(text, values or Range(0, (1 << bits) - 1))

    def _store(self, pointer: str, kind: Any, word: Word) -> None:
        bits, _ = _C_TYPES[kind]
        text = word.text
        if word.type != f"i{bits}":
            text = self.b.value(f"trunc {word.type} {text} to i{bits}")
        self.b.emit(f"store i{bits} {text}, ptr {pointer}")
        self.written = True

    def _store_field(self, base: Value, name: str, word: Word) -> None:
        if not isinstance(base, Object):
            raise CompileError(f"{name} can't be written here")
        if self.fast and name in self.fast.fields:
            if name != "next_pc":
                raise CompileError(f"{name} can't be written on the fast path")
            self.fast.jump(self.b, word)
            self.written = True
            return
        kinds = _fields_of(base.struct)
        if name not in kinds:
            raise CompileError(f"{base.struct.__name__} has no scalar field {name}")
        limit = getattr(base.struct, "RANGES", {}).get(name)
        if limit is not None and not contains(limit, arithmetic.exact(word)):
            raise CompileError(f"the value may not fit {name}, which keeps to {limit}")
        self._store(self._pointer(base, name), kinds[name], word)

    def _element(self, array: Array, index: Value) -> str:
        word = self.word(index)
        r = arithmetic.exact(word)
        if r.low < 0 or r.high >= array.count:
            raise CompileError(
                f"an index in {r.low}..{r.high} of an array of {array.count}: mask it"
            )
        size = ctypes.sizeof(array.element)
        start = self.b.value(f"getelementptr i8, ptr {array.owner.pointer}, i64 {array.offset}")
        return self.b.value(f"getelementptr i{8 * size}, ptr {start}, i64 {word.text}")

    def _subscript(self, base: Value, index_node: ast.expr) -> Value:
        index = self.expression(index_node)
        if isinstance(base, Array):
            return self._load(self._element(base, index), base.element, None)
        if isinstance(base, Static):
            if isinstance(index, Static):
                return Static(base.value[index.value])
            if not isinstance(base.value, tuple):
                raise CompileError("only a tuple may be indexed by a run-time value")
            name, bits, values = self.program.table(base.value)
            word = self.word(index)
            r = arithmetic.exact(word)
            if r.low < 0 or r.high >= len(base.value):
                raise CompileError(
                    f"an index in {r.low}..{r.high} of a table of {len(base.value)}: mask it"
                )
            pointer = self.b.value(f"getelementptr i{bits}, ptr @{name}, i64 {word.text}")
            text = self.b.value(f"load i{bits}, ptr {pointer}, !invariant.load !2")
            if bits < 64:
                text = self.b.value(f"zext i{bits} {text} to i64")
            return Word(text, values if fits(values) else None)
        raise CompileError("this can't be indexed")
