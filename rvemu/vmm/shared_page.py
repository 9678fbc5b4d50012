"""The page that a paravirtual guest's kernel shares with the VMM, in place of CSRs: traps into the
kernel, returns from them, and waiting for events. In the model's language (docs/model.md), since
this happens at most exits: `Host.bind` makes native code of it."""

import ctypes
from ctypes import c_uint64
from typing import ClassVar

from rvemu.hart.counters import request_poll, time
from rvemu.hart.csr_status import write_sstatus
from rvemu.hart.fields import MIP, MSTATUS
from rvemu.hart.interrupts import poll, wait_for_interrupt
from rvemu.hart.state import Hart
from rvemu.hart.traps import enter_hs, return_from_s
from rvemu.lang import U1, U64, get, i64, put, u64
from rvemu.vmm.hypercalls import RING_BLOCK, RING_CONSOLE, SHARED_PAGE

#: What of sstatus a kernel sees of a trap, and decides on for a return.
_STATUS = MSTATUS.SPP.mask | MSTATUS.SPIE.mask | MSTATUS.FS.mask
_RINGS = RING_CONSOLE | RING_BLOCK
_SP, _A0, _A1, _A6, _A7 = 2, 10, 11, 16, 17


class SharedPage(ctypes.Structure):
    """SHARED_PAGE (rvemu.vmm.hypercalls), where it is in the guest's memory."""

    _fields_: ClassVar = [(field.name, c_uint64) for field in SHARED_PAGE.subcons]


class Roots(ctypes.Structure):
    """The tables that translate while the virtual hart is in U-mode, and in S-mode."""

    _fields_: ClassVar = [
        ("frames", c_uint64 * 2),  # guest-physical; 0: the linear map
        ("physical", c_uint64 * 2),  # satp of the physical hart
        ("virtual", c_uint64 * 2),  # and of the virtual one, for those who look at it
        ("linear", c_uint64),  # the physical hart's for the linear map
    ]


def show_root(v: Hart, roots: Roots) -> None:
    """The virtual hart's privilege, or what translates there, may have changed."""
    v.satp = roots.virtual[v.priv & 1]


def spend(v: Hart, clocks: U64) -> None:
    """Time passes, in which nothing retires."""
    v.budget = i64(v.budget - clocks)
    v.retire_end = u64(v.retire_end - clocks)


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


def poll_events(v: Hart, page: SharedPage, roots: Roots) -> None:
    """What is due between two instructions: an event, if there is one and the guest takes it."""
    see_rings(v, page)
    priv = v.priv
    enabled = page.enabled & 1
    v.mstatus = put(v.mstatus, MSTATUS.SIE, enabled)
    poll(v)
    if v.priv == priv and get(v.mstatus, MSTATUS.SIE) == enabled:
        return
    _tell_trap(v, page)
    show_root(v, roots)


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


def reply(v: Hart, error: U64, value: U64) -> None:
    """Answer a hypercall: with an error of the SBI's, 0 if there is none, and a value."""
    v.x[_A0] = error
    v.x[_A1] = value
    v.pc = u64(v.pc + 4)


def wait(v: Hart, page: SharedPage) -> None:
    """Wait for an event, as wfi does for an interrupt."""
    reply(v, 0, 0)
    see_rings(v, page)
    wait_for_interrupt(v)
    request_poll(v)  # the kernel may have enabled events by itself
