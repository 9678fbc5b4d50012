"""Addition, multiplication, division, square root and fused multiply-add, in integer arithmetic.

All take and give bit patterns of the format, round to `mode` (0-4, a legal one) and accrue
exceptions in the hart. A result that is a NaN is the canonical NaN.

Source: IEEE 754-2008, 5.4, 6.1-6.3 and 7; norm:canonical_NaN, norm:fma_nv_flag.
"""

from rvemu.hart.floating import DZ, NV, RDN, raise_flags
from rvemu.hart.state import Hart
from rvemu.isa.softfloat_format import (
    Format,
    is_infinite,
    is_nan,
    is_signaling,
    is_zero,
    sign_of,
    unpack,
)
from rvemu.isa.softfloat_round import (
    normalize_128,
    round_pack,
    shift_right_sticky,
    shift_right_sticky_128,
)
from rvemu.lang import (
    I32,
    U1,
    U3,
    U64,
    U128,
    Static,
    cold,
    count_leading_zeros,
    i32,
    u32,
    u64,
    u128,
)

# --- NaNs and zeros --------------------------------------------------------------------------


def invalid(h: Hart, fmt: Static[Format]) -> U64:
    """The result of an operation that has none."""
    raise_flags(h, NV)
    return fmt.nan


def nan_operand(h: Hart, fmt: Static[Format], a: U64, b: U64) -> U64:
    """The result where a or b is a NaN; only a signaling one is an invalid operation."""
    if is_signaling(fmt, a) or is_signaling(fmt, b):
        raise_flags(h, NV)
    return fmt.nan


def zero_sum(fmt: Static[Format], a_sign: U1, b_sign: U1, mode: U3) -> U64:
    """The zero that a sum is whose exact value is zero: with the sign that both have, else
    positive, but negative where rounding is down (IEEE 754-2008, 6.3)."""
    if a_sign == b_sign:
        return a_sign << (fmt.width - 1)
    if mode == RDN:
        return fmt.sign
    return 0


# --- Addition --------------------------------------------------------------------------------


@cold
def add(h: Hart, fmt: Static[Format], a: U64, b: U64, mode: U3) -> U64:
    """a + b."""
    if is_nan(fmt, a) or is_nan(fmt, b):
        return nan_operand(h, fmt, a, b)
    if is_infinite(fmt, a):
        if is_infinite(fmt, b) and a != b:
            return invalid(h, fmt)
        return a
    if is_infinite(fmt, b):
        return b
    if is_zero(fmt, a):
        if is_zero(fmt, b):
            return zero_sum(fmt, sign_of(fmt, a), sign_of(fmt, b), mode)
        return b
    if is_zero(fmt, b):
        return a
    if (a & fmt.magnitude) < (b & fmt.magnitude):
        return _add_ordered(h, fmt, b, a, mode)
    return _add_ordered(h, fmt, a, b, mode)


def _add_ordered(h: Hart, fmt: Static[Format], large: U64, small: U64, mode: U3) -> U64:
    """large + small, of finite numbers, not zeros, where |large| >= |small|."""
    sign = sign_of(fmt, large)
    exponent, large_significand = unpack(fmt, large)
    small_exponent, small_significand = unpack(fmt, small)
    # The lower bits of the significands are zero: there is room for a carry at the top. Bits are
    # lost to the sticky one only where exponents differ by more than the zero bits below, which
    # are 10 at least; then a difference loses one bit at its top at most, and the sticky bit stays
    # below what is kept.
    x = large_significand >> 1
    y = shift_right_sticky(small_significand >> 1, u32(exponent - small_exponent))
    if sign == sign_of(fmt, small):
        total = u64(x + y)
    else:
        total = u64(x - y)
        if total == 0:
            return zero_sum(fmt, 0, 1, mode)
    zeros = count_leading_zeros(total) & 63
    return round_pack(h, fmt, sign, i32(exponent + 1 - zeros), u64(total << zeros), mode)


@cold
def sub(h: Hart, fmt: Static[Format], a: U64, b: U64, mode: U3) -> U64:
    """a - b: a + (-b), for NaNs too, since their signs don't matter."""
    return add(h, fmt, a, b ^ fmt.sign, mode)


# --- Multiplication and division -------------------------------------------------------------


@cold
def mul(h: Hart, fmt: Static[Format], a: U64, b: U64, mode: U3) -> U64:
    """a * b."""
    sign = sign_of(fmt, a ^ b)
    if is_nan(fmt, a) or is_nan(fmt, b):
        return nan_operand(h, fmt, a, b)
    if is_infinite(fmt, a) or is_infinite(fmt, b):
        if is_zero(fmt, a) or is_zero(fmt, b):
            return invalid(h, fmt)
        return (sign << (fmt.width - 1)) | fmt.infinity
    if is_zero(fmt, a) or is_zero(fmt, b):
        return sign << (fmt.width - 1)
    a_exponent, a_significand = unpack(fmt, a)
    b_exponent, b_significand = unpack(fmt, b)
    # Each is in 2^63..2^64, their product in 2^126..2^128.
    zeros, significand = normalize_128(u128(a_significand) * b_significand)
    exponent = i32(a_exponent + b_exponent + 1 - zeros)
    return round_pack(h, fmt, sign, exponent, significand, mode)


@cold
def div(h: Hart, fmt: Static[Format], a: U64, b: U64, mode: U3) -> U64:
    """a / b."""
    sign = sign_of(fmt, a ^ b)
    if is_nan(fmt, a) or is_nan(fmt, b):
        return nan_operand(h, fmt, a, b)
    if is_infinite(fmt, a):
        if is_infinite(fmt, b):
            return invalid(h, fmt)
        return (sign << (fmt.width - 1)) | fmt.infinity
    if is_infinite(fmt, b):
        return sign << (fmt.width - 1)
    if is_zero(fmt, b):
        if is_zero(fmt, a):
            return invalid(h, fmt)
        raise_flags(h, DZ)
        return (sign << (fmt.width - 1)) | fmt.infinity
    if is_zero(fmt, a):
        return sign << (fmt.width - 1)
    a_exponent, a_significand = unpack(fmt, a)
    b_exponent, b_significand = unpack(fmt, b)
    quotient = divide_significands(fmt, a_significand, b_significand)
    zeros = count_leading_zeros(quotient) & 63
    exponent = i32(a_exponent - b_exponent - zeros)
    return round_pack(h, fmt, sign, exponent, u64(quotient << zeros), mode)


def divide_significands(fmt: Static[Format], dividend: U64, divisor: U64) -> U64:
    """dividend / divisor * 2^63, with a sticky bit below at least fraction_bits + 3 quotient bits.
    Both have the format's significant bits, the highest at bit 63.

    Long division with digits of `spare` bits: a remainder has fraction_bits + 1 bits, so that one
    with the next digit's worth of zeros behind it has 64. After the integer digit, which is 0 or 1,
    `digits` more give fraction_bits + 2 bits or more: even where the first is 0, then the second
    one's highest bit is 1, that is a bit more than is kept, and the sticky bit below it."""
    digits = (fmt.fraction_bits + 2 + fmt.spare - 1) // fmt.spare
    d = divisor >> fmt.spare
    n = dividend >> fmt.spare
    quotient = n // d
    remainder = n % d
    for _ in range(digits):
        scaled = u64(remainder << fmt.spare)
        quotient = u64(quotient << fmt.spare) | (scaled // d)
        remainder = scaled % d
    # The quotient has 1 + digits * spare bits; it goes below bit 63.
    return u64(quotient << (63 - digits * fmt.spare)) | int(remainder != 0)


@cold
def sqrt(h: Hart, fmt: Static[Format], a: U64, mode: U3) -> U64:
    """The square root of a."""
    if is_nan(fmt, a):
        return nan_operand(h, fmt, a, a)
    if is_zero(fmt, a):
        return a  # of -0 as well
    if sign_of(fmt, a):
        return invalid(h, fmt)
    if is_infinite(fmt, a):
        return a
    exponent, significand = unpack(fmt, a)
    # An even exponent is halved; the radicand, in 1..4, has its integer part in bits 63-62.
    radicand = significand
    if exponent & 1 == 0:
        radicand = significand >> 1
    root = square_root(fmt, radicand)
    return round_pack(h, fmt, 0, i32(exponent >> 1), root, mode)


def square_root(fmt: Static[Format], radicand: U64) -> U64:
    """The root of radicand / 2^62, in 1..2, times 2^63, with a sticky bit below fraction_bits + 3
    bits. Bit by bit: root^2 + remainder is the part of the radicand seen so far."""
    bits = fmt.fraction_bits + 3
    root: U64 = 0
    remainder: U64 = 0
    rest: U64 = radicand
    left: U64 = bits
    while left != 0:  # not `for`, which would be unrolled
        left = u64(left - 1)
        remainder = u64(remainder << 2) | (rest >> 62)
        rest = u64(rest << 2)
        trial = u64(root << 2) | 1
        root = u64(root << 1)
        if remainder >= trial:
            remainder = u64(remainder - trial)
            root = root | 1
    # The radicand has fraction_bits + 2 bits, so all of it has been seen.
    return u64(root << (64 - bits)) | int(remainder != 0)


# --- Fused multiply-add ----------------------------------------------------------------------


@cold
def fma(h: Hart, fmt: Static[Format], a: U64, b: U64, c: U64, mode: U3) -> U64:
    """a * b + c, rounded once."""
    sign = sign_of(fmt, a ^ b)
    if (is_infinite(fmt, a) and is_zero(fmt, b)) or (is_zero(fmt, a) and is_infinite(fmt, b)):
        return invalid(h, fmt)  # even where c is a quiet NaN: norm:fma_nv_flag
    if is_nan(fmt, a) or is_nan(fmt, b) or is_nan(fmt, c):
        if is_signaling(fmt, c):
            raise_flags(h, NV)
        return nan_operand(h, fmt, a, b)
    if is_infinite(fmt, a) or is_infinite(fmt, b):
        if is_infinite(fmt, c) and sign_of(fmt, c) != sign:
            return invalid(h, fmt)
        return (sign << (fmt.width - 1)) | fmt.infinity
    if is_infinite(fmt, c):
        return c
    if is_zero(fmt, a) or is_zero(fmt, b):
        if is_zero(fmt, c):
            return zero_sum(fmt, sign, sign_of(fmt, c), mode)
        return c
    if is_zero(fmt, c):
        return mul(h, fmt, a, b, mode)  # whose exact value is not zero
    return _fma_finite(h, fmt, a, b, c, mode)


def _fma_finite(h: Hart, fmt: Static[Format], a: U64, b: U64, c: U64, mode: U3) -> U64:
    """a * b + c of finite numbers, not zeros."""
    sign = sign_of(fmt, a ^ b)
    c_sign = sign_of(fmt, c)
    a_exponent, a_significand = unpack(fmt, a)
    b_exponent, b_significand = unpack(fmt, b)
    c_exponent, c_significand = unpack(fmt, c)
    # Both terms as 128-bit significands, in units of 2^-126: the product in 2^126..2^128, the
    # addend in 2^126..2^127. The product's low bits are zero (22 at least), so both go down by one
    # bit for the carry, and neither loses any.
    exponent = a_exponent + b_exponent
    product = u128(u128(a_significand) * b_significand) >> 1
    addend = u128(u128(c_significand) << 62)
    # Align to the larger exponent. As in `_add_ordered`, a term that loses bits to the sticky one
    # is so much smaller than the other that a difference stays long enough: the product has 21 zero
    # bits at its end, the addend 74, so it is at least 2^20 times smaller.
    if exponent >= c_exponent:
        shifted = shift_right_sticky_128(addend, u32(exponent - c_exponent))
        return _fma_sum(h, fmt, sign, product, c_sign, shifted, i32(exponent), mode)
    shifted = shift_right_sticky_128(product, u32(c_exponent - exponent))
    return _fma_sum(h, fmt, sign, shifted, c_sign, addend, i32(c_exponent), mode)


def _fma_sum(
    h: Hart,
    fmt: Static[Format],
    product_sign: U1,
    product: U128,
    addend_sign: U1,
    addend: U128,
    exponent: I32,
    mode: U3,
) -> U64:
    """Add two terms in units of 2^(exponent - 125), each less than 2^127, and round."""
    sign = product_sign
    if product_sign == addend_sign:
        zeros, significand = normalize_128(u128(product + addend))
    elif product == addend:
        return zero_sum(fmt, 0, 1, mode)
    elif product > addend:
        zeros, significand = normalize_128(u128(product - addend))
    else:
        zeros, significand = normalize_128(u128(addend - product))
        sign = addend_sign
    return round_pack(h, fmt, sign, i32(exponent + 2 - zeros), significand, mode)
