"""satp, vsatp and hgatp."""

from rvemu.hart.extensions import Ext
from rvemu.hart.fields import (
    HGATP,
    HSTATUS,
    MODE_BARE,
    MODE_SV39,
    MODE_SV48,
    MODE_SV57,
    MSTATUS,
    SATP,
)
from rvemu.hart.state import M_MODE, Hart
from rvemu.hart.tlb import flush_supervisor, flush_virtual
from rvemu.lang import U1, U2, U64, get, put


def _mode_is_supported(h: Hart, mode: U64) -> U1:
    """Of satp, or of hgatp: each ...x4 format comes with its namesake."""
    if mode == MODE_BARE:
        return 1
    if mode == MODE_SV39 and h.extensions & Ext.SV39:
        return 1
    if mode == MODE_SV48 and h.extensions & Ext.SV48:
        return 1
    if mode == MODE_SV57 and h.extensions & Ext.SV57:
        return 1
    return 0


def write_satp(h: Hart, value: U64) -> None:
    """A write of an unsupported MODE is ignored whole (norm:satp_mode_op_unsupported)."""
    if _mode_is_supported(h, get(value, SATP.MODE)) and value != h.satp:
        h.satp = value
        flush_supervisor(h)


def write_vsatp(h: Hart, value: U64) -> None:
    """As satp, whatever V is (norm:vsatp_mode_unsupported_v0 leaves the choice)."""
    if _mode_is_supported(h, get(value, SATP.MODE)) and value != h.vsatp:
        h.vsatp = value
        flush_virtual(h)


_HGATP_WRITABLE = HGATP.MODE.mask | HGATP.VMID.mask | (HGATP.PPN.mask & ~3)


def write_hgatp(h: Hart, value: U64) -> None:
    """Fields are WARL singly (norm:hgatp_mode_warl). PPN[1:0] are zero (norm:hgatp_ppn_op)."""
    legal: U64 = value & _HGATP_WRITABLE
    if not _mode_is_supported(h, get(value, HGATP.MODE)):
        legal = put(legal, HGATP.MODE, get(h.hgatp, HGATP.MODE))
    if legal != h.hgatp:
        h.hgatp = legal
        flush_virtual(h)


# --- Who may access them ---------------------------------------------------------------------
# TVM counts in HS-mode itself; where VS-mode is asked what HS-mode could do, it is taken to be
# zero ("HS-qualified", norm:H_cause_virtual_instruction).


def permit_satp(h: Hart, priv: U2, v: U1) -> U1:
    if priv == M_MODE:
        return 1
    if v:
        if get(h.hstatus, HSTATUS.VTVM):
            return 0
    elif not h.v and get(h.mstatus, MSTATUS.TVM):
        return 0
    return 1


def permit_hgatp(h: Hart, priv: U2, v: U1) -> U1:  # noqa: ARG001
    if priv != M_MODE and not h.v and get(h.mstatus, MSTATUS.TVM):
        return 0
    return 1
