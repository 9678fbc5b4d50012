"""Privileged instructions: calls, returns from traps, waiting, and address-translation fences
(unprivileged manual, "RV32I": environment call and breakpoints; privileged manual, "Machine-Level
ISA", "Supervisor-Level ISA" and "Svinval").
"""

from rvemu.hart.exceptions import breakpoint, environment_call, illegal_instruction
from rvemu.hart.extensions import Ext
from rvemu.hart.fences import fence_supervisor, fence_virtual
from rvemu.hart.fields import HSTATUS, MSTATUS
from rvemu.hart.interrupts import wait_for_interrupt
from rvemu.hart.state import M_MODE, QUIRK_FENCE, QUIRK_XRET, U_MODE, Hart
from rvemu.hart.traps import return_from_m, return_from_s
from rvemu.isa.encoding import instruction
from rvemu.isa.permission import not_allowed, require_supervisor
from rvemu.lang import U5, get

# --- Calls, returns and waiting --------------------------------------------------------------


@instruction("ecall", "000000000000 00000 000 00000 1110011", "i", slow=True)
def ecall(h: Hart) -> None:
    raise environment_call(h)


@instruction("ebreak", "000000000001 00000 000 00000 1110011", "i", slow=True)
def ebreak(h: Hart) -> None:
    raise breakpoint(h, h.pc)


@instruction("mret", "0011000 00010 00000 000 00000 1110011", "i", slow=True)
def mret(h: Hart) -> None:
    if h.quirks & QUIRK_XRET and h.priv == U_MODE:
        return
    if h.priv != M_MODE:
        raise illegal_instruction(h)
    return_from_m(h)


@instruction("sret", "0001000 00010 00000 000 00000 1110011", "s", slow=True)
def sret(h: Hart) -> None:
    if h.quirks & QUIRK_XRET and h.priv == U_MODE:
        return
    # norm:mstatus_tsr_op, norm:H_virtinst_vu_sret_sfence, norm:H_virtinst_vs_sret_vtsr1
    require_supervisor(h, MSTATUS.TSR, HSTATUS.VTSR)
    return_from_s(h)


@instruction("wfi", "0001000 00101 00000 000 00000 1110011", "i", slow=True)
def wfi(h: Hart) -> None:
    # A WFI that is to be trapped may complete all the same within a bounded time: here that is 0.
    # norm:mstatus_tw_always_illegal
    if h.priv != M_MODE and get(h.mstatus, MSTATUS.TW):
        raise illegal_instruction(h)
    # norm:mstatus_tw_umode_op, norm:H_virtinst_vu_wfi_tw0
    if h.priv == U_MODE and h.extensions & Ext.S:
        raise not_allowed(h)
    # norm:H_virtinst_wfi_vtw1_tw0
    if h.v and get(h.hstatus, HSTATUS.VTW):
        raise not_allowed(h)
    wait_for_interrupt(h)


# --- Fences ----------------------------------------------------------------------------------
# The finer-grained instructions of Svinval invalidate at once: then the ordering of sfence.w.inval
# and sfence.inval.ir has nothing left to do.


@instruction("sfence.vma", "0001001 rs2 rs1 000 00000 1110011", "s", slow=True)
@instruction("sinval.vma", "0001011 rs2 rs1 000 00000 1110011", "svinval", slow=True)
def sfence_vma(h: Hart, rs1: U5) -> None:
    if h.quirks & QUIRK_FENCE and h.priv == U_MODE:
        return
    # norm:mstatus_tvm_warl_op, norm:H_virtinst_vs_sfence_sinval_satp_vtvm1
    require_supervisor(h, MSTATUS.TVM, HSTATUS.VTVM)
    if h.v:
        fence_virtual(h, rs1 != 0, h.x[rs1])
    else:
        fence_supervisor(h, rs1 != 0, h.x[rs1])


@instruction("sfence.w.inval", "0001100 00000 00000 000 00000 1110011", "svinval", slow=True)
@instruction("sfence.inval.ir", "0001100 00001 00000 000 00000 1110011", "svinval", slow=True)
def sfence_order(h: Hart) -> None:
    # norm:Svinval_sfence_w_inval_inval_s_vs_mode: TVM and VTVM have no say.
    if h.priv == U_MODE:
        raise not_allowed(h)
