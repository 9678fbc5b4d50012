"""Direct paging: the guest's own page tables translate, and the VMM has checked every entry.

A frame of the guest's memory is an ordinary one, which the guest may map for stores, or a *table*
of some level, which it may not: then only the VMM stores to it, entry by entry, as the guest asks.
An entry may lead to the guest's own memory alone, with stores allowed only to ordinary frames, or
to a table of the next lower level. So whatever tables the guest makes, they reach nothing but its
own memory, and it can't change them behind the VMM's back. (Xen's direct paging is the model.)
rvemu.vmm.frame_books keeps these rules; here is what else belongs to them.

What the guest writes in entries are guest-physical addresses; what stands in tables are physical
ones. Both lie at a constant distance.

Until the guest has tables, a linear map of the VMM's translates: guest-physical addresses are
virtual ones then, as on a hart without paging.
"""

import ctypes
import mmap
import struct
from ctypes import c_uint64

from rvemu.hart.decoded import invalidate_physical
from rvemu.hart.fields import PTE
from rvemu.hart.state import PAGE_DECODED
from rvemu.vmm.frame_books import (
    LARGE,
    ORDINARY,
    RECORD,
    SHARED,
    Books,
    Refusal,
    change_roots,
    is_list,
    make_updates,
    pin_table,
    set_entry,
    unpin_table,
    update_made,
)
from rvemu.vmm.host import OutOfFrames
from rvemu.vmm.hypercalls import What
from rvemu.vmm.monitor import PAGE_MASK, Monitor
from rvemu.vmm.page_tables import EXECUTE, READ, WRITE, PageTable
from rvemu.vmm.shared_page import Roots

# So many roots may be in use, or have been and still be pinned.
_ASIDS = 1 << 12

# What is said of refusals, of an address and a value asked for, and an entry.
_SAID = {
    Refusal.NO_FRAME: "{address:#x} is no frame of the guest's memory",
    Refusal.NO_ENTRY: "{address:#x} is no entry of a table",
    Refusal.NO_LEVEL: "there are no tables of level {value}",
    Refusal.IS_TABLE: "{address:#x} is a table already",
    Refusal.IS_SHARED: "{address:#x} is a page that the VMM writes",
    Refusal.IS_WRITABLE: "{address:#x} is mapped for stores, and can't be a table",
    Refusal.NO_TABLE: "{address:#x} is no table",
    Refusal.IN_USE: "the table at {address:#x} is in use",
    Refusal.RESERVED_BITS: "entry {entry:#x} has bits that are reserved, or not offered",
    Refusal.NO_TABLE_BELOW: "entry {entry:#x} leads to no table of the level below",
    Refusal.POINTER_BITS: "entry {entry:#x} leads to a table, with U, A or D",
    Refusal.TOO_LARGE: "entry {entry:#x} maps more than 2 MiB",
    Refusal.WRITE_ONLY: "entry {entry:#x} has W without R",
    Refusal.MISALIGNED: "entry {entry:#x} maps a page that is not aligned",
    Refusal.NOT_MEMORY: "entry {entry:#x} leads out of the guest's memory",
    Refusal.STORES_TO_TABLE: "entry {entry:#x} allows stores to a table",
}


class RefusedError(Exception):
    """What the guest asks for would break the rules; why, for people who look on. made: how many
    changes were made before it."""

    made = 0


def _words(count: int) -> "ctypes.Array[c_uint64]":
    """So many words, zero; memory is taken as they are used."""
    return (c_uint64 * count).from_buffer(mmap.mmap(-1, 8 * count))


class DirectPaging:
    """What the frames of one guest are, and the changes of its tables."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        shared = monitor.shared
        size = monitor.ram_end - monitor.ram_base
        memory = (ctypes.c_char * size).from_address(int(shared.region_host[0]))
        self._bytes = memoryview(memory).cast("B")
        self._page_words = (ctypes.c_uint32 * (size >> 12)).from_address(
            int(shared.region_pages[0])
        )
        assert monitor.ram_base % LARGE == 0
        self.books = Books(
            base=monitor.ram_base,
            size=size,
            host=monitor.host_address,
            distance=monitor.to_physical >> 12 << PTE.PPN.low,
        )
        #: The tables that translate now.
        self.roots = Roots()
        bind, v = monitor.host.bind, monitor.hart
        self._change_roots = bind(change_roots, v, self.books, self.roots)
        self._set_entry = bind(set_entry, v, self.books)
        self._pin_table = bind(pin_table, v, self.books)
        self._unpin_table = bind(unpin_table, self.books)
        self._is_list = bind(is_list, self.books)
        self._make_updates = bind(make_updates, v, self.books)
        self._update_made = bind(update_made, v, self.books)
        #: What translates before the guest has tables.
        self.linear = PageTable(monitor.frames, 3)
        self.begin()

    def begin(self) -> None:
        """A guest was loaded: all its frames are ordinary."""
        self.linear.clear()
        books, roots = self.books, self.roots
        frames, blocks = books.size >> 12, -(-books.size // LARGE)
        #: What frames are, how often each is in use as a table, and its ASID if it has been a root.
        self.kinds, self.users, self.asids = _words(frames), _words(frames), _words(frames)
        self._counts = _words(frames), _words(blocks), _words(blocks)
        books.kinds, books.users, books.asids = map(
            ctypes.addressof, (self.kinds, self.users, self.asids)
        )
        books.writers, books.large_writers, books.tables = map(ctypes.addressof, self._counts)
        # ASID 0 is the linear map's.
        self._free_asids = list(range(_ASIDS - 1, 0, -1))
        roots.linear = self.linear.register()
        roots.frames[:] = 0, 0
        self.set_roots(0, 0)

    # --- What the guest may ask for ----------------------------------------------------------

    def make_updates(self, address: int, count: int) -> int | None:
        """Make the changes of a list that were not made yet; how many were, or None if it is no
        list. Raises `RefusedError` where one is against the rules, which then has changed
        nothing."""
        if not self._is_list(address, count):
            return None
        books = self.books
        try:
            while refusal := self._make_updates(address, count):
                record = self.read(address + RECORD * books.made, RECORD)
                what, where, value = struct.unpack("<QQQ", record)
                if refusal != Refusal.NO_UPDATE:
                    self._check(refusal, where, value)
                self.update(what, where, value)
                self._update_made()
        except RefusedError as refused:
            refused.made = books.made
            raise
        return books.made

    def update(self, what: int, address: int, value: int) -> None:
        """One change. Raises `RefusedError`, with nothing changed, if it is against the rules."""
        if what == What.SET_ENTRY:
            self._check(self._set_entry(address, value), address, value)
        elif what == What.PIN_TABLE:
            self._check(self._pin_table(address, value), address, value)
            if (index := self.linear.find(address)) is not None:
                self._monitor.host.words[index] &= ~WRITE
        elif what == What.UNPIN_TABLE:
            self._check(self._unpin_table(address), address, value)
            number = self._number(address)
            if asid := self.asids[number]:
                self._free_asids.append(asid)
                self.asids[number] = 0
                self.books.stale = 1
        else:
            raise RefusedError(f"there is no update {what}")

    def _check(self, refusal: int, address: int, value: int) -> None:
        if refusal != Refusal.NONE:
            said = _SAID[Refusal(refusal)]
            raise RefusedError(said.format(address=address, value=value, entry=self.books.entry))

    # --- Roots, and pages of the VMM's -------------------------------------------------------

    def _number(self, frame: int) -> int:
        """Of a frame of the guest's."""
        return frame - self._monitor.ram_base >> 12

    def is_frame(self, address: int) -> bool:
        """Whether an address is that of a frame of the guest's memory."""
        return not address & ~PAGE_MASK and self._monitor.in_ram(address)

    def level(self, frame: int) -> int | None:
        """Of what is a table."""
        kind = self.kinds[self._number(frame)] if self.is_frame(frame) else ORDINARY
        return None if kind in (ORDINARY, SHARED) else int(kind) - 1

    def set_roots(self, kernel: int, user: int) -> None:
        """Have tables translate, for kernel and processes; for zeros the linear map. Raises
        `RefusedError` if they are no roots of three to five levels, both of as many."""
        if kernel:
            for frame in (kernel, user):
                self._make_root(frame)
            if self.level(kernel) != self.level(user):
                raise RefusedError("the two tables have not as many levels")
        self._change_roots(kernel, user)

    def _make_root(self, frame: int) -> None:
        """A table may be a root from now on."""
        if (self.level(frame) or 0) < 2:
            raise RefusedError(f"{frame:#x} is no root of page tables")
        number = self._number(frame)
        if not self.asids[number]:
            if not self._free_asids:
                raise RefusedError(f"there are {_ASIDS} roots already")
            self.asids[number] = self._free_asids.pop()

    def share(self, frame: int) -> None:
        """The VMM will write to a frame. Raises `RefusedError` if it is no ordinary one."""
        if not self.is_frame(frame):
            raise RefusedError(f"{frame:#x} is no frame of the guest's memory")
        if self.level(frame) is not None:
            raise RefusedError(f"{frame:#x} is a table")
        self.kinds[self._number(frame)] = SHARED

    def is_shared(self, address: int) -> bool:
        """Whether the VMM writes by itself where an address is."""
        frame = address & PAGE_MASK
        return self.is_frame(frame) and self.kinds[self._number(frame)] == SHARED

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
        return all(self.level(frame) is None for frame in frames)

    def read(self, address: int, length: int) -> bytes:
        """Some bytes of the guest's memory."""
        start = address - self._monitor.ram_base
        return bytes(self._bytes[start : start + length])

    def store(self, address: int, data: bytes) -> None:
        """Store to the guest's memory, which is ordinary there. What was decoded of it must go, and
        reservations, as for any device's store."""
        monitor = self._monitor
        start = address - monitor.ram_base
        self._bytes[start : start + len(data)] = data
        monitor.hart.reservation_size = 0
        for frame in range(address & PAGE_MASK, address + len(data), 4096):
            if self._page_words[self._number(frame)] & PAGE_DECODED:
                invalidate_physical(monitor.hart, frame, 4096)

    # --- Before the guest has tables ----------------------------------------------------------

    def fill_linear(self, address: int, store: bool) -> bool:
        """Map a page of the guest's memory where it is; whether that allows the access."""
        page = address & PAGE_MASK
        if not self._monitor.in_ram(page):
            return False
        table = self.level(page) is not None
        permissions = READ | EXECUTE | (0 if table else WRITE)
        try:
            self.linear.map(page, page + self._monitor.to_physical, permissions)
        except OutOfFrames:
            self.linear.clear()
            self.linear.map(page, page + self._monitor.to_physical, permissions)
        self._monitor.accounting.fills += 1
        return not (table and store)
