"""IEEE 754 arithmetic over exact rationals: what softfloat is tested against.

It shares nothing with the model but the numbers of rounding modes and flags, which it has from the
manual. A value is a Fraction, or one of the strings below where it is not a finite number.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

RNE, RTZ, RDN, RUP, RMM = range(5)
MODES = (RNE, RTZ, RDN, RUP, RMM)
NX, UF, OF, DZ, NV = 1, 2, 4, 8, 16

INF, QNAN, SNAN = "inf", "quiet NaN", "signaling NaN"


@dataclass(frozen=True)
class Kind:
    """A format, by the widths of its exponent and fraction."""

    e: int
    f: int

    @property
    def width(self) -> int:
        return 1 + self.e + self.f

    @property
    def nan(self) -> int:
        return ((1 << (self.e + 1)) - 1) << (self.f - 1)

    @property
    def emax(self) -> int:
        return 2 ** (self.e - 1) - 1

    def infinity(self, sign: int) -> int:
        return (sign << (self.width - 1)) | (((1 << self.e) - 1) << self.f)

    def zero(self, sign: int) -> int:
        return sign << (self.width - 1)

    def decode(self, bits: int) -> tuple[int, Fraction | str]:
        """The sign, and the magnitude."""
        sign = bits >> (self.width - 1)
        exponent = (bits >> self.f) % (1 << self.e)
        fraction = bits % (1 << self.f)
        if exponent == (1 << self.e) - 1:
            if fraction == 0:
                return sign, INF
            return sign, QNAN if fraction >> (self.f - 1) else SNAN
        if exponent == 0:
            return sign, fraction * Fraction(2) ** (1 - self.emax - self.f)
        scale = Fraction(2) ** (exponent - self.emax - self.f)
        return sign, ((1 << self.f) + fraction) * scale


KINDS = {16: Kind(5, 10), 32: Kind(8, 23), 64: Kind(11, 52)}


def nearest_integer(value: Fraction, sign: int, mode: int) -> int:
    """A magnitude rounded to an integer, as a number of this sign is."""
    whole = value.numerator // value.denominator
    rest = value - whole
    half = Fraction(1, 2)
    up = {
        RNE: rest > half or (rest == half and whole % 2 == 1),
        RTZ: False,
        RDN: rest > 0 and sign == 1,
        RUP: rest > 0 and sign == 0,
        RMM: rest >= half,
    }[mode]
    return whole + up


def log2_floor(value: Fraction) -> int:
    """The greatest n with 2^n <= value."""
    n = value.numerator.bit_length() - value.denominator.bit_length()
    return n if Fraction(2) ** n <= value else n - 1


def encode(kind: Kind, sign: int, value: Fraction, mode: int) -> tuple[int, int]:
    """A magnitude that is not zero in a format: bits and flags."""
    emin = 1 - kind.emax
    quantum = Fraction(2) ** (max(log2_floor(value), emin) - kind.f)
    rounded = nearest_integer(value / quantum, sign, mode) * quantum
    flags = 0 if rounded == value else NX
    # Tiny after rounding: as if the exponent range had no lower end.
    unbounded = Fraction(2) ** (log2_floor(value) - kind.f)
    if nearest_integer(value / unbounded, sign, mode) * unbounded < Fraction(2) ** emin and flags:
        flags |= UF
    if rounded >= Fraction(2) ** (kind.emax + 1):
        away = mode in (RNE, RMM) or (mode == RUP and not sign) or (mode == RDN and sign)
        return kind.infinity(sign) - (0 if away else 1), OF | NX
    if rounded == 0:
        return kind.zero(sign), flags
    exponent = max(log2_floor(rounded), emin)
    significand = rounded / Fraction(2) ** (exponent - kind.f)
    assert significand.denominator == 1
    if significand < 1 << kind.f:
        return kind.zero(sign) | int(significand), flags  # subnormal
    stored = exponent + kind.emax
    return kind.zero(sign) | (stored << kind.f) | (int(significand) - (1 << kind.f)), flags


def _nan(kind: Kind, *values: Fraction | str) -> tuple[int, int]:
    return kind.nan, NV if SNAN in values else 0


def _signed_sum(kind: Kind, s: int, x: Fraction, t: int, y: Fraction, mode: int) -> tuple[int, int]:
    total = (-x if s else x) + (-y if t else y)
    if total == 0:
        both_negative = s == 1 and t == 1
        either_negative = s == 1 or t == 1
        return kind.zero(int(either_negative if mode == RDN else both_negative)), 0
    return encode(kind, int(total < 0), abs(total), mode)


def add(kind: Kind, a: int, b: int, mode: int) -> tuple[int, int]:
    return fma(kind, a, (kind.emax << kind.f), b, mode)


def sub(kind: Kind, a: int, b: int, mode: int) -> tuple[int, int]:
    return add(kind, a, b ^ kind.zero(1), mode)


def mul(kind: Kind, a: int, b: int, mode: int) -> tuple[int, int]:
    (s, x), (t, y) = kind.decode(a), kind.decode(b)
    sign = s ^ t
    if {QNAN, SNAN} & {x, y}:
        return _nan(kind, x, y)
    if INF in (x, y):
        return (kind.nan, NV) if 0 in (x, y) else (kind.infinity(sign), 0)
    assert isinstance(x, Fraction)
    assert isinstance(y, Fraction)
    return encode(kind, sign, x * y, mode) if x * y else (kind.zero(sign), 0)


def div(kind: Kind, a: int, b: int, mode: int) -> tuple[int, int]:
    (s, x), (t, y) = kind.decode(a), kind.decode(b)
    sign = s ^ t
    if {QNAN, SNAN} & {x, y}:
        return _nan(kind, x, y)
    if (x == INF and y == INF) or (x == 0 and y == 0):
        return kind.nan, NV
    if x == INF:
        return kind.infinity(sign), 0
    if y == 0:
        return kind.infinity(sign), DZ
    if y == INF or x == 0:
        return kind.zero(sign), 0
    assert isinstance(x, Fraction)
    assert isinstance(y, Fraction)
    return encode(kind, sign, x / y, mode)


def sqrt(kind: Kind, a: int, mode: int) -> tuple[int, int]:
    sign, x = kind.decode(a)
    if x in (QNAN, SNAN):
        return _nan(kind, x)
    if x == 0:
        return a, 0
    if sign:
        return kind.nan, NV
    if x == INF:
        return a, 0
    assert isinstance(x, Fraction)
    # With 2k bits more the root is cut off far behind all that rounding looks at; if it does not
    # end there, something between stands for the rest.
    k = 4 * kind.width + 2 ** (kind.e - 1)
    scaled = x * 4**k
    root = math.isqrt(scaled.numerator // scaled.denominator)
    value = Fraction(root, 2**k)
    if value * value != x:
        value += Fraction(1, 2 ** (k + 1))
    return encode(kind, 0, value, mode)


def fma(kind: Kind, a: int, b: int, c: int, mode: int) -> tuple[int, int]:
    (s, x), (t, y), (u, z) = kind.decode(a), kind.decode(b), kind.decode(c)
    sign = s ^ t
    if {INF, 0} == {x, y}:
        return kind.nan, NV
    if {QNAN, SNAN} & {x, y, z}:
        return _nan(kind, x, y, z)
    if INF in (x, y):
        return (kind.nan, NV) if z == INF and u != sign else (kind.infinity(sign), 0)
    if z == INF:
        return kind.infinity(u), 0
    assert isinstance(x, Fraction)
    assert isinstance(y, Fraction)
    assert isinstance(z, Fraction)
    return _signed_sum(kind, sign, x * y, u, z, mode)


def convert(kind: Kind, to: Kind, a: int, mode: int) -> tuple[int, int]:
    sign, x = kind.decode(a)
    if x in (QNAN, SNAN):
        return _nan(to, x)
    if x == INF:
        return to.infinity(sign), 0
    if x == 0:
        return to.zero(sign), 0
    assert isinstance(x, Fraction)
    return encode(to, sign, x, mode)


def to_integer(kind: Kind, bits: int, signed: bool, a: int, mode: int) -> tuple[int, int]:
    """The integer (negative ones as such) and flags."""
    low, high = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    sign, x = kind.decode(a)
    if x in (QNAN, SNAN):
        return high, NV
    if x == INF:
        return (low if sign else high), NV
    assert isinstance(x, Fraction)
    magnitude = nearest_integer(x, sign, mode)
    value = -magnitude if sign else magnitude
    if not low <= value <= high:
        return (low if sign else high), NV
    return value, 0 if magnitude == x else NX


def from_integer(kind: Kind, value: int, mode: int) -> tuple[int, int]:
    return encode(kind, int(value < 0), Fraction(abs(value)), mode) if value else (0, 0)


def compare(kind: Kind, relation: str, a: int, b: int) -> tuple[int, int]:
    """relation: "eq", "lt", "le"."""
    (s, x), (t, y) = kind.decode(a), kind.decode(b)
    if {QNAN, SNAN} & {x, y}:
        return 0, NV if relation != "eq" or SNAN in (x, y) else 0
    p, q = (
        (Fraction(10) ** 400 if m == INF else m) * (-1 if sign else 1)
        for sign, m in ((s, x), (t, y))
    )
    return int({"eq": p == q, "lt": p < q, "le": p <= q}[relation]), 0


def minmax(kind: Kind, largest: bool, a: int, b: int) -> tuple[int, int]:
    (s, x), (t, y) = kind.decode(a), kind.decode(b)
    flags = NV if SNAN in (x, y) else 0
    nans = [m in (QNAN, SNAN) for m in (x, y)]
    if all(nans):
        return kind.nan, flags
    if any(nans):
        return (b if nans[0] else a), flags
    if x == 0 and y == 0:
        negative = (s and t) if largest else (s or t)
        return kind.zero(int(negative)), flags
    a_first = compare(kind, "lt", a, b)[0]
    return (a if bool(a_first) != largest else b), flags
