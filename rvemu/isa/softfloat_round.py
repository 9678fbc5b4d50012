"""Rounding: from an exact significand, or one with a sticky bit, to a bit pattern.

Operations compute a result as sign, exponent and a 64-bit significand with bit 63 set. Where there
are more bits than 64, bit 0 is *sticky*: it is also set where any bit below it is. Every format
keeps at least 11 bits fewer than 64, and rounding asks only whether the rest is zero, less than,
equal to or more than one half; so the sticky bit tells as much as all bits would.
"""

from rvemu.hart.floating import NX, OF, RDN, RMM, RNE, RUP, UF, raise_flags
from rvemu.hart.state import Hart
from rvemu.isa.softfloat_format import Format
from rvemu.lang import I32, U1, U3, U32, U64, U128, Static, count_leading_zeros, u32, u64, u128


def shift_right_sticky(value: U64, amount: U32) -> U64:
    """value >> amount, with bit 0 sticky."""
    if amount > 63:
        return int(value != 0)
    lost = value & ((1 << (amount & 63)) - 1)
    return (value >> (amount & 63)) | int(lost != 0)


def shift_right_sticky_128(value: U128, amount: U32) -> U128:
    """value >> amount for 128 bits, with bit 0 sticky."""
    if amount > 127:
        return u128(int(value != 0))
    shifted = value >> (amount & 127)
    lost = value != u128(shifted << (amount & 127))
    return shifted | int(lost)


def normalize_128(value: U128) -> tuple[U32, U64]:
    """Shift a value that is not 0 up until bit 127 is set. The amount, and the upper 64 bits of the
    result, with bit 0 sticky for the others."""
    high = u64(value >> 64)
    low = u64(value)
    if high == 0:
        zeros = count_leading_zeros(low) & 63
        return 64 + zeros, u64(low << zeros)
    zeros = count_leading_zeros(high) & 63
    shifted = u128(value << zeros)
    return zeros, u64(shifted >> 64) | int(u64(shifted) != 0)


def rounds_up(mode: U3, sign: U1, odd: U64, rest: U64, half: Static[int]) -> U1:
    """Whether a magnitude with these bits behind it is rounded to the next one, not cut off. `odd`
    is the last bit kept. (Unprivileged manual, "Rounding mode encoding".)"""
    if mode == RNE:
        return int(rest > half or (rest == half and odd != 0))
    if mode == RMM:
        return int(rest >= half)
    if mode == RDN:
        return int(sign != 0 and rest != 0)
    if mode == RUP:
        return int(sign == 0 and rest != 0)
    return 0


def overflow(h: Hart, fmt: Static[Format], sign: U1, mode: U3) -> U64:
    """The result where the rounded one is too large: infinity, or the greatest finite number where
    the rounding is toward zero (IEEE 754-2008, 7.4)."""
    raise_flags(h, OF | NX)
    signed = sign << (fmt.width - 1)
    if mode in (RNE, RMM) or (mode == RUP and sign == 0) or (mode == RDN and sign != 0):
        return signed | fmt.infinity
    return signed | fmt.greatest


def round_pack(
    h: Hart, fmt: Static[Format], sign: U1, exponent: I32, significand: U64, mode: U3
) -> U64:
    """Round significand / 2^63 * 2^exponent to the format, and raise OF, UF and NX."""
    signed = sign << (fmt.width - 1)
    half = 1 << (fmt.spare - 1)
    rest_mask = (1 << fmt.spare) - 1

    kept = significand >> fmt.spare  # with its leading one: least_normal <= kept
    rest = significand & rest_mask
    up = rounds_up(mode, sign, kept & 1, rest, half)
    if exponent > fmt.greatest_exponent:
        return overflow(h, fmt, sign, mode)
    if exponent >= fmt.least_exponent:
        # The leading one of `kept` adds one to the stored exponent, and so does a carry.
        stored = exponent - fmt.least_exponent
        magnitude = u64(stored << fmt.fraction_bits) + kept + up
        if u64(magnitude) >= fmt.infinity:
            return overflow(h, fmt, sign, mode)
        if rest != 0:
            raise_flags(h, NX)
        return signed | u64(magnitude)

    shifted = shift_right_sticky(significand, u32(fmt.least_exponent - exponent))
    denormal_rest = shifted & rest_mask
    denormal = shifted >> fmt.spare
    denormal_up = rounds_up(mode, sign, denormal & 1, denormal_rest, half)
    if denormal_rest != 0:
        # Tininess is detected after rounding (norm:ieee_std_tininess): rounded as if exponents had
        # no limit, the result is still below the least normal number, unless that rounding carries
        # into it. (The rounding to what the format can have may carry where this one does not.)
        carries = exponent == fmt.least_exponent - 1 and kept + up == 2 * fmt.least_normal
        if carries:
            raise_flags(h, NX)
        else:
            raise_flags(h, UF | NX)
    return signed | (denormal + denormal_up)
