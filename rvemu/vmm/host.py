"""The physical machine: one hart with the hypervisor extension, memory for the VMM's own tables,
and the guests' memory, each in a bank of its own.

The VMM is the software of M- and HS-mode: traps into these levels end in Python (`owned_levels`),
which reads the CSRs that the trap wrote, and goes back into the guest as any hypervisor would: with
an `mret` or `sret`, which the hart executes, from a few instructions in the VMM's memory.

The hart's clock is that of the guest that runs: it shows the guest's time, as `htimedelta` would
have it, and to the instruction. So a guest meets its timer at the same instruction in all modes.
"""

import ctypes
import struct
import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any

from rvemu.clock import CLOCKS_PER_TICK
from rvemu.engine import make_engine
from rvemu.errors import RvemuError
from rvemu.hart.csr_environment import write_menvcfg
from rvemu.hart.decoded import invalidate_physical, release_all_decoded
from rvemu.hart.interrupts import poll
from rvemu.hart.pmp import pmp_permissions
from rvemu.hart.reset import reset
from rvemu.hart.state import (
    M_MODE,
    PASS_NEXT,
    PASS_NONE,
    S_MODE,
    STOP_BREAKPOINT,
    Hart,
    Shared,
)
from rvemu.hart.tlb import flush_all
from rvemu.lang import M64
from rvemu.memory import PAGE_SIZE, Ram
from rvemu.vmm.assisted_loop import run_assisted
from rvemu.vmm.emulation_loop import run_and_emulate
from rvemu.vmm.frame_books import (
    change_roots,
    is_list,
    make_updates,
    pin_table,
    set_entry,
    unpin_table,
    update_made,
)
from rvemu.vmm.lookup import changed, forget_step, look_up, set_status
from rvemu.vmm.paravirt_loop import answer, end_hypercall, reason_of, run_paravirtual
from rvemu.vmm.shared_page import poll_events, see_rings, show_time
from rvemu.vmm.switch import (
    NEEDED,
    Entry,
    enter_user,
    enter_virtual,
    leave_user,
    leave_virtual,
    load_virtual,
    take_hart,
)

if TYPE_CHECKING:
    from rvemu.engine.native.functions import Functions

# Where hardly a guest has code: a debugger's breakpoints are virtual addresses, and the way into a
# guest has such addresses as well.
VMM_BASE = 1 << 55
VMM_SIZE = 128 << 20

# Where guests' memory begins: the first bank, and the distance from one to the next.
_BANK_BASE, _BANK_STRIDE = 1 << 36, 1 << 36
BANKS = 7

# Bits of owned_levels.
LEVEL_M, LEVEL_HS = 1 << M_MODE, 1 << S_MODE


_SWAP_T0, _CSRW_SATP_T0 = 0x340292F3, 0x18029073  # csrrw t0, mscratch, t0; csrw satp, t0
_SFENCE, _HFENCE_G, _HFENCE_V = 0x12000073, 0x62000073, 0x22000073
_MRET, _SRET = 0x30200073, 0x10200073

# From M-mode to U-mode, under the shadow table that mscratch names; and after tables were changed.
ENTER_U = Entry(VMM_BASE, (_SWAP_T0, _CSRW_SATP_T0, _SWAP_T0, _MRET))
ENTER_U_FENCED = Entry(VMM_BASE + 0x40, (_SWAP_T0, _CSRW_SATP_T0, _SFENCE, _SWAP_T0, _MRET))
# From HS-mode to VS- or VU-mode; and after tables, or what they mean, were changed.
ENTER_V = Entry(VMM_BASE + 0x80, (_SRET,))
ENTER_V_FENCED = Entry(VMM_BASE + 0xC0, (_HFENCE_G, _HFENCE_V, _SRET))

# The rest of the VMM's memory is tables: roots of G-stage tables, aligned to 16 KiB, for each guest
# as many as it may have virtual harts; then pages. Each guest has a share of both.
MOST_HARTS = 8
_ROOTS, ROOT_SIZE = VMM_BASE + 0x4000, 0x4000
_PAGES = _ROOTS + ROOT_SIZE * MOST_HARTS * BANKS
_SHARE = (VMM_BASE + VMM_SIZE - _PAGES) // BANKS & -PAGE_SIZE

# The functions that `Host.bind` knows.
COMPILED = (
    *(poll, pmp_permissions, flush_all, invalidate_physical),
    *(look_up, set_status, changed, forget_step),
    *(enter_user, leave_user, run_and_emulate),
    *(take_hart, load_virtual, enter_virtual, leave_virtual, run_assisted),
    *(show_time, see_rings, poll_events),
    *(set_entry, pin_table, unpin_table, is_list, make_updates, update_made, change_roots),
    *(reason_of, answer, end_hypercall, run_paravirtual),
)

# A debugger's breakpoints and watchpoints, which are together at the end of what harts share.
_POINTS = Shared.breakpoint_count.offset
_POINT_BYTES = ctypes.sizeof(Shared) - _POINTS
NO_POINTS = bytes(_POINT_BYTES)


@cache
def _compiled() -> "Functions":
    from rvemu.engine.native.functions import Functions

    return Functions(COMPILED, long=[run_and_emulate, run_assisted, run_paravirtual])


class OutOfFrames(Exception):  # noqa: N818 - the VMM drops tables, and goes on
    """A guest's share of the VMM's memory for tables is used up."""


class Frames:
    """A guest's share of the VMM's memory for tables. However much a guest makes of them, it takes
    none from the others, and can go on when it has dropped its own."""

    def __init__(self, host: "Host", number: int) -> None:
        self.host = host
        first = _PAGES + _SHARE * number
        self._free = list(range(first + _SHARE - PAGE_SIZE, first - PAGE_SIZE, -PAGE_SIZE))
        root = _ROOTS + ROOT_SIZE * MOST_HARTS * number
        self._roots = list(range(root + ROOT_SIZE * (MOST_HARTS - 1), root - ROOT_SIZE, -ROOT_SIZE))

    def __len__(self) -> int:
        return len(self._free)

    def take_page(self) -> int:
        """A cleared page for a table. Raises `OutOfFrames`."""
        if not self._free:
            raise OutOfFrames
        page = self._free.pop()
        self.host.clear(page, PAGE_SIZE)
        return page

    def take_root(self) -> int:
        """16 cleared KiB for the root of a G-stage table of the guest's."""
        root = self._roots.pop()
        self.host.clear(root, ROOT_SIZE)
        return root

    def give_back(self, pages: Sequence[int]) -> None:
        """Pages of tables that are not used any more."""
        self._free.extend(pages)
        self.host.stale = True


class Host:
    """The physical machine of a VMM's guests. engine: "native" or "reference"."""

    def __init__(self, extensions: int, engine: str = "native") -> None:
        self.shared = Shared()
        self.hart = Hart(self.shared)
        self._ram = Ram(VMM_BASE, VMM_SIZE, name="VMM memory")
        self._page_words = (ctypes.c_uint32 * (VMM_SIZE // PAGE_SIZE))()
        #: The VMM's memory, as 64-bit words.
        self.words = self._ram.view.cast("Q")
        #: How many guests have memory here.
        self.banks = 0
        #: Whose second-stage translations and state the hart holds.
        self.resident: object = None
        #: Tables were changed since the TLB was last told.
        self.stale = False
        # The points that the hart stops for: a guest's.
        self._points = NO_POINTS
        #: Seconds in guests.
        self.guest_seconds = 0.0
        self._add_region(
            0, VMM_BASE, VMM_SIZE, self._ram.host_address, ctypes.addressof(self._page_words)
        )
        self.shared.hart_count = 1
        self.shared.harts[0] = ctypes.addressof(self.hart)
        self.shared.clock_per_tick = CLOCKS_PER_TICK
        for entry in (ENTER_U, ENTER_U_FENCED, ENTER_V, ENTER_V_FENCED):
            self._ram.write(entry.address, struct.pack(f"<{entry.length}I", *entry.code))
        self.engine = make_engine(engine, self.shared, [self.hart])
        self._invalidate = self.bind(invalidate_physical, self.hart)
        reset(self.hart, 0, extensions | NEEDED, pmp_count=0)
        self.hart.owned_levels = LEVEL_M | LEVEL_HS
        self.hart.mcounteren = 0
        write_menvcfg(self.hart, M64)

    # --- Memory ------------------------------------------------------------------------------

    def _add_region(self, n: int, base: int, size: int, host: int, words: int) -> None:
        shared = self.shared
        shared.region_base[n] = base
        shared.region_size[n] = size
        shared.region_host[n] = host
        shared.region_writable[n] = 1
        shared.region_pages[n] = words

    def add_bank(self, guest: Shared) -> tuple[int, Frames]:
        """Make a guest's RAM memory of the physical machine; its physical address, and the guest's
        share of the VMM's memory. `RvemuError` if there are too many, or it is too large."""
        if self.banks >= BANKS:
            raise RvemuError(f"{self.banks + 1} virtual machines: a host has room for {BANKS}")
        size, host, words = guest.region_size[0], guest.region_host[0], guest.region_pages[0]
        if size > _BANK_STRIDE:
            raise RvemuError(
                f"a virtual machine of {size >> 30} GiB: there may be {_BANK_STRIDE >> 30}"
            )
        base = _BANK_BASE + _BANK_STRIDE * self.banks
        frames = Frames(self, self.banks)
        self.banks += 1
        self._add_region(self.banks, base, size, host, words)
        # What the model writes there for the guest concerns what is decoded here. (The guest's own
        # pool has no pages: nothing is decoded for the virtual hart.)
        guest.pool_host = self.shared.pool_host
        guest.undecoded = self.shared.undecoded
        return base, frames

    def clear(self, address: int, length: int) -> None:
        """Zeros, for a table in the VMM's memory."""
        start = address - VMM_BASE
        self._ram.view[start : start + length] = bytes(length)

    def write_code(self, address: int, code: bytes) -> None:
        """Write instructions to the VMM's memory, which guests will execute."""
        self._ram.write(address, code)
        if self.shared.pool_used:
            self._invalidate(address, len(code))

    def clear_code(self, page: int) -> None:
        """Make a page of instructions zeros."""
        self.write_code(page, bytes(PAGE_SIZE))

    # --- A debugger's points -----------------------------------------------------------------

    def show_points(self, guest: Shared, before: bytes) -> bytes:
        """Have the hart stop for a guest's breakpoints and watchpoints, and for no others. Its
        virtual addresses are the guest's own in all modes. before: what this gave the last time."""
        points = ctypes.string_at(ctypes.addressof(guest) + _POINTS, _POINT_BYTES)
        if points != self._points:
            self._points = points
            ctypes.memmove(ctypes.addressof(self.shared) + _POINTS, points, _POINT_BYTES)
            self.stale = True  # pages are looked at anew when they are entered, or filled
        if points != before:
            release_all_decoded(self.hart)  # what is at points that are gone is ordinary again
        return points

    # --- Running -----------------------------------------------------------------------------

    def bind(
        self, function: Callable[..., Any], *structures: ctypes.Structure
    ) -> Callable[..., Any]:
        """A function of COMPILED with its first arguments given: as native code, if that is what
        the hart's engine runs."""
        if self.engine.name == "native":
            return _compiled().bind(function, *structures)
        return partial(function, *structures)

    def run(self, v: Hart) -> int:
        """Run the hart, which is on its way into a guest that was loaded (rvemu.vmm.switch); why it
        stopped."""
        p = self.hart
        began = time.perf_counter()
        if v.point_pass != PASS_NONE:
            # First the way in alone: the instruction that passes its points is the guest's.
            end, p.clock_stop = p.clock_stop, (p.clock_stop - v.budget - 1) & M64
            self._run_to_stop()
            p.clock_stop, p.point_pass = end, v.point_pass - 1
        reason = self._run_to_stop()
        self.guest_seconds += time.perf_counter() - began
        return reason

    def _run_to_stop(self) -> int:
        """Run the hart; why it stopped. Breakpoints are the guest's, and not the VMM's own."""
        p = self.hart
        reason = self.engine.run(p)
        while reason == STOP_BREAKPOINT and p.priv != 0 and not p.v:
            p.point_pass = PASS_NEXT
            reason = self.engine.run(p)
        return reason
