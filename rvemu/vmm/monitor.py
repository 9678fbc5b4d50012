"""What all modes of direct execution share: the life of a virtual hart.

The virtual hart is a `Hart` like any other, and its state is the guest's: registers, CSRs,
privilege, time. What the physical hart executes for it is loaded there and taken back. What must be
emulated is executed by the model itself, on the virtual hart: so CSRs, traps, interrupts and page
walks mean exactly what they mean on a bare machine.

A guest may have several virtual harts, which the machine's scheduler runs in turn. They share what
is made for the guest: its tables above all. What differs between them is in the harts themselves.
"""

import ctypes
from collections.abc import Callable, Sequence
from typing import Any

from rvemu.engine.reference import ReferenceEngine
from rvemu.hart.decoded import invalidate_physical
from rvemu.hart.exceptions import FETCH, STORE
from rvemu.hart.interrupts import poll
from rvemu.hart.points import stop_at_breakpoint
from rvemu.hart.state import (
    DEVICE_NONE,
    STOP_BREAKPOINT,
    STOP_BUDGET,
    STOP_FLUSH,
    STOP_HOST,
    STOP_NONE,
    STOP_TRANSLATION,
    STOP_WATCHPOINT,
    Hart,
    Shared,
)
from rvemu.hart.tlb import flush_all
from rvemu.hart.walk import OK
from rvemu.harts import MODE_NAMES
from rvemu.isa.disassembler import disassemble
from rvemu.lang import M64, Stop
from rvemu.traps import cause_name
from rvemu.vmm.accounting import Accounting
from rvemu.vmm.exits import Exit, ExitReason
from rvemu.vmm.host import NO_POINTS, Host
from rvemu.vmm.lookup import Found, Stored, forget_step, look_up
from rvemu.vmm.protection import Protections

PAGE_MASK = ~0xFFF

# After so many exits the host looks at its own affairs, as it does after so many instructions.
MANY_EXITS = 2000


class Monitor:
    """An engine for a machine of virtual harts. `Machine(engine=...)` makes it by a function that
    also names the host; see rvemu.vmm.virtual_machine."""

    name = "vmm"

    def __init__(self, host: Host, shared: Shared, harts: Sequence[Hart]) -> None:
        self.host = host
        self.shared = shared
        self.harts = harts
        #: The virtual hart that runs, or has run last; and its number.
        self.hart = harts[0]
        self.number = 0
        #: Runs the guest while its translations are observed.
        self.model = ReferenceEngine(shared, harts)
        #: Executes what must be emulated.
        self.stepper = host.engine
        for hart in harts:
            self.stepper.adopt(hart)
        self._poll = self.bind(poll)
        self._flush = self.bind(flush_all)
        self._invalidate = host.bind(invalidate_physical, harts[0])
        self._stored = Stored()
        self._forget_step = self.bind(forget_step, self._stored)
        self.accounting = Accounting()
        #: Told of each exit.
        self.trace: Callable[[Exit], None] | None = None
        # Guest-physical memory, and how far its bank is from there.
        self.ram_base: int = shared.region_base[0]
        self.ram_end: int = self.ram_base + shared.region_size[0]
        self.bank, self.frames = host.add_bank(shared)
        self.to_physical = self.bank - self.ram_base
        #: Where it is in the host's process.
        self.host_address = int(shared.region_host[0])
        self._points = NO_POINTS
        #: Exits until the host looks at its own affairs.
        self.exits_left = 0
        self.protections = Protections(harts)

    def bind(
        self, function: Callable[..., Any], *structures: ctypes.Structure
    ) -> list[Callable[..., Any]]:
        """For each virtual hart, by its number: a function of the host's with its first arguments
        given, the hart and others."""
        return [self.host.bind(function, hart, *structures) for hart in self.harts]

    # --- The engine's side -------------------------------------------------------------------

    def run(self, hart: Hart) -> int:
        """Run until the virtual hart stops; the reason (`STOP_*`)."""
        h = hart
        if h is not self.hart:
            self.hart, self.number = h, int(h.hartid)
        if h.mmu_hook:
            return self._run_observed(h)
        self._points = self.host.show_points(self.shared, self._points)
        h.stop_reason = STOP_NONE
        if h.device_state != DEVICE_NONE:
            self.interpret()  # the instruction whose device access the machine has made
        else:
            self.poll(h)
        if self.exits_left <= 0:
            self.exits_left = MANY_EXITS
        while True:
            if h.stop_reason:
                if h.stop_reason != STOP_FLUSH:
                    return int(h.stop_reason)
                h.stop_reason = STOP_NONE  # other instructions than before: nothing is kept of them
            elif h.budget < 0:
                self.poll(h)
            elif self.exits_left <= 0:
                return STOP_HOST
            else:
                self.exits_left -= 1
                if h.pmp_updates != self.protections.updates[self.number]:
                    self._see_protection()
                self.advance(h)

    def _see_protection(self) -> None:
        """PMP of the virtual hart was set, by whatever means."""
        unused = self.protections.look(self.number)
        if unused is not None:
            self.forget_protection(unused)
        self.host.resident = None  # the hart goes by other tables from now on

    def poll(self, h: Hart) -> None:
        """What is due between two instructions: an interrupt, or a reason to stop."""
        del h
        self._poll[self.number]()

    def advance(self, h: Hart) -> None:
        """Run the guest for at least one instruction, and at most budget + 1."""
        raise NotImplementedError

    def paused(self, reason: int) -> None:
        """The physical hart has stopped in the guest, and for no trap: its time is up, or it has
        met a point of the debugger's, which is then the virtual hart's stop."""
        h, p = self.hart, self.host.hart
        if reason == STOP_BUDGET:
            self.note(ExitReason.TIMER, h.pc, "the guest's time is looked at")
            return
        assert reason in (STOP_BREAKPOINT, STOP_WATCHPOINT), f"in a guest, and stopped for {reason}"
        h.stop_reason = reason
        h.watch_number = p.watch_number
        h.watch_address = p.watch_address

    def _run_observed(self, h: Hart) -> int:
        """Somebody wants to see the guest's translations, which only the model shows."""
        reason = self.model.run(h)
        self._flush[self.number]()
        self.forget()
        return reason

    # --- What modes keep of the guest's state ------------------------------------------------

    def reset(self) -> None:
        """The guest begins anew."""
        self.protections.reset()
        self.forget()

    def forget(self) -> None:
        """The guest's tables may have changed altogether."""

    def forget_protection(self, number: int) -> None:
        """No virtual hart has a protection any more: nothing holds that was derived from it."""

    def frames_stored(self, frames: Sequence[int]) -> None:
        """The model, or a device, has stored to guest-physical pages."""

    def memory_written(self, address: int, length: int) -> None:
        """The host has written to guest memory: a device, a loader, a debugger."""
        self._invalidate(address, length)
        self.frames_stored(range(address & PAGE_MASK, address + length, 4096))

    def in_ram(self, address: int) -> bool:
        """Whether a guest-physical address is in RAM."""
        return self.ram_base <= address < self.ram_end

    def watches(self, address: int, length: int) -> bool:
        """Whether words of the host's interface (`tohost`) are among guest-physical addresses."""
        first, second = map(int, self.shared.watched)
        return 0 <= first - address < length or 0 <= second - address < length

    def read_page(self, page: int) -> bytes:
        """A page of the guest's RAM, by its guest-physical address."""
        return ctypes.string_at(page - self.ram_base + self.host_address, 4096)

    # --- Emulation ---------------------------------------------------------------------------

    def execute(self, raw: int) -> None:
        """Have the model execute an instruction that accesses no memory, given its bits."""
        self.stepper.step(self.hart, raw)

    def meets_breakpoint(self) -> bool:
        """Whether the virtual hart stops at its pc: to be asked before an instruction is
        interpreted that the physical hart has not begun."""
        try:
            stop_at_breakpoint(self.hart)
        except Stop:
            self.hart.restart = 0
            return True
        return False

    def interpret(self) -> None:
        """Have the model execute the next instruction, whatever it is."""
        if self.shared.watch_count or self.protections.cuts[self.number]:
            self._interpret_seen()
            return
        h = self.hart
        data, fetch = h.data_context, h.fetch_context
        self.stepper.step(h)
        self._forget_step[self.number](data, fetch)
        stored = self._stored
        if stored.count:
            self.frames_stored(stored.pages[: stored.count])

    def _interpret_seen(self) -> None:
        """The same while there are watchpoints, or PMP cuts pages. These pages are in no TLB, so
        that the model is asked for its translations."""
        h = self.hart
        h.mmu_hook = 1
        self.stepper.step(h)
        h.mmu_hook = 0
        if h.stop_reason == STOP_TRANSLATION:
            h.stop_reason = STOP_NONE
        stored = [
            int(h.seen_physical[n]) & PAGE_MASK
            for n in range(h.seen_count)
            if h.seen_access[n] == STORE
        ]
        h.seen_count = 0
        self._flush[self.number]()
        if stored:
            self.frames_stored(stored)

    # --- Accounting --------------------------------------------------------------------------

    def note(
        self,
        reason: ExitReason,
        value: int,
        action: str,
        raw: int | None = None,
        cause: int | None = None,
    ) -> None:
        """Count an exit of the guest, at its pc. To be called before the guest's state changes.
        raw: the instruction's bits, if they are known. cause: what trapped, at an address that is
        `value`."""
        self.accounting.exits[reason] += 1
        if self.trace is not None:
            h = self.hart
            if raw is None:
                raw = self._instruction(h)
            if cause is not None:
                action = f"{cause_name(cause)} at {value:#x}: {action}"
            text = "" if raw is None else disassemble(raw, h.pc, None, h.extensions)
            mode = MODE_NAMES[h.priv, 0]
            hart = self.number if len(self.harts) > 1 else None
            self.trace(Exit(reason, int(h.pc), mode, text, value & M64, action, hart))

    def _instruction(self, h: Hart) -> int | None:
        """The instruction at the guest's pc, if that can be seen: nothing changes by it."""
        found = Found()
        if look_up(h, found, int(h.pc), FETCH, int(h.priv)) != OK:
            return None
        address = int(found.physical)
        if not self.in_ram(address):
            address -= self.to_physical  # a paravirtual guest's tables hold physical addresses
        if not self.in_ram(address):
            return None
        offset = address & ~PAGE_MASK
        code = self.read_page(address & PAGE_MASK)[offset : offset + 4]
        length = 4 if code[0] & 3 == 3 else 2
        return int.from_bytes(code[:length], "little") if len(code) >= length else None
