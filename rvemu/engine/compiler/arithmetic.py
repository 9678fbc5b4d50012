"""Operators on words, and how they move ranges."""

import ast

from rvemu.engine.compiler.builder import Builder
from rvemu.engine.compiler.values import (
    BOOL_RANGE,
    CompileError,
    Word,
    constant,
    fits,
)
from rvemu.lang import Range

_SIMPLE = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.BitAnd: "and",
    ast.BitOr: "or",
    ast.BitXor: "xor",
}

_COMPARISONS = {
    ast.Eq: ("eq", "eq"),
    ast.NotEq: ("ne", "ne"),
    ast.Lt: ("ult", "slt"),
    ast.LtE: ("ule", "sle"),
    ast.Gt: ("ugt", "sgt"),
    ast.GtE: ("uge", "sge"),
}


def widen(b: Builder, word: Word) -> Word:
    """The word in 128 bits. It must be exact, for else its upper half is unknown."""
    if word.wide:
        return word
    if word.range is None:
        raise CompileError("a wrapped value in 128-bit arithmetic: say u64() or i64() first")
    if not word.text.startswith("%"):
        return constant(word.range.low, wide=True)
    how = "sext" if word.range.low < 0 else "zext"
    return Word(b.value(f"{how} i64 {word.text} to i128"), word.range, True)


def _corners(op: ast.operator, a: Range, b: Range) -> Range:
    if isinstance(op, ast.Add):
        return Range(a.low + b.low, a.high + b.high)
    if isinstance(op, ast.Sub):
        return Range(a.low - b.high, a.high - b.low)
    products = [x * y for x in (a.low, a.high) for y in (b.low, b.high)]
    return Range(min(products), max(products))


def _bitwise_range(op: ast.operator, a: Word, b: Word) -> Range | None:
    not_negative = [w.range for w in (a, b) if w.range is not None and w.range.low >= 0]
    if isinstance(op, ast.BitAnd):
        if not_negative:
            return Range(0, min(r.high for r in not_negative))
    elif len(not_negative) == 2:
        return Range(0, (1 << max(r.high for r in not_negative).bit_length()) - 1)
    if a.range is None or b.range is None:
        return None
    bits = 127 if a.wide else 63
    signed = Range(-(1 << bits), (1 << bits) - 1)
    for r in (a.range, b.range):
        if r.high > signed.high:
            return None
    return signed


def _shift_amount(word: Word, width: int) -> None:
    if word.range is None or word.range.low < 0 or word.range.high >= width:
        raise CompileError(f"a shift amount that may not be in 0..{width - 1}: mask it")


def binary(b: Builder, op: ast.operator, left: Word, right: Word) -> Word:
    """A binary operator on two run-time words."""
    if isinstance(op, ast.LShift | ast.RShift):
        return _shift(b, op, left, right)
    if left.wide or right.wide:
        left, right = widen(b, left), widen(b, right)
    wide, kind = left.wide, left.type
    if type(op) in _SIMPLE:
        if isinstance(op, ast.BitAnd | ast.BitOr | ast.BitXor):
            result = _bitwise_range(op, left, right)
        elif left.range is None or right.range is None:
            result = None
        else:
            result = _corners(op, left.range, right.range)
        if result is not None and not fits(result, wide):
            result = None
        text = b.value(f"{_SIMPLE[type(op)]} {kind} {left.text}, {right.text}")
        return Word(text, result, wide)
    if isinstance(op, ast.FloorDiv | ast.Mod):
        a, d = exact(left), exact(right)
        if a.low < 0 or d.low < 0:
            raise CompileError("// and % are for values that are not negative: quotient, remainder")
        if wide:
            raise CompileError("no division in 128 bits")
        if isinstance(op, ast.FloorDiv):
            text = b.value(f"udiv {kind} {left.text}, {right.text}")
            return Word(text, Range(0, a.high // max(d.low, 1)))
        text = b.value(f"urem {kind} {left.text}, {right.text}")
        return Word(text, Range(0, min(a.high, max(d.high - 1, 0))))
    raise CompileError(f"operator {type(op).__name__}")


def _shift(b: Builder, op: ast.operator, left: Word, right: Word) -> Word:
    width = 128 if left.wide else 64
    _shift_amount(right, width)
    assert right.range is not None
    if left.wide:
        right = widen(b, right)
    elif right.wide:
        right = Word(b.value(f"trunc i128 {right.text} to i64"), right.range)
    assert right.range is not None
    if isinstance(op, ast.LShift):
        text = b.value(f"shl {left.type} {left.text}, {right.text}")
        result = None
        if left.range is not None:
            low, high = left.range.low, left.range.high
            least, most = right.range.low, right.range.high
            result = Range(min(low << least, low << most), max(high << least, high << most))
            if not fits(result, left.wide):
                result = None
        return Word(text, result, left.wide)
    a = exact(left)
    how = "ashr" if a.low < 0 else "lshr"
    text = b.value(f"{how} {left.type} {left.text}, {right.text}")
    shifted = [x >> n for x in (a.low, a.high) for n in (right.range.low, right.range.high)]
    return Word(text, Range(min(shifted), max(shifted)), left.wide)


def exact(word: Word) -> Range:
    """The range of a word that must have one."""
    if word.range is None:
        raise CompileError("a value that may have wrapped: say u64(), i64(), sext()... first")
    return word.range


def compare(b: Builder, op: ast.cmpop, left: Word, right: Word) -> str:
    """A comparison, as an i1."""
    if left.wide or right.wide:
        left, right = widen(b, left), widen(b, right)
    x, y = exact(left), exact(right)
    if type(op) not in _COMPARISONS:
        raise CompileError(f"comparison {type(op).__name__}")
    unsigned, signed = _COMPARISONS[type(op)]
    if x.low >= 0 and y.low >= 0:
        predicate = unsigned
    elif fits(Range(min(x.low, y.low), max(x.high, y.high)), left.wide):
        predicate = signed
    else:
        raise CompileError("a comparison of what may be negative with what may exceed 2^63-1")
    return b.value(f"icmp {predicate} {left.type} {left.text}, {right.text}")


def truth(b: Builder, condition: str) -> Word:
    """An i1 as a word of 0 or 1."""
    return Word(b.value(f"zext i1 {condition} to i64"), BOOL_RANGE)


def unary(b: Builder, op: ast.unaryop, operand: Word) -> Word:
    """Negation, complement."""
    kind = operand.type
    if isinstance(op, ast.USub):
        text = b.value(f"sub {kind} 0, {operand.text}")
        result = None if operand.range is None else Range(-operand.range.high, -operand.range.low)
    elif isinstance(op, ast.Invert):
        text = b.value(f"xor {kind} {operand.text}, -1")
        result = None if operand.range is None else Range(~operand.range.high, ~operand.range.low)
    else:
        raise CompileError(f"operator {type(op).__name__}")
    if result is not None and not fits(result, operand.wide):
        result = None
    return Word(text, result, operand.wide)


def wrap(b: Builder, word: Word, bits: int, signed: bool) -> Word:
    """The low `bits` bits (8 to 128), as a signed or an unsigned number."""
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    target = Range(low, high)
    if bits == 128:
        if word.wide:
            return Word(word.text, target, True)
        widened = widen(b, word)
        if widened.range is not None and not signed and widened.range.low < 0:
            return Word(widened.text, target, True)
        return widened
    if word.wide:
        text = b.value(f"trunc i128 {word.text} to i64")
        word = Word(text, word.range if word.range and fits(word.range) else None)
    if word.range is not None and low <= word.range.low and word.range.high <= high:
        return word
    if bits == 64:
        return Word(word.text, target)
    narrow = b.value(f"trunc i64 {word.text} to i{bits}")
    return Word(b.value(f"{'sext' if signed else 'zext'} i{bits} {narrow} to i64"), target)
