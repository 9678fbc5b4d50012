"""IEEE 754 binary formats: their parameters, and what a bit pattern is.

The formats are those that RISC-V calls H, S and D (unprivileged manual, "F", "D" and "Zfh"). All of
`softfloat_*` is written once for any of them: a format is a `Static` parameter, so the native
engine has a copy of each function for each format, with all its constants folded.
"""

from dataclasses import dataclass

from rvemu.lang import I32, I64, U1, U64, Static, count_leading_zeros, i32, u64


@dataclass(frozen=True)
class Format:
    """A binary interchange format. Where nothing else is said, properties are
    bit patterns."""

    exponent_bits: int
    fraction_bits: int

    @property
    def width(self) -> int:
        """All bits."""
        return 1 + self.exponent_bits + self.fraction_bits

    @property
    def bias(self) -> int:
        """What is added to an exponent to store it."""
        return (1 << (self.exponent_bits - 1)) - 1

    @property
    def least_exponent(self) -> int:
        """Of a normal number."""
        return 1 - self.bias

    @property
    def greatest_exponent(self) -> int:
        """Of a finite number."""
        return self.bias

    @property
    def exponent_mask(self) -> int:
        """The exponent field, shifted down."""
        return (1 << self.exponent_bits) - 1

    @property
    def fraction_mask(self) -> int:
        """The fraction field."""
        return (1 << self.fraction_bits) - 1

    @property
    def sign(self) -> int:
        """The sign bit."""
        return 1 << (self.width - 1)

    @property
    def magnitude(self) -> int:
        """All bits but the sign. Magnitudes of finite numbers are ordered as their bits are."""
        return self.sign - 1

    @property
    def mask(self) -> int:
        """All bits."""
        return (1 << self.width) - 1

    @property
    def infinity(self) -> int:
        """Positive infinity. What has a greater magnitude is a NaN."""
        return self.exponent_mask << self.fraction_bits

    @property
    def quiet_bit(self) -> int:
        """The bit of a NaN that says that it is not a signaling one."""
        return 1 << (self.fraction_bits - 1)

    @property
    def nan(self) -> int:
        """The canonical NaN: what every operation gives that gives a NaN."""
        return self.infinity | self.quiet_bit

    @property
    def least_normal(self) -> int:
        """The least positive normal number."""
        return 1 << self.fraction_bits

    @property
    def greatest(self) -> int:
        """The greatest finite number."""
        return self.infinity - 1

    def power_of_two(self, exponent: int) -> int:
        """2^exponent, a normal number."""
        return (self.bias + exponent) << self.fraction_bits

    @property
    def spare(self) -> int:
        """The bits that a 64-bit significand has below those of the format."""
        return 63 - self.fraction_bits

    @property
    def box(self) -> int:
        """The bits of a 64-bit register above a value of this format: all ones, if it is NaN-boxed.
        So a register holds a boxed value just where it is not less than this."""
        return ((1 << 64) - 1) ^ self.mask


H = Format(exponent_bits=5, fraction_bits=10)
S = Format(exponent_bits=8, fraction_bits=23)
D = Format(exponent_bits=11, fraction_bits=52)

# --- Order -----------------------------------------------------------------------------------


def number_order(fmt: Static[Format], bits: U64) -> I64:
    """An integer that is ordered as the numbers are; the same for both zeros. Not for NaNs."""
    if bits & fmt.sign:
        return -(bits & fmt.magnitude)
    return bits & fmt.magnitude


def total_order(fmt: Static[Format], bits: U64) -> I64:
    """An integer that is ordered as the numbers are, with -0 below +0. Not for NaNs."""
    if bits & fmt.sign:
        return ~(bits & fmt.magnitude)
    return bits & fmt.magnitude


def smaller_or_larger(fmt: Static[Format], a: U64, b: U64, maximum: Static[bool]) -> U64:
    """The smaller of a and b, or the larger. Neither is a NaN, and -0 is less than +0."""
    if maximum:
        return a if total_order(fmt, a) > total_order(fmt, b) else b
    return a if total_order(fmt, a) < total_order(fmt, b) else b


# --- What a bit pattern is -------------------------------------------------------------------


def sign_of(fmt: Static[Format], bits: U64) -> U1:
    """The sign: 1 is negative."""
    return (bits >> (fmt.width - 1)) & 1


def is_nan(fmt: Static[Format], bits: U64) -> U1:
    """Whether it is a NaN of either kind."""
    return int((bits & fmt.magnitude) > fmt.infinity)


def is_signaling(fmt: Static[Format], bits: U64) -> U1:
    """Whether it is a signaling NaN."""
    return int((bits & fmt.magnitude) > fmt.infinity and (bits & fmt.quiet_bit) == 0)


def is_infinite(fmt: Static[Format], bits: U64) -> U1:
    """Whether it is an infinity."""
    return int((bits & fmt.magnitude) == fmt.infinity)


def is_zero(fmt: Static[Format], bits: U64) -> U1:
    """Whether it is a zero."""
    return int((bits & fmt.magnitude) == 0)


def unpack(fmt: Static[Format], bits: U64) -> tuple[I32, U64]:
    """The exponent and significand of a finite number that is not zero: its magnitude is
    significand / 2^63 * 2^exponent, and bit 63 of the significand is set, for subnormals too."""
    stored = (bits >> fmt.fraction_bits) & fmt.exponent_mask
    fraction = bits & fmt.fraction_mask
    if stored != 0:
        return i32(stored - fmt.bias), (1 << 63) | (fraction << fmt.spare)
    # fraction * 2^(least_exponent - fraction_bits), shifted up until bit 63 is set
    zeros = count_leading_zeros(fraction)
    exponent = fmt.least_exponent - fmt.fraction_bits + 63 - zeros
    return i32(exponent), u64(fraction << (zeros & 63))


def classify(fmt: Static[Format], bits: U64) -> U64:
    """What fclass gives: one bit of ten that says what the value is (norm:fclass-s_op)."""
    magnitude = bits & fmt.magnitude
    if magnitude > fmt.infinity:
        if bits & fmt.quiet_bit:
            return 1 << 9
        return 1 << 8
    if magnitude == fmt.infinity:
        kind = 0
    elif magnitude >= fmt.least_normal:
        kind = 1
    elif magnitude != 0:
        kind = 2
    else:
        kind = 3
    # Bits 0-3 are the negative kinds from infinity to zero; 7-4 the positive ones.
    if sign_of(fmt, bits):
        return 1 << (kind & 3)
    return 1 << (7 - (kind & 3))
