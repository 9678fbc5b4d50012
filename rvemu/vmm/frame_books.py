"""What the frames of a paravirtual guest's memory are, and what entries its tables may have: the
rules of direct paging (rvemu.vmm.direct_paging). In the model's language (docs/model.md), since a
kernel changes an entry at most page faults: `Host.bind` makes native code of it.

Of each frame there is a word that says what it is, and counts of what may not be while they are not
zero. (Xen keeps the same in the types of its `page_info`.) Whatever the guest asks for, all that is
read and written here lies in its memory, and in the words of its frames.

v: the virtual hart."""

import ctypes
from ctypes import c_uint64
from enum import IntEnum
from typing import ClassVar

from rvemu.hart.decoded import invalidate_decoded
from rvemu.hart.fields import MODE_SV39, PTE, SATP
from rvemu.hart.state import S_MODE, U_MODE, Hart
from rvemu.lang import U1, U64, Static, host_load64, host_store64, put, u64
from rvemu.vmm.hypercalls import UPDATE, What
from rvemu.vmm.shared_page import Roots, show_root, spend

TABLE_ENTRIES = 512
#: Levels of tables: the root of Sv57 is of level 4.
LEVELS = 5
# Leaves are of 4 KiB or 2 MiB.
_HIGHEST_LEAF = 1
FRAME, LARGE = 4096, 4096 << 9 * _HIGHEST_LEAF

# What a frame is: a table's level and one; or one of these.
ORDINARY, SHARED = 0, LEVELS + 1  # shared: the VMM writes it by itself

_LEAF = PTE.R.mask | PTE.W.mask | PTE.X.mask
_POINTER_RESERVED = PTE.U.mask | PTE.A.mask | PTE.D.mask
# Global translations would be shared by the kernel's and the processes' tables.
_TAKEN = PTE.G.mask
_KNOWN = 0x3FF | PTE.PPN.mask

#: Bytes of a record of UPDATE, and how many there may be.
RECORD = UPDATE.sizeof()
MOST_UPDATES = 512

#: To look at so many entries of tables takes as long as a device access.
AT_ONCE = 128


class Refusal(IntEnum):
    """Why a change would break the rules."""

    NONE = 0
    NO_UPDATE = 1
    NO_FRAME = 2
    # Of an entry's place, a table to be, or one to be no more.
    NO_ENTRY = 3
    NO_LEVEL = 4
    IS_TABLE = 5
    IS_SHARED = 6
    IS_WRITABLE = 7
    NO_TABLE = 8
    IN_USE = 9
    # Of an entry.
    RESERVED_BITS = 10
    NO_TABLE_BELOW = 11
    POINTER_BITS = 12
    TOO_LARGE = 13
    WRITE_ONLY = 14
    MISALIGNED = 15
    NOT_MEMORY = 16
    STORES_TO_TABLE = 17


class Books(ctypes.Structure):
    """What is known of a guest's frames."""

    made: int
    updates: int
    work: int
    entry: int
    stale: int

    _fields_: ClassVar = [
        # The guest's memory: guest-physical address, bytes, the host's address; and what is to be
        # added to entries, so that they have physical addresses.
        ("base", c_uint64),
        ("size", c_uint64),
        ("host", c_uint64),
        ("distance", c_uint64),
        # Host addresses of arrays of words, one for each frame: what it is; entries that lead to
        # it if it is a table, and its uses as a root; its ASID on the physical hart, if it has been
        # a root; leaves that allow stores to it. And one for each 2 MiB: leaves that allow stores
        # to all that; tables in it.
        ("kinds", c_uint64),
        ("users", c_uint64),
        ("asids", c_uint64),
        ("writers", c_uint64),
        ("large_writers", c_uint64),
        ("tables", c_uint64),
        # In the present hypercall: records that were made, and entries looked at.
        ("made", c_uint64),
        ("looked_at", c_uint64),
        # Since the VMM has looked: records made, and what that was worth in device accesses.
        ("updates", c_uint64),
        ("work", c_uint64),
        ("entry", c_uint64),  # the one looked at last
        ("stale", c_uint64),  # tables were changed since the hart was last told
    ]


# --- Frames --------------------------------------------------------------------------------------


def _word(array: U64, number: U64) -> U64:
    return u64(array + 8 * number)


def _count(array: U64, number: U64, more: U64) -> None:
    """Add to a count."""
    word = _word(array, number)
    host_store64(word, host_load64(word) + more)


_LESS = (1 << 64) - 1  # to a count: one less


def contains(books: Books, address: U64, length: U64) -> U1:
    """Whether bytes at a guest-physical address are all the guest's memory."""
    offset = u64(address - books.base)
    return offset < books.size and length <= u64(books.size - offset)


def _kind(books: Books, address: U64) -> U64:
    """What the frame is that an address of the guest's memory lies in."""
    return host_load64(_word(books.kinds, u64(address - books.base) >> 12))


def _is_table(kind: U64) -> U1:
    return kind != ORDINARY and kind != SHARED


def _host(books: Books, address: U64) -> U64:
    return u64(books.host + address - books.base)


# --- Entries -------------------------------------------------------------------------------------


def _made_of(books: Books, value: U64) -> U64:
    """The entry to store for what the guest asks for."""
    if value & PTE.V.mask == 0:
        return value  # of no meaning to the hart
    made = u64((value & ~_TAKEN) + books.distance)
    if value & _LEAF:
        made = made | PTE.U.mask  # kernel and processes are both in U-mode
    return made


def _acquire(books: Books, level: U64, value: U64) -> U64:
    """What an entry that the guest asks for leads to is in use from now on, if it may be."""
    if value & PTE.V.mask == 0:
        return Refusal.NONE
    books.entry = value
    if value & ~_KNOWN:
        return Refusal.RESERVED_BITS
    target = u64((value & PTE.PPN.mask) << 2)
    if value & _LEAF:
        return _acquire_leaf(books, level, value, target)
    if contains(books, target, FRAME) == 0 or level == 0 or _kind(books, target) != level:
        return Refusal.NO_TABLE_BELOW
    if value & _POINTER_RESERVED:
        return Refusal.POINTER_BITS
    _count(books.users, u64(target - books.base) >> 12, 1)
    return Refusal.NONE


def _acquire_leaf(books: Books, level: U64, value: U64, target: U64) -> U64:
    if level > _HIGHEST_LEAF:
        return Refusal.TOO_LARGE
    if value & PTE.W.mask and value & PTE.R.mask == 0:
        return Refusal.WRITE_ONLY
    size: U64 = FRAME
    if level:
        size = LARGE
    if target & u64(size - 1):
        return Refusal.MISALIGNED
    if contains(books, target, size) == 0:
        return Refusal.NOT_MEMORY
    if value & PTE.W.mask == 0:
        return Refusal.NONE
    offset = u64(target - books.base)
    if level:
        if host_load64(_word(books.tables, offset >> 21)):
            return Refusal.STORES_TO_TABLE
    elif _is_table(_kind(books, target)):
        return Refusal.STORES_TO_TABLE
    _count_writer(books, level, offset, 1)
    return Refusal.NONE


def _count_writer(books: Books, level: U64, offset: U64, more: U64) -> None:
    """A leaf of some level allows stores to what lies at an offset in the guest's memory."""
    if level:
        _count(books.large_writers, offset >> 21, more)
    else:
        _count(books.writers, offset >> 12, more)


def _release(books: Books, level: U64, entry: U64) -> None:
    """What an entry that stands in a table led to is not in use by it any more."""
    if entry & PTE.V.mask == 0:
        return
    target = u64((u64(entry - books.distance) & PTE.PPN.mask) << 2)
    if contains(books, target, FRAME) == 0:
        return  # nothing that was made here
    offset = u64(target - books.base)
    if entry & _LEAF == 0:
        _count(books.users, offset >> 12, _LESS)
    elif entry & PTE.W.mask:
        _count_writer(books, level, offset, _LESS)


# --- Changes -------------------------------------------------------------------------------------


def _written(v: Hart, books: Books, host: U64, length: U64) -> None:
    """The VMM has stored to a table: the translations and decoded instructions that were made of it
    must go, and reservations, as for any device's store."""
    v.reservation_size = 0
    books.stale = 1
    invalidate_decoded(v, host, length)


def set_entry(v: Hart, books: Books, address: U64, value: U64) -> U64:
    """Store an entry of a table; a `Refusal`, with nothing changed."""
    books.looked_at = u64(books.looked_at + 1)
    if address & 7 or contains(books, address, 8) == 0:
        return Refusal.NO_ENTRY
    kind = _kind(books, address)
    if _is_table(kind) == 0:
        return Refusal.NO_ENTRY
    level = u64(kind - 1)
    refusal = _acquire(books, level, value)
    if refusal != Refusal.NONE:
        return refusal
    host = _host(books, address)
    _release(books, level, host_load64(host))
    host_store64(host, _made_of(books, value))
    _written(v, books, host, 8)
    return Refusal.NONE


def pin_table(v: Hart, books: Books, frame: U64, level: U64) -> U64:
    """Make a frame a table of some level; a `Refusal`, with nothing changed."""
    books.looked_at = u64(books.looked_at + TABLE_ENTRIES)
    if frame & (FRAME - 1) or contains(books, frame, FRAME) == 0:
        return Refusal.NO_FRAME
    if level >= LEVELS:
        return Refusal.NO_LEVEL
    kind = _kind(books, frame)
    if kind == SHARED:
        return Refusal.IS_SHARED
    if kind != ORDINARY:
        return Refusal.IS_TABLE
    offset = u64(frame - books.base)
    if host_load64(_word(books.writers, offset >> 12)):
        return Refusal.IS_WRITABLE
    if host_load64(_word(books.large_writers, offset >> 21)):
        return Refusal.IS_WRITABLE
    # Not before all entries are known to be right is it a table, or any of them changed; but no
    # entry of its own may allow stores to it.
    _become(books, frame, u64(level + 1), 1)
    first = _host(books, frame)
    end = u64(first + FRAME)
    host: U64 = first
    while host != end:
        refusal = _acquire(books, level, host_load64(host))
        if refusal != Refusal.NONE:
            while host != first:
                host = u64(host - 8)
                _release(books, level, _made_of(books, host_load64(host)))
            _become(books, frame, ORDINARY, _LESS)
            return refusal
        host = u64(host + 8)
    while host != first:
        host = u64(host - 8)
        host_store64(host, _made_of(books, host_load64(host)))
    _written(v, books, first, FRAME)
    return Refusal.NONE


def unpin_table(books: Books, frame: U64) -> U64:
    """Make a table an ordinary frame again; a `Refusal`, with nothing changed."""
    books.looked_at = u64(books.looked_at + TABLE_ENTRIES)
    if frame & (FRAME - 1) or contains(books, frame, FRAME) == 0:
        return Refusal.NO_TABLE
    kind = _kind(books, frame)
    if _is_table(kind) == 0:
        return Refusal.NO_TABLE
    if host_load64(_word(books.users, u64(frame - books.base) >> 12)):
        return Refusal.IN_USE
    host: U64 = _host(books, frame)
    end = u64(host + FRAME)
    while host != end:
        _release(books, u64(kind - 1), host_load64(host))
        host = u64(host + 8)
    _become(books, frame, ORDINARY, _LESS)
    return Refusal.NONE


def _become(books: Books, frame: U64, kind: U64, more: U64) -> None:
    """A frame is a table from now on, or no more."""
    offset = u64(frame - books.base)
    host_store64(_word(books.kinds, offset >> 12), kind)
    _count(books.tables, offset >> 21, more)


# --- Roots ---------------------------------------------------------------------------------------


def change_roots(v: Hart, books: Books, roots: Roots, kernel: U64, user: U64) -> U1:
    """Have other tables translate, for kernel and processes; or for zeros the linear map. 0, with
    nothing changed, if they are no tables that have ASIDs, both of the same level."""
    if (kernel or user) and _are_roots(books, kernel, user) == 0:
        return 0
    _use(books, kernel, 1)
    _use(books, user, 1)
    _use(books, roots.frames[S_MODE], _LESS)
    _use(books, roots.frames[U_MODE], _LESS)
    _translate(books, roots, S_MODE, kernel)
    _translate(books, roots, U_MODE, user)
    show_root(v, roots)
    return 1


def _are_roots(books: Books, kernel: U64, user: U64) -> U1:
    if (kernel | user) & (FRAME - 1):
        return 0
    if contains(books, kernel, FRAME) == 0 or contains(books, user, FRAME) == 0:
        return 0
    if _asid(books, kernel) == 0 or _asid(books, user) == 0:
        return 0
    return _kind(books, kernel) == _kind(books, user)


def _asid(books: Books, frame: U64) -> U64:
    return host_load64(_word(books.asids, u64(frame - books.base) >> 12))


def _use(books: Books, root: U64, more: U64) -> None:
    if root:
        _count(books.users, u64(root - books.base) >> 12, more)


def _translate(books: Books, roots: Roots, priv: Static[int], root: U64) -> None:
    roots.frames[priv] = root
    if root == 0:
        roots.physical[priv] = roots.linear
        roots.virtual[priv] = 0
        return
    level = u64(_kind(books, root) - 1)
    register = put(root >> 12, SATP.MODE, u64(level - 2 + MODE_SV39))
    roots.virtual[priv] = register
    physical = u64(register + (books.distance >> PTE.PPN.low))
    roots.physical[priv] = put(physical, SATP.ASID, _asid(books, root))


# --- Lists of changes ----------------------------------------------------------------------------


def is_list(books: Books, address: U64, count: U64) -> U1:
    """Whether a list of UPDATE is one: not empty nor too long, and in the guest's memory."""
    return (
        count != 0 and count <= MOST_UPDATES and contains(books, address, u64(RECORD * count)) != 0
    )


def make_updates(v: Hart, books: Books, address: U64, count: U64) -> U64:
    """Make the changes of a list that were not made yet (`books.made`), until one is refused; or is
    no SET_ENTRY, which is NO_UPDATE here."""
    while books.made < count:
        record = _host(books, u64(address + RECORD * books.made))
        if host_load64(record) != What.SET_ENTRY:
            return Refusal.NO_UPDATE
        refusal = set_entry(v, books, host_load64(u64(record + 8)), host_load64(u64(record + 16)))
        if refusal != Refusal.NONE:
            return refusal
        update_made(v, books)
    return Refusal.NONE


def update_made(v: Hart, books: Books) -> None:
    """A record was done."""
    books.made = u64(books.made + 1)
    books.updates = u64(books.updates + 1)
    spend(v, 1)
