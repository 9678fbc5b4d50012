"""Zfhmin and Zfh: half precision (unprivileged manual, "Zfh" and "Zfhmin" extensions).

Zfhmin moves and converts, and Zfh computes as well. Arithmetic has no fast path: nothing does much
of it, and hosts have no unit for it.
"""

from rvemu.hart.access import load16, store16
from rvemu.hart.state import Hart
from rvemu.isa.encoding import instruction
from rvemu.isa.fp import (
    COPY,
    EQUAL,
    LESS,
    LESS_OR_EQUAL,
    NEGATE,
    XOR,
    compare,
    extreme,
    inject_sign,
    require_on,
    require_on_to_write,
    soft_binary,
    soft_fused,
    soft_unary,
    write,
)
from rvemu.isa.fp_convert import (
    classify_register,
    from_register,
    narrow_to_half,
    soft_from_integer,
    soft_to_integer,
    to_register,
    widen_half,
)
from rvemu.isa.softfloat_arith import add, div, mul, sqrt, sub
from rvemu.isa.softfloat_format import D, H, S, is_nan, number_order
from rvemu.lang import I32, U1, U3, U5, U64, Destination, u16, u64

# --- Loads and stores ------------------------------------------------------------------------


@instruction("flh", "imm[11:0] rs1 001 fd 0000111", "zfhmin", syntax="fd, imm(rs1)")
def flh(h: Hart, fd: U5, rs1: U5, imm: I32) -> None:
    require_on_to_write(h)
    value = load16(h, u64(h.x[rs1] + imm))
    write(h, H, fd, value)


@instruction("fsh", "imm[11:5] fs2 rs1 001 imm[4:0] 0100111", "zfhmin", syntax="fs2, imm(rs1)")
def fsh(h: Hart, rs1: U5, fs2: U5, imm: I32) -> None:
    require_on(h)
    store16(h, u64(h.x[rs1] + imm), u16(h.f[fs2]))


# --- Arithmetic ------------------------------------------------------------------------------


@instruction("fadd.h", "0000010 fs2 fs1 rm fd 1010011", "zfh", slow=True)
def fadd_h(h: Hart, fd: U5, fs1: U5, fs2: U5, rm: U3) -> None:
    soft_binary(h, H, add, fd, fs1, fs2, rm)


@instruction("fsub.h", "0000110 fs2 fs1 rm fd 1010011", "zfh", slow=True)
def fsub_h(h: Hart, fd: U5, fs1: U5, fs2: U5, rm: U3) -> None:
    soft_binary(h, H, sub, fd, fs1, fs2, rm)


@instruction("fmul.h", "0001010 fs2 fs1 rm fd 1010011", "zfh", slow=True)
def fmul_h(h: Hart, fd: U5, fs1: U5, fs2: U5, rm: U3) -> None:
    soft_binary(h, H, mul, fd, fs1, fs2, rm)


@instruction("fdiv.h", "0001110 fs2 fs1 rm fd 1010011", "zfh", slow=True)
def fdiv_h(h: Hart, fd: U5, fs1: U5, fs2: U5, rm: U3) -> None:
    soft_binary(h, H, div, fd, fs1, fs2, rm)


@instruction("fsqrt.h", "0101110 00000 fs1 rm fd 1010011", "zfh", slow=True)
def fsqrt_h(h: Hart, fd: U5, fs1: U5, rm: U3) -> None:
    soft_unary(h, H, sqrt, fd, fs1, rm)


@instruction("fmadd.h", "fs3 10 fs2 fs1 rm fd 1000011", "zfh", slow=True)
def fmadd_h(h: Hart, fd: U5, fs1: U5, fs2: U5, fs3: U5, rm: U3) -> None:
    soft_fused(h, H, False, False, fd, fs1, fs2, fs3, rm)


@instruction("fmsub.h", "fs3 10 fs2 fs1 rm fd 1000111", "zfh", slow=True)
def fmsub_h(h: Hart, fd: U5, fs1: U5, fs2: U5, fs3: U5, rm: U3) -> None:
    soft_fused(h, H, False, True, fd, fs1, fs2, fs3, rm)


@instruction("fnmsub.h", "fs3 10 fs2 fs1 rm fd 1001011", "zfh", slow=True)
def fnmsub_h(h: Hart, fd: U5, fs1: U5, fs2: U5, fs3: U5, rm: U3) -> None:
    soft_fused(h, H, True, False, fd, fs1, fs2, fs3, rm)


@instruction("fnmadd.h", "fs3 10 fs2 fs1 rm fd 1001111", "zfh", slow=True)
def fnmadd_h(h: Hart, fd: U5, fs1: U5, fs2: U5, fs3: U5, rm: U3) -> None:
    soft_fused(h, H, True, True, fd, fs1, fs2, fs3, rm)


# --- Signs, minimum and maximum --------------------------------------------------------------


@instruction("fsgnj.h", "0010010 fs2 fs1 000 fd 1010011", "zfh")
def fsgnj_h(h: Hart, fd: U5, fs1: U5, fs2: U5) -> None:
    inject_sign(h, H, COPY, fd, fs1, fs2)


@instruction("fsgnjn.h", "0010010 fs2 fs1 001 fd 1010011", "zfh")
def fsgnjn_h(h: Hart, fd: U5, fs1: U5, fs2: U5) -> None:
    inject_sign(h, H, NEGATE, fd, fs1, fs2)


@instruction("fsgnjx.h", "0010010 fs2 fs1 010 fd 1010011", "zfh")
def fsgnjx_h(h: Hart, fd: U5, fs1: U5, fs2: U5) -> None:
    inject_sign(h, H, XOR, fd, fs1, fs2)


@instruction("fmin.h", "0010110 fs2 fs1 000 fd 1010011", "zfh")
def fmin_h(h: Hart, fd: U5, fs1: U5, fs2: U5) -> None:
    extreme(h, H, False, fd, fs1, fs2)


@instruction("fmax.h", "0010110 fs2 fs1 001 fd 1010011", "zfh")
def fmax_h(h: Hart, fd: U5, fs1: U5, fs2: U5) -> None:
    extreme(h, H, True, fd, fs1, fs2)


# --- Comparisons and classification ----------------------------------------------------------


def half_equal(a: U64, b: U64) -> U1:
    """a == b; 0 if either is a NaN."""
    return int(number_order(H, a) == number_order(H, b) and not is_nan(H, a) and not is_nan(H, b))


def half_less(a: U64, b: U64) -> U1:
    """a < b, where neither is a NaN."""
    return int(number_order(H, a) < number_order(H, b))


@instruction("feq.h", "1010010 fs2 fs1 010 rd 1010011", "zfh")
def feq_h(h: Hart, rd: Destination, fs1: U5, fs2: U5) -> None:
    compare(h, H, half_equal, half_less, EQUAL, rd, fs1, fs2)


@instruction("flt.h", "1010010 fs2 fs1 001 rd 1010011", "zfh")
def flt_h(h: Hart, rd: Destination, fs1: U5, fs2: U5) -> None:
    compare(h, H, half_equal, half_less, LESS, rd, fs1, fs2)


@instruction("fle.h", "1010010 fs2 fs1 000 rd 1010011", "zfh")
def fle_h(h: Hart, rd: Destination, fs1: U5, fs2: U5) -> None:
    compare(h, H, half_equal, half_less, LESS_OR_EQUAL, rd, fs1, fs2)


@instruction("fclass.h", "1110010 00000 fs1 001 rd 1010011", "zfh")
def fclass_h(h: Hart, rd: Destination, fs1: U5) -> None:
    classify_register(h, H, rd, fs1)


# --- Integers --------------------------------------------------------------------------------


@instruction("fcvt.w.h", "1100010 00000 fs1 rm rd 1010011", "zfh", slow=True)
def fcvt_w_h(h: Hart, rd: Destination, fs1: U5, rm: U3) -> None:
    soft_to_integer(h, H, 32, True, rd, fs1, rm)


@instruction("fcvt.wu.h", "1100010 00001 fs1 rm rd 1010011", "zfh", slow=True)
def fcvt_wu_h(h: Hart, rd: Destination, fs1: U5, rm: U3) -> None:
    soft_to_integer(h, H, 32, False, rd, fs1, rm)


@instruction("fcvt.l.h", "1100010 00010 fs1 rm rd 1010011", "zfh", slow=True)
def fcvt_l_h(h: Hart, rd: Destination, fs1: U5, rm: U3) -> None:
    soft_to_integer(h, H, 64, True, rd, fs1, rm)


@instruction("fcvt.lu.h", "1100010 00011 fs1 rm rd 1010011", "zfh", slow=True)
def fcvt_lu_h(h: Hart, rd: Destination, fs1: U5, rm: U3) -> None:
    soft_to_integer(h, H, 64, False, rd, fs1, rm)


@instruction("fcvt.h.w", "1101010 00000 rs1 rm fd 1010011", "zfh", slow=True)
def fcvt_h_w(h: Hart, fd: U5, rs1: U5, rm: U3) -> None:
    soft_from_integer(h, H, 32, True, fd, rs1, rm)


@instruction("fcvt.h.wu", "1101010 00001 rs1 rm fd 1010011", "zfh", slow=True)
def fcvt_h_wu(h: Hart, fd: U5, rs1: U5, rm: U3) -> None:
    soft_from_integer(h, H, 32, False, fd, rs1, rm)


@instruction("fcvt.h.l", "1101010 00010 rs1 rm fd 1010011", "zfh", slow=True)
def fcvt_h_l(h: Hart, fd: U5, rs1: U5, rm: U3) -> None:
    soft_from_integer(h, H, 64, True, fd, rs1, rm)


@instruction("fcvt.h.lu", "1101010 00011 rs1 rm fd 1010011", "zfh", slow=True)
def fcvt_h_lu(h: Hart, fd: U5, rs1: U5, rm: U3) -> None:
    soft_from_integer(h, H, 64, False, fd, rs1, rm)


# --- Moves of bits ---------------------------------------------------------------------------


@instruction("fmv.x.h", "1110010 00000 fs1 000 rd 1010011", "zfhmin")
def fmv_x_h(h: Hart, rd: Destination, fs1: U5) -> None:
    to_register(h, H, rd, fs1)


@instruction("fmv.h.x", "1111010 00000 rs1 000 fd 1010011", "zfhmin")
def fmv_h_x(h: Hart, fd: U5, rs1: U5) -> None:
    from_register(h, H, fd, rs1)


# --- Other formats ---------------------------------------------------------------------------


@instruction("fcvt.s.h", "0100000 00010 fs1 rm fd 1010011", "zfhmin")
def fcvt_s_h(h: Hart, fd: U5, fs1: U5, rm: U3) -> None:
    widen_half(h, S, fd, fs1, rm)


@instruction("fcvt.h.s", "0100010 00000 fs1 rm fd 1010011", "zfhmin")
def fcvt_h_s(h: Hart, fd: U5, fs1: U5, rm: U3) -> None:
    narrow_to_half(h, S, fd, fs1, rm)


@instruction("fcvt.d.h", "0100001 00010 fs1 rm fd 1010011", "zfhmin", "d")
def fcvt_d_h(h: Hart, fd: U5, fs1: U5, rm: U3) -> None:
    widen_half(h, D, fd, fs1, rm)


@instruction("fcvt.h.d", "0100010 00001 fs1 rm fd 1010011", "zfhmin", "d")
def fcvt_h_d(h: Hart, fd: U5, fs1: U5, rm: U3) -> None:
    narrow_to_half(h, D, fd, fs1, rm)
