"""mstatus, sstatus, vsstatus and hstatus.

The hart holds them without SD, which follows from FS (VS and XS are read-only zero).
"""

from rvemu.hart.counters import request_poll
from rvemu.hart.extensions import Ext
from rvemu.hart.fields import FS_DIRTY, HSTATUS, MSTATUS, SSTATUS
from rvemu.hart.floating import update_fp_fast
from rvemu.hart.privilege import update_context
from rvemu.hart.state import M_MODE, S_MODE, U_MODE, Hart
from rvemu.hart.tlb import flush_all, flush_virtual
from rvemu.lang import U64, get, put

# Guest external interrupts 1 to GEILEN can be told apart (norm:geilen).
GEILEN = 7

_SUPERVISOR = (
    SSTATUS.SIE.mask | SSTATUS.SPIE.mask | SSTATUS.SPP.mask | SSTATUS.SUM.mask | SSTATUS.MXR.mask
)
_SSTATUS_READABLE = (
    _SUPERVISOR
    | SSTATUS.UBE.mask
    | SSTATUS.VS.mask
    | SSTATUS.FS.mask
    | SSTATUS.XS.mask
    | SSTATUS.UXL.mask
)
_SUPERVISOR_TRAPS = MSTATUS.TVM.mask | MSTATUS.TSR.mask
_GUEST = MSTATUS.MPV.mask | MSTATUS.GVA.mask


def _with_sd(status: U64) -> U64:
    """norm:mstatus_sd_op1"""
    if get(status, SSTATUS.FS) == FS_DIRTY:
        return status | SSTATUS.SD.mask
    return status


def _sstatus_writable(h: Hart) -> U64:
    """The bits of sstatus that can be written, in mstatus and vsstatus as well. FS is there with F
    as the hart was built, so that misa.F=0 loses nothing."""
    mask: U64 = 0
    if h.extensions & Ext.S:
        mask = _SUPERVISOR
    if h.extensions_built & Ext.F:
        mask = mask | SSTATUS.FS.mask
    return mask


def _legal_mpp(h: Hart, mode: U64) -> U64:
    """A mode that exists: the least one in place of one that does not."""
    if not h.extensions & Ext.U:
        return M_MODE
    if mode == M_MODE:
        return mode
    if mode == S_MODE and h.extensions & Ext.S:
        return mode
    return U_MODE


def _set_mstatus(h: Hart, status: U64) -> None:
    """Change mstatus, and what follows from it."""
    changed = h.mstatus ^ status
    h.mstatus = status
    if changed & MSTATUS.MXR.mask:
        flush_all(h)
    update_context(h)
    update_fp_fast(h)
    request_poll(h)


def read_mstatus(h: Hart) -> U64:
    return _with_sd(h.mstatus)


def write_mstatus(h: Hart, value: U64) -> None:
    mask = _sstatus_writable(h) | MSTATUS.MIE.mask | MSTATUS.MPIE.mask | MSTATUS.MPP.mask
    if h.extensions & Ext.U:
        mask = mask | MSTATUS.MPRV.mask | MSTATUS.TW.mask
    if h.extensions & Ext.S:
        mask = mask | _SUPERVISOR_TRAPS
    if h.extensions & Ext.H:
        mask = mask | _GUEST
    legal = put(value, MSTATUS.MPP, _legal_mpp(h, get(value, MSTATUS.MPP)))
    _set_mstatus(h, (h.mstatus & ~mask) | (legal & mask))


def read_sstatus(h: Hart) -> U64:
    return _with_sd(h.mstatus & _SSTATUS_READABLE)


def write_sstatus(h: Hart, value: U64) -> None:
    mask = _sstatus_writable(h)
    _set_mstatus(h, (h.mstatus & ~mask) | (value & mask))


def read_vsstatus(h: Hart) -> U64:
    return _with_sd(h.vsstatus)


def write_vsstatus(h: Hart, value: U64) -> None:
    mask = _sstatus_writable(h)
    status = (h.vsstatus & ~mask) | (value & mask)
    changed = h.vsstatus ^ status
    h.vsstatus = status
    if changed & SSTATUS.MXR.mask:
        flush_virtual(h)
    update_context(h)
    update_fp_fast(h)
    request_poll(h)


_HSTATUS_WRITABLE = (
    HSTATUS.GVA.mask
    | HSTATUS.SPV.mask
    | HSTATUS.SPVP.mask
    | HSTATUS.HU.mask
    | HSTATUS.VTVM.mask
    | HSTATUS.VTW.mask
    | HSTATUS.VTSR.mask
)


def write_hstatus(h: Hart, value: U64) -> None:
    """VSXL and VSBE are read-only; a VGEIN beyond GEILEN is ignored."""
    status = (h.hstatus & ~_HSTATUS_WRITABLE) | (value & _HSTATUS_WRITABLE)
    guest = get(value, HSTATUS.VGEIN)
    if guest <= GEILEN:
        status = put(status, HSTATUS.VGEIN, guest)
    h.hstatus = status
    request_poll(h)
