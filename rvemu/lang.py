"""The typed subset of Python that the model is written in.

The model (`rvemu.hart` and `rvemu.isa`) is ordinary Python: the reference engine just calls it. The
native engine compiles *the same functions* to machine code, so they keep to a subset with declared
widths, described in `docs/model.md`. This module is that subset's vocabulary: the types that
annotate parameters, and the functions that say what plain Python integers leave unsaid - where a
value wraps around, and where it is signed.

Every function here has two meanings that agree bit for bit: the body below, for CPython, and a few
LLVM instructions, in `rvemu.engine.compiler.intrinsics`.
"""

import ctypes
import math
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Any, TypeVar

# --- Types -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Range:
    """The values that a parameter, result or field may have, ends included."""

    low: int
    high: int


def _unsigned(bits: int) -> Range:
    return Range(0, (1 << bits) - 1)


def _signed(bits: int) -> Range:
    return Range(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


U1 = Annotated[int, _unsigned(1)]
U2 = Annotated[int, _unsigned(2)]
U3 = Annotated[int, _unsigned(3)]
U4 = Annotated[int, _unsigned(4)]
U5 = Annotated[int, _unsigned(5)]
U6 = Annotated[int, _unsigned(6)]
U7 = Annotated[int, _unsigned(7)]
U8 = Annotated[int, _unsigned(8)]
U12 = Annotated[int, _unsigned(12)]
U16 = Annotated[int, _unsigned(16)]
U32 = Annotated[int, _unsigned(32)]
U64 = Annotated[int, _unsigned(64)]
U128 = Annotated[int, _unsigned(128)]
I8 = Annotated[int, _signed(8)]
I16 = Annotated[int, _signed(16)]
I32 = Annotated[int, _signed(32)]
I64 = Annotated[int, _signed(64)]
I128 = Annotated[int, _signed(128)]

# The index of a destination register: 0-31, where x0 is renamed by the decoder to X0_SINK, a 33rd
# slot that is written and never read. So no instruction needs to ask whether rd is x0.
X0_SINK = 32
Destination = Annotated[int, Range(0, X0_SINK)]

# A parameter so annotated is known when the model is compiled: each value makes a copy of the
# function, as a template would.
T = TypeVar("T")
Static = Annotated[T, "static"]

_F = TypeVar("_F", bound=Callable[..., Any])


def cold(function: _F) -> _F:
    """Mark a function as rare. The native engine's fast path never calls it: it starts the
    instruction over on the slow path, which does. So nothing may be written before the call."""
    function.__dict__["cold"] = True
    return function


def inline(function: _F) -> _F:
    """Mark a function to be always inlined, where its arguments are worth folding into it."""
    function.__dict__["inline"] = True
    return function


# --- Leaving an instruction early ------------------------------------------------------------


class Trap(Exception):  # noqa: N818 - control flow, not an error
    """A guest's exception. Its cause and values are in the hart (`trap_cause`, `trap_value`...);
    raise one with the functions in `rvemu.hart.exceptions`."""


class Stop(Exception):  # noqa: N818 - control flow, not an error
    """The instruction needs the host: `stop_reason` in the hart says what for. When the host has
    done its part the instruction is started over."""


TRAP = Trap()
STOP = Stop()

# --- Widths and signs ------------------------------------------------------------------------

M8, M16, M32, M64 = 0xFF, 0xFFFF, 0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF
_M128 = (1 << 128) - 1


def u8(value: int) -> U8:
    """The low 8 bits."""
    return value & M8


def u16(value: int) -> U16:
    """The low 16 bits."""
    return value & M16


def u32(value: int) -> U32:
    """The low 32 bits."""
    return value & M32


def u64(value: int) -> U64:
    """The low 64 bits: where a sum or a shift wraps around."""
    return value & M64


def u128(value: int) -> U128:
    """The low 128 bits, and arithmetic on it is done in 128 bits."""
    return value & _M128


def i8(value: int) -> I8:
    """The low 8 bits as a signed number."""
    return ((value & M8) ^ 0x80) - 0x80


def i16(value: int) -> I16:
    """The low 16 bits as a signed number."""
    return ((value & M16) ^ 0x8000) - 0x8000


def i32(value: int) -> I32:
    """The low 32 bits as a signed number."""
    return ((value & M32) ^ 0x8000_0000) - 0x8000_0000


def i64(value: int) -> I64:
    """The low 64 bits as a signed number."""
    return ((value & M64) ^ (1 << 63)) - (1 << 63)


def i128(value: int) -> I128:
    """The low 128 bits as a signed number, and arithmetic on it is done in 128 bits."""
    return ((value & _M128) ^ (1 << 127)) - (1 << 127)


def sext(value: int, bits: Static[int]) -> U64:
    """The low `bits` bits, sign-extended to 64 bits: what a register holds."""
    sign = 1 << (bits - 1)
    return (((value & ((1 << bits) - 1)) ^ sign) - sign) & M64


def quotient(a: int, b: int) -> int:
    """Signed division that truncates toward zero. b is not 0, and the result fits."""
    q = abs(a) // abs(b)
    return -q if (a < 0) != (b < 0) else q


def remainder(a: int, b: int) -> int:
    """The remainder of `quotient`; it has the sign of a."""
    r = abs(a) % abs(b)
    return -r if a < 0 else r


# --- Bits ------------------------------------------------------------------------------------


def count_leading_zeros(value: U64) -> U7:
    """Zero bits above the highest one bit of a 64-bit value; 64 for 0."""
    return 64 - value.bit_length()


def count_trailing_zeros(value: U64) -> U7:
    """Zero bits below the lowest one bit of a 64-bit value; 64 for 0."""
    return (value & -value).bit_length() - 1 if value else 64


def count_ones(value: U64) -> U7:
    """One bits of a 64-bit value."""
    return value.bit_count()


def reverse_bytes(value: U64) -> U64:
    """The eight bytes in the opposite order."""
    return int.from_bytes(value.to_bytes(8, "little"), "big")


@dataclass(frozen=True)
class Field:
    """A field of a register: `width` bits from bit `low` up."""

    low: int
    width: int = 1

    @property
    def mask(self) -> int:
        """The field's bits, in place."""
        return ((1 << self.width) - 1) << self.low

    def __iter__(self) -> Iterator[int]:
        return iter(range(self.low, self.low + self.width))


def get(register: U64, field: Static[Field]) -> U64:
    """A field's value, shifted down."""
    return (register >> field.low) & ((1 << field.width) - 1)


def put(register: U64, field: Static[Field], value: U64) -> U64:
    """The register with a field replaced by the low bits of a value."""
    return (register & ~field.mask) | ((value << field.low) & field.mask)


# --- Choosing a function by number -----------------------------------------------------------


class Switch:
    """Calls one of many functions by an integer key, or the default: a dictionary for CPython, an
    LLVM `switch` in native code. All have the signature of the default. A case may be a
    `functools.partial` that binds leading static parameters.

    `Switch(cases, default)(key, ...)` calls `cases[key](...)`.
    """

    def __init__(self, cases: Mapping[int, Callable[..., Any]], default: Callable[..., Any]):
        self.cases = dict(cases)
        self.default = default

    def __call__(self, key: int, *arguments: Any) -> Any:
        return self.cases.get(key, self.default)(*arguments)


# --- Host memory -----------------------------------------------------------------------------
# Addresses are the host's own; only `rvemu.hart` makes them, after it has checked that they lie
# in guest memory. All values are little-endian and need not be aligned.


def host_load8(address: U64) -> U8:
    """One byte of host memory."""
    return ctypes.string_at(address, 1)[0]


def host_load16(address: U64) -> U16:
    """Two bytes of host memory."""
    return int.from_bytes(ctypes.string_at(address, 2), "little")


def host_load32(address: U64) -> U32:
    """Four bytes of host memory."""
    return int.from_bytes(ctypes.string_at(address, 4), "little")


def host_load64(address: U64) -> U64:
    """Eight bytes of host memory."""
    return int.from_bytes(ctypes.string_at(address, 8), "little")


def host_store8(address: U64, value: int) -> None:
    """The low byte of a value to host memory."""
    ctypes.memmove(address, (value & M8).to_bytes(1, "little"), 1)


def host_store16(address: U64, value: int) -> None:
    """The low two bytes of a value to host memory."""
    ctypes.memmove(address, (value & M16).to_bytes(2, "little"), 2)


def host_store32(address: U64, value: int) -> None:
    """The low four bytes of a value to host memory."""
    ctypes.memmove(address, (value & M32).to_bytes(4, "little"), 4)


def host_store64(address: U64, value: int) -> None:
    """The low eight bytes of a value to host memory."""
    ctypes.memmove(address, (value & M64).to_bytes(8, "little"), 8)


def fill_words(array: Any, start: int, count: int, value: Static[int]) -> None:
    """Set `count` 64-bit elements of a hart's array, from element `start`, to 0 or to all ones."""
    ctypes.memset(ctypes.addressof(array) + 8 * start, M8 if value else 0, 8 * count)


# --- The host's floating-point unit ----------------------------------------------------------
# Operands and results are bit patterns. Round to nearest even, IEEE 754 results; what flags an
# operation would have raised, and which NaN it gives, the model decides by itself.


def _f64(value: int) -> float:
    return float(struct.unpack("<d", struct.pack("<Q", value))[0])


def _b64(value: float) -> int:
    return int(struct.unpack("<Q", struct.pack("<d", value))[0])


def _f32(value: int) -> float:
    return float(struct.unpack("<f", struct.pack("<I", value))[0])


def _b32(value: float) -> int:
    try:
        return int(struct.unpack("<I", struct.pack("<f", value))[0])
    except OverflowError:  # struct refuses what rounds to infinity
        return 0xFF80_0000 if value < 0 else 0x7F80_0000


def _divide(a: float, b: float) -> float:
    if b:
        return a / b
    if a != a or b != b or a == 0:
        return math.nan
    return math.copysign(math.inf, a) * math.copysign(1.0, b)


def _square_root(a: float) -> float:
    return math.sqrt(a) if a >= 0 else math.nan


def _fused(a: float, b: float, c: float) -> float:
    if not (math.isfinite(a) and math.isfinite(b)):
        return a * b + c
    if not math.isfinite(c):
        return c  # though a * b, by itself, may be too large for a double
    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:
        return a * b + c
    try:
        return exact.numerator / exact.denominator  # int / int is correctly rounded
    except OverflowError:
        return math.inf if exact > 0 else -math.inf


def f64_add(a: U64, b: U64) -> U64:
    """Sum of two doubles."""
    return _b64(_f64(a) + _f64(b))


def f64_sub(a: U64, b: U64) -> U64:
    """Difference of two doubles."""
    return _b64(_f64(a) - _f64(b))


def f64_mul(a: U64, b: U64) -> U64:
    """Product of two doubles."""
    return _b64(_f64(a) * _f64(b))


def f64_div(a: U64, b: U64) -> U64:
    """Quotient of two doubles."""
    return _b64(_divide(_f64(a), _f64(b)))


def f64_sqrt(a: U64) -> U64:
    """Square root of a double."""
    return _b64(_square_root(_f64(a)))


def f64_fma(a: U64, b: U64, c: U64) -> U64:
    """a * b + c of doubles, rounded once."""
    return _b64(_fused(_f64(a), _f64(b), _f64(c)))


def f64_less(a: U64, b: U64) -> U1:
    """1 if a < b, as doubles; 0 if either is a NaN."""
    return int(_f64(a) < _f64(b))


def f64_equal(a: U64, b: U64) -> U1:
    """1 if a == b, as doubles; 0 if either is a NaN."""
    return int(_f64(a) == _f64(b))


def f32_add(a: U32, b: U32) -> U32:
    """Sum of two floats. (Rounding the double's sum again gives the same: 53 >= 2 * 24 + 2.)"""
    return _b32(_f32(a) + _f32(b))


def f32_sub(a: U32, b: U32) -> U32:
    """Difference of two floats."""
    return _b32(_f32(a) - _f32(b))


def f32_mul(a: U32, b: U32) -> U32:
    """Product of two floats."""
    return _b32(_f32(a) * _f32(b))


def f32_div(a: U32, b: U32) -> U32:
    """Quotient of two floats."""
    return _b32(_divide(_f32(a), _f32(b)))


def f32_sqrt(a: U32) -> U32:
    """Square root of a float."""
    return _b32(_square_root(_f32(a)))


def f32_fma(a: U32, b: U32, c: U32) -> U32:
    """a * b + c of floats, rounded once."""
    x, y, z = _f32(a), _f32(b), _f32(c)
    product_sum = x * y + z  # the product is exact; the sum is rounded to 53 bits
    if not math.isfinite(product_sum):
        return _b32(product_sum)
    error = Fraction(x) * Fraction(y) + Fraction(z) - Fraction(product_sum)
    bits = _b64(product_sum)
    if error and not bits & 1:
        # Round to odd instead: then rounding again, to 24 bits, is right.
        bits += 1 if (error > 0) == (product_sum > 0) else -1
    return _b32(_f64(bits))


def f32_less(a: U32, b: U32) -> U1:
    """1 if a < b, as floats; 0 if either is a NaN."""
    return int(_f32(a) < _f32(b))


def f32_equal(a: U32, b: U32) -> U1:
    """1 if a == b, as floats; 0 if either is a NaN."""
    return int(_f32(a) == _f32(b))


def f64_from_i64(value: I64) -> U64:
    """A signed integer as the nearest double."""
    return _b64(float(value))


def f64_from_u64(value: U64) -> U64:
    """An unsigned integer as the nearest double."""
    return _b64(float(value))


def f64_from_f32(value: U32) -> U64:
    """A float, not a NaN, as a double; exact."""
    return _b64(_f32(value))


def f32_from_f64(value: U64) -> U32:
    """A double, not a NaN, as the nearest float."""
    return _b32(_f64(value))


def i64_from_f64(value: U64) -> I64:
    """A double, whose integer part fits a signed 64-bit integer, truncated toward zero."""
    return int(_f64(value))
