"""The page that a paravirtual guest's kernel shares with the VMM, in place of CSRs: traps into the
kernel and returns from them. In the model's language (docs/model.md), since this happens at most
exits: `Host.bind` makes native code of it."""

import ctypes
from ctypes import c_uint64
from typing import ClassVar

from rvemu.hart.counters import time
from rvemu.hart.csr_status import write_sstatus
from rvemu.hart.fields import MIP, MSTATUS
from rvemu.hart.interrupts import poll
from rvemu.hart.state import Hart
from rvemu.hart.traps import enter_hs, return_from_s
from rvemu.lang import U1, U64, get, put
from rvemu.vmm.hypercalls import RING_BLOCK, RING_CONSOLE, SHARED_PAGE

#: What of sstatus a kernel sees of a trap, and decides on for a return.
_STATUS = MSTATUS.SPP.mask | MSTATUS.SPIE.mask | MSTATUS.FS.mask
_RINGS = RING_CONSOLE | RING_BLOCK
_SP, _A6, _A7 = 2, 16, 17


class SharedPage(ctypes.Structure):
    """SHARED_PAGE (rvemu.vmm.hypercalls), where it is in the guest's memory."""

    _fields_: ClassVar = [(field.name, c_uint64) for field in SHARED_PAGE.subcons]


def show_time(v: Hart, page: SharedPage) -> None:
    """The guest is about to be entered."""
    now = time(v)
    page.time = now
    page.timer = v.stimecmp <= now


def see_rings(v: Hart, page: SharedPage) -> None:
    """An event that the guest wants, and has not seen to, is an external interrupt."""
    pending: U1 = (page.events & page.wanted & _RINGS) != 0
    v.mip = put(v.mip, MIP.SEIP, pending)


def take_trap(v: Hart, page: SharedPage, cause: U64, value: U64) -> None:
    """Take a trap into the guest's kernel."""
    v.mstatus = put(v.mstatus, MSTATUS.SIE, page.enabled & 1)
    enter_hs(v, cause, value, 0, 0, 0)
    _tell_trap(v, page)


def poll_events(v: Hart, page: SharedPage) -> U1:
    """What is due between two instructions; whether that was an interrupt, which the kernel takes
    now."""
    see_rings(v, page)
    priv = v.priv
    enabled = page.enabled & 1
    v.mstatus = put(v.mstatus, MSTATUS.SIE, enabled)
    poll(v)
    if v.priv == priv and get(v.mstatus, MSTATUS.SIE) == enabled:
        return 0
    _tell_trap(v, page)
    return 1


def _tell_trap(v: Hart, page: SharedPage) -> None:
    page.epc = v.sepc
    page.status = v.mstatus & _STATUS
    page.cause = v.scause
    page.tval = v.stval
    page.sp = v.x[_SP]
    page.a6 = v.x[_A6]
    page.a7 = v.x[_A7]
    page.enabled = 0
    if not get(v.mstatus, MSTATUS.SPP):
        v.x[_SP] = page.kernel_sp
    v.pc = page.entry & ~1


def return_from_trap(v: Hart, page: SharedPage) -> None:
    """Go back to what the page says, as sret does to what the CSRs say."""
    v.sepc = page.epc & ~1
    write_sstatus(v, (v.mstatus & ~_STATUS) | (page.status & _STATUS))
    v.x[_SP] = page.sp
    v.x[_A6] = page.a6
    v.x[_A7] = page.a7
    return_from_s(v)
    v.pc = v.next_pc
    page.enabled = get(v.mstatus, MSTATUS.SIE)
