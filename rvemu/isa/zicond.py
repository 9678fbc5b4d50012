"""Zicond: integer conditional operations (unprivileged manual, "Zicond")."""

from rvemu.hart.state import Hart
from rvemu.isa.encoding import instruction
from rvemu.lang import U5, Destination


@instruction("czero.eqz", "0000111 rs2 rs1 101 rd 0110011", "zicond")
def czero_eqz(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    """rs1, or zero if rs2 is zero."""
    h.x[rd] = h.x[rs1] if h.x[rs2] != 0 else 0


@instruction("czero.nez", "0000111 rs2 rs1 111 rd 0110011", "zicond")
def czero_nez(h: Hart, rd: Destination, rs1: U5, rs2: U5) -> None:
    """rs1, or zero if rs2 is not zero."""
    h.x[rd] = 0 if h.x[rs2] != 0 else h.x[rs1]
