"""Whether an instruction is allowed in the current mode, and which exception it raises if not."""

from rvemu.hart.exceptions import illegal_instruction, virtual_instruction
from rvemu.hart.state import S_MODE, U_MODE, Hart
from rvemu.lang import Field, Static, Trap, get


def not_allowed(h: Hart) -> Trap:
    """The instruction is not allowed in the current mode, and is in HS-mode ("HS-qualified": with
    TSR and TVM of mstatus zero). This is the general rule of norm:H_cause_virtual_instruction.

    What is not allowed in HS-mode either raises `illegal_instruction`."""
    if h.v:
        return virtual_instruction(h)
    return illegal_instruction(h)


def require_supervisor(h: Hart, trapped: Static[Field], trapped_in_guest: Static[Field]) -> None:
    """The instruction is for S-mode, unless a field of mstatus traps it there, and for VS-mode,
    unless a field of hstatus does. (The former has no effect in VS-mode.)"""
    if h.priv == U_MODE:
        raise not_allowed(h)
    if h.priv == S_MODE:
        if h.v:
            if get(h.hstatus, trapped_in_guest):
                raise not_allowed(h)
        elif get(h.mstatus, trapped):
            raise not_allowed(h)


def require_hypervisor(h: Hart) -> None:
    """The instruction is for M- and HS-mode."""
    if h.v or h.priv == U_MODE:
        raise not_allowed(h)
