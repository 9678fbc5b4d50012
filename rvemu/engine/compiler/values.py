"""What an expression of the model is while it is compiled."""

import ctypes
from dataclasses import dataclass
from typing import Any

from rvemu.lang import Range

U64_RANGE = Range(0, (1 << 64) - 1)
I64_RANGE = Range(-(1 << 63), (1 << 63) - 1)
U128_RANGE = Range(0, (1 << 128) - 1)
I128_RANGE = Range(-(1 << 127), (1 << 127) - 1)
BOOL_RANGE = Range(0, 1)


class CompileError(Exception):
    """A model function leaves the subset. The message names the function, the line and the rule."""


@dataclass(frozen=True)
class Static:
    """A Python object that is known when compiled."""

    value: Any


@dataclass(frozen=True)
class Word:
    """A run-time integer: an i64, or an i128 where `wide`. `range` is where its value lies; None
    if it is right only modulo the width (`docs/model.md`, "Numbers")."""

    text: str
    range: Range | None
    wide: bool = False

    @property
    def type(self) -> str:
        return "i128" if self.wide else "i64"


@dataclass(frozen=True)
class Words:
    """Several results of a call, to be unpacked at once."""

    items: tuple[Word, ...]


@dataclass(frozen=True)
class Object:
    """A `ctypes` structure in memory: the hart, or what harts share."""

    struct: type[ctypes.Structure]
    pointer: str


@dataclass(frozen=True)
class Array:
    """An array field of a structure."""

    owner: Object
    offset: int
    element: Any
    count: int


Value = Static | Word | Words | Object | Array


def contains(outer: Range, inner: Range) -> bool:
    """Whether all of `inner` lies in `outer`."""
    return outer.low <= inner.low and inner.high <= outer.high


def join(a: Range, b: Range) -> Range:
    """The smallest range with all of both."""
    return Range(min(a.low, b.low), max(a.high, b.high))


def fits(value: Range, wide: bool = False) -> bool:
    """Whether a range is exact in a machine word: it is all unsigned, or all signed."""
    if wide:
        return contains(U128_RANGE, value) or contains(I128_RANGE, value)
    return contains(U64_RANGE, value) or contains(I64_RANGE, value)


def constant(value: int, wide: bool = False) -> Word:
    """A Python integer as a word. One too large for a word is a wrapped constant."""
    bits = 128 if wide else 64
    exact = Range(value, value)
    pattern = value & ((1 << bits) - 1)
    if pattern >> (bits - 1):
        pattern -= 1 << bits  # LLVM reads decimal constants as signed
    return Word(str(pattern), exact if fits(exact, wide) else None, wide)
