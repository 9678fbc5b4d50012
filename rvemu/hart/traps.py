"""Taking traps, and returning from them.

Sources: "Trap Entry" and "Trap Return" (hypervisor.adoc), mstatus and xRET (machine.adoc).
"""

from rvemu.hart.counters import request_poll
from rvemu.hart.extensions import Ext
from rvemu.hart.fields import CAUSE, HSTATUS, MSTATUS, SSTATUS, TVEC, TVEC_VECTORED
from rvemu.hart.privilege import set_privilege
from rvemu.hart.state import M_MODE, S_MODE, STOP_OWNED, STOP_TRAP, U_MODE, Hart
from rvemu.hart.trap_instruction import trap_instruction
from rvemu.lang import U1, U2, U64, get, put, u64

# --- Entry -----------------------------------------------------------------------------------


def take_trap(h: Hart) -> None:
    """Deliver the exception that the current instruction has raised (`trap_*`): to M-mode, or
    where medeleg and hedeleg delegate it. The instruction does not retire."""
    h.retire_end = u64(h.retire_end - 1)
    cause = h.trap_cause & 63
    # norm:trap_never_trans_lower: what M-mode raises is not delegated.
    if h.priv == M_MODE or not (h.medeleg >> cause) & 1:
        guest_address = h.trap_guest_address >> 2
        enter_m(h, cause, h.trap_value, guest_address, trap_instruction(h), h.trap_gva & 1)
    elif h.v and (h.hedeleg >> cause) & 1:
        enter_vs(h, cause, h.trap_value)
    else:
        guest_address = h.trap_guest_address >> 2
        enter_hs(h, cause, h.trap_value, guest_address, trap_instruction(h), h.trap_gva & 1)


def enter_m(h: Hart, cause: U64, value: U64, guest_address: U64, instruction: U64, gva: U1) -> None:
    """Take a trap into M-mode. cause: as mcause has it, interrupt bit included; value: mtval;
    guest_address: mtval2, shifted right already; instruction: mtinst."""
    # norm:H_trap_m_csrwrites
    status = put(h.mstatus, MSTATUS.MPP, h.priv)
    status = put(status, MSTATUS.MPIE, get(status, MSTATUS.MIE))
    status = put(status, MSTATUS.MIE, 0)
    if h.extensions & Ext.H:
        status = put(status, MSTATUS.MPV, h.v)
        status = put(status, MSTATUS.GVA, gva)
        h.mtval2 = guest_address
        h.mtinst = instruction
    h.mstatus = status
    h.mepc = h.pc
    h.mcause = cause
    h.mtval = value
    _enter(h, cause, M_MODE, 0, vector(u64(h.mtvec), cause))


def enter_hs(
    h: Hart, cause: U64, value: U64, guest_address: U64, instruction: U64, gva: U1
) -> None:
    """Take a trap into S-mode at V=0; arguments as for `enter_m`."""
    # norm:H_trap_hs_csrwrites
    status = put(h.mstatus, MSTATUS.SPP, h.priv)
    status = put(status, MSTATUS.SPIE, get(status, MSTATUS.SIE))
    h.mstatus = put(status, MSTATUS.SIE, 0)
    if h.extensions & Ext.H:
        hstatus = put(h.hstatus, HSTATUS.SPV, h.v)
        if h.v:
            hstatus = put(hstatus, HSTATUS.SPVP, h.priv)
        h.hstatus = put(hstatus, HSTATUS.GVA, gva)
        h.htval = guest_address
        h.htinst = instruction
    h.sepc = h.pc
    h.scause = cause
    h.stval = value
    _enter(h, cause, S_MODE, 0, vector(u64(h.stvec), cause))


def enter_vs(h: Hart, cause: U64, value: U64) -> None:
    """Take a trap into VS-mode, from VS- or VU-mode. An interrupt's cause is the S-level one."""
    # norm:H_trap_vs_csrwrites
    status = put(h.vsstatus, SSTATUS.SPP, h.priv)
    status = put(status, SSTATUS.SPIE, get(status, SSTATUS.SIE))
    h.vsstatus = put(status, SSTATUS.SIE, 0)
    h.vsepc = h.pc
    h.vscause = cause
    h.vstval = value
    _enter(h, cause, S_MODE, 1, vector(u64(h.vstvec), cause))


def vector(tvec: U64, cause: U64) -> U64:
    """Where a trap's handler starts: vectored mode spreads interrupts (norm:mtvec_mode_enc)."""
    base = tvec & TVEC.BASE.mask
    if get(tvec, TVEC.MODE) == TVEC_VECTORED and get(cause, CAUSE.INTERRUPT):
        return u64(base + 4 * (cause & 63))
    return base


def _enter(h: Hart, cause: U64, priv: U2, v: U1, pc: U64) -> None:
    """Go on in the trap's handler, or let the host see it first: whose level it is, or who looks
    on."""
    count = (cause & 63) + (64 if get(cause, CAUSE.INTERRUPT) else 0)
    h.trap_counts[count] = u64(h.trap_counts[count] + 1)
    h.pc = pc
    h.trap_target = priv | (v << 2)
    set_privilege(h, priv, v)
    if (h.owned_levels >> (h.trap_target & 7)) & 1:
        h.stop_reason = STOP_OWNED
        request_poll(h)
    elif h.trap_hooks & 1:
        h.stop_reason = STOP_TRAP
        request_poll(h)


# --- Return ----------------------------------------------------------------------------------


def return_from_m(h: Hart) -> None:
    """MRET, in M-mode: return from a trap into it (norm:mret_h)."""
    status: U64 = h.mstatus
    priv: U2 = get(status, MSTATUS.MPP) & 3
    v: U1 = get(status, MSTATUS.MPV) & 1
    if priv == M_MODE:
        v = 0  # norm:mstatus_mpv_op
    else:
        status = put(status, MSTATUS.MPRV, 0)
    status = put(status, MSTATUS.MIE, get(status, MSTATUS.MPIE))
    status = put(status, MSTATUS.MPIE, 1)
    status = put(status, MSTATUS.MPV, 0)
    # The least mode that there is.
    if h.extensions & Ext.U:
        status = put(status, MSTATUS.MPP, U_MODE)
    h.mstatus = status
    h.next_pc = h.mepc & ~h.pc_align_mask
    set_privilege(h, priv, v)
    request_poll(h)


def return_from_s(h: Hart) -> None:
    """SRET, where it is allowed: return from a trap into HS-mode, or at V=1 into VS-mode."""
    if h.v:
        _return_in_guest(h)
    else:
        _return_in_host(h)
    request_poll(h)


def _return_in_host(h: Hart) -> None:
    """norm:sret_v0"""
    status: U64 = h.mstatus
    priv: U2 = get(status, MSTATUS.SPP) & 1
    v: U1 = get(h.hstatus, HSTATUS.SPV) & 1
    status = put(status, MSTATUS.SIE, get(status, MSTATUS.SPIE))
    status = put(status, MSTATUS.SPIE, 1)
    status = put(status, MSTATUS.SPP, U_MODE)
    h.mstatus = put(status, MSTATUS.MPRV, 0)
    h.hstatus = put(h.hstatus, HSTATUS.SPV, 0)
    h.next_pc = h.sepc & ~h.pc_align_mask
    set_privilege(h, priv, v)


def _return_in_guest(h: Hart) -> None:
    """norm:sret_v1"""
    status: U64 = h.vsstatus
    priv: U2 = get(status, SSTATUS.SPP) & 1
    status = put(status, SSTATUS.SIE, get(status, SSTATUS.SPIE))
    status = put(status, SSTATUS.SPIE, 1)
    h.vsstatus = put(status, SSTATUS.SPP, U_MODE)
    h.next_pc = h.vsepc & ~h.pc_align_mask
    set_privilege(h, priv, 1)
