"""Zawrs: waiting for a store to the reserved bytes (unprivileged manual, "Zawrs").

A stall may end for any reason (norm:Zawrs_stall_terminate), and here it ends at once: the loop that
the instruction is in polls.
"""

from rvemu.hart.exceptions import illegal_instruction
from rvemu.hart.fields import HSTATUS, MSTATUS
from rvemu.hart.interrupts import pending_interrupts
from rvemu.hart.state import M_MODE, Hart
from rvemu.isa.encoding import instruction
from rvemu.isa.permission import not_allowed
from rvemu.lang import get


@instruction("wrs.nto", "000000001101 00000 000 00000 1110011", "zawrs", slow=True)
def wrs_nto(h: Hart) -> None:
    # Where a stall is to be trapped that takes too long, one that has nothing to end it is.
    if h.reservation_size == 0 or pending_interrupts(h) & h.mie:
        return
    # norm:Zawrs_priv_illegal_instr_excp
    if h.priv != M_MODE and get(h.mstatus, MSTATUS.TW):
        raise illegal_instruction(h)
    # norm:Zawrs_virtual_instr_excp
    if h.v and get(h.hstatus, HSTATUS.VTW):
        raise not_allowed(h)


@instruction("wrs.sto", "000000011101 00000 000 00000 1110011", "zawrs")
def wrs_sto(h: Hart) -> None:
    pass
