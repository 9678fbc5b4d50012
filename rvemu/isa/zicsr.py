"""Zicsr: access to control and status registers (unprivileged manual, "Zicsr").

`csrrw` with rd = x0 does not read, and the others with rs1 = x0 or an immediate of 0 do not write:
so that neither has the other's side effects and exceptions.
"""

from rvemu.hart.csrs import csr_read, csr_write
from rvemu.hart.state import Hart
from rvemu.isa.encoding import instruction
from rvemu.lang import U5, U12, U64, X0_SINK, Destination, inline


@inline
def _exchange(h: Hart, csr: U12, rd: Destination, value: U64) -> None:
    if rd == X0_SINK:
        csr_write(h, csr, value)
    else:
        old = csr_read(h, csr)
        csr_write(h, csr, value)
        h.x[rd] = old


@instruction("csrrw", "csr rs1 001 rd 1110011", "zicsr", slow=True)
def csrrw(h: Hart, csr: U12, rd: Destination, rs1: U5) -> None:
    _exchange(h, csr, rd, h.x[rs1])


@instruction("csrrs", "csr rs1 010 rd 1110011", "zicsr", slow=True)
def csrrs(h: Hart, csr: U12, rd: Destination, rs1: U5) -> None:
    old = csr_read(h, csr)
    if rs1 != 0:
        csr_write(h, csr, old | h.x[rs1])
    h.x[rd] = old


@instruction("csrrc", "csr rs1 011 rd 1110011", "zicsr", slow=True)
def csrrc(h: Hart, csr: U12, rd: Destination, rs1: U5) -> None:
    old = csr_read(h, csr)
    if rs1 != 0:
        csr_write(h, csr, old & ~h.x[rs1])
    h.x[rd] = old


@instruction("csrrwi", "csr zimm 101 rd 1110011", "zicsr", slow=True)
def csrrwi(h: Hart, csr: U12, rd: Destination, zimm: U5) -> None:
    _exchange(h, csr, rd, zimm)


@instruction("csrrsi", "csr zimm 110 rd 1110011", "zicsr", slow=True)
def csrrsi(h: Hart, csr: U12, rd: Destination, zimm: U5) -> None:
    old = csr_read(h, csr)
    if zimm != 0:
        csr_write(h, csr, old | zimm)
    h.x[rd] = old


@instruction("csrrci", "csr zimm 111 rd 1110011", "zicsr", slow=True)
def csrrci(h: Hart, csr: U12, rd: Destination, zimm: U5) -> None:
    old = csr_read(h, csr)
    if zimm != 0:
        csr_write(h, csr, old & ~zimm)
    h.x[rd] = old
