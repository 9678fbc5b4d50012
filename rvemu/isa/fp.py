"""What the floating-point instructions of all formats share: operands, checks, and fast paths.

A fast path uses the host's unit, which rounds to nearest even as IEEE 754 says; so in that mode its
finite results are the right ones. That leaves the exceptions, which the host is not asked for, and
NaNs. The fast path is taken only where they need no thought:

- NX is already set (`FAST_NEAREST`), so it doesn't matter whether the result is exact. Programs
  whose results are inexact at all set it once, and hardly ever clear it.
- A result that is a NaN or infinite is left to the slow path: a NaN may be an invalid operation,
  and must be the canonical one; an infinity may be an overflow, a division by zero, or neither.
  With a finite result there was none of these. (A NaN operand gives a NaN. An infinite operand
  gives an infinity or NaN, except as divisor, where it gives a zero: see the next point.)
- A result may be an underflow only if its magnitude is not *greater than* the least normal number:
  what is tiny after rounding may, rounded again to the denormal's precision, be just that number.
  A sum can't underflow: where it is so small it is exact. Nor can a square root, which is never so
  small, unless it is zero.

The slow path is `softfloat_*`: integer arithmetic, any mode, all exceptions.
"""

from collections.abc import Callable

from rvemu.hart.floating import (
    FAST_LEGAL,
    FAST_NEAREST,
    FAST_ON,
    FAST_WRITABLE,
    check_fp,
    mark_fp_dirty,
    rounding_mode,
)
from rvemu.hart.state import Hart
from rvemu.isa import softfloat_convert
from rvemu.isa.softfloat_arith import fma
from rvemu.isa.softfloat_format import Format, is_nan, is_zero, smaller_or_larger
from rvemu.lang import U1, U3, U5, U64, Destination, Static, cold

# An operation of the host's unit, and one of softfloat: (h, format, operands..., mode).
Host = Static[Callable[..., int]]
Soft = Static[Callable[..., int]]

# --- Operands --------------------------------------------------------------------------------


def unbox(fmt: Static[Format], register: U64) -> U64:
    """A register's value of a format. One that is not NaN-boxed counts as the canonical NaN
    (norm:FP_nontransfer_instrs_improper_nan-boxed_input)."""
    if register < fmt.box:
        return fmt.nan
    return register & fmt.mask


def boxed(fmt: Static[Format], both: U64) -> U1:
    """Whether registers are NaN-boxed, given the bits that are set in all of them."""
    return int(both >= fmt.box)


# --- Checks ----------------------------------------------------------------------------------


def require_on(h: Hart) -> None:
    """For instructions that write no floating-point state: illegal where FS is off."""
    if h.fp_fast & FAST_ON == 0:
        check_fp(h)


def require_on_to_write(h: Hart) -> None:
    """The same, for those that will `write` after something else that may raise. Here the fast
    path already wants the registers to be writable, so that it need not be asked again."""
    if h.fp_fast & FAST_WRITABLE == 0:
        check_fp(h)


@cold
def _make_writable(h: Hart) -> None:
    check_fp(h)
    mark_fp_dirty(h)


def make_writable(h: Hart) -> None:
    """For those that always write a register and do nothing else that may raise."""
    if h.fp_fast & FAST_WRITABLE == 0:
        _make_writable(h)


def write(h: Hart, fmt: Static[Format], fd: U5, value: U64) -> None:
    """Write a register, NaN-boxed. Whether FS is off has been checked."""
    if h.fp_fast & FAST_WRITABLE == 0:
        mark_fp_dirty(h)
    h.f[fd] = value | fmt.box


def nearest(h: Hart, rm: U3) -> U1:
    """Whether the fast path of operations that round may be taken (`FAST_NEAREST`)."""
    return int((h.fp_fast >> (FAST_NEAREST + rm)) & 1)


def legal(h: Hart, rm: U3) -> U1:
    """Whether the fast path of exact operations with an rm field may be taken (`FAST_LEGAL`)."""
    return int((h.fp_fast >> (FAST_LEGAL + rm)) & 1)


# --- Arithmetic ------------------------------------------------------------------------------


@cold
def soft_unary(h: Hart, fmt: Static[Format], soft: Soft, fd: U5, fs1: U5, rm: U3) -> None:
    """The slow path of an operation on one operand."""
    check_fp(h)
    mode = rounding_mode(h, rm)
    write(h, fmt, fd, soft(h, fmt, unbox(fmt, h.f[fs1]), mode))


@cold
def soft_binary(h: Hart, fmt: Static[Format], soft: Soft, fd: U5, fs1: U5, fs2: U5, rm: U3) -> None:
    """The slow path of an operation on two operands."""
    check_fp(h)
    mode = rounding_mode(h, rm)
    write(h, fmt, fd, soft(h, fmt, unbox(fmt, h.f[fs1]), unbox(fmt, h.f[fs2]), mode))


def add_or_sub(
    h: Hart, fmt: Static[Format], host: Host, soft: Soft, fd: U5, fs1: U5, fs2: U5, rm: U3
) -> None:
    """fadd, fsub."""
    a = h.f[fs1]
    b = h.f[fs2]
    if nearest(h, rm) and boxed(fmt, a & b):
        result = host(a & fmt.mask, b & fmt.mask)
        if result & fmt.magnitude < fmt.infinity:
            h.f[fd] = result | fmt.box
            return
    soft_binary(h, fmt, soft, fd, fs1, fs2, rm)


def mul_or_div(
    h: Hart, fmt: Static[Format], host: Host, soft: Soft, fd: U5, fs1: U5, fs2: U5, rm: U3
) -> None:
    """fmul, fdiv."""
    a = h.f[fs1]
    b = h.f[fs2]
    if nearest(h, rm) and boxed(fmt, a & b):
        result = host(a & fmt.mask, b & fmt.mask)
        magnitude = result & fmt.magnitude
        # Zero times or divided by anything is exact, where it is not a NaN. (Anything divided by
        # zero is not finite, so it need not be told apart.)
        if fmt.least_normal < magnitude < fmt.infinity or (
            magnitude == 0 and (is_zero(fmt, a) or is_zero(fmt, b))
        ):
            h.f[fd] = result | fmt.box
            return
    soft_binary(h, fmt, soft, fd, fs1, fs2, rm)


def square_root(
    h: Hart, fmt: Static[Format], host: Host, soft: Soft, fd: U5, fs1: U5, rm: U3
) -> None:
    """fsqrt."""
    a = h.f[fs1]
    if nearest(h, rm) and boxed(fmt, a):
        result = host(a & fmt.mask)
        if result & fmt.magnitude < fmt.infinity:
            h.f[fd] = result | fmt.box
            return
    soft_unary(h, fmt, soft, fd, fs1, rm)


@cold
def soft_fused(
    h: Hart,
    fmt: Static[Format],
    negate_product: Static[bool],
    negate_addend: Static[bool],
    fd: U5,
    fs1: U5,
    fs2: U5,
    fs3: U5,
    rm: U3,
) -> None:
    """The slow path of fused multiply-add."""
    check_fp(h)
    mode = rounding_mode(h, rm)
    a = unbox(fmt, h.f[fs1]) ^ (fmt.sign if negate_product else 0)
    c = unbox(fmt, h.f[fs3]) ^ (fmt.sign if negate_addend else 0)
    write(h, fmt, fd, fma(h, fmt, a, unbox(fmt, h.f[fs2]), c, mode))


def fused(
    h: Hart,
    fmt: Static[Format],
    host: Host,
    negate_product: Static[bool],
    negate_addend: Static[bool],
    fd: U5,
    fs1: U5,
    fs2: U5,
    fs3: U5,
    rm: U3,
) -> None:
    """fmadd, fmsub, fnmsub, fnmadd: +-(a * b) +-c. Negating an operand is exact, and the sign of a
    NaN doesn't matter."""
    a = h.f[fs1]
    b = h.f[fs2]
    c = h.f[fs3]
    if nearest(h, rm) and boxed(fmt, a & b & c):
        result = host(
            (a & fmt.mask) ^ (fmt.sign if negate_product else 0),
            b & fmt.mask,
            (c & fmt.mask) ^ (fmt.sign if negate_addend else 0),
        )
        magnitude = result & fmt.magnitude
        # Where a factor is zero (and the result not a NaN) the result is c, or zero: it is exact.
        if fmt.least_normal < magnitude < fmt.infinity or (
            magnitude <= fmt.least_normal and (is_zero(fmt, a) or is_zero(fmt, b))
        ):
            h.f[fd] = result | fmt.box
            return
    soft_fused(h, fmt, negate_product, negate_addend, fd, fs1, fs2, fs3, rm)


# --- Signs, minimum and maximum --------------------------------------------------------------

# What fsgnj, fsgnjn and fsgnjx make the sign of.
COPY, NEGATE, XOR = 0, 1, 2


def inject_sign(h: Hart, fmt: Static[Format], how: Static[int], fd: U5, fs1: U5, fs2: U5) -> None:
    """fsgnj, fsgnjn, fsgnjx: no exceptions, and NaNs stay as they are."""
    make_writable(h)
    a = unbox(fmt, h.f[fs1])
    b = unbox(fmt, h.f[fs2])
    if how == XOR:
        h.f[fd] = (a ^ (b & fmt.sign)) | fmt.box
    elif how == NEGATE:
        h.f[fd] = (a & fmt.magnitude) | (~b & fmt.sign) | fmt.box
    else:
        h.f[fd] = (a & fmt.magnitude) | (b & fmt.sign) | fmt.box


@cold
def soft_extreme(
    h: Hart, fmt: Static[Format], maximum: Static[bool], fd: U5, fs1: U5, fs2: U5
) -> None:
    """The slow path of fmin and fmax."""
    check_fp(h)
    a = unbox(fmt, h.f[fs1])
    b = unbox(fmt, h.f[fs2])
    write(h, fmt, fd, softfloat_convert.extreme(h, fmt, a, b, maximum))


def extreme(h: Hart, fmt: Static[Format], maximum: Static[bool], fd: U5, fs1: U5, fs2: U5) -> None:
    """fmin, fmax. Only NaNs need thought."""
    a = h.f[fs1]
    b = h.f[fs2]
    if h.fp_fast & FAST_WRITABLE and boxed(fmt, a & b) and not (is_nan(fmt, a) | is_nan(fmt, b)):
        h.f[fd] = smaller_or_larger(fmt, a, b, maximum)  # with its box
        return
    soft_extreme(h, fmt, maximum, fd, fs1, fs2)


# --- Comparisons -----------------------------------------------------------------------------

EQUAL, LESS, LESS_OR_EQUAL = 0, 1, 2


@cold
def soft_compare(
    h: Hart, fmt: Static[Format], relation: Static[int], rd: Destination, fs1: U5, fs2: U5
) -> None:
    """The slow path of comparisons."""
    check_fp(h)
    a = unbox(fmt, h.f[fs1])
    b = unbox(fmt, h.f[fs2])
    if relation == EQUAL:
        h.x[rd] = softfloat_convert.compare_equal(h, fmt, a, b)
    else:
        h.x[rd] = softfloat_convert.compare_signaling(h, fmt, a, b, relation == LESS_OR_EQUAL)


def compare(
    h: Hart,
    fmt: Static[Format],
    host_equal: Host,
    host_less: Host,
    relation: Static[int],
    rd: Destination,
    fs1: U5,
    fs2: U5,
) -> None:
    """feq, flt, fle. What is not a NaN equals itself; and without NaNs there is no exception."""
    a = h.f[fs1]
    b = h.f[fs2]
    if h.fp_fast & FAST_ON and boxed(fmt, a & b):
        x = a & fmt.mask
        y = b & fmt.mask
        if host_equal(x, x) & host_equal(y, y):
            if relation == EQUAL:
                h.x[rd] = host_equal(x, y)
            elif relation == LESS:
                h.x[rd] = host_less(x, y)
            else:
                h.x[rd] = host_less(y, x) ^ 1
            return
    soft_compare(h, fmt, relation, rd, fs1, fs2)
