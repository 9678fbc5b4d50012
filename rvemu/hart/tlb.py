"""The soft TLBs: filled by accesses, emptied by fences and by whatever else changes translation.

An entry says that a page of a context (rvemu.hart.state) may be accessed, and where it is in host
memory. Everything that decides that is folded in: both stages of translation, PMP, A and D bits.
So entries of large pages are slices of 4 KiB, and contexts remember the range in which such slices
lie, for a fence that names one address of the large page must drop all of them.

Entries carry no ASID or VMID: writing satp, vsatp or hgatp empties contexts as a fence does.
"""

from rvemu.hart.points import page_is_watched
from rvemu.hart.regions import writable_page_word
from rvemu.hart.state import (
    ADDEND,
    CONTEXT_M,
    CONTEXT_S,
    CONTEXT_S_SUM,
    CONTEXT_U,
    CONTEXT_VS,
    CONTEXT_VS_SUM,
    CONTEXT_VU,
    DATA_ENTRIES,
    DATA_FILLS,
    DATA_WORDS,
    FAST_STORE_TAG,
    FETCH_ADDEND,
    FETCH_DECODED,
    FETCH_ENTRIES,
    FETCH_FILLS,
    FETCH_TAG,
    FETCH_WORDS,
    FILL_LOG,
    LOAD_TAG,
    NO_PAGE,
    PAGE_DECODED,
    PAGE_MASK,
    PAGE_STORED,
    PAGE_WATCHED,
    STORE_TAG,
    Hart,
)
from rvemu.lang import M64, U1, U3, U6, U64, Static, fill_words, host_load32, host_store32, u64

_SUPERVISOR = (CONTEXT_S, CONTEXT_S_SUM, CONTEXT_U)
_VIRTUAL = (CONTEXT_VS, CONTEXT_VS_SUM, CONTEXT_VU)

# --- Filling ---------------------------------------------------------------------------------


def fill_data(h: Hart, address: U64, host: U64, stores: U1, page_bits: U6) -> None:
    """Hold the page of a data address in the current context.

    host: the host address of the byte at `address`.
    stores: whether a store would be allowed as well, and find nothing left to do (D is set).
    page_bits: log2 of the size in bytes of the page that the first stage maps."""
    if h.shared.watch_count != 0 and page_is_watched(h, address):
        return
    entry = (address >> 12) & (DATA_ENTRIES - 1)
    i = h.dtlb_base + entry * 4
    if h.dtlb[i + LOAD_TAG] == NO_PAGE:
        n = h.dtlb_filled[h.data_context]
        if n < FILL_LOG:
            h.dtlb_log[h.data_context * FILL_LOG + (n & (FILL_LOG - 1))] = entry
            h.dtlb_filled[h.data_context] = n + 1
        else:
            h.dtlb_filled[h.data_context] = FILL_LOG + 1
    h.tlb_fills[DATA_FILLS] = u64(h.tlb_fills[DATA_FILLS] + 1)
    tag = address & PAGE_MASK
    h.dtlb[i + LOAD_TAG] = tag
    h.dtlb[i + ADDEND] = u64(host - address)
    h.dtlb[i + FAST_STORE_TAG] = NO_PAGE
    h.dtlb[i + STORE_TAG] = NO_PAGE
    if stores and writable_page_word(h, host) != 0:
        h.dtlb[i + STORE_TAG] = tag
        allow_fast_stores(h, address, host)
    if page_bits > 12:
        _note_large(h, h.data_context, address, page_bits)


def allow_fast_stores(h: Hart, address: U64, host: U64) -> None:
    """Let stores to a page that the TLB holds for stores go the fast way, unless it holds decoded
    instructions."""
    word = writable_page_word(h, host)
    if word != 0 and host_load32(word) & (PAGE_DECODED | PAGE_WATCHED) == 0:
        host_store32(word, PAGE_STORED)
        i = h.dtlb_base + ((address >> 12) & (DATA_ENTRIES - 1)) * 4
        h.dtlb[i + FAST_STORE_TAG] = address & PAGE_MASK


def fill_fetch(h: Hart, address: U64, host: U64, page_bits: U6) -> None:
    """Hold the page of an instruction's address; parameters as in `fill_data`."""
    entry = (address >> 12) & (FETCH_ENTRIES - 1)
    i = h.ftlb_base + entry * 4
    if h.ftlb[i + FETCH_TAG] == NO_PAGE:
        n = h.ftlb_filled[h.fetch_context]
        if n < FILL_LOG:
            h.ftlb_log[h.fetch_context * FILL_LOG + (n & (FILL_LOG - 1))] = entry
            h.ftlb_filled[h.fetch_context] = n + 1
        else:
            h.ftlb_filled[h.fetch_context] = FILL_LOG + 1
    h.tlb_fills[FETCH_FILLS] = u64(h.tlb_fills[FETCH_FILLS] + 1)
    h.ftlb[i + FETCH_TAG] = address & PAGE_MASK
    h.ftlb[i + FETCH_ADDEND] = u64(host - address)
    h.ftlb[i + FETCH_DECODED] = 0
    if page_bits > 12:
        _note_large(h, h.fetch_context, address, page_bits)


def _note_large(h: Hart, context: U3, address: U64, page_bits: U6) -> None:
    """Extend a context's range of large pages."""
    rest = u64((1 << page_bits) - 1)
    h.large_low[context] = min(h.large_low[context], address & ~rest)
    h.large_high[context] = max(h.large_high[context], address | rest)


# --- Emptying --------------------------------------------------------------------------------


def flush_context(h: Hart, context: U3) -> None:
    """Empty a context. Cheap if few entries were filled since the last time."""
    filled = h.dtlb_filled[context]
    if filled > FILL_LOG:
        fill_words(h.dtlb, context * DATA_WORDS, DATA_WORDS, 1)
    else:
        for n in range(min(filled, FILL_LOG)):
            entry = h.dtlb_log[context * FILL_LOG + n] & (DATA_ENTRIES - 1)
            _drop_data(h, context, entry)
    h.dtlb_filled[context] = 0
    filled = h.ftlb_filled[context]
    if filled > FILL_LOG:
        fill_words(h.ftlb, context * FETCH_WORDS, FETCH_WORDS, 1)
    else:
        for n in range(min(filled, FILL_LOG)):
            fetched = h.ftlb_log[context * FILL_LOG + n] & (FETCH_ENTRIES - 1)
            h.ftlb[context * FETCH_WORDS + fetched * 4 + FETCH_TAG] = NO_PAGE
    h.ftlb_filled[context] = 0
    h.large_low[context] = M64
    h.large_high[context] = 0


def _drop_data(h: Hart, context: U3, entry: U64) -> None:
    """Empty one entry."""
    i = context * DATA_WORDS + (entry & (DATA_ENTRIES - 1)) * 4
    h.dtlb[i + LOAD_TAG] = NO_PAGE
    h.dtlb[i + FAST_STORE_TAG] = NO_PAGE
    h.dtlb[i + STORE_TAG] = NO_PAGE


def flush_supervisor(h: Hart) -> None:
    """Empty the contexts that satp translates: all but M-mode's and those at V=1."""
    for context in _SUPERVISOR:
        flush_context(h, context)


def flush_virtual(h: Hart) -> None:
    """Empty the contexts at V=1."""
    for context in _VIRTUAL:
        flush_context(h, context)


def flush_all(h: Hart) -> None:
    """Empty all contexts."""
    flush_context(h, CONTEXT_M)
    flush_supervisor(h)
    flush_virtual(h)


def flush_address(h: Hart, virtual: Static[bool], address: U64) -> None:
    """Drop whatever translates a virtual address, in the contexts at V=1 or in those of satp."""
    if virtual:
        for context in _VIRTUAL:
            _flush_address_in(h, context, address)
    else:
        for context in _SUPERVISOR:
            _flush_address_in(h, context, address)


def _flush_address_in(h: Hart, context: U3, address: U64) -> None:
    if h.large_low[context] <= address and address <= h.large_high[context]:
        flush_context(h, context)
        return
    tag = address & PAGE_MASK
    entry = (address >> 12) & (DATA_ENTRIES - 1)
    if h.dtlb[context * DATA_WORDS + entry * 4 + LOAD_TAG] == tag:
        _drop_data(h, context, entry)
    i = context * FETCH_WORDS + ((address >> 12) & (FETCH_ENTRIES - 1)) * 4
    if h.ftlb[i + FETCH_TAG] == tag:
        h.ftlb[i + FETCH_TAG] = NO_PAGE
