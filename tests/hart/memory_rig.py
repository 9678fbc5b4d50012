"""A hart with memory and nothing else, for tests of the memory system: RAM, a ROM, and page tables
that are easy to make. Everything of the model is called through `Rig.call`."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rvemu.hart.extensions import parse_isa
from rvemu.hart.fields import (
    HGATP,
    MODE_SV39,
    MODE_SV48,
    MODE_SV57,
    MSTATUS,
    PMP_NAPOT,
    PTE,
    SATP,
)
from rvemu.hart.pmp import pmp_update
from rvemu.hart.privilege import set_privilege, update_context
from rvemu.hart.reset import reset
from rvemu.hart.state import DEVICE_ABSENT, DEVICE_DONE, M_MODE, Hart, Shared
from rvemu.hart.tlb import flush_all
from rvemu.lang import Stop, Trap, put
from rvemu.memory import Ram

ISA = "rv64gch_zicbom_zicboz_smepmp_svadu_svnapot_svpbmt"
LEVELS = {MODE_SV39: 3, MODE_SV48: 4, MODE_SV57: 5}
PAGE = 4096

RAM_BASE = 0x8000_0000
RAM_SIZE = 1 << 20
ROM_BASE = 0x1000
DEVICE = 0x1000_0000  # no memory there

V, R, W, X, U, G, A, D = (1 << n for n in range(8))
RW = V | R | W | A | D
RWX = RW | X


@dataclass(frozen=True)
class Fault:
    """What a trap left in the hart."""

    cause: int
    value: int
    gva: int = 0
    guest_address: int = 0
    instruction: int = 0


class Rig:
    """A hart with 1 MiB of RAM and 4 KiB of ROM."""

    def __init__(self, isa: str = ISA, pmp_count: int = 16, harts: int = 1) -> None:
        self.ram = Ram(RAM_BASE, RAM_SIZE)
        self.rom = Ram(ROM_BASE, PAGE, writable=False, name="ROM")
        self.shared = Shared()
        self.page_words: list[Any] = []
        for n, memory in enumerate((self.ram, self.rom)):
            words = (ctypes.c_uint32 * (memory.size // PAGE))()
            self.page_words.append(words)
            self.shared.region_base[n] = memory.base
            self.shared.region_size[n] = memory.size
            self.shared.region_host[n] = memory.host_address
            self.shared.region_writable[n] = memory.writable
            self.shared.region_pages[n] = ctypes.addressof(words)
        self.shared.clock_per_tick = 1
        self.harts = [Hart(self.shared) for _ in range(harts)]
        for n, hart in enumerate(self.harts):
            self.shared.harts[n] = ctypes.addressof(hart)
            reset(hart, n, parse_isa(isa), pmp_count)
        self.shared.hart_count = harts
        self.h = self.harts[0]
        self.tables = RAM_BASE + RAM_SIZE // 2  # tables are made from here on
        if pmp_count:
            self.pmp(pmp_count - 1, PMP_NAPOT << 3 | 7, (1 << 54) - 1)

    # --- Calling the model ---------------------------------------------------------------------

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function of the model on the hart."""
        return function(self.h, *arguments)

    def fault(self, function: Callable[..., Any], *arguments: Any) -> Fault:
        """Call a function that must trap."""
        try:
            result = self.call(function, *arguments)
        except Trap:
            h = self.h
            return Fault(
                h.trap_cause, h.trap_value, h.trap_gva, h.trap_guest_address, h.trap_instruction
            )
        raise AssertionError(f"no trap, but {result!r}")

    def stopped(self, function: Callable[..., Any], *arguments: Any) -> int:
        """Call a function that must stop; the reason."""
        try:
            result = self.call(function, *arguments)
        except Stop:
            return int(self.h.stop_reason)
        raise AssertionError(f"no stop, but {result!r}")

    def answer(self, value: int | None) -> None:
        """What the host makes of a device access: a value, or None where nothing is."""
        self.h.device_state = DEVICE_ABSENT if value is None else DEVICE_DONE
        self.h.device_value = value or 0

    # --- State -----------------------------------------------------------------------------------

    def mode(self, priv: int, v: int = 0) -> None:
        """Enter a privilege mode."""
        set_privilege(self.h, priv, v)

    def status(self, register: str = "mstatus", **fields: int) -> None:
        """Set fields of mstatus or vsstatus, as a CSR write would."""
        value = getattr(self.h, register)
        for name, field in fields.items():
            value = put(value, getattr(MSTATUS, name), field)
        setattr(self.h, register, value)
        update_context(self.h)
        flush_all(self.h)

    def pmp(self, n: int, cfg: int, address: int) -> None:
        """Set a PMP entry."""
        self.h.pmpcfg[n] = cfg
        self.h.pmpaddr[n] = address
        pmp_update(self.h)

    def open_pmp(self, cfg: int = PMP_NAPOT << 3 | 7) -> None:
        """Only the last entry, which matches everything."""
        for n in range(self.h.pmp_count):
            self.h.pmpcfg[n] = 0
            self.h.pmpaddr[n] = 0
        self.pmp(self.h.pmp_count - 1, cfg, (1 << 54) - 1)

    # --- Memory ----------------------------------------------------------------------------------

    def read(self, address: int, size: int = 8) -> int:
        """A value in memory."""
        memory = self.ram if address >= RAM_BASE else self.rom
        return int.from_bytes(memory.read(address, size), "little")

    def write(self, address: int, value: int, size: int = 8) -> None:
        """Put a value into memory."""
        memory = self.ram if address >= RAM_BASE else self.rom
        memory.write(address, value.to_bytes(size, "little"))

    def new_table(self, pages: int = 1) -> int:
        """Room for a page table, aligned to its size."""
        size = pages * PAGE
        table = (self.tables + size - 1) // size * size
        self.tables = table + size
        return table

    def translate_with(self, register: str, mode: int, root: int | None = None) -> int:
        """Turn on a stage of translation; returns its root table."""
        if root is None:
            root = self.new_table(4 if register == "hgatp" else 1)
        value = put(put(0, SATP.MODE, mode), SATP.PPN, root >> 12)
        assert HGATP.MODE == SATP.MODE
        setattr(self.h, register, value)
        flush_all(self.h)
        return root

    def map(
        self, register: str, address: int, target: int, flags: int = RWX, level: int = 0
    ) -> int:
        """Map a page of a level; where its entry is. Tables on the way are made as needed.
        (VS-stage tables are addressed as if guest-physical addresses were physical.)"""
        root = getattr(self.h, register)
        table = (root & SATP.PPN.mask) << 12
        levels = LEVELS[root >> 60]
        for n in range(levels - 1, level, -1):
            entry = self.entry(register, table, address, n)
            if not self.read(entry) & V:
                self.write(entry, self.new_table() >> 12 << 10 | V)
            table = (self.read(entry) & PTE.PPN.mask) << 2
        entry = self.entry(register, table, address, level)
        self.write(entry, target >> 12 << 10 | flags)
        flush_all(self.h)
        return entry

    def entry(self, register: str, table: int, address: int, level: int) -> int:
        """Where a table's entry for an address is."""
        root = getattr(self.h, register)
        widened = register == "hgatp" and level == LEVELS[root >> 60] - 1
        index = address >> (12 + 9 * level) & (0x7FF if widened else 0x1FF)
        return int(table + 8 * index)

    def identity(self, register: str = "hgatp", flags: int = RWX | U) -> None:
        """Map the gigabyte of RAM to itself, by one large page."""
        self.map(register, RAM_BASE, RAM_BASE, flags, level=2)


def bare(pmp_count: int = 16) -> Rig:
    """A rig in M-mode."""
    rig = Rig(pmp_count=pmp_count)
    assert rig.h.priv == M_MODE
    return rig
