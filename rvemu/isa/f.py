"""F: single precision (unprivileged manual, "F" extension)."""

from rvemu.hart.access import load32, store32
from rvemu.hart.state import Hart
from rvemu.isa.encoding import instruction
from rvemu.isa.fp import (
    COPY,
    EQUAL,
    LESS,
    LESS_OR_EQUAL,
    NEGATE,
    XOR,
    add_or_sub,
    compare,
    extreme,
    fused,
    inject_sign,
    mul_or_div,
    require_on,
    require_on_to_write,
    square_root,
    write,
)
from rvemu.isa.fp_convert import (
    classify_register,
    float_to_integer,
    from_register,
    integer_to_single,
    to_register,
)
from rvemu.isa.softfloat_arith import add, div, mul, sqrt, sub
from rvemu.isa.softfloat_format import S
from rvemu.lang import (
    I32,
    U3,
    U5,
    Destination,
    f32_add,
    f32_div,
    f32_equal,
    f32_fma,
    f32_less,
    f32_mul,
    f32_sqrt,
    f32_sub,
    u32,
    u64,
)

# --- Loads and stores ------------------------------------------------------------------------

# The bits are moved as they are (norm:fsw_flw_bits_maintained).


@instruction("flw", "imm[11:0] rs1 010 fd 0000111", "f", syntax="fd, imm(rs1)")
def flw(h: Hart, fd: U5, rs1: U5, imm: I32) -> None:
    require_on_to_write(h)
    value = load32(h, u64(h.x[rs1] + imm))
    write(h, S, fd, value)


@instruction("fsw", "imm[11:5] fs2 rs1 010 imm[4:0] 0100111", "f", syntax="fs2, imm(rs1)")
def fsw(h: Hart, rs1: U5, fs2: U5, imm: I32) -> None:
    require_on(h)
    store32(h, u64(h.x[rs1] + imm), u32(h.f[fs2]))


# --- Arithmetic ------------------------------------------------------------------------------


@instruction("fadd.s", "0000000 fs2 fs1 rm fd 1010011", "f")
def fadd_s(h: Hart, fd: U5, fs1: U5, fs2: U5, rm: U3) -> None:
    add_or_sub(h, S, f32_add, add, fd, fs1, fs2, rm)


@instruction("fsub.s", "0000100 fs2 fs1 rm fd 1010011", "f")
def fsub_s(h: Hart, fd: U5, fs1: U5, fs2: U5, rm: U3) -> None:
    add_or_sub(h, S, f32_sub, sub, fd, fs1, fs2, rm)


@instruction("fmul.s", "0001000 fs2 fs1 rm fd 1010011", "f")
def fmul_s(h: Hart, fd: U5, fs1: U5, fs2: U5, rm: U3) -> None:
    mul_or_div(h, S, f32_mul, mul, fd, fs1, fs2, rm)


@instruction("fdiv.s", "0001100 fs2 fs1 rm fd 1010011", "f")
def fdiv_s(h: Hart, fd: U5, fs1: U5, fs2: U5, rm: U3) -> None:
    mul_or_div(h, S, f32_div, div, fd, fs1, fs2, rm)


@instruction("fsqrt.s", "0101100 00000 fs1 rm fd 1010011", "f")
def fsqrt_s(h: Hart, fd: U5, fs1: U5, rm: U3) -> None:
    square_root(h, S, f32_sqrt, sqrt, fd, fs1, rm)


@instruction("fmadd.s", "fs3 00 fs2 fs1 rm fd 1000011", "f")
def fmadd_s(h: Hart, fd: U5, fs1: U5, fs2: U5, fs3: U5, rm: U3) -> None:
    fused(h, S, f32_fma, False, False, fd, fs1, fs2, fs3, rm)


@instruction("fmsub.s", "fs3 00 fs2 fs1 rm fd 1000111", "f")
def fmsub_s(h: Hart, fd: U5, fs1: U5, fs2: U5, fs3: U5, rm: U3) -> None:
    fused(h, S, f32_fma, False, True, fd, fs1, fs2, fs3, rm)


@instruction("fnmsub.s", "fs3 00 fs2 fs1 rm fd 1001011", "f")
def fnmsub_s(h: Hart, fd: U5, fs1: U5, fs2: U5, fs3: U5, rm: U3) -> None:
    fused(h, S, f32_fma, True, False, fd, fs1, fs2, fs3, rm)


@instruction("fnmadd.s", "fs3 00 fs2 fs1 rm fd 1001111", "f")
def fnmadd_s(h: Hart, fd: U5, fs1: U5, fs2: U5, fs3: U5, rm: U3) -> None:
    fused(h, S, f32_fma, True, True, fd, fs1, fs2, fs3, rm)


# --- Signs, minimum and maximum --------------------------------------------------------------


@instruction("fsgnj.s", "0010000 fs2 fs1 000 fd 1010011", "f")
def fsgnj_s(h: Hart, fd: U5, fs1: U5, fs2: U5) -> None:
    inject_sign(h, S, COPY, fd, fs1, fs2)


@instruction("fsgnjn.s", "0010000 fs2 fs1 001 fd 1010011", "f")
def fsgnjn_s(h: Hart, fd: U5, fs1: U5, fs2: U5) -> None:
    inject_sign(h, S, NEGATE, fd, fs1, fs2)


@instruction("fsgnjx.s", "0010000 fs2 fs1 010 fd 1010011", "f")
def fsgnjx_s(h: Hart, fd: U5, fs1: U5, fs2: U5) -> None:
    inject_sign(h, S, XOR, fd, fs1, fs2)


@instruction("fmin.s", "0010100 fs2 fs1 000 fd 1010011", "f")
def fmin_s(h: Hart, fd: U5, fs1: U5, fs2: U5) -> None:
    extreme(h, S, False, fd, fs1, fs2)


@instruction("fmax.s", "0010100 fs2 fs1 001 fd 1010011", "f")
def fmax_s(h: Hart, fd: U5, fs1: U5, fs2: U5) -> None:
    extreme(h, S, True, fd, fs1, fs2)


# --- Comparisons and classification ----------------------------------------------------------


@instruction("feq.s", "1010000 fs2 fs1 010 rd 1010011", "f")
def feq_s(h: Hart, rd: Destination, fs1: U5, fs2: U5) -> None:
    compare(h, S, f32_equal, f32_less, EQUAL, rd, fs1, fs2)


@instruction("flt.s", "1010000 fs2 fs1 001 rd 1010011", "f")
def flt_s(h: Hart, rd: Destination, fs1: U5, fs2: U5) -> None:
    compare(h, S, f32_equal, f32_less, LESS, rd, fs1, fs2)


@instruction("fle.s", "1010000 fs2 fs1 000 rd 1010011", "f")
def fle_s(h: Hart, rd: Destination, fs1: U5, fs2: U5) -> None:
    compare(h, S, f32_equal, f32_less, LESS_OR_EQUAL, rd, fs1, fs2)


@instruction("fclass.s", "1110000 00000 fs1 001 rd 1010011", "f")
def fclass_s(h: Hart, rd: Destination, fs1: U5) -> None:
    classify_register(h, S, rd, fs1)


# --- Integers --------------------------------------------------------------------------------


@instruction("fcvt.w.s", "1100000 00000 fs1 rm rd 1010011", "f")
def fcvt_w_s(h: Hart, rd: Destination, fs1: U5, rm: U3) -> None:
    float_to_integer(h, S, 32, True, rd, fs1, rm)


@instruction("fcvt.wu.s", "1100000 00001 fs1 rm rd 1010011", "f")
def fcvt_wu_s(h: Hart, rd: Destination, fs1: U5, rm: U3) -> None:
    float_to_integer(h, S, 32, False, rd, fs1, rm)


@instruction("fcvt.l.s", "1100000 00010 fs1 rm rd 1010011", "f")
def fcvt_l_s(h: Hart, rd: Destination, fs1: U5, rm: U3) -> None:
    float_to_integer(h, S, 64, True, rd, fs1, rm)


@instruction("fcvt.lu.s", "1100000 00011 fs1 rm rd 1010011", "f")
def fcvt_lu_s(h: Hart, rd: Destination, fs1: U5, rm: U3) -> None:
    float_to_integer(h, S, 64, False, rd, fs1, rm)


@instruction("fcvt.s.w", "1101000 00000 rs1 rm fd 1010011", "f")
def fcvt_s_w(h: Hart, fd: U5, rs1: U5, rm: U3) -> None:
    integer_to_single(h, 32, True, fd, rs1, rm)


@instruction("fcvt.s.wu", "1101000 00001 rs1 rm fd 1010011", "f")
def fcvt_s_wu(h: Hart, fd: U5, rs1: U5, rm: U3) -> None:
    integer_to_single(h, 32, False, fd, rs1, rm)


@instruction("fcvt.s.l", "1101000 00010 rs1 rm fd 1010011", "f")
def fcvt_s_l(h: Hart, fd: U5, rs1: U5, rm: U3) -> None:
    integer_to_single(h, 64, True, fd, rs1, rm)


@instruction("fcvt.s.lu", "1101000 00011 rs1 rm fd 1010011", "f")
def fcvt_s_lu(h: Hart, fd: U5, rs1: U5, rm: U3) -> None:
    integer_to_single(h, 64, False, fd, rs1, rm)


# --- Moves of bits ---------------------------------------------------------------------------


@instruction("fmv.x.w", "1110000 00000 fs1 000 rd 1010011", "f")
def fmv_x_w(h: Hart, rd: Destination, fs1: U5) -> None:
    to_register(h, S, rd, fs1)


@instruction("fmv.w.x", "1111000 00000 rs1 000 fd 1010011", "f")
def fmv_w_x(h: Hart, fd: U5, rs1: U5) -> None:
    from_register(h, S, fd, rs1)
