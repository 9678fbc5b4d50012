"""Shadow page tables: guest virtual to physical, made from the guest's own tables (guest virtual to
guest-physical) and the VMM's knowledge of where guest-physical memory is.

A *view* is a shadow table for one root and ASID of the guest's (satp) in one context: a virtual
privilege, with SUM and MXR where they matter, and a setting of PMP. The guest's kernel and its
processes have views of their own, for they may do different things with the same page. All virtual
harts use the same views. They are filled page by page, as the guest touches pages, and kept while
others are in use, up to a bound.

Coherence: the frames of the guest's tables that entries were made from are write-protected in all
views. A store to one exits, and the model executes it; then what depended on the words that changed
is dropped. So a view never maps what the guest's tables do not, not even what they did before (a
TLB might), and `sfence.vma` has nothing left to do.

A and D: an entry is made only once the guest's own has A set, and allows stores only once it has D:
the model's page walk sets both, or raises the guest's page fault, as the guest's hart would.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

from rvemu.hart.exceptions import FETCH, LOAD, STORE
from rvemu.hart.fields import MODE_SV39, PTE, SATP
from rvemu.hart.state import U_MODE, Hart
from rvemu.hart.walk import MAY_STORE, OK
from rvemu.lang import get
from rvemu.memory import PAGE_SIZE
from rvemu.vmm.emulation_loop import Known
from rvemu.vmm.host import OutOfFrames
from rvemu.vmm.lookup import Found, Regime, changed, look_up, protection_of, set_status
from rvemu.vmm.monitor import PAGE_MASK, Monitor
from rvemu.vmm.page_tables import BLOCK, EXECUTE, READ, WRITE, PageTable
from rvemu.vmm.patch import Patcher

# Views kept for one guest.
VIEWS = 32

# A guest that rewrites a whole table would exit for each entry. After so many stores to a frame,
# all that depends on it is dropped instead: it is an ordinary page until it is used again.
_MANY_STORES = 8

# Entries made for one guest, until all is dropped. What they were made from is remembered, even of
# views that are gone, and a guest could make new ones for ever. Such a view takes as much room as
# some entries, and counts for them.
MOST_ENTRIES = 1 << 17
VIEW_ENTRIES = 8

# Marks an address that stands for a block.
_BLOCK = 1

# What becomes of an access that a view refuses.
FILLED = 0  # the view allows it now
REFUSED = 1  # the guest's own tables refuse it
PROTECTED = 2  # a store to a frame of the guest's tables
NOT_MEMORY = 3  # a device, or nothing, or memory that the guest's PMP cuts


class View:
    """A shadow table. (Compared by identity.)"""

    def __init__(self, table: PageTable, asid: int) -> None:
        self.table = table
        self.satp = table.register(asid)
        self.alive = True
        #: How many of the guest's entries above the last are known to lead to a block's pages, by
        #: its number.
        self.blocks: dict[int, int] = {}


@dataclass
class Frame:
    """A frame of the guest's page tables, write-protected."""

    #: What it held when it was last looked at.
    content: bytes
    #: By the number of a word: the entries that were made from it, each by the address of its page;
    #: of one that is not the last of a walk, the block (_BLOCK) in which all of them are.
    dependents: dict[int, set[tuple[View, int]]] = field(default_factory=dict)
    #: Stores to it since an entry was last made from it.
    stores: int = 0


def _changed_words(old: bytes, new: bytes) -> list[int]:
    """The numbers of the words in which two pages differ. (There is hardly ever more than one.)"""
    found = []
    parts = [(0, PAGE_SIZE)]
    while parts:
        start, size = parts.pop()
        if old[start : start + size] == new[start : start + size]:
            continue
        if size == 8:
            found.append(start // 8)
        else:
            parts += (start, size // 2), (start + size // 2, size // 2)
    return found


class Shadows:
    """The shadow tables of one guest."""

    def __init__(self, monitor: Monitor, known: Known) -> None:
        self._monitor = monitor
        self._known = known  # is told of views
        self._host = monitor.host
        self._frames = monitor.frames
        self._accounting = monitor.accounting
        self._found = Found()
        self._look_up = monitor.bind(look_up, self._found)
        self._set_status = monitor.bind(set_status)
        #: The regime of the view that is in use.
        self.regime = Regime()
        self._protection = 0  # its protection
        self._changed = monitor.bind(changed, self.regime)
        # The view that was asked for last, and its key.
        self._current: View | None = None
        self._current_key = 0, 0
        self._views: OrderedDict[tuple[int, int], View] = OrderedDict()
        #: Frames of the guest's tables, by guest-physical address.
        self.frames: dict[int, Frame] = {}
        # The entries that allow stores to a frame.
        self._writers: dict[int, set[tuple[View, int]]] = {}
        #: Copies of kernel code to execute in place of the guest's own, if that is to be patched.
        self.patcher: Patcher | None = None
        # The entries that map a copy, by its page.
        self._executors: dict[int, set[tuple[View, int]]] = {}
        # Entries made since all were dropped.
        self._made = 0

    def __len__(self) -> int:
        return len(self._views)

    # --- Views -------------------------------------------------------------------------------

    def view(self) -> View:
        """The view for the virtual hart's present state."""
        number = self._monitor.number
        protection = self._monitor.protections.numbers[number]
        if protection != self._protection:
            self._protection = self.regime.protection = protection
        self._changed[number]()
        key = self.regime.satp, self.regime.rest
        current = self._current
        if key == self._current_key and current is not None and current.alive:
            return current
        view = self._views.get(key)
        if view is None:
            view = self._make(key)
        else:
            self._views.move_to_end(key)
        self._current, self._current_key = view, key
        self._known.learn_view(*key, view.satp)
        return view

    def _make(self, key: tuple[int, int]) -> View:
        while len(self._views) >= VIEWS:
            self._drop(self._views.popitem(last=False)[1])
        mode = get(key[0], SATP.MODE)
        levels = mode - MODE_SV39 + 3 if mode else 3
        try:
            table = PageTable(self._frames, levels)
        except OutOfFrames:
            self.forget()
            table = PageTable(self._frames, levels)
        view = View(table, get(key[0], SATP.ASID))
        self._views[key] = view
        self._made += VIEW_ENTRIES
        return view

    def _drop(self, view: View) -> None:
        view.alive = False
        view.table.release()
        self._known.forget_views()

    def forget_protection(self, number: int) -> None:
        """Drop the views of a protection."""
        unused = [key for key in self._views if protection_of(key[1]) == number]
        if len(unused) == len(self._views):
            self.forget()
            return
        for key in unused:
            self._drop(self._views.pop(key))

    def forget(self) -> None:
        """Drop all."""
        for view in self._views.values():
            self._drop(view)
        self._views.clear()
        self.frames.clear()
        self._writers.clear()
        self._executors.clear()
        self._made = 0
        if self.patcher is not None:
            self.patcher.forget()

    # --- Filling -----------------------------------------------------------------------------

    def fill(self, h: Hart, view: View, address: int, access: int) -> int:
        """The guest's access (LOAD, STORE, FETCH) at an address was refused by its view: allow it,
        if the guest's tables do; or why not."""
        priv = int(h.priv if access == FETCH else h.data_priv)
        found, number = self._found, self._monitor.number
        if self._look_up[number](address, access, priv) != OK:
            return REFUSED
        page = found.physical & PAGE_MASK
        if not self._monitor.in_ram(page):
            return NOT_MEMORY
        # The bits of PMP, and of page-table entries, are R, W, X from the lowest.
        granted = found.granted << 1
        needed = (READ, READ | WRITE, EXECUTE)[access]
        if granted & needed != needed:
            return NOT_MEMORY
        entries = h.walked[: h.walked_count]
        if h.walked_update:
            self._set_status[number](address, access, priv)
        stores = access == LOAD and found.attributes & MAY_STORE and granted & WRITE
        try:
            if self._made >= MOST_ENTRIES:
                raise OutOfFrames
            return self._enter(view, address & PAGE_MASK, page, entries, access, bool(stores))
        except OutOfFrames:
            self.forget()
            return FILLED  # not yet: the guest comes back

    def _enter(
        self, view: View, address: int, page: int, entries: list[int], access: int, stores: bool
    ) -> int:
        """Make an entry, and remember what it was made from: the guest's own entries, by their
        addresses. stores: a store would be allowed as well as the load."""
        self._made += 1
        if entries:
            block = address // BLOCK
            if view.blocks.get(block, 0) < len(entries) - 1:
                view.blocks[block] = len(entries) - 1
                for physical in entries[:-1]:
                    self._depend(physical, view, block * BLOCK | _BLOCK)
            self._depend(entries[-1], view, address)
        permissions = EXECUTE if access == FETCH else READ
        if access == STORE or stores:
            if self.protected(page):
                if access == STORE:
                    return PROTECTED
            else:
                permissions |= WRITE
        table = view.table
        index = table.find(address)
        words = self._host.words
        target = page + self._monitor.to_physical
        if self.patcher is not None and self._monitor.hart.priv != U_MODE:
            copies = self.patcher.copies
            if access == FETCH:
                target = self.patcher.copy_of(page).physical
                self._protect(page)
                self._executors.setdefault(page, set()).add((view, address))
            elif page in copies and (view, address) in self._executors.get(page, ()):
                return NOT_MEMORY  # the entry is the copy's; the guest accesses its own code
        if index is not None and (old := words[index]):
            if (old & PTE.PPN.mask) << 2 == target:
                permissions |= old & (READ | WRITE | EXECUTE)
            else:
                self._host.stale = True
        table.map(address, target, permissions)
        if permissions & WRITE:
            self._writers.setdefault(page, set()).add((view, address))
        self._accounting.fills += 1
        return FILLED

    def protected(self, page: int) -> bool:
        """Whether stores to a page must come to the VMM: the guest's page tables, and words of the
        host's interface."""
        if page in self.frames or (self.patcher is not None and page in self.patcher.copies):
            return True
        return self._monitor.watches(page, PAGE_SIZE)

    def _depend(self, physical: int, view: View, address: int) -> None:
        frame = physical & PAGE_MASK
        if not self._monitor.in_ram(frame):
            return  # a table in ROM does not change
        content = self._read(frame)
        known = self.frames.get(frame)
        if known is None:
            known = self.frames[frame] = Frame(content)
            self._protect(frame)
        known.content = content  # walks may have set A and D, which nobody was told
        known.stores = 0
        known.dependents.setdefault((physical & 0xFFF) >> 3, set()).add((view, address))

    def _protect(self, frame: int) -> None:
        """Take the permission to store to a frame out of all views."""
        words = self._host.words
        for view, address in self._writers.pop(frame, ()):
            if view.alive and (index := view.table.find(address)) is not None:
                words[index] &= ~WRITE
                self._host.stale = True

    # --- Coherence ---------------------------------------------------------------------------

    def stored(self, page: int) -> None:
        """Something was stored to a guest-physical page: drop what depended on what it changed. A
        frame that nothing depends on any more is an ordinary page again."""
        if self.patcher is not None and page in self.patcher.copies:
            for view, address in self._executors.pop(page, ()):
                self._zap(view, address)
            self.patcher.drop(page)
        frame = self.frames.get(page)
        if frame is None:
            return
        content = self._read(page)
        if content != frame.content:
            for word in _changed_words(frame.content, content):
                if word in frame.dependents:
                    self._drop_dependents(frame, word)
            frame.content = content
        frame.stores += 1
        if frame.stores >= _MANY_STORES:
            for word in list(frame.dependents):
                self._drop_dependents(frame, word)
        if not frame.dependents:
            del self.frames[page]

    def _drop_dependents(self, frame: Frame, word: int) -> None:
        for view, address in frame.dependents.pop(word):
            self._zap(view, address)

    def _zap(self, view: View, address: int) -> None:
        if not view.alive:
            return
        if address & _BLOCK:
            if view.blocks.pop(address // BLOCK, None) is not None:
                self._accounting.zaps += view.table.unmap_pages(address)
                self._host.stale = True
        elif (index := view.table.find(address)) is not None:
            words = self._host.words
            if words[index]:
                words[index] = 0
                self._host.stale = True
                self._accounting.zaps += 1

    def _read(self, frame: int) -> bytes:
        return self._monitor.read_page(frame)
