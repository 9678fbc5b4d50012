"""D: double precision (unprivileged manual, "D" extension)."""

from rvemu.hart.access import load64, store64
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
    double_to_single,
    float_to_integer,
    from_register,
    integer_to_double,
    single_to_double,
    to_register,
)
from rvemu.isa.softfloat_arith import add, div, mul, sqrt, sub
from rvemu.isa.softfloat_format import D
from rvemu.lang import (
    I32,
    U3,
    U5,
    Destination,
    f64_add,
    f64_div,
    f64_equal,
    f64_fma,
    f64_less,
    f64_mul,
    f64_sqrt,
    f64_sub,
    u64,
)

# --- Loads and stores ------------------------------------------------------------------------


@instruction("fld", "imm[11:0] rs1 011 fd 0000111", "d", syntax="fd, imm(rs1)")
def fld(h: Hart, fd: U5, rs1: U5, imm: I32) -> None:
    require_on_to_write(h)
    value = load64(h, u64(h.x[rs1] + imm))
    write(h, D, fd, value)


@instruction("fsd", "imm[11:5] fs2 rs1 011 imm[4:0] 0100111", "d", syntax="fs2, imm(rs1)")
def fsd(h: Hart, rs1: U5, fs2: U5, imm: I32) -> None:
    require_on(h)
    store64(h, u64(h.x[rs1] + imm), h.f[fs2])


# --- Arithmetic ------------------------------------------------------------------------------


@instruction("fadd.d", "0000001 fs2 fs1 rm fd 1010011", "d")
def fadd_d(h: Hart, fd: U5, fs1: U5, fs2: U5, rm: U3) -> None:
    add_or_sub(h, D, f64_add, add, fd, fs1, fs2, rm)


@instruction("fsub.d", "0000101 fs2 fs1 rm fd 1010011", "d")
def fsub_d(h: Hart, fd: U5, fs1: U5, fs2: U5, rm: U3) -> None:
    add_or_sub(h, D, f64_sub, sub, fd, fs1, fs2, rm)


@instruction("fmul.d", "0001001 fs2 fs1 rm fd 1010011", "d")
def fmul_d(h: Hart, fd: U5, fs1: U5, fs2: U5, rm: U3) -> None:
    mul_or_div(h, D, f64_mul, mul, fd, fs1, fs2, rm)


@instruction("fdiv.d", "0001101 fs2 fs1 rm fd 1010011", "d")
def fdiv_d(h: Hart, fd: U5, fs1: U5, fs2: U5, rm: U3) -> None:
    mul_or_div(h, D, f64_div, div, fd, fs1, fs2, rm)


@instruction("fsqrt.d", "0101101 00000 fs1 rm fd 1010011", "d")
def fsqrt_d(h: Hart, fd: U5, fs1: U5, rm: U3) -> None:
    square_root(h, D, f64_sqrt, sqrt, fd, fs1, rm)


@instruction("fmadd.d", "fs3 01 fs2 fs1 rm fd 1000011", "d")
def fmadd_d(h: Hart, fd: U5, fs1: U5, fs2: U5, fs3: U5, rm: U3) -> None:
    fused(h, D, f64_fma, False, False, fd, fs1, fs2, fs3, rm)


@instruction("fmsub.d", "fs3 01 fs2 fs1 rm fd 1000111", "d")
def fmsub_d(h: Hart, fd: U5, fs1: U5, fs2: U5, fs3: U5, rm: U3) -> None:
    fused(h, D, f64_fma, False, True, fd, fs1, fs2, fs3, rm)


@instruction("fnmsub.d", "fs3 01 fs2 fs1 rm fd 1001011", "d")
def fnmsub_d(h: Hart, fd: U5, fs1: U5, fs2: U5, fs3: U5, rm: U3) -> None:
    fused(h, D, f64_fma, True, False, fd, fs1, fs2, fs3, rm)


@instruction("fnmadd.d", "fs3 01 fs2 fs1 rm fd 1001111", "d")
def fnmadd_d(h: Hart, fd: U5, fs1: U5, fs2: U5, fs3: U5, rm: U3) -> None:
    fused(h, D, f64_fma, True, True, fd, fs1, fs2, fs3, rm)


# --- Signs, minimum and maximum --------------------------------------------------------------


@instruction("fsgnj.d", "0010001 fs2 fs1 000 fd 1010011", "d")
def fsgnj_d(h: Hart, fd: U5, fs1: U5, fs2: U5) -> None:
    inject_sign(h, D, COPY, fd, fs1, fs2)


@instruction("fsgnjn.d", "0010001 fs2 fs1 001 fd 1010011", "d")
def fsgnjn_d(h: Hart, fd: U5, fs1: U5, fs2: U5) -> None:
    inject_sign(h, D, NEGATE, fd, fs1, fs2)


@instruction("fsgnjx.d", "0010001 fs2 fs1 010 fd 1010011", "d")
def fsgnjx_d(h: Hart, fd: U5, fs1: U5, fs2: U5) -> None:
    inject_sign(h, D, XOR, fd, fs1, fs2)


@instruction("fmin.d", "0010101 fs2 fs1 000 fd 1010011", "d")
def fmin_d(h: Hart, fd: U5, fs1: U5, fs2: U5) -> None:
    extreme(h, D, False, fd, fs1, fs2)


@instruction("fmax.d", "0010101 fs2 fs1 001 fd 1010011", "d")
def fmax_d(h: Hart, fd: U5, fs1: U5, fs2: U5) -> None:
    extreme(h, D, True, fd, fs1, fs2)


# --- Comparisons and classification ----------------------------------------------------------


@instruction("feq.d", "1010001 fs2 fs1 010 rd 1010011", "d")
def feq_d(h: Hart, rd: Destination, fs1: U5, fs2: U5) -> None:
    compare(h, D, f64_equal, f64_less, EQUAL, rd, fs1, fs2)


@instruction("flt.d", "1010001 fs2 fs1 001 rd 1010011", "d")
def flt_d(h: Hart, rd: Destination, fs1: U5, fs2: U5) -> None:
    compare(h, D, f64_equal, f64_less, LESS, rd, fs1, fs2)


@instruction("fle.d", "1010001 fs2 fs1 000 rd 1010011", "d")
def fle_d(h: Hart, rd: Destination, fs1: U5, fs2: U5) -> None:
    compare(h, D, f64_equal, f64_less, LESS_OR_EQUAL, rd, fs1, fs2)


@instruction("fclass.d", "1110001 00000 fs1 001 rd 1010011", "d")
def fclass_d(h: Hart, rd: Destination, fs1: U5) -> None:
    classify_register(h, D, rd, fs1)


# --- Integers --------------------------------------------------------------------------------


@instruction("fcvt.w.d", "1100001 00000 fs1 rm rd 1010011", "d")
def fcvt_w_d(h: Hart, rd: Destination, fs1: U5, rm: U3) -> None:
    float_to_integer(h, D, 32, True, rd, fs1, rm)


@instruction("fcvt.wu.d", "1100001 00001 fs1 rm rd 1010011", "d")
def fcvt_wu_d(h: Hart, rd: Destination, fs1: U5, rm: U3) -> None:
    float_to_integer(h, D, 32, False, rd, fs1, rm)


@instruction("fcvt.l.d", "1100001 00010 fs1 rm rd 1010011", "d")
def fcvt_l_d(h: Hart, rd: Destination, fs1: U5, rm: U3) -> None:
    float_to_integer(h, D, 64, True, rd, fs1, rm)


@instruction("fcvt.lu.d", "1100001 00011 fs1 rm rd 1010011", "d")
def fcvt_lu_d(h: Hart, rd: Destination, fs1: U5, rm: U3) -> None:
    float_to_integer(h, D, 64, False, rd, fs1, rm)


@instruction("fcvt.d.w", "1101001 00000 rs1 rm fd 1010011", "d")
def fcvt_d_w(h: Hart, fd: U5, rs1: U5, rm: U3) -> None:
    integer_to_double(h, 32, True, fd, rs1, rm)


@instruction("fcvt.d.wu", "1101001 00001 rs1 rm fd 1010011", "d")
def fcvt_d_wu(h: Hart, fd: U5, rs1: U5, rm: U3) -> None:
    integer_to_double(h, 32, False, fd, rs1, rm)


@instruction("fcvt.d.l", "1101001 00010 rs1 rm fd 1010011", "d")
def fcvt_d_l(h: Hart, fd: U5, rs1: U5, rm: U3) -> None:
    integer_to_double(h, 64, True, fd, rs1, rm)


@instruction("fcvt.d.lu", "1101001 00011 rs1 rm fd 1010011", "d")
def fcvt_d_lu(h: Hart, fd: U5, rs1: U5, rm: U3) -> None:
    integer_to_double(h, 64, False, fd, rs1, rm)


# --- Moves of bits ---------------------------------------------------------------------------


@instruction("fmv.x.d", "1110001 00000 fs1 000 rd 1010011", "d")
def fmv_x_d(h: Hart, rd: Destination, fs1: U5) -> None:
    to_register(h, D, rd, fs1)


@instruction("fmv.d.x", "1111001 00000 rs1 000 fd 1010011", "d")
def fmv_d_x(h: Hart, fd: U5, rs1: U5) -> None:
    from_register(h, D, fd, rs1)


# --- Other formats ---------------------------------------------------------------------------


@instruction("fcvt.s.d", "0100000 00001 fs1 rm fd 1010011", "d")
def fcvt_s_d(h: Hart, fd: U5, fs1: U5, rm: U3) -> None:
    double_to_single(h, fd, fs1, rm)


@instruction("fcvt.d.s", "0100001 00000 fs1 rm fd 1010011", "d")
def fcvt_d_s(h: Hart, fd: U5, fs1: U5, rm: U3) -> None:
    single_to_double(h, fd, fs1, rm)
