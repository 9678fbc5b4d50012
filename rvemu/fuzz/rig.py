"""Harts and memory under one engine, for cases. Built once; each case starts from a clean slate."""

import ctypes
from collections.abc import Callable, Sequence
from typing import NamedTuple

from rvemu.engine import Engine
from rvemu.engine.lockstep import HEAD_BYTES
from rvemu.fuzz.cases import Case, Event, Turn
from rvemu.fuzz.layout import PAGE, RAM_BASE, RAM_SIZE, ROM_BASE
from rvemu.fuzz.states import may_enter, window_of
from rvemu.hart.counters import clock, request_poll
from rvemu.hart.decoded import invalidate_physical
from rvemu.hart.exceptions import Cause
from rvemu.hart.privilege import set_privilege
from rvemu.hart.state import (
    CONTEXTS,
    DATA_WORDS,
    DEVICE_ABSENT,
    DEVICE_DONE,
    FETCH_ENTRIES,
    FETCH_WORDS,
    FILL_LOG,
    M_MODE,
    STOP_BUDGET,
    STOP_READ,
    STOP_TRAP,
    STOP_WFI,
    STOP_WRITE,
    Hart,
    Shared,
)
from rvemu.lang import M64
from rvemu.memory import Ram

HARTS = 2

_ROM = bytes((n * 37 + 11) & 0xFF for n in range(PAGE))
_MIX = 0x9E37_79B9_7F4A_7C15


_FETCH_FAULTS = (
    Cause.INSTRUCTION_ACCESS_FAULT,
    Cause.INSTRUCTION_PAGE_FAULT,
    Cause.INSTRUCTION_GUEST_PAGE_FAULT,
)


class DeviceAccess(NamedTuple):
    """What a hart asked a device for."""

    address: int
    width: int
    value: int
    write: bool


class Rig:
    """Two harts, RAM, a page of ROM, and an engine."""

    def __init__(self, make_engine: Callable[[Shared, Sequence[Hart]], Engine]) -> None:
        self.shared = Shared()
        self.ram = Ram(RAM_BASE, RAM_SIZE)
        self.rom = Ram(ROM_BASE, PAGE, writable=False, name="ROM")
        self.rom.write(ROM_BASE, _ROM)
        self._words = []
        for n, memory in enumerate((self.ram, self.rom)):
            words = (ctypes.c_uint32 * (memory.size // PAGE))()
            self._words.append(words)
            self.shared.region_base[n] = memory.base
            self.shared.region_size[n] = memory.size
            self.shared.region_host[n] = memory.host_address
            self.shared.region_writable[n] = int(memory.writable)
            self.shared.region_pages[n] = ctypes.addressof(words)
        self.harts = [Hart(self.shared) for _ in range(HARTS)]
        self.shared.hart_count = HARTS
        for n, hart in enumerate(self.harts):
            self.shared.harts[n] = ctypes.addressof(hart)
        self.engine = make_engine(self.shared, self.harts)
        self._own = [(int(h.shared_host), int(h.lone_slots)) for h in self.harts]
        self._pool_pages = int(self.shared.pool_pages)
        #: Accesses of devices since the case was loaded.
        self.accesses: list[DeviceAccess] = []
        #: Traps taken since then, if the harts' `trap_hooks` are on: (cause, target).
        self.traps: list[tuple[int, int]] = []
        self._salt = 0

    # --- Loading -----------------------------------------------------------------------------

    def load(self, case: Case) -> None:
        """Start a case."""
        self.accesses = []
        self.traps = []
        self._salt = case.salt
        self.shared.pool_used = 0
        self.shared.pool_pages = min(case.pool_pages, self._pool_pages)
        self.shared.clock_per_tick = case.clock_per_tick
        self.shared.time_offset = case.time_offset
        for words in self._words:
            ctypes.memset(ctypes.addressof(words), 0, ctypes.sizeof(words))
        ctypes.memmove(self.ram.host_address, case.ram, RAM_SIZE)
        for n, head in enumerate(case.heads):
            self._load_hart(n, head)
            _fill_logs(self.harts[n], case.logged)
            self.harts[n].trap_hooks = int(bool(case.resumptions))
        for n in range(len(case.heads), HARTS):
            _empty_tlbs(self.harts[n])

    def _load_hart(self, n: int, head: bytes) -> None:
        h = self.harts[n]
        ctypes.memmove(ctypes.addressof(h), head, HEAD_BYTES)
        h.shared_host, h.lone_slots = self._own[n]
        _empty_tlbs(h)

    # --- Running -----------------------------------------------------------------------------

    def run(self, case: Case, limit: int | None = None) -> int:
        """Run a loaded case, or its first `limit` instructions; how many that were."""
        left = case.length if limit is None else limit
        done = 0
        for turn in case.turns:
            if left <= 0:
                break
            count = min(turn.count, left)
            left -= count
            done += self._turn(case, turn, count)
        return done

    def _turn(self, case: Case, turn: Turn, count: int) -> int:
        h = self.harts[turn.hart]
        if turn.event is not None:
            self._happen(h, turn.event)
        begun = clock(h)
        h.clock_stop = (begun + count) & M64
        while True:
            reason = self.engine.run(h)
            if reason in (STOP_READ, STOP_WRITE):
                self._answer(h, reason == STOP_WRITE)
            elif reason == STOP_TRAP:
                cause = self._cause(h)
                self.traps.append((cause, int(h.trap_target)))
                self._resume(case, h, cause)
            elif reason == STOP_BUDGET:
                break
            else:
                assert reason == STOP_WFI, f"stopped for {reason}"
        h.clock_stop = clock(h)
        return (clock(h) - begun) & M64

    def _resume(self, case: Case, h: Hart, cause: int) -> None:
        """Be the handler of the trap that was just taken."""
        chosen = case.resumptions[len(self.traps) % len(case.resumptions)]
        if chosen is None:
            return
        if cause >> 63:
            h.mie &= ~(1 << (cause & 63))
            if h.trap_target & 4:
                h.mie &= ~(2 << (cause & 63))
        # Where nothing can be fetched it is better to be in M-mode.
        if cause in _FETCH_FAULTS and chosen.offset & 2:
            set_privilege(h, M_MODE, 0)
        elif may_enter(h, chosen.priv, chosen.v):
            set_privilege(h, chosen.priv, chosen.v)
        window = window_of(h)
        h.pc = window + chosen.offset & ~h.pc_align_mask
        for n, value in chosen.registers:
            h.x[n] = (window + value) & M64
        request_poll(h)

    def _cause(self, h: Hart) -> int:
        """The cause of the trap that was just taken."""
        if h.trap_target == 3:
            return int(h.mcause)
        return int(h.vscause if h.trap_target & 4 else h.scause)

    def _answer(self, h: Hart, write: bool) -> None:
        """Be the device: what is there, and what it says, depends on the address alone."""
        address, width = int(h.device_address), int(h.device_width)
        noise = ((address ^ self._salt) * _MIX) & M64
        value = int(h.device_value) if write else noise >> 7
        self.accesses.append(DeviceAccess(address, width, value, write))
        if not write:
            h.device_value = value
        h.device_state = DEVICE_ABSENT if noise >> 61 == 0 else DEVICE_DONE

    def _happen(self, h: Hart, event: Event) -> None:
        """Do what the host does between turns."""
        if event.kind == "memory":
            offset = event.value - RAM_BASE
            self.ram.view[offset : offset + len(event.data)] = event.data
            invalidate_physical(h, event.value, len(event.data))
        elif event.kind == "mtimecmp":
            h.mtimecmp = (self.shared.time_offset + event.value) & M64
        else:
            setattr(h, event.kind, event.value)
        request_poll(h)


# What logs of TLBs may say: entries by number, for each context.
_DATA_LOG = (ctypes.c_uint64 * (CONTEXTS * FILL_LOG))(*list(range(FILL_LOG)) * CONTEXTS)
_FETCH_LOG = (ctypes.c_uint64 * (CONTEXTS * FILL_LOG))(
    *[n % FETCH_ENTRIES for n in range(FILL_LOG)] * CONTEXTS
)


def _fill_logs(h: Hart, count: int) -> None:
    """Let the logs name entries that were filled once, as after many accesses."""
    if not count:
        return
    ctypes.memmove(h.dtlb_log, _DATA_LOG, ctypes.sizeof(_DATA_LOG))
    ctypes.memmove(h.ftlb_log, _FETCH_LOG, ctypes.sizeof(_FETCH_LOG))
    for context in range(CONTEXTS):
        h.dtlb_filled[context] = h.ftlb_filled[context] = count


def _empty_tlbs(h: Hart) -> None:
    """Drop all translations, whatever the harts' logs say."""
    for context in range(CONTEXTS):
        if h.dtlb_filled[context]:
            start = ctypes.addressof(h.dtlb) + 8 * context * DATA_WORDS
            ctypes.memset(start, 0xFF, 8 * DATA_WORDS)
        if h.ftlb_filled[context]:
            start = ctypes.addressof(h.ftlb) + 8 * context * FETCH_WORDS
            ctypes.memset(start, 0xFF, 8 * FETCH_WORDS)
    for array in (h.dtlb_filled, h.ftlb_filled, h.large_high):
        ctypes.memset(ctypes.addressof(array), 0, ctypes.sizeof(array))
    ctypes.memset(ctypes.addressof(h.large_low), 0xFF, ctypes.sizeof(h.large_low))
