"""Zbs: single bits (unprivileged manual, "Zbs"). The bit's number is modulo 64."""

from rvemu.hart.state import Hart
from rvemu.isa.encoding import instruction
from rvemu.lang import U5, U6, Destination


@instruction("bclr", "0100100 rs2 rs1 001 rd 0110011", "zbs")
def bclr(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = h.x[rs1] & ~(1 << (h.x[rs2] & 63))


@instruction("bclri", "010010 shamt[5:0] rs1 001 rd 0010011", "zbs")
def bclri(h: Hart, rd: Destination, rs1: U5, shamt: U6) -> None:
    h.x[rd] = h.x[rs1] & ~(1 << shamt)


@instruction("bext", "0100100 rs2 rs1 101 rd 0110011", "zbs")
def bext(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = (h.x[rs1] >> (h.x[rs2] & 63)) & 1


@instruction("bexti", "010010 shamt[5:0] rs1 101 rd 0010011", "zbs")
def bexti(h: Hart, rd: Destination, rs1: U5, shamt: U6) -> None:
    h.x[rd] = (h.x[rs1] >> shamt) & 1


@instruction("binv", "0110100 rs2 rs1 001 rd 0110011", "zbs")
def binv(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = h.x[rs1] ^ 1 << (h.x[rs2] & 63)


@instruction("binvi", "011010 shamt[5:0] rs1 001 rd 0010011", "zbs")
def binvi(h: Hart, rd: Destination, rs1: U5, shamt: U6) -> None:
    h.x[rd] = h.x[rs1] ^ 1 << shamt


@instruction("bset", "0010100 rs2 rs1 001 rd 0110011", "zbs")
def bset(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = h.x[rs1] | 1 << (h.x[rs2] & 63)


@instruction("bseti", "001010 shamt[5:0] rs1 001 rd 0010011", "zbs")
def bseti(h: Hart, rd: Destination, rs1: U5, shamt: U6) -> None:
    h.x[rd] = h.x[rs1] | 1 << shamt
