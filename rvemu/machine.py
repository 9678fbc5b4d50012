"""The public Python API: build a machine, load a guest, run it, look at it.

    from rvemu import Machine

    machine = Machine(memory=128 << 20)
    machine.load("guest.elf")
    outcome = machine.run(budget=1_000_000)
    print(outcome.reason, machine.hart["pc"], machine.hart["mcause"])
"""

import ctypes
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from rvemu.board import RAM_BASE, Board, BoardConfig
from rvemu.devices.htif import Htif
from rvemu.devices.syscon import Ending
from rvemu.engine import make_engine
from rvemu.errors import RvemuError
from rvemu.hart.counters import clock, request_poll
from rvemu.hart.decoded import invalidate_physical
from rvemu.hart.extensions import DEFAULT_ISA, Ext, isa_string, parse_isa
from rvemu.hart.interrupts import clocks_to_timer, pending_interrupts
from rvemu.hart.reset import reset
from rvemu.hart.state import (
    DEVICE_ABSENT,
    DEVICE_DONE,
    PAGE_WATCHED,
    STOP_BUDGET,
    STOP_HOST,
    STOP_READ,
    STOP_TRANSLATION,
    STOP_TRAP,
    STOP_WFI,
    STOP_WRITE,
    Hart,
    Shared,
)
from rvemu.harts import HartView
from rvemu.lang import M64
from rvemu.loader import Image, load_elf, load_raw, place
from rvemu.memory import Ram

# Guest time: mtime counts at 10 MHz, one tick for this many instructions (a 1 GHz hart that
# retires one instruction a cycle).
CLOCKS_PER_TICK = 100

# With several harts, how many instructions each runs before it is the next one's turn.
QUANTUM = 10_000

# How many instructions are run before the host looks at its own affairs (console, Ctrl-C).
SLICE = 2_000_000

_FAR = 1 << 62


class Reason(StrEnum):
    """Why `Machine.run` returned."""

    EXITED = "exited"  # the guest ended the machine; its status is in `code`
    RESET = "reset"  # the guest asked for a reset
    BUDGET = "budget"  # as many instructions as asked for
    CONDITION = "condition"  # the `until` function said so
    IDLE = "idle"  # all harts wait for an interrupt that nothing in the machine will raise
    INTERRUPTED = "interrupted"  # `Machine.stop` was called


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `code` is the guest's exit status, where it exited."""

    reason: Reason
    code: int = 0


@dataclass
class Hooks:
    """Functions of the host's that are called while the machine runs. Each takes the hart's
    number first."""

    #: After a trap was taken: (hart).
    trap: list[Callable[[int], None]] = field(default_factory=list)
    #: After a device access: (hart, address, width, value, whether it was a write).
    device: list[Callable[[int, int, int, int, bool], None]] = field(default_factory=list)
    #: After a translation was made or refused: (hart).
    translation: list[Callable[[int], None]] = field(default_factory=list)
    #: Between slices of instructions: the host's own affairs.
    between: list[Callable[[], None]] = field(default_factory=list)


class MachineClock:
    """Guest time, which is the number of instructions attempted, and of clocks spent waiting."""

    def __init__(self, machine: "Machine") -> None:
        self._machine = machine

    def time(self) -> int:
        """mtime, in ticks of 100 ns."""
        shared = self._machine.shared
        ticks = self._machine.now // shared.clock_per_tick + shared.time_offset
        return int(ticks) & M64

    def set_time(self, value: int) -> None:
        """Make mtime go on from a value."""
        machine = self._machine
        machine.shared.time_offset = (value - machine.now // machine.shared.clock_per_tick) & M64
        for hart in machine.harts:
            request_poll(hart.state)


class Machine:
    """A RISC-V machine: harts, memory, and the devices of QEMU's `virt` board.

    memory: bytes of RAM at 0x80000000. harts: how many. isa: an ISA string, as `rv64gc_zba`.
    engine: "native" or "reference". pmp: PMP entries of each hart, 0 to 64. output: takes what
    the guest prints. Raises `RvemuError` where these can't be had.
    """

    def __init__(
        self,
        *,
        memory: int = 128 << 20,
        harts: int = 1,
        isa: str = DEFAULT_ISA,
        engine: str = "native",
        pmp: int = 16,
        bootargs: str = "",
        output: Callable[[bytes], None] | None = None,
    ) -> None:
        if not 1 <= harts <= 64:
            raise RvemuError(f"{harts} harts: a machine has 1 to 64")
        if not 0 <= pmp <= 64:
            raise RvemuError(f"{pmp} PMP entries: a hart has 0 to 64")
        self.extensions = parse_isa(isa)
        self.hooks = Hooks()
        self.output = output
        self.shared = Shared()
        self._clock = 0  # as of the last hart that ran
        self._running: Hart | None = None
        self._stop_requested = False
        self._ending: Outcome | None = None
        self._states = [Hart(self.shared) for _ in range(harts)]
        self.harts = [HartView(state, self.read_physical) for state in self._states]
        config = BoardConfig(
            ram_size=memory,
            isa=isa_string(self.extensions),
            mmu_type=self._mmu_type(),
            bootargs=bootargs,
        )
        self.board = Board(
            config,
            MachineClock(self),
            self.harts,
            on_output=self._print,
            on_exit=self._finish,
        )
        self.htif: Htif | None = None
        self.image: Image | None = None
        self._pmp = pmp
        self._share_memory()
        self.engine = make_engine(engine, self.shared, self._states)
        self._turn = 0
        self.reset()

    # --- Building ----------------------------------------------------------------------------

    def _mmu_type(self) -> str | None:
        for bit, name in ((Ext.SV57, "sv57"), (Ext.SV48, "sv48"), (Ext.SV39, "sv39")):
            if self.extensions & bit:
                return name
        return None

    def _share_memory(self) -> None:
        """Tell the harts where memory is."""
        shared = self.shared
        self._page_words = []
        for n, ram in enumerate((self.board.ram, self.board.rom)):
            words = (ctypes.c_uint32 * (ram.size // 4096))()
            self._page_words.append(words)
            shared.region_base[n] = ram.base
            shared.region_size[n] = ram.size
            shared.region_host[n] = ram.host_address
            shared.region_writable[n] = int(ram.writable)
            shared.region_pages[n] = ctypes.addressof(words)
            ram.on_write = self._memory_written
        shared.clock_per_tick = CLOCKS_PER_TICK
        shared.hart_count = len(self._states)
        for n, state in enumerate(self._states):
            shared.harts[n] = ctypes.addressof(state)

    def _memory_written(self, address: int, length: int) -> None:
        """The host wrote to guest memory."""
        if self.shared.pool_used:
            invalidate_physical(self._states[0], address, length)
        for state in self._states:
            state.reservation_size = 0

    def reset(self) -> None:
        """Return harts and devices to their state after power-on. Memory keeps its content."""
        for n, state in enumerate(self._states):
            reset(state, n, self.extensions, self._pmp)
        self.board.reset()
        self._clock = 0
        self.shared.time_offset = 0
        self._ending = None
        self._turn = 0

    def load(self, source: Path | str | bytes, *, address: int | None = None) -> Image:
        """Load a guest, an ELF file (or a raw image at a physical address), and make it ready to
        start in M-mode at its entry, with the hart's id in a0 and the device tree's address in a1.
        Raises `RvemuError`, with nothing changed, if it can't be."""
        image = load_elf(source) if address is None else load_raw(source, address)
        tree = self.board.place_device_tree()
        place(image, self.board.ram, [tree.reserved])
        self.board.ram.write(tree.address, tree.blob)
        self.board.program_reset_vector(image.entry, tree.address)
        self.image = image
        self._watch_htif(image)
        for n, hart in enumerate(self.harts):
            hart["pc"] = image.entry
            hart["a0"] = n
            hart["a1"] = tree.address
        return image

    def _watch_htif(self, image: Image) -> None:
        """Have stores to the image's `tohost` and `fromhost` come to the host."""
        self.htif = None
        if image.tohost is None:
            return
        self.htif = Htif(
            self.board.ram,
            image.tohost,
            image.fromhost,
            on_exit=self._htif_exit,
            on_output=self._print,
        )
        for n, word in enumerate(self.htif.words):
            self.shared.watched[n] = word
            self._page_words[0][(word - RAM_BASE) // 4096] |= PAGE_WATCHED

    # --- Running -----------------------------------------------------------------------------

    @property
    def hart(self) -> HartView:
        """The first hart."""
        return self.harts[0]

    @property
    def now(self) -> int:
        """The machine's clock: instructions attempted by all harts, and clocks spent waiting."""
        return clock(self._running) if self._running is not None else self._clock

    def stop(self) -> None:
        """Have `run` return soon. May be called by hooks, signal handlers and other threads."""
        self._stop_requested = True
        for state in self._states:
            state.host_request = 1

    def run(self, budget: int | None = None, until: Callable[[], bool] | None = None) -> Outcome:
        """Run until the guest ends the machine, `budget` more instructions were attempted by all
        harts together, or `until()`, which is asked between slices of instructions (and after
        each one, if budget is 1), is true."""
        end = None if budget is None else self._clock + budget
        while self._ending is None:
            if self._stop_requested:
                self._stop_requested = False
                return Outcome(Reason.INTERRUPTED)
            for between in self.hooks.between:
                between()
            if until is not None and until():
                return Outcome(Reason.CONDITION)
            if end is not None and self._clock >= end:
                return Outcome(Reason.BUDGET)
            limit = self._clock + SLICE if end is None else min(self._clock + SLICE, end)
            if not self._run_slice(limit) and not self._skip_idle(limit, end):
                return Outcome(Reason.IDLE)
        return self._ending

    def _run_slice(self, limit: int) -> bool:
        """Run harts in turn until the clock reaches a limit or something ends the slice. False if
        all wait."""
        count = len(self._states)
        waiting = 0
        while self._clock < limit and self._ending is None and not self._stop_requested:
            state = self._states[self._turn]
            if self._is_waiting(state):
                waiting += 1
                self._turn = (self._turn + 1) % count
                if waiting == count:
                    return False
                continue
            waiting = 0
            quantum_end = limit if count == 1 else (self._clock // QUANTUM + 1) * QUANTUM
            self._run_hart(self._turn, min(limit, quantum_end))
            if self._clock >= quantum_end or state.waiting:
                self._turn = (self._turn + 1) % count
                if count > 1:
                    # What other harts store now must break a reservation.
                    state.reservation_size = 0
        return True

    def _is_waiting(self, state: Hart) -> bool:
        """Whether a hart is in WFI, and nothing has woken it."""
        if state.waiting:
            self._set_clock(state)
            if pending_interrupts(state) & state.mie:
                state.waiting = 0
        return bool(state.waiting)

    def _set_clock(self, state: Hart) -> None:
        """Let a hart see the machine's time. (Clocks in which it did not run retire nothing.)"""
        state.clock_end = self._clock + state.budget

    def _run_hart(self, number: int, limit: int) -> None:
        """Run one hart until the clock reaches a limit, it waits, or something ends the slice."""
        state = self._states[number]
        self._set_clock(state)
        state.clock_stop = limit
        self._running = state
        try:
            while self._ending is None:
                reason = self.engine.run(state)
                if reason in (STOP_READ, STOP_WRITE):
                    self._access_device(number, reason == STOP_WRITE)
                elif reason == STOP_TRAP:
                    for on_trap in self.hooks.trap:
                        on_trap(number)
                elif reason == STOP_TRANSLATION:
                    for on_translation in self.hooks.translation:
                        on_translation(number)
                elif reason == STOP_WFI:
                    state.waiting = 1
                    break
                elif reason == STOP_HOST:
                    state.host_request = 0
                    break
                else:
                    assert reason == STOP_BUDGET, f"stopped for {reason}"
                    break
                if self._stop_requested:
                    break
        finally:
            self._clock = int(clock(state))
            self._running = None

    def _skip_idle(self, limit: int, end: int | None) -> bool:
        """All harts wait: go on to the next timer's event. False if there is none."""
        for state in self._states:
            self._set_clock(state)
        distance = min(clocks_to_timer(state) for state in self._states)
        if distance >= _FAR:
            return False
        self._clock += distance if end is None else min(distance, end - self._clock)
        del limit
        return True

    # --- What the guest does to the machine --------------------------------------------------

    def _access_device(self, number: int, write: bool) -> None:
        """Do the device access that a hart waits for."""
        state = self._states[number]
        address, width = int(state.device_address), int(state.device_width)
        value = int(state.device_value)
        done = True
        offset = self.htif.offset_of(address, width) if self.htif is not None else None
        if write and self.htif is not None and offset is not None:
            self.htif.write(offset, width, value)
        elif write:
            done = self.board.bus.write(address, width, value)
        else:
            answer = self.board.bus.read(address, width)
            done = answer is not None
            value = state.device_value = answer or 0
        state.device_state = DEVICE_DONE if done else DEVICE_ABSENT
        for on_device in self.hooks.device:
            on_device(number, address, width, value, write)

    def _print(self, data: bytes) -> None:
        if self.output is not None:
            self.output(data)
        else:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()

    def _finish(self, code: int, kind: Ending) -> None:
        reason = Reason.RESET if kind is Ending.RESET else Reason.EXITED
        self._ending = Outcome(reason, code)

    def _htif_exit(self, code: int) -> None:
        self._ending = Outcome(Reason.EXITED, code)

    # --- Memory ------------------------------------------------------------------------------

    def _memory_at(self, address: int, length: int) -> Ram:
        for ram in (self.board.ram, self.board.rom):
            if ram.contains(address, length):
                return ram
        raise RvemuError(f"{length} bytes at physical address {address:#x} are not in memory")

    def read_physical(self, address: int, length: int) -> bytes:
        """Bytes of memory. Raises `RvemuError` where there is none."""
        return self._memory_at(address, length).read(address, length)

    def write_physical(self, address: int, data: bytes) -> None:
        """Write bytes to memory. Raises `RvemuError` where there is none."""
        self._memory_at(address, len(data)).write(address, data)

    def symbol(self, name: str) -> int:
        """The address of a symbol of the loaded guest. Raises `RvemuError` if it has none."""
        if self.image is None or not self.image.has_symbol(name):
            raise RvemuError(f"the guest has no symbol {name}")
        return self.image.symbols[name]


__all__: Sequence[str] = ["Hooks", "Machine", "Outcome", "Reason"]
