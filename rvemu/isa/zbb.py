"""Zbb: basic bit manipulation (unprivileged manual, "Zbb")."""

from rvemu.hart.state import Hart
from rvemu.isa.encoding import instruction
from rvemu.lang import (
    U5,
    U6,
    Destination,
    count_leading_zeros,
    count_ones,
    count_trailing_zeros,
    i64,
    reverse_bytes,
    sext,
    u16,
    u32,
)

# --- Logic with one operand inverted ---------------------------------------------------------


@instruction("andn", "0100000 rs2 rs1 111 rd 0110011", "zbb")
def andn(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = h.x[rs1] & ~h.x[rs2]


@instruction("orn", "0100000 rs2 rs1 110 rd 0110011", "zbb")
def orn(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = h.x[rs1] | ~h.x[rs2]


@instruction("xnor", "0100000 rs2 rs1 100 rd 0110011", "zbb")
def xnor(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = ~(h.x[rs1] ^ h.x[rs2])


# --- Counts ----------------------------------------------------------------------------------


@instruction("clz", "0110000 00000 rs1 001 rd 0010011", "zbb")
def clz(h: Hart, rd: Destination, rs1: U5) -> None:
    h.x[rd] = count_leading_zeros(h.x[rs1])


@instruction("ctz", "0110000 00001 rs1 001 rd 0010011", "zbb")
def ctz(h: Hart, rd: Destination, rs1: U5) -> None:
    h.x[rd] = count_trailing_zeros(h.x[rs1])


@instruction("cpop", "0110000 00010 rs1 001 rd 0010011", "zbb")
def cpop(h: Hart, rd: Destination, rs1: U5) -> None:
    h.x[rd] = count_ones(h.x[rs1])


@instruction("clzw", "0110000 00000 rs1 001 rd 0011011", "zbb")
def clzw(h: Hart, rd: Destination, rs1: U5) -> None:
    h.x[rd] = count_leading_zeros(u32(h.x[rs1])) - 32


@instruction("ctzw", "0110000 00001 rs1 001 rd 0011011", "zbb")
def ctzw(h: Hart, rd: Destination, rs1: U5) -> None:
    h.x[rd] = count_trailing_zeros(h.x[rs1] | 1 << 32)


@instruction("cpopw", "0110000 00010 rs1 001 rd 0011011", "zbb")
def cpopw(h: Hart, rd: Destination, rs1: U5) -> None:
    h.x[rd] = count_ones(u32(h.x[rs1]))


# --- Extension, minimum and maximum ----------------------------------------------------------


@instruction("sext.b", "0110000 00100 rs1 001 rd 0010011", "zbb")
def sext_b(h: Hart, rd: Destination, rs1: U5) -> None:
    h.x[rd] = sext(h.x[rs1], 8)


@instruction("sext.h", "0110000 00101 rs1 001 rd 0010011", "zbb")
def sext_h(h: Hart, rd: Destination, rs1: U5) -> None:
    h.x[rd] = sext(h.x[rs1], 16)


@instruction("zext.h", "0000100 00000 rs1 100 rd 0111011", "zbb")
def zext_h(h: Hart, rd: Destination, rs1: U5) -> None:
    h.x[rd] = u16(h.x[rs1])


@instruction("max", "0000101 rs2 rs1 110 rd 0110011", "zbb")
def max_(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = max(i64(h.x[rs1]), i64(h.x[rs2]))


@instruction("maxu", "0000101 rs2 rs1 111 rd 0110011", "zbb")
def maxu(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = max(h.x[rs1], h.x[rs2])


@instruction("min", "0000101 rs2 rs1 100 rd 0110011", "zbb")
def min_(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = min(i64(h.x[rs1]), i64(h.x[rs2]))


@instruction("minu", "0000101 rs2 rs1 101 rd 0110011", "zbb")
def minu(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    h.x[rd] = min(h.x[rs1], h.x[rs2])


# --- Rotation --------------------------------------------------------------------------------


@instruction("rol", "0110000 rs2 rs1 001 rd 0110011", "zbb")
def rol(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    n = h.x[rs2] & 63
    h.x[rd] = h.x[rs1] << n | h.x[rs1] >> ((64 - n) & 63)


@instruction("ror", "0110000 rs2 rs1 101 rd 0110011", "zbb")
def ror(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    n = h.x[rs2] & 63
    h.x[rd] = h.x[rs1] >> n | h.x[rs1] << ((64 - n) & 63)


@instruction("rori", "011000 shamt[5:0] rs1 101 rd 0010011", "zbb")
def rori(h: Hart, rd: Destination, rs1: U5, shamt: U6) -> None:
    h.x[rd] = h.x[rs1] >> shamt | h.x[rs1] << ((64 - shamt) & 63)


@instruction("rolw", "0110000 rs2 rs1 001 rd 0111011", "zbb")
def rolw(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    word = u32(h.x[rs1])
    n = h.x[rs2] & 31
    h.x[rd] = sext(word << n | word >> ((32 - n) & 31), 32)


@instruction("rorw", "0110000 rs2 rs1 101 rd 0111011", "zbb")
def rorw(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    word = u32(h.x[rs1])
    n = h.x[rs2] & 31
    h.x[rd] = sext(word >> n | word << ((32 - n) & 31), 32)


@instruction("roriw", "0110000 shamt[4:0] rs1 101 rd 0011011", "zbb")
def roriw(h: Hart, rd: Destination, rs1: U5, shamt: U5) -> None:
    word = u32(h.x[rs1])
    h.x[rd] = sext(word >> shamt | word << ((32 - shamt) & 31), 32)


# --- Bytes -----------------------------------------------------------------------------------

_LOW_BITS = 0x7F7F_7F7F_7F7F_7F7F
_HIGH_BITS = 0x8080_8080_8080_8080


@instruction("orc.b", "001010000111 rs1 101 rd 0010011", "zbb")
def orc_b(h: Hart, rd: Destination, rs1: U5) -> None:
    """Each byte that is not zero becomes all ones."""
    # Adding 0x7f to the low seven bits of a byte sets its high bit if they are not zero, and
    # carries no further.
    value = h.x[rs1]
    not_zero = (((value & _LOW_BITS) + _LOW_BITS) | value) & _HIGH_BITS
    h.x[rd] = (not_zero >> 7) * 0xFF


@instruction("rev8", "011010111000 rs1 101 rd 0010011", "zbb")
def rev8(h: Hart, rd: Destination, rs1: U5) -> None:
    h.x[rd] = reverse_bytes(h.x[rs1])
