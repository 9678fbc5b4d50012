"""mip and mie, and the views of them for lesser modes: sip, hip, vsip, hvip, sie, hie, vsie.

Each bit is one thing under several names. VS-mode sees VS-level bits as S-level ones, one lower
(norm:vsip_vsie_ssi and the following).
"""

from rvemu.hart.counters import request_poll
from rvemu.hart.csr_status import GEILEN
from rvemu.hart.csr_trap import VS_INTERRUPTS
from rvemu.hart.extensions import Ext
from rvemu.hart.fields import MENVCFG, MIE, MIP
from rvemu.hart.interrupts import pending_interrupts
from rvemu.hart.state import Hart
from rvemu.lang import U64, get, put

_MACHINE = MIE.MSIE.mask | MIE.MTIE.mask | MIE.MEIE.mask
_SUPERVISOR = MIE.SSIE.mask | MIE.STIE.mask | MIE.SEIE.mask
_HYPERVISOR = VS_INTERRUPTS | MIP.SGEIP.mask

# --- Pending ---------------------------------------------------------------------------------


def software_mip(h: Hart, value: U64) -> U64:
    """A value read from mip, with only software's bit for SEIP: what csrrs and csrrc modify
    (norm:mip_seip_wrcsr)."""
    return put(value, MIP.SEIP, get(h.mip, MIP.SEIP))


def _set_pending(h: Hart, value: U64, mask: U64) -> None:
    h.mip = (h.mip & ~mask) | (value & mask)
    request_poll(h)


def write_mip(h: Hart, value: U64) -> None:
    """M-mode asserts S-level interrupts; STIP only while stimecmp does not
    (norm:mip_stip_stimecmp_acc). VSSIP is hvip's."""
    mask: U64 = 0
    if h.extensions & Ext.S:
        mask = MIP.SSIP.mask | MIP.SEIP.mask
        if not get(h.menvcfg, MENVCFG.STCE):
            mask = mask | MIP.STIP.mask
    if h.extensions & Ext.H:
        write_hip(h, value)
    _set_pending(h, value, mask)


def read_sip(h: Hart) -> U64:
    pending: U64 = pending_interrupts(h) & h.mideleg & _SUPERVISOR
    return pending


def write_sip(h: Hart, value: U64) -> None:
    """Only SSIP is writable, where it is delegated (norm:sip_ssip_sie_ssie)."""
    _set_pending(h, value, h.mideleg & MIP.SSIP.mask)


def read_hip(h: Hart) -> U64:
    return pending_interrupts(h) & _HYPERVISOR


def write_hip(h: Hart, value: U64) -> None:
    """norm:hip_vssip_vssie_op"""
    h.hvip = (h.hvip & ~MIP.VSSIP.mask) | (value & MIP.VSSIP.mask)
    request_poll(h)


def write_hvip(h: Hart, value: U64) -> None:
    """norm:hvip_acc"""
    h.hvip = value & VS_INTERRUPTS
    request_poll(h)


def read_vsip(h: Hart) -> U64:
    pending: U64 = (pending_interrupts(h) & h.hideleg) >> 1
    return pending


def write_vsip(h: Hart, value: U64) -> None:
    if h.hideleg & MIP.VSSIP.mask:
        write_hip(h, (value & MIP.SSIP.mask) << 1)


def write_hgeie(h: Hart, value: U64) -> None:
    """norm:hgeie_sz_acc_op: a bit for each guest external interrupt."""
    h.hgeie = value & (((1 << GEILEN) - 1) << 1)
    request_poll(h)


# --- Enabled ---------------------------------------------------------------------------------


def _set_enabled(h: Hart, value: U64, mask: U64) -> None:
    h.mie = (h.mie & ~mask) | (value & mask)
    request_poll(h)


def write_mie(h: Hart, value: U64) -> None:
    mask: U64 = _MACHINE
    if h.extensions & Ext.S:
        mask = mask | _SUPERVISOR
    if h.extensions & Ext.H:
        mask = mask | _HYPERVISOR
    _set_enabled(h, value, mask)


def read_sie(h: Hart) -> U64:
    enabled: U64 = h.mie & h.mideleg & _SUPERVISOR
    return enabled


def write_sie(h: Hart, value: U64) -> None:
    _set_enabled(h, value, h.mideleg & _SUPERVISOR)


def read_hie(h: Hart) -> U64:
    enabled: U64 = h.mie & _HYPERVISOR
    return enabled


def write_hie(h: Hart, value: U64) -> None:
    _set_enabled(h, value, _HYPERVISOR)


def read_vsie(h: Hart) -> U64:
    enabled: U64 = (h.mie & h.hideleg) >> 1
    return enabled


def write_vsie(h: Hart, value: U64) -> None:
    _set_enabled(h, (value << 1) & VS_INTERRUPTS, h.hideleg & VS_INTERRUPTS)
