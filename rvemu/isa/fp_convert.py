"""What the conversion instructions of all floating-point formats share. `rvemu.isa.fp` says what
the fast paths rest on."""

from rvemu.hart.floating import FAST_TRUNCATE, check_fp, rounding_mode
from rvemu.hart.state import Hart
from rvemu.isa import softfloat_convert
from rvemu.isa.fp import boxed, legal, make_writable, nearest, require_on, unbox, write
from rvemu.isa.softfloat_format import (
    D,
    Format,
    H,
    S,
    classify,
    is_nan,
    is_zero,
    sign_of,
)
from rvemu.lang import (
    U3,
    U5,
    U64,
    Destination,
    Static,
    cold,
    f32_from_f64,
    f64_from_f32,
    f64_from_i64,
    f64_from_u64,
    i32,
    i64,
    i64_from_f64,
    sext,
    u32,
    u64,
)

# --- Between formats -------------------------------------------------------------------------


@cold
def soft_convert(h: Hart, to: Static[Format], fmt: Static[Format], fd: U5, fs1: U5, rm: U3) -> None:
    """The slow path of conversions between formats."""
    check_fp(h)
    mode = rounding_mode(h, rm)
    write(h, to, fd, softfloat_convert.convert(h, to, fmt, unbox(fmt, h.f[fs1]), mode))


def widen_normal(to: Static[Format], fmt: Static[Format], a: U64) -> U64:
    """A normal number in a wider format: another bias, and zeros behind its fraction."""
    more = to.fraction_bits - fmt.fraction_bits
    magnitude = ((a & fmt.magnitude) << more) + ((to.bias - fmt.bias) << to.fraction_bits)
    return (sign_of(fmt, a) << (to.width - 1)) | u64(magnitude)


def single_to_double(h: Hart, fd: U5, fs1: U5, rm: U3) -> None:
    """fcvt.d.s: exact, and without exceptions where the operand is not a NaN."""
    a = h.f[fs1]
    if legal(h, rm) and boxed(S, a) and not is_nan(S, a):
        h.f[fd] = f64_from_f32(a & S.mask)
        return
    soft_convert(h, D, S, fd, fs1, rm)


def double_to_single(h: Hart, fd: U5, fs1: U5, rm: U3) -> None:
    """fcvt.s.d."""
    a = h.f[fs1]
    result = f32_from_f64(a)
    magnitude = result & S.magnitude
    # What comes back is exact, whatever the rounding mode: the second clause is for programs that
    # have not yet computed anything inexact.
    if (nearest(h, rm) and S.least_normal < magnitude < S.infinity) or (
        legal(h, rm) and not is_nan(D, a) and f64_from_f32(result) == a
    ):
        h.f[fd] = result | S.box
        return
    soft_convert(h, S, D, fd, fs1, rm)


def widen_half(h: Hart, to: Static[Format], fd: U5, fs1: U5, rm: U3) -> None:
    """fcvt.s.h, fcvt.d.h."""
    a = h.f[fs1]
    if legal(h, rm) and boxed(H, a):
        if H.least_normal <= (a & H.magnitude) < H.infinity:
            h.f[fd] = widen_normal(to, H, a) | to.box
            return
        if is_zero(H, a):
            h.f[fd] = (sign_of(H, a) << (to.width - 1)) | to.box
            return
    soft_convert(h, to, H, fd, fs1, rm)


def narrow_to_half(h: Hart, fmt: Static[Format], fd: U5, fs1: U5, rm: U3) -> None:
    """fcvt.h.s, fcvt.h.d."""
    a = h.f[fs1]
    if nearest(h, rm) and boxed(fmt, a):
        less = fmt.fraction_bits - H.fraction_bits
        # With the other bias. Below zero it wraps around, and then seems too large.
        magnitude = u64((a & fmt.magnitude) - ((fmt.bias - H.bias) << fmt.fraction_bits))
        odd = (magnitude >> less) & 1
        rounded = u64(magnitude + ((1 << (less - 1)) - 1) + odd) >> less
        # No underflow, overflow or NaN: as for the host's results.
        if H.least_normal < rounded < H.infinity:
            h.f[fd] = rounded | (sign_of(fmt, a) << 15) | H.box
            return
    soft_convert(h, H, fmt, fd, fs1, rm)


# --- To integers -----------------------------------------------------------------------------


@cold
def soft_to_integer(
    h: Hart,
    fmt: Static[Format],
    bits: Static[int],
    signed: Static[bool],
    rd: Destination,
    fs1: U5,
    rm: U3,
) -> None:
    """The slow path of conversions to integers. All 32-bit results are sign-extended
    (norm:fcvt-w-d_fcvt-wu-d_sign_ext)."""
    check_fp(h)
    mode = rounding_mode(h, rm)
    a = unbox(fmt, h.f[fs1])
    h.x[rd] = sext(softfloat_convert.to_integer(h, fmt, bits, signed, a, mode), bits)


def float_to_integer(
    h: Hart,
    fmt: Static[Format],
    bits: Static[int],
    signed: Static[bool],
    rd: Destination,
    fs1: U5,
    rm: U3,
) -> None:
    """fcvt.w.s and so on: the fast path truncates, as casts do in most languages. What is less than
    the limit in magnitude fits, and so do negative fractions of unsigned ones, but they are rare:
    with its sign bit a negative number is above any limit."""
    register = h.f[fs1]
    if (h.fp_fast >> (FAST_TRUNCATE + rm)) & 1 and boxed(fmt, register):
        a = register & fmt.mask
        size = a & fmt.magnitude if signed else a
        if size < fmt.power_of_two(bits - 1 if signed or bits == 64 else bits):
            double = f64_from_f32(a) if fmt == S else a
            h.x[rd] = sext(i64_from_f64(double), bits)
            return
    soft_to_integer(h, fmt, bits, signed, rd, fs1, rm)


# --- From integers ---------------------------------------------------------------------------


@cold
def soft_from_integer(
    h: Hart,
    fmt: Static[Format],
    bits: Static[int],
    signed: Static[bool],
    fd: U5,
    rs1: U5,
    rm: U3,
) -> None:
    """The slow path of conversions from integers."""
    check_fp(h)
    mode = rounding_mode(h, rm)
    value = sext(h.x[rs1], 32) if signed and bits == 32 else h.x[rs1]
    if bits == 32 and not signed:
        value = u32(value)
    sign = 0
    if signed and value >> 63:
        sign = 1
        value = u64(-value)
    write(h, fmt, fd, softfloat_convert.from_integer(h, fmt, sign, value, mode))


def integer_to_double(
    h: Hart, bits: Static[int], signed: Static[bool], fd: U5, rs1: U5, rm: U3
) -> None:
    """fcvt.d.w and so on."""
    x = h.x[rs1]
    if bits == 32:
        if legal(h, rm):  # exact
            h.f[fd] = f64_from_i64(i32(x) if signed else u32(x))
            return
    elif nearest(h, rm) or (legal(h, rm) and within(x, signed, 53)):
        h.f[fd] = f64_from_i64(i64(x)) if signed else f64_from_u64(x)
        return
    soft_from_integer(h, D, bits, signed, fd, rs1, rm)


def integer_to_single(
    h: Hart, bits: Static[int], signed: Static[bool], fd: U5, rs1: U5, rm: U3
) -> None:
    """fcvt.s.w and so on: by way of a double, where that holds the integer exactly, so that it is
    rounded only once."""
    x = h.x[rs1]
    if bits == 32:
        x = sext(x, 32) if signed else u32(x)
    if (nearest(h, rm) and within(x, signed, 53)) or (legal(h, rm) and within(x, signed, 24)):
        h.f[fd] = f32_from_f64(f64_from_i64(i64(x))) | S.box
        return
    soft_from_integer(h, S, bits, signed, fd, rs1, rm)


def within(x: U64, signed: Static[bool], bits: Static[int]) -> U64:
    """Whether the magnitude of a 64-bit integer is at most 2^bits: where `bits` is the precision of
    a format, that holds it exactly."""
    if signed:
        return int(u64(x + (1 << bits)) <= 1 << (bits + 1))
    return int(x <= 1 << bits)


# --- Moves and classification ----------------------------------------------------------------


def to_register(h: Hart, fmt: Static[Format], rd: Destination, fs1: U5) -> None:
    """fmv.x.w and so on: the bits, whether NaN-boxed or not, sign-extended."""
    require_on(h)
    h.x[rd] = sext(h.f[fs1], fmt.width)


def from_register(h: Hart, fmt: Static[Format], fd: U5, rs1: U5) -> None:
    """fmv.w.x and so on: the bits, NaN-boxed."""
    make_writable(h)
    h.f[fd] = (h.x[rs1] & fmt.mask) | fmt.box


def classify_register(h: Hart, fmt: Static[Format], rd: Destination, fs1: U5) -> None:
    """fclass: no exceptions."""
    require_on(h)
    h.x[rd] = classify(fmt, unbox(fmt, h.f[fs1]))
