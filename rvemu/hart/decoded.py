"""Bookkeeping of decoded instructions, as far as memory accesses are concerned with it.

The native engine keeps the instructions of a page decoded in a *decoded page*: a slot of 16 bytes
for every 2 bytes of the page, of which the first 8 are the slot's handler, and a last slot that
stands for the page's end. Decoded pages come from one pool for all harts. A page's word (see
rvemu.hart.regions) says which is its decoded page.

A store to a page that is decoded empties the slots that it overlaps, at once: so instructions that
were written are those that run, and fence.i has nothing to do. Such pages are therefore never
held for fast stores.

The reference engine decodes nothing ahead: its pool is empty, and all this comes to nothing.
"""

from rvemu.hart.regions import find_region, page_offset, page_word
from rvemu.hart.state import (
    ADDEND,
    CONTEXTS,
    DATA_ENTRIES,
    DATA_WORDS,
    FAST_STORE_TAG,
    FETCH_DECODED,
    FETCH_ENTRIES,
    FILL_LOG,
    NO_PAGE,
    PAGE_DECODED,
    PAGE_STORED,
    PAGE_WATCHED,
    Hart,
)
from rvemu.lang import (
    U32,
    U64,
    host_load32,
    host_load64,
    host_store32,
    host_store64,
    u64,
)

PAGE_BYTES = 4096
SLOT_BYTES = 16
LONE_SLOTS = 4  # that a hart has for an instruction which no page holds alone
PAGE_SLOTS = PAGE_BYTES // 2
POOL_STRIDE = PAGE_SLOTS * SLOT_BYTES + 64

# Where a decoded page says whether there are breakpoints in a virtual page that leads to it.
PAGE_MARK = (PAGE_SLOTS + 1) * SLOT_BYTES


def _offset_of(field: str) -> int:
    """Where an array of a hart begins, in bytes from the hart's host address."""
    return int(getattr(Hart, field).offset)


_DTLB = _offset_of("_dtlb")
_DTLB_FILLED = _offset_of("_dtlb_filled")
_DTLB_LOG = _offset_of("_dtlb_log")
_FTLB = _offset_of("_ftlb")

# --- When memory is written ------------------------------------------------------------------


def invalidate_decoded(h: Hart, host: U64, length: U64) -> None:
    """Forget the decoded instructions that overlap `length` bytes at a host address; the bytes
    lie in one page."""
    word = page_word(h, host)
    if word != 0:
        decoded = host_load32(word) & PAGE_DECODED
        if decoded != 0:
            _empty_slots(h, decoded, page_offset(h, host), length)


def invalidate_physical(h: Hart, physical: U64, length: U64) -> None:
    """The same for any number of bytes at a physical address that the host has written: by a
    device's DMA, a loader, a debugger."""
    address: U64 = physical
    left: U64 = length
    while left != 0:
        part = min(left, u64(PAGE_BYTES - (address & 0xFFF)))
        host = find_region(h, address, 1)
        if host != 0:
            invalidate_decoded(h, host, part)
        address = u64(address + part)
        left = u64(left - part)


def _empty_slots(h: Hart, decoded: U32, offset: U64, length: U64) -> None:
    """Empty the slots of a decoded page (by its number plus one) that a store overlaps, and the one
    before: a 4-byte instruction may begin 2 bytes before what was stored. (One that begins in the
    page before is never decoded in a page.)"""
    slot: U64 = 0
    if offset >= 2:
        slot = u64(offset - 2) >> 1
    last = min(u64(offset + length - 1) >> 1, PAGE_SLOTS - 1)
    slots = u64(h.shared.pool_host + (decoded - 1) * POOL_STRIDE)
    while slot <= last:
        host_store64(u64(slots + slot * SLOT_BYTES), h.shared.undecoded)
        slot = u64(slot + 1)


# --- When a page is decoded ------------------------------------------------------------------


def decode_page(h: Hart, physical: U64) -> U64:
    """The host address of the slots of the page that a physical address lies in. Takes a decoded
    page from the pool, with all slots empty, if the page has none; 0 if the pool is used up (then
    `release_all_decoded`), or if the page is not in memory."""
    host = find_region(h, physical & ~0xFFF, PAGE_BYTES)
    if host == 0:
        return 0
    word = page_word(h, host)
    decoded = host_load32(word) & PAGE_DECODED
    if decoded != 0:
        return u64(h.shared.pool_host + (decoded - 1) * POOL_STRIDE)
    number = h.shared.pool_used
    if number >= h.shared.pool_pages:
        return 0
    h.shared.pool_used = number + 1
    slots = u64(h.shared.pool_host + number * POOL_STRIDE)
    address: U64 = slots
    end = u64(slots + PAGE_SLOTS * SLOT_BYTES)
    while address != end:
        host_store64(address, h.shared.undecoded)
        address = u64(address + SLOT_BYTES)
    host_store64(end, h.shared.page_end)
    host_store64(u64(slots + PAGE_MARK), 0)
    host_store64(u64(h.shared.pool_owner + number * 8), word)
    if host_load32(word) & PAGE_STORED != 0:
        _drop_fast_stores(h, host)
    host_store32(word, (host_load32(word) & PAGE_WATCHED) | (number + 1))
    return slots


def _drop_fast_stores(h: Hart, page: U64) -> None:
    """Take the tags of fast stores to a page, given by its host address, out of all harts' TLBs."""
    for n in range(h.shared.hart_count):
        _drop_fast_stores_of(h.shared.harts[n & 63], page)


def _drop_fast_stores_of(hart: U64, page: U64) -> None:
    """The same for one hart, given by its host address."""
    for context in range(CONTEXTS):
        _drop_fast_stores_in(
            u64(hart + (_DTLB + context * 8 * DATA_WORDS)),
            host_load64(u64(hart + (_DTLB_FILLED + context * 8))),
            u64(hart + (_DTLB_LOG + context * 8 * FILL_LOG)),
            page,
        )


def _drop_fast_stores_in(entries: U64, filled: U64, log: U64, page: U64) -> None:
    """The same for one context: its entries and its log (host addresses), and how full that is."""
    n: U64 = 0
    if filled <= FILL_LOG:
        while n < filled:
            _drop_fast_store(u64(entries + host_load64(u64(log + n * 8)) * 32), page)
            n = u64(n + 1)
    else:
        while n < DATA_ENTRIES:
            _drop_fast_store(u64(entries + n * 32), page)
            n = u64(n + 1)


def _drop_fast_store(entry: U64, page: U64) -> None:
    """The same for one entry, given by its host address."""
    tag = host_load64(u64(entry + 8 * FAST_STORE_TAG))
    if tag != NO_PAGE and u64(tag + host_load64(u64(entry + 8 * ADDEND))) == page:
        host_store64(u64(entry + 8 * FAST_STORE_TAG), NO_PAGE)


# --- When all is dropped ---------------------------------------------------------------------


def release_all_decoded(h: Hart) -> None:
    """Give all decoded pages back to the pool."""
    for number in range(h.shared.pool_used):
        word = host_load64(u64(h.shared.pool_owner + number * 8))
        host_store32(word, host_load32(word) & ~PAGE_DECODED)
    h.shared.pool_used = 0
    for n in range(h.shared.hart_count):
        _drop_decoded_of(h.shared.harts[n & 63])


def _drop_decoded_of(hart: U64) -> None:
    """Make the fetch TLB of a hart, given by its host address, name no decoded page."""
    n: U64 = 0
    while n < CONTEXTS * FETCH_ENTRIES:
        host_store64(u64(hart + _FTLB + n * 32 + 8 * FETCH_DECODED), 0)
        n = u64(n + 1)
