"""RV64I: the base integer instructions (unprivileged manual, "RV32I" and "RV64I")."""

from rvemu.hart.access import (
    load8,
    load16,
    load32,
    load64,
    store8,
    store16,
    store32,
    store64,
)
from rvemu.hart.control import jump
from rvemu.hart.exceptions import illegal_instruction
from rvemu.hart.state import Hart
from rvemu.isa.encoding import instruction
from rvemu.lang import I32, U5, U6, Destination, i32, i64, sext, u32, u64

# --- Constants and jumps ---------------------------------------------------------------------


@instruction("lui", "imm[31:12] rd 0110111", "i")
def lui(h: Hart, rd: Destination, imm: I32) -> None:
    h.x[rd] = imm


@instruction("auipc", "imm[31:12] rd 0010111", "i")
def auipc(h: Hart, rd: Destination, imm: I32) -> None:
    h.x[rd] = h.pc + imm


@instruction("jal", "imm[20|10:1|11|19:12] rd 1101111", "i", syntax="rd, target")
def jal(h: Hart, rd: Destination, imm: I32) -> None:
    link = h.next_pc
    jump(h, u64(h.pc + imm))
    h.x[rd] = link


@instruction("jalr", "imm[11:0] rs1 000 rd 1100111", "i", syntax="rd, imm(rs1)")
def jalr(h: Hart, rd: Destination, rs1: U5, imm: I32) -> None:
    link = h.next_pc
    jump(h, u64(h.x[rs1] + imm) & 0xFFFF_FFFF_FFFF_FFFE)
    h.x[rd] = link


# --- Branches --------------------------------------------------------------------------------


@instruction("beq", "imm[12|10:5] rs2 rs1 000 imm[4:1|11] 1100011", "i", syntax="rs1, rs2, target")
def beq(h: Hart, rs1: U5, rs2: U5, imm: I32) -> None:
    if h.x[rs1] == h.x[rs2]:
        jump(h, u64(h.pc + imm))


@instruction("bne", "imm[12|10:5] rs2 rs1 001 imm[4:1|11] 1100011", "i", syntax="rs1, rs2, target")
def bne(h: Hart, rs1: U5, rs2: U5, imm: I32) -> None:
    if h.x[rs1] != h.x[rs2]:
        jump(h, u64(h.pc + imm))


@instruction("blt", "imm[12|10:5] rs2 rs1 100 imm[4:1|11] 1100011", "i", syntax="rs1, rs2, target")
def blt(h: Hart, rs1: U5, rs2: U5, imm: I32) -> None:
    if i64(h.x[rs1]) < i64(h.x[rs2]):
        jump(h, u64(h.pc + imm))


@instruction("bge", "imm[12|10:5] rs2 rs1 101 imm[4:1|11] 1100011", "i", syntax="rs1, rs2, target")
def bge(h: Hart, rs1: U5, rs2: U5, imm: I32) -> None:
    if i64(h.x[rs1]) >= i64(h.x[rs2]):
        jump(h, u64(h.pc + imm))


@instruction("bltu", "imm[12|10:5] rs2 rs1 110 imm[4:1|11] 1100011", "i", syntax="rs1, rs2, target")
def bltu(h: Hart, rs1: U5, rs2: U5, imm: I32) -> None:
    if h.x[rs1] < h.x[rs2]:
        jump(h, u64(h.pc + imm))


@instruction("bgeu", "imm[12|10:5] rs2 rs1 111 imm[4:1|11] 1100011", "i", syntax="rs1, rs2, target")
def bgeu(h: Hart, rs1: U5, rs2: U5, imm: I32) -> None:
    if h.x[rs1] >= h.x[rs2]:
        jump(h, u64(h.pc + imm))


# --- Loads and stores ------------------------------------------------------------------------


@instruction("lb", "imm[11:0] rs1 000 rd 0000011", "i", syntax="rd, imm(rs1)")
def lb(h: Hart, rd: Destination, rs1: U5, imm: I32) -> None:
    h.x[rd] = sext(load8(h, u64(h.x[rs1] + imm)), 8)


@instruction("lh", "imm[11:0] rs1 001 rd 0000011", "i", syntax="rd, imm(rs1)")
def lh(h: Hart, rd: Destination, rs1: U5, imm: I32) -> None:
    h.x[rd] = sext(load16(h, u64(h.x[rs1] + imm)), 16)


@instruction("lw", "imm[11:0] rs1 010 rd 0000011", "i", syntax="rd, imm(rs1)")
def lw(h: Hart, rd: Destination, rs1: U5, imm: I32) -> None:
    h.x[rd] = sext(load32(h, u64(h.x[rs1] + imm)), 32)


@instruction("ld", "imm[11:0] rs1 011 rd 0000011", "i", syntax="rd, imm(rs1)")
def ld(h: Hart, rd: Destination, rs1: U5, imm: I32) -> None:
    h.x[rd] = load64(h, u64(h.x[rs1] + imm))


@instruction("lbu", "imm[11:0] rs1 100 rd 0000011", "i", syntax="rd, imm(rs1)")
def lbu(h: Hart, rd: Destination, rs1: U5, imm: I32) -> None:
    h.x[rd] = load8(h, u64(h.x[rs1] + imm))


@instruction("lhu", "imm[11:0] rs1 101 rd 0000011", "i", syntax="rd, imm(rs1)")
def lhu(h: Hart, rd: Destination, rs1: U5, imm: I32) -> None:
    h.x[rd] = load16(h, u64(h.x[rs1] + imm))


@instruction("lwu", "imm[11:0] rs1 110 rd 0000011", "i", syntax="rd, imm(rs1)")
def lwu(h: Hart, rd: Destination, rs1: U5, imm: I32) -> None:
    h.x[rd] = load32(h, u64(h.x[rs1] + imm))


@instruction("sb", "imm[11:5] rs2 rs1 000 imm[4:0] 0100011", "i", syntax="rs2, imm(rs1)")
def sb(h: Hart, rs1: U5, rs2: U5, imm: I32) -> None:
    store8(h, u64(h.x[rs1] + imm), h.x[rs2])


@instruction("sh", "imm[11:5] rs2 rs1 001 imm[4:0] 0100011", "i", syntax="rs2, imm(rs1)")
def sh(h: Hart, rs1: U5, rs2: U5, imm: I32) -> None:
    store16(h, u64(h.x[rs1] + imm), h.x[rs2])


@instruction("sw", "imm[11:5] rs2 rs1 010 imm[4:0] 0100011", "i", syntax="rs2, imm(rs1)")
def sw(h: Hart, rs1: U5, rs2: U5, imm: I32) -> None:
    store32(h, u64(h.x[rs1] + imm), h.x[rs2])


@instruction("sd", "imm[11:5] rs2 rs1 011 imm[4:0] 0100011", "i", syntax="rs2, imm(rs1)")
def sd(h: Hart, rs1: U5, rs2: U5, imm: I32) -> None:
    store64(h, u64(h.x[rs1] + imm), h.x[rs2])


# --- Register and immediate ------------------------------------------------------------------


@instruction("addi", "imm[11:0] rs1 000 rd 0010011", "i")
def addi(h: Hart, rd: Destination, rs1: U5, imm: I32) -> None:
    h.x[rd] = h.x[rs1] + imm


@instruction("slti", "imm[11:0] rs1 010 rd 0010011", "i")
def slti(h: Hart, rd: Destination, rs1: U5, imm: I32) -> None:
    h.x[rd] = i64(h.x[rs1]) < imm


@instruction("sltiu", "imm[11:0] rs1 011 rd 0010011", "i")
def sltiu(h: Hart, rd: Destination, rs1: U5, imm: I32) -> None:
    h.x[rd] = h.x[rs1] < u64(imm)


@instruction("xori", "imm[11:0] rs1 100 rd 0010011", "i")
def xori(h: Hart, rd: Destination, rs1: U5, imm: I32) -> None:
    h.x[rd] = h.x[rs1] ^ u64(imm)


@instruction("ori", "imm[11:0] rs1 110 rd 0010011", "i")
def ori(h: Hart, rd: Destination, rs1: U5, imm: I32) -> None:
    h.x[rd] = h.x[rs1] | u64(imm)


@instruction("andi", "imm[11:0] rs1 111 rd 0010011", "i")
def andi(h: Hart, rd: Destination, rs1: U5, imm: I32) -> None:
    h.x[rd] = h.x[rs1] & u64(imm)


@instruction("slli", "000000 shamt[5:0] rs1 001 rd 0010011", "i")
def slli(h: Hart, rd: Destination, rs1: U5, shamt: U6) -> None:
    h.x[rd] = h.x[rs1] << shamt


@instruction("srli", "000000 shamt[5:0] rs1 101 rd 0010011", "i")
def srli(h: Hart, rd: Destination, rs1: U5, shamt: U6) -> None:
    h.x[rd] = h.x[rs1] >> shamt


@instruction("srai", "010000 shamt[5:0] rs1 101 rd 0010011", "i")
def srai(h: Hart, rd: Destination, rs1: U5, shamt: U6) -> None:
    h.x[rd] = i64(h.x[rs1]) >> shamt


@instruction("addiw", "imm[11:0] rs1 000 rd 0011011", "i")
def addiw(h: Hart, rd: Destination, rs1: U5, imm: I32) -> None:
    h.x[rd] = sext(h.x[rs1] + imm, 32)


@instruction("slliw", "0000000 shamt[4:0] rs1 001 rd 0011011", "i")
def slliw(h: Hart, rd: Destination, rs1: U5, shamt: U5) -> None:
    h.x[rd] = sext(h.x[rs1] << shamt, 32)


@instruction("srliw", "0000000 shamt[4:0] rs1 101 rd 0011011", "i")
def srliw(h: Hart, rd: Destination, rs1: U5, shamt: U5) -> None:
    h.x[rd] = sext(u32(h.x[rs1]) >> shamt, 32)


@instruction("sraiw", "0100000 shamt[4:0] rs1 101 rd 0011011", "i")
def sraiw(h: Hart, rd: Destination, rs1: U5, shamt: U5) -> None:
    h.x[rd] = i32(h.x[rs1]) >> shamt


# --- Register and register -------------------------------------------------------------------


@instruction("add", "0000000 rs2 rs1 000 rd 0110011", "i")
def add(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = h.x[rs1] + h.x[rs2]


@instruction("sub", "0100000 rs2 rs1 000 rd 0110011", "i")
def sub(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = h.x[rs1] - h.x[rs2]


@instruction("sll", "0000000 rs2 rs1 001 rd 0110011", "i")
def sll(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = h.x[rs1] << (h.x[rs2] & 63)


@instruction("slt", "0000000 rs2 rs1 010 rd 0110011", "i")
def slt(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = i64(h.x[rs1]) < i64(h.x[rs2])


@instruction("sltu", "0000000 rs2 rs1 011 rd 0110011", "i")
def sltu(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = h.x[rs1] < h.x[rs2]


@instruction("xor", "0000000 rs2 rs1 100 rd 0110011", "i")
def xor(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = h.x[rs1] ^ h.x[rs2]


@instruction("srl", "0000000 rs2 rs1 101 rd 0110011", "i")
def srl(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = h.x[rs1] >> (h.x[rs2] & 63)


@instruction("sra", "0100000 rs2 rs1 101 rd 0110011", "i")
def sra(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = i64(h.x[rs1]) >> (h.x[rs2] & 63)


@instruction("or", "0000000 rs2 rs1 110 rd 0110011", "i")
def or_(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = h.x[rs1] | h.x[rs2]


@instruction("and", "0000000 rs2 rs1 111 rd 0110011", "i")
def and_(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = h.x[rs1] & h.x[rs2]


@instruction("addw", "0000000 rs2 rs1 000 rd 0111011", "i")
def addw(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = sext(h.x[rs1] + h.x[rs2], 32)


@instruction("subw", "0100000 rs2 rs1 000 rd 0111011", "i")
def subw(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = sext(h.x[rs1] - h.x[rs2], 32)


@instruction("sllw", "0000000 rs2 rs1 001 rd 0111011", "i")
def sllw(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = sext(h.x[rs1] << (h.x[rs2] & 31), 32)


@instruction("srlw", "0000000 rs2 rs1 101 rd 0111011", "i")
def srlw(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = sext(u32(h.x[rs1]) >> (h.x[rs2] & 31), 32)


@instruction("sraw", "0100000 rs2 rs1 101 rd 0111011", "i")
def sraw(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = i32(h.x[rs1]) >> (h.x[rs2] & 31)


# --- Memory ordering -------------------------------------------------------------------------
# A hart executes one instruction after the other, and stores are seen by fetches at once: there is
# nothing to order. Reserved fences, and pause, are fences as well.


@instruction("fence", "fm pred succ rs1 000 rd 0001111", "i", syntax="pred, succ")
@instruction("fence.tso", "1000 0011 0011 00000 000 00000 0001111", "i")
@instruction("pause", "0000 0001 0000 00000 000 00000 0001111", "zihintpause")
def fence(h: Hart) -> None:
    pass


@instruction("fence.i", "imm[11:0] rs1 001 rd 0001111", "zifencei", syntax="")
def fence_i(h: Hart) -> None:
    pass


# --- No instruction --------------------------------------------------------------------------


def illegal(h: Hart) -> None:
    """What every encoding is that is reserved, not implemented, or switched off."""
    raise illegal_instruction(h)
