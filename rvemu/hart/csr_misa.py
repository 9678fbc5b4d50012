"""misa: extensions that software switches off and on."""

from rvemu.hart.counters import request_poll
from rvemu.hart.csr_trap import write_hedeleg, write_medeleg, write_mideleg
from rvemu.hart.extensions import Ext, extensions_after_misa, misa_value
from rvemu.hart.fields import HSTATUS, MIE, MIP, MSTATUS
from rvemu.hart.state import STOP_FLUSH, Hart
from rvemu.hart.tlb import flush_all
from rvemu.lang import U64

_HYPERVISOR = MIE.VSSIE.mask | MIE.VSTIE.mask | MIE.VSEIE.mask | MIP.SGEIP.mask


def read_misa(h: Hart) -> U64:
    return misa_value(h.extensions)


def write_misa(h: Hart, value: U64) -> None:
    """Switch extensions. The engine drops what it has decoded: STOP_FLUSH, when the instruction has
    completed."""
    extensions = extensions_after_misa(h.extensions_built, value)
    if extensions == h.extensions:
        return
    align_mask: U64 = 2
    if extensions & Ext.ZCA:
        align_mask = 0
    if h.next_pc & align_mask:
        return  # norm:misa_inc_ialign
    h.extensions = extensions
    h.pc_align_mask = align_mask & 2
    if not extensions & Ext.H:
        _clear_hypervisor_state(h)
    # What is writable in these depends on H and C.
    write_medeleg(h, h.medeleg)
    write_hedeleg(h, h.hedeleg)
    write_mideleg(h, h.mideleg)
    flush_all(h)
    h.stop_reason = STOP_FLUSH
    request_poll(h)


def _clear_hypervisor_state(h: Hart) -> None:
    """Without H, none of its state may make itself felt (norm:misa_extensions_disabling). The state
    is unspecified when H comes back."""
    h.mstatus = h.mstatus & ~(MSTATUS.MPV.mask | MSTATUS.GVA.mask)
    h.mie = h.mie & ~_HYPERVISOR
    h.hvip = 0
    h.hideleg = 0
    h.hedeleg = 0
    h.hgeie = 0
    h.hstatus = h.hstatus & HSTATUS.VSXL.mask
