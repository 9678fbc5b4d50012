"""Zba: address generation (unprivileged manual, "Zba"). The `.uw` forms zero-extend rs1's word."""

from rvemu.hart.state import Hart
from rvemu.isa.encoding import instruction
from rvemu.lang import U5, U6, Destination, u32


@instruction("sh1add", "0010000 rs2 rs1 010 rd 0110011", "zba")
def sh1add(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = (h.x[rs1] << 1) + h.x[rs2]


@instruction("sh2add", "0010000 rs2 rs1 100 rd 0110011", "zba")
def sh2add(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = (h.x[rs1] << 2) + h.x[rs2]


@instruction("sh3add", "0010000 rs2 rs1 110 rd 0110011", "zba")
def sh3add(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = (h.x[rs1] << 3) + h.x[rs2]


@instruction("add.uw", "0000100 rs2 rs1 000 rd 0111011", "zba")
def add_uw(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = u32(h.x[rs1]) + h.x[rs2]


@instruction("sh1add.uw", "0010000 rs2 rs1 010 rd 0111011", "zba")
def sh1add_uw(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = (u32(h.x[rs1]) << 1) + h.x[rs2]


@instruction("sh2add.uw", "0010000 rs2 rs1 100 rd 0111011", "zba")
def sh2add_uw(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = (u32(h.x[rs1]) << 2) + h.x[rs2]


@instruction("sh3add.uw", "0010000 rs2 rs1 110 rd 0111011", "zba")
def sh3add_uw(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = (u32(h.x[rs1]) << 3) + h.x[rs2]


@instruction("slli.uw", "000010 shamt[5:0] rs1 001 rd 0011011", "zba")
def slli_uw(h: Hart, rd: Destination, rs1: U5, shamt: U6) -> None:
    h.x[rd] = u32(h.x[rs1]) << shamt
