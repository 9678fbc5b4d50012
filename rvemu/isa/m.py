"""M: multiplication and division (unprivileged manual, "M"); multiplication alone is Zmmul."""

from rvemu.hart.state import Hart
from rvemu.isa.encoding import instruction
from rvemu.lang import (
    M64,
    U5,
    Destination,
    i32,
    i64,
    i128,
    quotient,
    remainder,
    sext,
    u32,
    u64,
    u128,
)

# --- Multiplication --------------------------------------------------------------------------


@instruction("mul", "0000001 rs2 rs1 000 rd 0110011", "zmmul")
def mul(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = h.x[rs1] * h.x[rs2]


@instruction("mulh", "0000001 rs2 rs1 001 rd 0110011", "zmmul")
def mulh(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = u64((i128(i64(h.x[rs1])) * i64(h.x[rs2])) >> 64)


@instruction("mulhsu", "0000001 rs2 rs1 010 rd 0110011", "zmmul")
def mulhsu(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = u64((i128(i64(h.x[rs1])) * h.x[rs2]) >> 64)


@instruction("mulhu", "0000001 rs2 rs1 011 rd 0110011", "zmmul")
def mulhu(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = u64((u128(h.x[rs1]) * h.x[rs2]) >> 64)


@instruction("mulw", "0000001 rs2 rs1 000 rd 0111011", "zmmul")
def mulw(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = sext(h.x[rs1] * h.x[rs2], 32)


# --- Division --------------------------------------------------------------------------------
# Division by zero gives all ones, and leaves the dividend as remainder. The one signed quotient
# that does not fit, of the most negative number by -1, is the dividend.


@instruction("div", "0000001 rs2 rs1 100 rd 0110011", "m")
def div(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    dividend = i64(h.x[rs1])
    divisor = i64(h.x[rs2])
    if divisor == 0:
        h.x[rd] = M64
    elif divisor == -1:
        h.x[rd] = u64(-dividend)
    else:
        h.x[rd] = quotient(dividend, divisor)


@instruction("divu", "0000001 rs2 rs1 101 rd 0110011", "m")
def divu(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    divisor = h.x[rs2]
    if divisor == 0:
        h.x[rd] = M64
    else:
        h.x[rd] = h.x[rs1] // divisor


@instruction("rem", "0000001 rs2 rs1 110 rd 0110011", "m")
def rem(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    dividend = i64(h.x[rs1])
    divisor = i64(h.x[rs2])
    if divisor == 0:
        h.x[rd] = dividend
    elif divisor == -1:
        h.x[rd] = 0
    else:
        h.x[rd] = remainder(dividend, divisor)


@instruction("remu", "0000001 rs2 rs1 111 rd 0110011", "m")
def remu(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    divisor = h.x[rs2]
    if divisor == 0:
        h.x[rd] = h.x[rs1]
    else:
        h.x[rd] = h.x[rs1] % divisor


@instruction("divw", "0000001 rs2 rs1 100 rd 0111011", "m")
def divw(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    divisor = i32(h.x[rs2])
    if divisor == 0:
        h.x[rd] = M64
    else:
        h.x[rd] = sext(quotient(i32(h.x[rs1]), divisor), 32)


@instruction("divuw", "0000001 rs2 rs1 101 rd 0111011", "m")
def divuw(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    divisor = u32(h.x[rs2])
    if divisor == 0:
        h.x[rd] = M64
    else:
        h.x[rd] = sext(u32(h.x[rs1]) // divisor, 32)


@instruction("remw", "0000001 rs2 rs1 110 rd 0111011", "m")
def remw(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    dividend = i32(h.x[rs1])
    divisor = i32(h.x[rs2])
    if divisor == 0:
        h.x[rd] = dividend
    else:
        h.x[rd] = remainder(dividend, divisor)


@instruction("remuw", "0000001 rs2 rs1 111 rd 0111011", "m")
def remuw(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    divisor = u32(h.x[rs2])
    if divisor == 0:
        h.x[rd] = sext(h.x[rs1], 32)
    else:
        h.x[rd] = sext(u32(h.x[rs1]) % divisor, 32)
