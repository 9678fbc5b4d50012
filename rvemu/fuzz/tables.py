"""Random page tables: most of what they say is usable, some of it is not.

Each stage's tables show RAM at the windows of `layout`: page by page at two of them, by one large
page each at two others, through a second way down from the root at a fifth. All is random that may
be: permissions, A and D, reserved bits, contiguous pages, memory types, alignment, targets.
"""

import struct
from random import Random

from rvemu.fuzz.layout import (
    DEVICE,
    M_HANDLER_PAGE,
    PAGE,
    POINTER_PAGE,
    RAM_BASE,
    RAM_PAGES,
    ROM_BASE,
    S_HANDLER_PAGE,
    TABLE_PAGES,
)
from rvemu.hart.fields import MODE_SV39, PTE

_V, _R, _W, _X, _U, _G, _A, _D = (1 << n for n in range(8))
_AD = _A | _D
_USUAL = (
    *((_V | _R | _W | _X | _AD,) * 12),
    *((_V | _R | _W | _AD,) * 2),
    _V | _R | _X | _AD,
    _V | _R | _AD,
    _V | _X | _AD,
    _V | _R | _W | _X | _A,
    _V | _R | _W | _X,
    _V | _R | _W | _AD | _G,
    _V | _R | _W | _X | _AD | 3 << PTE.RSW.low,
)
_UNUSUAL = (
    0,
    _R | _W | _X | _AD,  # not valid
    _V | _W | _AD,  # reserved
    _V | _W | _X | _AD,
    _V | _R | _W | _X | _AD | 1 << 54,
    _V | _R | _W | _AD | 1 << 60,
    _V | _R | _W | _X | _AD | 1 << PTE.PBMT.low,
    _V | _R | _W | _X | _AD | 2 << PTE.PBMT.low,
    _V | _R | _W | _X | _AD | 3 << PTE.PBMT.low,
    _V | _R | _W | _X | _AD | PTE.N.mask,
    _V,  # a pointer
    _V | _A,
    _V | _U,
)

# The least significant bits of the page number of a contiguous page of 64 KiB.
_NAPOT_SIZE, _NAPOT_64K = 15, 8

_HANDLERS = 1 << M_HANDLER_PAGE | 1 << S_HANDLER_PAGE

_PACK = struct.Struct("<512Q")


class Tables:
    """Makes tables in the image of a case's RAM."""

    def __init__(self, rng: Random, image: bytearray) -> None:
        self._rng = rng
        self._image = image
        self._next = TABLE_PAGES.start

    def stage(self, mode: int, guest: bool) -> int:
        """The tables of a stage; the page number of the root. guest: for hgatp, whose root has
        four pages."""
        levels = mode - MODE_SV39 + 3
        root_pages = 4 if guest else 1
        if guest:
            self._next = (self._next + 3) & ~3
        root = self._take(root_pages)
        top = root
        for _ in range(levels - 3):
            below = self._take()
            entries = self._blank()
            entries[0] = self._pointer(below)
            entries[511] = self._pointer(below)
            entries[self._rng.randrange(1, 511)] = self._leaf(0)
            self._write(top, entries)
            top = below
        supervisor = self._middle(guest)
        user = self._middle(True)
        entries = self._blank()
        entries[0] = self._pointer(user)
        entries[2] = self._pointer(supervisor)
        entries[3] = self._leaf(RAM_BASE >> 12, usual=0.9)
        entries[4] = self._leaf(0, usual=0.8)
        entries[5] = self._leaf(self._rng.getrandbits(44), usual=0.5)
        entries[510] = self._pointer(supervisor)
        entries[511] = self._pointer(self._rng.choice((user, supervisor)))
        self._write(top, entries)
        if guest and self._rng.random() < 0.5:
            self._write(root + self._rng.randrange(1, 4), entries)
        return (RAM_BASE >> 12) + root

    def _middle(self, user: bool) -> int:
        """A table of the second level; at entry 0 or 2 is what shows RAM page by page. user: its
        pages have U, or most of them."""
        table, last = self._take(), self._last(user)
        rng = self._rng
        entries = self._blank()
        entries[0] = entries[2] = self._pointer(last)
        entries[1] = self._leaf(RAM_BASE >> 12, usual=0.9) | (_U if user else 0)
        entries[3] = self._leaf((RAM_BASE >> 12) + rng.randrange(512), usual=0.8)
        entries[4] = self._leaf(rng.choice((DEVICE >> 12, 0)), usual=0.9)
        entries[rng.randrange(5, 512)] = rng.getrandbits(64)
        entries[511] = self._pointer(last)
        self._write(table, entries)
        return table

    def _last(self, user: bool) -> int:
        """A table of the last level."""
        rng = self._rng
        table = self._take()
        flags = rng.choices(_USUAL, k=RAM_PAGES)
        if rng.random() < 0.85:  # let programs and handlers be executable
            flags[: POINTER_PAGE + 1] = [_V | _R | _W | _X | _AD] * (POINTER_PAGE + 1)
        unusual = rng.choice((0, 1, 1, 4, 16))
        for _ in range(unusual):
            flags[rng.randrange(RAM_PAGES)] = rng.choice(_UNUSUAL)
        base = RAM_BASE >> 12
        entries = [base + n << 10 | f for n, f in enumerate(flags)]
        users = -1 if user else 0
        if rng.random() < 0.4:
            bits = (rng.getrandbits(RAM_PAGES) for _ in range(3))
            users ^= next(bits) & next(bits) & next(bits) & ~_HANDLERS
        entries = [e | _U if users >> n & 1 else e for n, e in enumerate(entries)]
        for _ in range(rng.choice((0, 0, 2, 8))):  # other pages than those of the same number
            n = rng.randrange(RAM_PAGES)
            target = rng.choice((base + rng.randrange(RAM_PAGES), ROM_BASE >> 12, DEVICE >> 12))
            entries[n] = entries[n] & 0x3FF | target << 10
        if rng.random() < 0.25:
            first = rng.choice((0, 16, 16, 16))
            size = rng.choice((_NAPOT_64K, _NAPOT_64K, _NAPOT_64K, rng.randrange(16)))
            for n in range(first, first + 16):
                target = (base + rng.choice((first, 0)) & ~_NAPOT_SIZE) | size
                entries[n] = PTE.N.mask | target << 10 | entries[n] & 0x3FF
        rest = [0] * (512 - RAM_PAGES)
        for _ in range(4):
            rest[rng.randrange(len(rest))] = rng.getrandbits(64)
        self._write(table, entries + rest)
        return table

    def _take(self, pages: int = 1) -> int:
        """Pages for tables; the first one's number."""
        page = self._next
        self._next += pages
        assert page + pages <= RAM_PAGES, "too few pages for tables"
        return page

    def _blank(self) -> list[int]:
        return [0] * 512

    def _pointer(self, page: int) -> int:
        """An entry that points to a table, seldom with what it must not have."""
        entry = (RAM_BASE >> 12) + page << 10 | _V
        if self._rng.random() < 0.01:
            entry |= self._rng.choice((_A, _D, _U, _G, PTE.N.mask, 1 << 61, 1 << 54))
        return entry

    def _leaf(self, target: int, usual: float = 0.5) -> int:
        rng = self._rng
        flags = rng.choice(_USUAL if rng.random() < usual else _UNUSUAL)
        return target << 10 & PTE.PPN.mask | flags | (_U if rng.random() < 0.5 else 0)

    def _write(self, page: int, entries: list[int]) -> None:
        self._image[page * PAGE : (page + 1) * PAGE] = _PACK.pack(*entries)
