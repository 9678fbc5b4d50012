"""Finds out that a guest is stuck: that it will never do anything new.

A hart that runs is stuck if it proves so: its registers and CSRs, and all memory that it has
written meanwhile, become what they were before; it looked at nothing that changes by itself
(devices, memory that they store to, counters, pending interrupts), and asked nothing of the host;
and no interrupt can come that it would take. What follows is then the same again, for ever. A
machine is stuck if all its harts are, or wait for interrupts that nobody raises. So a guest that
makes progress, however slowly, is never called stuck.

To see this, harts are stepped for a few hundred instructions now and then.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rvemu.hart.fields import MIE, MSTATUS, SSTATUS, fields_of
from rvemu.hart.interrupts import clocks_to_timer
from rvemu.hart.state import M_MODE, PMP_MAX, S_MODE, U_MODE, Hart
from rvemu.harts import MODE_NAMES
from rvemu.lang import get
from rvemu.scheduler import QUANTUM
from rvemu.traps import TrapTaken, last_trap

if TYPE_CHECKING:
    from rvemu.machine import Machine
    from rvemu.observe import Decoded, Decoder

# Instructions after the start, or after the latest access to a device, before the first look.
_FIRST = 1_000_000

# How many instructions a look steps through, at most: usually, and every so many looks.
_WINDOW = 256
_LONG_WINDOW = 4096
_LONG_EVERY = 8

# How many instructions an engine runs in a hundred times the time of a step: looks cost about 1%.
_PER_STEP = {"native": 500_000, "reference": 200}
# Where each step is an exit; and short runs have none but the guest's own.
_PER_STEP_OF_VMM = 1_000_000

_TIMERS = MIE.MTIE.mask | MIE.STIE.mask | MIE.VSTIE.mask
_EXTERNAL = MIE.MEIE.mask | MIE.SEIE.mask | MIE.VSEIE.mask | MIE.SGEIE.mask
_FAR = 1 << 46  # clocks; see rvemu.machine

# CSRs whose values change though no instruction writes them: counters and pending interrupts.
_VOLATILE = frozenset([*range(0xB00, 0xB20), *range(0xC00, 0xC20), 0x144, 0x244, 0x344, 0x644])
_PENDING_GUEST = 0xE12  # hgeip

_X_START = Hart._x.offset
_X_LENGTH = Hart._mhpmcounter.offset - _X_START  # x, f and PMP
_CSR_START = Hart.mstatus.offset
_CSR_LENGTH = Hart.frm.offset + 8 - _CSR_START
assert _X_LENGTH >= (33 + 32 + PMP_MAX) * 8


@dataclass
class Loop:
    """What a hart repeats for ever."""

    hart: int
    mode: str
    pcs: list[int] = field(default_factory=list)
    traps: list[TrapTaken] = field(default_factory=list)
    stores: list[int] = field(default_factory=list)  # virtual addresses
    changes_memory: bool = False  # within a round
    deaf: bool = True  # it takes no interrupts


class StuckDetector:
    """Looks at a machine now and then."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine
        self._decoder: Decoder | None = None
        self._per_step, self._first = _PER_STEP_OF_VMM, _WINDOW * _PER_STEP_OF_VMM
        if machine.engine.name in _PER_STEP:
            self._per_step, self._first = _PER_STEP[machine.engine.name], _FIRST
        #: What the host has done for the guest: instructions, or others in the time that it took.
        self.effort: Callable[[], int] = lambda: machine.now
        self.reset()

    def reset(self) -> None:
        """Start again, as a machine does."""
        self._next = self._first
        self._looks = 0
        self._accesses = 0
        self._traps: list[TrapTaken] = []

    def look(self, end: int | None = None) -> str:
        """If it is time to, look whether the guest is stuck: what to say about it, empty if it is
        not. The machine runs on meanwhile, but not beyond the clock `end`."""
        machine = self._machine
        effort = self.effort()
        if effort < self._next:
            return ""
        if machine.device_accesses != self._accesses:
            self._accesses = machine.device_accesses
            self._next = effort + self._first
            return ""
        if machine.htif is not None and machine.htif.pending_reads and machine.input_open:
            return ""  # the answer will be in memory, when there is input
        self._looks += 1
        window = _LONG_WINDOW if self._looks % _LONG_EVERY == 0 else _WINDOW
        rounds = 1 if len(machine.harts) == 1 else 2
        if end is not None and machine.now + rounds * 3 * QUANTUM * len(machine.harts) > end:
            return ""
        found: dict[int, Loop] | None = None
        machine.hooks.trap.append(self._note_trap)
        try:
            for _ in range(rounds):
                # The second time round, all harts that may write memory were seen to loop.
                found = self._loops(window)
                if found is None:
                    break
        finally:
            machine.hooks.trap.remove(self._note_trap)
        steps = window if found is None else 0
        self._next = self.effort() + max(self._first, steps * self._per_step)
        return self._describe(found) if found else ""

    def _note_trap(self, number: int) -> None:
        self._traps.append(last_trap(self._machine.harts[number].state))

    def _loops(self, window: int) -> dict[int, Loop] | None:
        """What the harts that run repeat; None if any does something new."""
        scheduler = self._machine.scheduler
        several = len(scheduler.harts) > 1
        found: dict[int, Loop] = {}
        while True:
            number = scheduler.next_hart()
            if number is None:
                return None
            if number not in found and (
                not several or scheduler.turn_ends - scheduler.now > window
            ):
                loop = self._observe(number, window)
                if loop is None or (several and loop.changes_memory):
                    return None
                found[number] = loop
            if all(n in found or h.waiting for n, h in enumerate(scheduler.harts)):
                return found
            if not self._advance(scheduler.turn_ends):
                return None

    def _advance(self, limit: int) -> bool:
        """Run on. False if the guest did something that is not for it alone."""
        machine = self._machine
        before = machine.device_accesses
        running = machine.scheduler.run(limit)
        return running and not machine.scheduler.stopping and machine.device_accesses == before

    def _observe(self, number: int, window: int) -> Loop | None:
        """Step a hart, whose turn it is, until it repeats itself; None if it does not."""
        # It knows all instructions, which runs that are soon over do without.
        from rvemu.observe import Decoder

        machine = self._machine
        decoder = self._decoder = self._decoder or Decoder(machine.translated_as)
        h = machine.harts[number].state
        anchor, anchored_at, distance = _fingerprint(h), 0, 1
        loop = Loop(number, MODE_NAMES[h.priv, h.v])
        written: dict[int, int] = {}
        self._traps.clear()
        for step in range(1, window + 1):
            takes = _takeable(h)
            if takes and self._may_come(h, takes):
                return None
            loop.deaf = loop.deaf and not takes
            decoded = decoder.at(h, h.pc)
            if decoded is not None and not self._note(h, decoded, loop, written):
                return None
            loop.pcs.append(int(h.pc))
            before, traps = machine.now, len(self._traps)
            if not self._advance(machine.now + 1) or h.waiting:
                return None
            if machine.now == before:
                return None  # the host wanted the engine back
            if decoded is None and len(self._traps) == traps:
                return None  # it has executed what can't be seen from here
            print_now = _fingerprint(h)
            loop.changes_memory = loop.changes_memory or _changed(written)
            if print_now == anchor and not _changed(written):
                loop.traps = list(self._traps)
                return loop
            if step - anchored_at == distance:
                # Brent's way: the distance doubles until a whole round fits in.
                anchor, anchored_at, distance = print_now, step, distance * 2
                loop = Loop(number, MODE_NAMES[h.priv, h.v])
                written.clear()
                self._traps.clear()
        return None

    def _note(self, h: Hart, decoded: "Decoded", loop: Loop, written: dict[int, int]) -> bool:
        """Note what an instruction is about to write. False if it looks at what may change, or
        calls firmware that is the host's, which may do anything."""
        from rvemu.observe import data_host

        csr = decoded.csr
        if csr is not None and (csr in _VOLATILE or csr == _PENDING_GUEST):
            return False
        if decoded.instruction.name == "ecall" and h.owned_levels and h.priv != U_MODE:
            return False
        use = decoded.memory
        if use is None:
            return True
        address = decoded.address(h)
        if use.loads and self._may_change(h, address, use.size):
            return False
        if not use.stores:
            return True
        loop.stores.append(address)
        for n in range(use.size):
            host = data_host(h, address + n, self._machine.translated_as)
            if host:
                written.setdefault(host, ctypes.string_at(host, 1)[0])
        return True

    def _may_change(self, h: Hart, address: int, size: int) -> bool:
        """Whether what is at a virtual address may change without the harts' doing."""
        from rvemu.observe import data_host

        machine = self._machine
        if machine.board.may_store(machine.input_open):
            return True
        changes, priv = machine.changes_by_itself, machine.translated_as
        if changes is None:
            return False
        return any(changes(data_host(h, end, priv)) for end in (address, address + size - 1))

    def _may_come(self, h: Hart, interrupts: int) -> bool:
        """Whether any of some interrupts may become pending without the harts' doing."""
        machine = self._machine
        if interrupts & _TIMERS and clocks_to_timer(h) < _FAR:
            return True
        if interrupts & _EXTERNAL and machine.board.deadline() is not None:
            return True
        return bool(interrupts & _EXTERNAL) and machine.input_open

    # --- Saying it -------------------------------------------------------------------------------

    def _describe(self, found: dict[int, Loop]) -> str:
        machine = self._machine
        parts = [self._describe_loop(loop) for _, loop in sorted(found.items())]
        waiting = [n for n, hart in enumerate(machine.harts) if hart.waiting]
        parts += [_waiting(machine, n) for n in waiting]
        return _join(parts)

    def _describe_loop(self, loop: Loop) -> str:
        lookup = self._machine.lookup
        if loop.traps:
            trap = loop.traps[0]
            text = (
                f"hart {loop.hart} traps forever at {lookup(trap.epc)} in "
                f"{MODE_NAMES[trap.origin]}-mode: {trap.name}"
            )
            if not trap.is_interrupt:
                text += f", tval {trap.value:#x}"
            if trap.handler == trap.epc:
                return text + ", and the trap vector leads there again"
            return text + f"; the handler is at {lookup(trap.handler)}"
        low, high = min(loop.pcs), max(loop.pcs)
        where = f"at {lookup(low)}" if low == high else f"from {lookup(low)} to {high:#x}"
        text = f"hart {loop.hart} loops forever {where} in {loop.mode}-mode"
        if loop.stores:
            text += f", storing the same to {lookup(loop.stores[0])}"
            image = self._machine.image
            if image is None or image.tohost is None:
                text += " (there is no symbol tohost, so that nobody reads such a word)"
        if loop.deaf:
            return text + ", with interrupts disabled"
        return text + ", and no interrupt that it would take will come"


def describe_waiting(machine: "Machine") -> str:
    """What to say of a machine all of whose harts wait for interrupts that will not come."""
    return _join([_waiting(machine, n) for n in range(len(machine.harts))])


def _waiting(machine: "Machine", number: int) -> str:
    hart = machine.harts[number]
    if hart.stopped:
        return f"hart {number} is stopped"
    place = machine.lookup(hart.pc - 4)  # behind the WFI, which is complete
    text = f"hart {number} waits (WFI) at {place} in {hart.mode}-mode"
    enabled = [name for name, field in fields_of(MIE).items() if hart.state.mie & field.mask]
    if not enabled:
        return text + ", and no interrupt is enabled in mie"
    return text + f" for an interrupt that will not come (enabled in mie: {' '.join(enabled)})"


def _join(parts: list[str], most: int = 4) -> str:
    more = [f"and {len(parts) - most} harts more"] if len(parts) > most else []
    return "; ".join(parts[:most] + more)


def _fingerprint(h: Hart) -> tuple[object, ...]:
    """All of a hart's state that decides what it does next, but time and memory."""
    address = ctypes.addressof(h)
    return (
        h.pc,
        h.priv,
        h.v,
        h.reservation_address,
        h.reservation_size,
        ctypes.string_at(address + _X_START, _X_LENGTH),
        ctypes.string_at(address + _CSR_START, _CSR_LENGTH),
    )


def _changed(written: dict[int, int]) -> bool:
    """Whether any byte (by its host address) is not what it was."""
    return any(ctypes.string_at(host, 1)[0] != old for host, old in written.items())


def _takeable(h: Hart) -> int:
    """The interrupts that a hart takes, if they become pending now: bits of mie."""
    m = h.mie & ~h.mideleg
    s = h.mie & h.mideleg & ~h.hideleg
    vs = h.mie & h.hideleg
    taken = 0
    if h.priv != M_MODE or get(h.mstatus, MSTATUS.MIE):
        taken |= m
    if h.v or h.priv == U_MODE or (h.priv == S_MODE and get(h.mstatus, MSTATUS.SIE)):
        taken |= s
    if h.v and (h.priv == U_MODE or get(h.vsstatus, SSTATUS.SIE)):
        taken |= vs
    return int(taken)
