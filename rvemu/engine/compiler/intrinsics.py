"""The functions of `rvemu.lang` as LLVM IR, each with the same meaning as its body."""

import ast
from collections.abc import Callable
from typing import Any

from rvemu import lang
from rvemu.engine.compiler.arithmetic import binary, exact, wrap
from rvemu.engine.compiler.builder import Builder
from rvemu.engine.compiler.values import (
    U64_RANGE,
    Array,
    CompileError,
    Static,
    Value,
    Word,
    constant,
)
from rvemu.lang import Range

Emit = Callable[[Builder, list[Value]], Word | None]

TABLE: dict[Any, Emit] = {}

DECLARATIONS = """\
declare i64 @llvm.ctlz.i64(i64, i1)
declare i64 @llvm.cttz.i64(i64, i1)
declare i64 @llvm.ctpop.i64(i64)
declare i64 @llvm.bswap.i64(i64)
declare i64 @llvm.umin.i64(i64, i64)
declare i64 @llvm.umax.i64(i64, i64)
declare i64 @llvm.smin.i64(i64, i64)
declare i64 @llvm.smax.i64(i64, i64)
declare double @llvm.sqrt.f64(double)
declare float @llvm.sqrt.f32(float)
declare double @llvm.fma.f64(double, double, double)
declare float @llvm.fma.f32(float, float, float)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
"""

# Intrinsics that write memory: on the fast path nothing may bail out after one.
WRITERS: set[Any] = {
    lang.host_store8,
    lang.host_store16,
    lang.host_store32,
    lang.host_store64,
    lang.fill_words,
}


def _word(value: Value) -> Word:
    if isinstance(value, Word):
        return value
    if isinstance(value, Static) and isinstance(value.value, int):
        return constant(int(value.value))
    raise CompileError("an integer is expected here")


def _static(value: Value) -> Any:
    if not isinstance(value, Static):
        raise CompileError("this argument must be known when compiled")
    return value.value


def _register_wraps() -> None:
    def make(bits: int, signed: bool) -> Emit:
        return lambda b, args: wrap(b, _word(args[0]), bits, signed)

    for bits in (8, 16, 32, 64, 128):
        TABLE[getattr(lang, f"u{bits}")] = make(bits, False)
        TABLE[getattr(lang, f"i{bits}")] = make(bits, True)


def _sext(b: Builder, args: list[Value]) -> Word:
    word, bits = _word(args[0]), _static(args[1])
    if word.wide:
        word = wrap(b, word, 64, False)
    if bits == 64:
        return Word(word.text, U64_RANGE)
    narrow = b.value(f"trunc i64 {word.text} to i{bits}")
    return Word(b.value(f"sext i{bits} {narrow} to i64"), U64_RANGE)


def _signed_divide(operation: str) -> Emit:
    def emit(b: Builder, args: list[Value]) -> Word:
        left, right = _word(args[0]), _word(args[1])
        limit = max(abs(exact(left).low), abs(exact(left).high))
        text = b.value(f"{operation} i64 {left.text}, {right.text}")
        return Word(text, Range(max(-limit, -(1 << 63)), min(limit, (1 << 63) - 1)))

    return emit


def _counter(expression: str) -> Emit:
    def emit(b: Builder, args: list[Value]) -> Word:
        word = _word(args[0])
        exact(word)
        return Word(b.value(expression.format(word.text)), Range(0, 64))

    return emit


def _get(b: Builder, args: list[Value]) -> Word:
    field: lang.Field = _static(args[1])
    shifted = binary(b, ast.RShift(), _word(args[0]), constant(field.low))
    return binary(b, ast.BitAnd(), shifted, constant((1 << field.width) - 1))


def _put(b: Builder, args: list[Value]) -> Word:
    field: lang.Field = _static(args[1])
    kept = binary(b, ast.BitAnd(), _word(args[0]), constant(~field.mask))
    shifted = binary(b, ast.LShift(), _word(args[2]), constant(field.low))
    placed = binary(b, ast.BitAnd(), shifted, constant(field.mask))
    return binary(b, ast.BitOr(), kept, placed)


def _load(bits: int) -> Emit:
    def emit(b: Builder, args: list[Value]) -> Word:
        address = _word(args[0])
        exact(address)
        pointer = b.value(f"inttoptr i64 {address.text} to ptr")
        text = b.value(f"load i{bits}, ptr {pointer}, align 1")
        if bits < 64:
            text = b.value(f"zext i{bits} {text} to i64")
        return Word(text, Range(0, (1 << bits) - 1))

    return emit


def _store(bits: int) -> Emit:
    def emit(b: Builder, args: list[Value]) -> None:
        address, word = _word(args[0]), _word(args[1])
        exact(address)
        pointer = b.value(f"inttoptr i64 {address.text} to ptr")
        text = word.text
        if word.type != f"i{bits}":
            text = b.value(f"trunc {word.type} {text} to i{bits}")
        b.emit(f"store i{bits} {text}, ptr {pointer}, align 1")

    return emit


def _fill_words(b: Builder, args: list[Value]) -> None:
    array = args[0]
    if not isinstance(array, Array):
        raise CompileError("fill_words wants a hart's array")
    start, count, value = _word(args[1]), _word(args[2]), _static(args[3])
    if exact(start).low < 0 or exact(start).high + exact(count).high > array.count:
        raise CompileError("fill_words may run past its array")
    index = b.value(f"mul i64 {start.text}, 8")
    offset = b.value(f"add i64 {index}, {array.offset}")
    pointer = b.value(f"getelementptr i8, ptr {array.owner.pointer}, i64 {offset}")
    size = b.value(f"mul i64 {count.text}, 8")
    byte = -1 if value else 0
    b.emit(f"call void @llvm.memset.p0.i64(ptr {pointer}, i8 {byte}, i64 {size}, i1 false)")


def _as_float(b: Builder, word: Word, bits: int) -> str:
    exact(word)
    if bits == 64:
        return b.value(f"bitcast i64 {word.text} to double")
    narrow = b.value(f"trunc i64 {word.text} to i32")
    return b.value(f"bitcast i32 {narrow} to float")


def _as_word(b: Builder, text: str, bits: int) -> Word:
    if bits == 64:
        return Word(b.value(f"bitcast double {text} to i64"), U64_RANGE)
    narrow = b.value(f"bitcast float {text} to i32")
    return Word(b.value(f"zext i32 {narrow} to i64"), Range(0, (1 << 32) - 1))


def _float_operation(template: str, bits: int) -> Emit:
    def emit(b: Builder, args: list[Value]) -> Word:
        operands = [_as_float(b, _word(a), bits) for a in args]
        return _as_word(b, b.value(template.format(*operands)), bits)

    return emit


def _float_compare(predicate: str, bits: int) -> Emit:
    def emit(b: Builder, args: list[Value]) -> Word:
        x, y = (_as_float(b, _word(a), bits) for a in args)
        kind = "double" if bits == 64 else "float"
        test = b.value(f"fcmp {predicate} {kind} {x}, {y}")
        return Word(b.value(f"zext i1 {test} to i64"), Range(0, 1))

    return emit


def _from_integer(conversion: str) -> Emit:
    def emit(b: Builder, args: list[Value]) -> Word:
        word = _word(args[0])
        exact(word)
        return _as_word(b, b.value(f"{conversion} i64 {word.text} to double"), 64)

    return emit


def _convert(conversion: str, from_bits: int, to_bits: int) -> Emit:
    kinds = {32: "float", 64: "double"}

    def emit(b: Builder, args: list[Value]) -> Word:
        operand = _as_float(b, _word(args[0]), from_bits)
        text = b.value(f"{conversion} {kinds[from_bits]} {operand} to {kinds[to_bits]}")
        return _as_word(b, text, to_bits)

    return emit


def _to_integer(b: Builder, args: list[Value]) -> Word:
    operand = _as_float(b, _word(args[0]), 64)
    text = b.value(f"fptosi double {operand} to i64")
    return Word(text, Range(-(1 << 63), (1 << 63) - 1))


def _extreme(name: str) -> Emit:
    def emit(b: Builder, args: list[Value]) -> Word:
        left, right = _word(args[0]), _word(args[1])
        x, y = exact(left), exact(right)
        choose = min if name == "min" else max
        result = Range(choose(x.low, y.low), choose(x.high, y.high))
        if x.low >= 0 and y.low >= 0:
            sign = "u"
        elif max(x.high, y.high) < 1 << 63:
            sign = "s"
        else:
            raise CompileError(f"{name} of what may be negative and what may exceed 2^63-1")
        call = f"call i64 @llvm.{sign}{name}.i64(i64 {left.text}, i64 {right.text})"
        return Word(b.value(call), result)

    return emit


def _register_floats() -> None:
    for name, instruction in (("add", "fadd"), ("sub", "fsub"), ("mul", "fmul"), ("div", "fdiv")):
        for bits, kind in ((64, "double"), (32, "float")):
            TABLE[getattr(lang, f"f{bits}_{name}")] = _float_operation(
                f"{instruction} {kind} {{}}, {{}}", bits
            )
    for bits, kind in ((64, "double"), (32, "float")):
        TABLE[getattr(lang, f"f{bits}_sqrt")] = _float_operation(
            f"call {kind} @llvm.sqrt.f{bits}({kind} {{}})", bits
        )
        TABLE[getattr(lang, f"f{bits}_fma")] = _float_operation(
            f"call {kind} @llvm.fma.f{bits}({kind} {{}}, {kind} {{}}, {kind} {{}})", bits
        )
        TABLE[getattr(lang, f"f{bits}_less")] = _float_compare("olt", bits)
        TABLE[getattr(lang, f"f{bits}_equal")] = _float_compare("oeq", bits)


_register_wraps()
_register_floats()
TABLE.update(
    {
        lang.sext: _sext,
        lang.quotient: _signed_divide("sdiv"),
        lang.remainder: _signed_divide("srem"),
        lang.count_leading_zeros: _counter("call i64 @llvm.ctlz.i64(i64 {}, i1 false)"),
        lang.count_trailing_zeros: _counter("call i64 @llvm.cttz.i64(i64 {}, i1 false)"),
        lang.count_ones: _counter("call i64 @llvm.ctpop.i64(i64 {})"),
        lang.reverse_bytes: lambda b, args: Word(
            b.value(f"call i64 @llvm.bswap.i64(i64 {_word(args[0]).text})"), U64_RANGE
        ),
        lang.get: _get,
        lang.put: _put,
        lang.host_load8: _load(8),
        lang.host_load16: _load(16),
        lang.host_load32: _load(32),
        lang.host_load64: _load(64),
        lang.host_store8: _store(8),
        lang.host_store16: _store(16),
        lang.host_store32: _store(32),
        lang.host_store64: _store(64),
        lang.fill_words: _fill_words,
        lang.f64_from_i64: _from_integer("sitofp"),
        lang.f64_from_u64: _from_integer("uitofp"),
        lang.f64_from_f32: _convert("fpext", 32, 64),
        lang.f32_from_f64: _convert("fptrunc", 64, 32),
        lang.i64_from_f64: _to_integer,
        min: _extreme("min"),
        max: _extreme("max"),
        int: lambda b, args: _word(args[0]),  # noqa: ARG005
    }
)
