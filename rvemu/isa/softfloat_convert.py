"""Conversions between formats and to and from integers, and comparisons.

Sources: IEEE 754-2008, 5.4.1, 5.8 and 5.11; "Single-Precision Floating-Point Conversion and Move
Instructions" and the table "Domains of float-to-integer conversions" (f-st-ext.adoc).
"""

from rvemu.hart.floating import NV, NX, raise_flags
from rvemu.hart.state import Hart
from rvemu.isa.softfloat_format import (
    Format,
    is_infinite,
    is_nan,
    is_signaling,
    is_zero,
    number_order,
    sign_of,
    smaller_or_larger,
    unpack,
)
from rvemu.isa.softfloat_round import round_pack, rounds_up
from rvemu.lang import I32, U1, U3, U64, Static, cold, count_leading_zeros, i32, u64

# --- Between formats -------------------------------------------------------------------------


@cold
def convert(h: Hart, to: Static[Format], fmt: Static[Format], a: U64, mode: U3) -> U64:
    """A value of format `fmt` in format `to`. To a wider one it is exact."""
    sign = sign_of(fmt, a)
    if is_nan(fmt, a):
        if is_signaling(fmt, a):
            raise_flags(h, NV)
        return to.nan
    if is_infinite(fmt, a):
        return (sign << (to.width - 1)) | to.infinity
    if is_zero(fmt, a):
        return sign << (to.width - 1)
    exponent, significand = unpack(fmt, a)
    return round_pack(h, to, sign, exponent, significand, mode)


# --- Integers --------------------------------------------------------------------------------


@cold
def from_integer(h: Hart, fmt: Static[Format], sign: U1, magnitude: U64, mode: U3) -> U64:
    """An integer, given by sign and magnitude, in the format."""
    if magnitude == 0:
        return 0
    zeros = count_leading_zeros(magnitude) & 63
    return round_pack(h, fmt, sign, i32(63 - zeros), u64(magnitude << zeros), mode)


@cold
def to_integer(
    h: Hart,
    fmt: Static[Format],
    bits: Static[int],
    signed: Static[bool],
    a: U64,
    mode: U3,
) -> U64:
    """A value as an integer of `bits` bits, 32 or 64: the low 64 bits of it, in two's complement.
    What does not fit is clipped (norm:fcvt_unrepresentable_nv)."""
    sign = sign_of(fmt, a)
    # The greatest magnitudes of a negative and a positive result.
    least = (1 << (bits - 1)) if signed else 0
    greatest = ((1 << (bits - 1)) if signed else (1 << bits)) - 1

    if is_nan(fmt, a):
        raise_flags(h, NV)
        return greatest
    limit: U64 = greatest
    if sign:
        limit = least
    if is_infinite(fmt, a):
        return _clipped(h, sign, limit)
    if is_zero(fmt, a):
        return 0
    exponent, significand = unpack(fmt, a)
    if exponent > 63:
        return _clipped(h, sign, limit)
    whole, rest = split_integer(exponent, significand)
    up = rounds_up(mode, sign, whole & 1, rest, 1 << 63)
    # No carry out of 64 bits: where bit 63 is in the integer part there is no rest.
    magnitude = u64(whole + up)
    if magnitude > limit:
        return _clipped(h, sign, limit)
    if rest != 0:
        raise_flags(h, NX)
    if sign:
        return u64(-magnitude)
    return magnitude


def split_integer(exponent: I32, significand: U64) -> tuple[U64, U64]:
    """significand / 2^63 * 2^exponent, less than 2^64, as its integer part and its fraction in
    units of 2^-64, with a sticky bit."""
    if exponent == 63:
        return significand, 0
    if exponent >= 0:
        return significand >> ((63 - exponent) & 63), u64(significand << ((exponent + 1) & 63))
    if exponent == -1:
        return 0, significand
    return 0, 1  # less than a half


def _clipped(h: Hart, sign: U1, limit: U64) -> U64:
    """The nearest integer to one that does not fit."""
    raise_flags(h, NV)
    if sign:
        return u64(-limit)
    return limit


# --- Comparisons -----------------------------------------------------------------------------


@cold
def compare_signaling(h: Hart, fmt: Static[Format], a: U64, b: U64, or_equal: Static[bool]) -> U1:
    """a < b, or a <= b; false, and an invalid operation, if either is a NaN
    (norm:flt-s_fle-s_signaling)."""
    if is_nan(fmt, a) or is_nan(fmt, b):
        raise_flags(h, NV)
        return 0
    if or_equal:
        return int(number_order(fmt, a) <= number_order(fmt, b))
    return int(number_order(fmt, a) < number_order(fmt, b))


@cold
def compare_equal(h: Hart, fmt: Static[Format], a: U64, b: U64) -> U1:
    """a == b; false if either is a NaN, and only a signaling one is an invalid operation
    (norm:feq-s_quiet)."""
    if is_nan(fmt, a) or is_nan(fmt, b):
        if is_signaling(fmt, a) or is_signaling(fmt, b):
            raise_flags(h, NV)
        return 0
    return int(number_order(fmt, a) == number_order(fmt, b))


@cold
def extreme(h: Hart, fmt: Static[Format], a: U64, b: U64, maximum: Static[bool]) -> U64:
    """minimumNumber or maximumNumber of IEEE 754-2019: the other operand where one is a NaN, and
    -0 is less than +0 (norm:fmin-s_fmax-s_op)."""
    if is_signaling(fmt, a) or is_signaling(fmt, b):
        raise_flags(h, NV)
    if is_nan(fmt, a):
        if is_nan(fmt, b):
            return fmt.nan
        return b
    if is_nan(fmt, b):
        return a
    return smaller_or_larger(fmt, a, b, maximum)
