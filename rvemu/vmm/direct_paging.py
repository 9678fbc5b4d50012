"""Direct paging: the guest's own page tables translate, and the VMM has checked every entry.

A frame of the guest's memory is an ordinary one, which the guest may map for stores, or a *table*
of some level, which it may not: then only the VMM stores to it, entry by entry, as the guest asks.
An entry may lead to the guest's own memory alone, with stores allowed only to ordinary frames, or
to a table of the next lower level. So whatever tables the guest makes, they reach nothing but its
own memory, and it can't change them behind the VMM's back. (Xen's direct paging is the model.)

What the guest writes in entries are guest-physical addresses; what stands in tables are physical
ones. Both lie at a constant distance.

Until the guest has tables, a linear map of the VMM's translates: guest-physical addresses are
virtual ones then, as on a hart without paging.
"""

import ctypes
from collections import Counter
from dataclasses import dataclass

from rvemu.hart.decoded import invalidate_physical
from rvemu.hart.fields import MODE_SV39, PTE, SATP
from rvemu.hart.state import PAGE_DECODED
from rvemu.lang import put
from rvemu.vmm.host import OutOfFrames
from rvemu.vmm.hypercalls import What
from rvemu.vmm.monitor import PAGE_MASK, Monitor
from rvemu.vmm.page_tables import EXECUTE, READ, WRITE, PageTable

TABLE_ENTRIES = 512
_LEAF = PTE.R.mask | PTE.W.mask | PTE.X.mask
_POINTER_RESERVED = PTE.U.mask | PTE.A.mask | PTE.D.mask
# Global translations would be shared by the kernel's and the processes' tables.
_TAKEN = PTE.G.mask
_KNOWN = 0x3FF | PTE.PPN.mask
#: Levels of tables: the root of Sv57 is of level 4.
LEVELS = 5
# So many roots may be in use, or have been and still be pinned.
_ASIDS = 1 << 12
# Leaves are of 4 KiB or 2 MiB.
_HIGHEST_LEAF = 1
_LARGE = 4096 << 9 * _HIGHEST_LEAF


class RefusedError(Exception):
    """What the guest asks for would break the rules; why, for people who look on. made: how many
    changes were made before it."""

    made = 0


@dataclass
class Table:
    """A frame that is a table. users: entries that lead to it, and uses as a root. asid: of the
    physical hart's, if it has been a root."""

    level: int
    users: int = 0
    asid: int = 0


class DirectPaging:
    """What the frames of one guest are, and the changes of its tables."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        shared = monitor.shared
        size = monitor.ram_end - monitor.ram_base
        memory = (ctypes.c_char * size).from_address(int(shared.region_host[0]))
        self._bytes = memoryview(memory).cast("B")
        #: The guest's memory, as 64-bit words.
        self.words = self._bytes.cast("Q")
        self._page_words = (ctypes.c_uint32 * (size >> 12)).from_address(
            int(shared.region_pages[0])
        )
        #: What translates before the guest has tables.
        self.linear = PageTable(monitor.frames, 3)
        self.begin()

    def begin(self) -> None:
        """A guest was loaded: all its frames are ordinary."""
        self.linear.clear()
        #: The frames that are tables, by guest-physical address.
        self.tables: dict[int, Table] = {}
        # How many of them are where a large leaf would lead to, by its address.
        self._tables_below: Counter[int] = Counter()
        #: Frames that the VMM writes by itself, and which are no tables therefore.
        self.shared: set[int] = set()
        # ASID 0 is the linear map's.
        self._asids = list(range(_ASIDS - 1, 0, -1))
        # How many leaves allow stores: by level, and the guest-physical address they lead to.
        self._writable: Counter[tuple[int, int]] = Counter()

    # --- What the guest may ask for ----------------------------------------------------------

    def update(self, what: int, address: int, value: int) -> int:
        """One change; how many entries were looked at. Raises `RefusedError`, with nothing changed,
        if it is against the rules."""
        if what == What.SET_ENTRY:
            self._set_entry(address, value)
            return 1
        if what == What.PIN_TABLE:
            self._pin(address, value)
        elif what == What.UNPIN_TABLE:
            self._unpin(address)
        else:
            raise RefusedError(f"there is no update {what}")
        return TABLE_ENTRIES

    def _set_entry(self, address: int, value: int) -> None:
        table = self.tables.get(address & PAGE_MASK)
        if table is None or address & 7:
            raise RefusedError(f"{address:#x} is no entry of a table")
        made = self._acquire(table.level, value)
        index = address - self._monitor.ram_base >> 3
        self._release(table.level, self.words[index])
        self.words[index] = made
        self.written(address, 8)

    def _pin(self, frame: int, level: int) -> None:
        self.check_frame(frame)
        if not 0 <= level < LEVELS:
            raise RefusedError(f"there are no tables of level {level}")
        if frame in self.tables:
            raise RefusedError(f"{frame:#x} is a table already")
        if frame in self.shared:
            raise RefusedError(f"{frame:#x} is a page that the VMM writes")
        if self._is_writable(frame):
            raise RefusedError(f"{frame:#x} is mapped for stores, and can't be a table")
        # Not before all entries are known to be right is it a table, or any of them changed.
        first = frame - self._monitor.ram_base >> 3
        self.tables[frame] = Table(level)  # no entry of its own may allow stores to it
        self._tables_below[frame & -_LARGE] += 1
        made: list[int] = []
        try:
            for value in self.words[first : first + TABLE_ENTRIES]:
                made.append(self._acquire(level, value) if value else 0)
        except RefusedError:
            for entry in made:
                self._release(level, entry)
            self._forget(frame)
            raise
        if (index := self.linear.find(frame)) is not None:
            self._monitor.host.words[index] &= ~WRITE
        for n, entry in enumerate(made):
            if entry:
                self.words[first + n] = entry
        self.written(frame, 4096)

    def _unpin(self, frame: int) -> None:
        table = self.tables.get(frame)
        if table is None:
            raise RefusedError(f"{frame:#x} is no table")
        if table.users:
            raise RefusedError(f"the table at {frame:#x} is in use")
        first = frame - self._monitor.ram_base >> 3
        for entry in self.words[first : first + TABLE_ENTRIES]:
            self._release(table.level, entry)
        if table.asid:
            self._asids.append(table.asid)
            self._monitor.host.stale = True
        self._forget(frame)

    def _forget(self, frame: int) -> None:
        """It is no table any more."""
        del self.tables[frame]
        self._tables_below[frame & -_LARGE] -= 1

    # --- Roots, and pages of the VMM's -------------------------------------------------------

    def use_root(self, frame: int) -> Table:
        """A root is in use from now on. Raises `RefusedError` if it is none of three to five
        levels."""
        table = self.tables.get(frame)
        if table is None or table.level < 2:
            raise RefusedError(f"{frame:#x} is no root of page tables")
        if not table.asid:
            if not self._asids:
                raise RefusedError(f"there are {_ASIDS} roots already")
            table.asid = self._asids.pop()
        table.users += 1
        return table

    def register(self, frame: int) -> int:
        """The physical hart's satp that has a root translate, which is in use."""
        table = self.tables[frame]
        value = put(frame + self._monitor.to_physical >> 12, SATP.MODE, MODE_SV39 + table.level - 2)
        return put(value, SATP.ASID, table.asid)

    def leave_root(self, frame: int) -> None:
        """It is not in use any more."""
        self.tables[frame].users -= 1

    def share(self, frame: int) -> None:
        """The VMM will write to a frame. Raises `RefusedError` if it is no ordinary one."""
        self.check_frame(frame)
        if frame in self.tables:
            raise RefusedError(f"{frame:#x} is a table")
        self.shared.add(frame)

    def check_frame(self, frame: int) -> None:
        """Raise `RefusedError` if an address is not that of a frame of the guest's."""
        if frame & ~PAGE_MASK or not self._monitor.in_ram(frame):
            raise RefusedError(f"{frame:#x} is no frame of the guest's memory")

    # --- Memory that the VMM reads and writes for the guest -----------------------------------

    def contains(self, address: int, length: int) -> bool:
        """Whether all of some bytes, at least one, are the guest's memory."""
        monitor = self._monitor
        return monitor.in_ram(address) and 0 < length <= monitor.ram_end - address

    def is_ordinary(self, address: int, length: int) -> bool:
        """Whether they are the guest's memory, and no part of them is a table."""
        if not self.contains(address, length):
            return False
        frames = range(address & PAGE_MASK, address + length, 4096)
        return not any(frame in self.tables for frame in frames)

    def read(self, address: int, length: int) -> bytes:
        """Some bytes of the guest's memory."""
        start = address - self._monitor.ram_base
        return bytes(self._bytes[start : start + length])

    def store(self, address: int, data: bytes) -> None:
        """Store to the guest's memory, which is ordinary there."""
        start = address - self._monitor.ram_base
        self._bytes[start : start + len(data)] = data
        for frame in range(address & PAGE_MASK, address + len(data), 4096):
            self.written(frame, 4096)

    # --- Before the guest has tables ----------------------------------------------------------

    def fill_linear(self, address: int, store: bool) -> bool:
        """Map a page of the guest's memory where it is; whether that allows the access."""
        page = address & PAGE_MASK
        if not self._monitor.in_ram(page):
            return False
        table = page in self.tables
        permissions = READ | EXECUTE | (0 if table else WRITE)
        try:
            self.linear.map(page, page + self._monitor.to_physical, permissions)
        except OutOfFrames:
            self.linear.clear()
            self.linear.map(page, page + self._monitor.to_physical, permissions)
        self._monitor.accounting.fills += 1
        return not (table and store)

    def written(self, address: int, length: int) -> None:
        """The VMM has stored to some bytes of one frame: the translations and decoded instructions
        that were made of them must go, and reservations, as for any device's store."""
        monitor = self._monitor
        monitor.hart.reservation_size = 0
        page = address & PAGE_MASK
        if page in self.tables:
            monitor.host.stale = True
        if self._page_words[page - monitor.ram_base >> 12] & PAGE_DECODED:
            invalidate_physical(monitor.hart, address, length)

    # --- Entries -----------------------------------------------------------------------------

    def _acquire(self, level: int, value: int) -> int:
        """The entry to store for what the guest asks for; what it leads to is in use from now on.
        Raises `RefusedError` if it may not be."""
        if not value & PTE.V.mask:
            return value  # of no meaning to the hart
        if value & ~_KNOWN:
            raise RefusedError(f"entry {value:#x} has bits that are reserved, or not offered")
        target = (value & PTE.PPN.mask) << 2
        if value & _LEAF:
            return self._acquire_leaf(level, value, target)
        table = self.tables.get(target)
        if level == 0 or table is None or table.level != level - 1:
            raise RefusedError(f"entry {value:#x} of level {level} leads to no table below it")
        if value & _POINTER_RESERVED:
            raise RefusedError(f"entry {value:#x} leads to a table, with U, A or D")
        table.users += 1
        return self._physical(value & ~_TAKEN)

    def _acquire_leaf(self, level: int, value: int, target: int) -> int:
        size = 4096 << 9 * level
        monitor = self._monitor
        if level > _HIGHEST_LEAF:
            raise RefusedError(f"entry {value:#x} maps more than 2 MiB")
        if value & PTE.W.mask and not value & PTE.R.mask:
            raise RefusedError(f"entry {value:#x} has W without R")
        if target % size:
            raise RefusedError(f"entry {value:#x} maps {size >> 10} KiB, and is not aligned so")
        if not (monitor.in_ram(target) and size <= monitor.ram_end - target):
            raise RefusedError(f"entry {value:#x} leads out of the guest's memory")
        if value & PTE.W.mask:
            if self._has_table(target, size):
                raise RefusedError(f"entry {value:#x} allows stores to a table")
            self._writable[level, target] += 1
        # Kernel and processes are both in U-mode.
        return self._physical(value & ~_TAKEN | PTE.U.mask)

    def _release(self, level: int, entry: int) -> None:
        """What an entry that stands in a table led to is not in use by it any more."""
        if not entry & PTE.V.mask:
            return
        target = ((entry & PTE.PPN.mask) << 2) - self._monitor.to_physical
        if not entry & _LEAF:
            self.tables[target].users -= 1
        elif entry & PTE.W.mask:
            self._writable[level, target] -= 1
            if not self._writable[level, target]:
                del self._writable[level, target]

    def _has_table(self, start: int, size: int) -> bool:
        if size == 4096:
            return start in self.tables
        return self._tables_below[start] > 0

    def _is_writable(self, frame: int) -> bool:
        return any(
            (level, frame & -(4096 << 9 * level)) in self._writable
            for level in range(_HIGHEST_LEAF + 1)
        )

    def _physical(self, value: int) -> int:
        distance: int = self._monitor.to_physical >> 12 << PTE.PPN.low
        return value + distance
