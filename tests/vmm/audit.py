"""What the VMM's tables let a guest reach, or a paravirtual guest's own ones: an audit that walks
them as the physical hart does."""

import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rvemu.hart.fields import PTE
from rvemu.vmm.direct_paging import DirectPaging
from rvemu.vmm.frame_books import ORDINARY, SHARED
from rvemu.vmm.hardware import Hardware
from rvemu.vmm.host import ENTER_U, VMM_BASE, VMM_SIZE, Host
from rvemu.vmm.page_tables import READ, WRITE, PageTable
from rvemu.vmm.paravirt import Paravirt
from rvemu.vmm.trap_and_emulate import TrapAndEmulate
from rvemu.vmm.virtual_machine import VirtualMachine

_LEAF = PTE.R.mask | PTE.W.mask | PTE.X.mask


class Mapping(NamedTuple):
    """A page, of 4 KiB or more, that a table of the VMM's maps."""

    address: int
    physical: int
    size: int
    flags: int


def mappings(host: Host, table: PageTable) -> Iterator[Mapping]:
    """All pages that a table of the VMM's maps. Its tables are in the VMM's memory."""

    def walk(base: int, level: int, address: int) -> Iterator[Mapping]:
        assert VMM_BASE + 0x4000 <= base < VMM_BASE + VMM_SIZE, f"a table at {base:#x}"
        wide = table.wide and level == table.levels - 1
        for n in range(2048 if wide else 512):
            entry = host.words[(base - VMM_BASE) // 8 + n]
            if not entry:
                continue
            here = address | n << 12 + 9 * level
            target = (entry & PTE.PPN.mask) << 2
            if entry & _LEAF:
                size = 4096 << 9 * level
                assert target % size == 0
                yield Mapping(here, target, size, entry)
            else:
                yield from walk(target, level - 1, here)

    return walk(table.root, table.levels - 1, 0)


def check_reach(machine: VirtualMachine) -> int:
    """A guest reaches its own memory alone, and stores to no page that the VMM watches. (It may
    execute copies of its own code, which the VMM has patched.) How many pages it reaches."""
    monitor, host = machine.monitor, machine.host
    assert isinstance(monitor, TrapAndEmulate)
    assert host is not None
    tables = [view.table for view in monitor.shadows._views.values()]
    if isinstance(monitor, Hardware):
        tables += monitor.tables
    ram = machine.machine.board.ram
    patcher = monitor.shadows.patcher
    copies = {copy.physical for copy in patcher.copies.values()} if patcher is not None else ()
    pages = 0
    for table in tables:
        for page in mappings(host, table):
            assert page.flags & PTE.U.mask
            if page.physical in copies:
                assert not page.flags & (READ | WRITE), "a copy is executed, and nothing else"
                continue
            guest = page.physical - monitor.to_physical
            assert ram.contains(guest, page.size), f"{page.address:#x} leads to {page.physical:#x}"
            if page.flags & WRITE:
                assert page.flags & READ
                frames = range(guest, guest + page.size, 4096)
                assert not any(map(monitor.shadows.protected, frames)), f"stores to {guest:#x}"
            pages += 1
    return pages


class Table(NamedTuple):
    """A table of a paravirtual guest's: its level, and how often it is in use."""

    level: int
    users: int


def tables_of(paging: DirectPaging) -> dict[int, Table]:
    """The frames that are tables, by guest-physical address."""
    return {
        paging.books.base + (n << 12): Table(kind - 1, paging.users[n])
        for n, kind in enumerate(paging.kinds)
        if kind not in (ORDINARY, SHARED)
    }


def check_tables(monitor: Paravirt, roots: Sequence[int]) -> int:
    """The tables of a paravirtual guest keep the rules of direct paging: they lead to its own
    memory alone, and allow stores to no table; and it is known how often each is in use. roots:
    tables that are in use as such. How many entries there are."""
    paging, base, end = monitor.paging, monitor.ram_base, monitor.ram_end
    users = Counter(roots)
    entries = 0
    tables = tables_of(paging)
    for frame, table in tables.items():
        for value in struct.unpack("<512Q", paging.read(frame, 4096)):
            if not value & PTE.V.mask:
                continue
            entries += 1
            assert value >> 54 == 0
            assert not value & PTE.G.mask
            target = (value >> 10 << 12) - monitor.bank + base
            if not value & _LEAF:
                assert not value & (PTE.U.mask | PTE.A.mask | PTE.D.mask)
                assert tables[target].level == table.level - 1
                users[target] += 1
                continue
            size = {0: 4096, 1: 2 << 20}[table.level]
            assert target % size == 0
            assert base <= target <= end - size
            assert value & PTE.U.mask
            if value & WRITE:
                assert value & READ
                assert not any(target <= other < target + size for other in tables)
    for frame, table in tables.items():
        assert table.users == users[frame]
    return entries


def entry_code(host: Host) -> bytes:
    """The VMM's own instructions."""
    first = (ENTER_U.address - VMM_BASE) // 8
    return host.words[first : first + 512].tobytes()
