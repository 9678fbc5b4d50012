"""Zicsr: access to control and status registers (unprivileged manual, "Zicsr").

`csrrw` with rd = x0 does not read, and the others with rs1 = x0 or an immediate of 0 do not write:
so that neither has the other's side effects and exceptions.
"""

from rvemu.hart.csrs import csr_check, csr_read, csr_to_modify, csr_write
from rvemu.hart.state import Hart
from rvemu.isa.encoding import instruction
from rvemu.lang import U1, U5, U12, U64, X0_SINK, Destination


def _read_to_write(h: Hart, csr: U12) -> U64:
    """The value of a CSR that the instruction writes as well."""
    if h.v:
        # To be HS-qualified, and so a virtual instruction, it must be allowed to do both in
        # HS-mode: not so where it writes a read-only CSR, though it may read that.
        csr_check(h, csr, 1)
    return csr_read(h, csr)


def _exchange(h: Hart, csr: U12, rd: Destination, value: U64) -> None:
    if rd == X0_SINK:
        csr_write(h, csr, value)
    else:
        old = _read_to_write(h, csr)
        csr_write(h, csr, value)
        h.x[rd] = old


def _set(h: Hart, csr: U12, rd: Destination, bits: U64, write: U1) -> None:
    if write:
        old = _read_to_write(h, csr)
        csr_write(h, csr, csr_to_modify(h, csr, old) | bits)
        h.x[rd] = old
    else:
        h.x[rd] = csr_read(h, csr)


def _clear(h: Hart, csr: U12, rd: Destination, bits: U64, write: U1) -> None:
    if write:
        old = _read_to_write(h, csr)
        csr_write(h, csr, csr_to_modify(h, csr, old) & ~bits)
        h.x[rd] = old
    else:
        h.x[rd] = csr_read(h, csr)


@instruction("csrrw", "csr rs1 001 rd 1110011", "zicsr", slow=True)
def csrrw(h: Hart, csr: U12, rd: Destination, rs1: U5) -> None:
    _exchange(h, csr, rd, h.x[rs1])


@instruction("csrrs", "csr rs1 010 rd 1110011", "zicsr", slow=True)
def csrrs(h: Hart, csr: U12, rd: Destination, rs1: U5) -> None:
    _set(h, csr, rd, h.x[rs1], rs1 != 0)


@instruction("csrrc", "csr rs1 011 rd 1110011", "zicsr", slow=True)
def csrrc(h: Hart, csr: U12, rd: Destination, rs1: U5) -> None:
    _clear(h, csr, rd, h.x[rs1], rs1 != 0)


@instruction("csrrwi", "csr zimm 101 rd 1110011", "zicsr", slow=True)
def csrrwi(h: Hart, csr: U12, rd: Destination, zimm: U5) -> None:
    _exchange(h, csr, rd, zimm)


@instruction("csrrsi", "csr zimm 110 rd 1110011", "zicsr", slow=True)
def csrrsi(h: Hart, csr: U12, rd: Destination, zimm: U5) -> None:
    _set(h, csr, rd, zimm, zimm != 0)


@instruction("csrrci", "csr zimm 111 rd 1110011", "zicsr", slow=True)
def csrrci(h: Hart, csr: U12, rd: Destination, zimm: U5) -> None:
    _clear(h, csr, rd, zimm, zimm != 0)
