"""Zbc: carry-less multiplication (unprivileged manual, "Zbc").

The product of two polynomials over GF(2): shifted copies of rs1, one for each bit of rs2, combined
with exclusive or instead of addition. It has 127 bits.
"""

from rvemu.hart.state import Hart
from rvemu.isa.encoding import instruction
from rvemu.lang import U5, U64, Destination, u64


@instruction("clmul", "0000101 rs2 rs1 001 rd 0110011", "zbc")
def clmul(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    """The product's bits 63-0."""
    a, b = h.x[rs1], h.x[rs2]
    product: U64 = 0
    for i in range(64):
        product = u64(product ^ ((a << i) & -((b >> i) & 1)))
    h.x[rd] = product


@instruction("clmulh", "0000101 rs2 rs1 011 rd 0110011", "zbc")
def clmulh(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    """The product's bits 126-64."""
    a, b = h.x[rs1], h.x[rs2]
    product: U64 = 0
    for i in range(1, 64):
        product = product ^ ((a >> (64 - i)) & -((b >> i) & 1))
    h.x[rd] = product


@instruction("clmulr", "0000101 rs2 rs1 010 rd 0110011", "zbc")
def clmulr(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    """The product's bits 126-63: the product of the operands in reverse, reversed."""
    a, b = h.x[rs1], h.x[rs2]
    product: U64 = 0
    for i in range(64):
        product = product ^ ((a >> (63 - i)) & -((b >> i) & 1))
    h.x[rd] = product
