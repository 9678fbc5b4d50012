"""Bookkeeping of decoded pages, with a pool as the native engine has one."""

import ctypes
from collections.abc import Iterator

import pytest

from rvemu.hart.access import fetch, load8, locate_for_amo, store8, store64, zero_block
from rvemu.hart.decoded import (
    PAGE_SLOTS,
    POOL_STRIDE,
    decode_page,
    invalidate_physical,
    release_all_decoded,
)
from rvemu.hart.state import (
    CONTEXT_M,
    DATA_ENTRIES,
    DATA_WORDS,
    FAST_STORE_TAG,
    FETCH_DECODED,
    FETCH_ENTRIES,
    FETCH_WORDS,
    PAGE_STORED,
    STORE_TAG,
    Hart,
)
from tests.hart.memory_rig import PAGE, RAM_BASE, ROM_BASE, Rig

PAGES = 3
UNDECODED, PAGE_END, DECODED = 0x1111, 0x2222, 0x3333


class Pool(Rig):
    """Two harts and a pool of three decoded pages."""

    def __init__(self) -> None:
        super().__init__(harts=2)
        self.pool = (ctypes.c_uint64 * (PAGES * POOL_STRIDE // 8))()
        self.owners = (ctypes.c_uint64 * PAGES)()
        self.shared.pool_host = ctypes.addressof(self.pool)
        self.shared.pool_owner = ctypes.addressof(self.owners)
        self.shared.pool_pages = PAGES
        self.shared.undecoded = UNDECODED
        self.shared.page_end = PAGE_END

    def slots(self, n: int) -> range:
        """Where the handlers of a decoded page are in `pool`, with the one after the last."""
        start = n * POOL_STRIDE // 8
        return range(start, start + 2 * PAGE_SLOTS + 1, 2)

    def decode(self, n: int) -> None:
        """Put instructions in all slots of a decoded page."""
        for i in self.slots(n)[:-1]:
            self.pool[i] = DECODED

    def emptied(self, n: int) -> list[int]:
        return [k for k, i in enumerate(self.slots(n)) if self.pool[i] == UNDECODED]

    def page_word(self, address: int) -> int:
        return int(self.page_words[0][(address - RAM_BASE) // PAGE])

    def store_tags(self, address: int, hart: Hart | None = None) -> tuple[bool, bool]:
        """Whether a hart holds a page for stores, and for fast ones."""
        h = hart or self.h
        i = CONTEXT_M * DATA_WORDS + (address >> 12) % DATA_ENTRIES * 4
        return h.dtlb[i + STORE_TAG] == address, h.dtlb[i + FAST_STORE_TAG] == address


@pytest.fixture
def pool() -> Iterator[Pool]:
    yield Pool()


def test_pages_come_from_the_pool(pool: Pool) -> None:
    for n in range(PAGES):
        address = RAM_BASE + n * PAGE
        for _ in range(2):
            slots = pool.call(decode_page, address + 8 * n)
            assert slots == pool.shared.pool_host + n * POOL_STRIDE
        assert pool.page_word(address) == n + 1
        assert pool.emptied(n) == list(range(PAGE_SLOTS))
        assert pool.pool[pool.slots(n)[-1]] == PAGE_END
    assert pool.call(decode_page, RAM_BASE + 3 * PAGE) == 0
    assert pool.call(decode_page, 0x1000_0000) == 0


def test_rom_can_be_decoded(pool: Pool) -> None:
    assert pool.call(decode_page, ROM_BASE)
    assert pool.page_words[1][0] == 1


@pytest.mark.parametrize(
    ("offset", "size", "slots"),
    [
        (0, 1, [0]),
        (1, 1, [0]),
        (2, 1, [0, 1]),
        (3, 1, [0, 1]),
        (8, 8, [3, 4, 5, 6, 7]),
        (9, 8, [3, 4, 5, 6, 7, 8]),
        (4095, 1, [2046, 2047]),
        (4088, 8, [2043, 2044, 2045, 2046, 2047]),
        (4092, 8, [2045, 2046, 2047]),  # on into the next page
    ],
)
def test_a_store_empties_the_slots_it_overlaps(
    pool: Pool, offset: int, size: int, slots: list[int]
) -> None:
    """And the one before: a 4-byte instruction there ends in what was stored."""
    pool.call(decode_page, RAM_BASE)
    pool.call(decode_page, RAM_BASE + PAGE)
    for warm in range(2):
        pool.decode(0)
        pool.decode(1)
        pool.call(store8 if size == 1 else store64, RAM_BASE + offset, warm)
        assert pool.emptied(0) == slots
        assert pool.emptied(1) == ([0, 1] if offset == 4092 else [])
        assert pool.pool[pool.slots(0)[-1]] == PAGE_END


def test_amo_and_cache_blocks_empty_slots(pool: Pool) -> None:
    pool.call(decode_page, RAM_BASE)
    pool.decode(0)
    pool.call(locate_for_amo, RAM_BASE + 8, 4)
    assert pool.emptied(0) == [3, 4, 5]
    pool.decode(0)
    pool.call(zero_block, RAM_BASE + 128)
    assert pool.emptied(0) == list(range(63, 96))


def test_what_the_host_writes(pool: Pool) -> None:
    pool.call(decode_page, RAM_BASE)
    pool.call(decode_page, RAM_BASE + 2 * PAGE)
    pool.decode(0)
    pool.decode(1)
    pool.call(invalidate_physical, RAM_BASE + 4090, PAGE + 10)
    assert pool.emptied(0) == [2044, 2045, 2046, 2047]
    assert pool.emptied(1) == [0, 1]
    pool.call(invalidate_physical, 0x1000_0000, 100)


def test_a_decoded_page_takes_no_fast_stores(pool: Pool) -> None:
    pool.call(decode_page, RAM_BASE)
    for _ in range(2):
        pool.call(store8, RAM_BASE, 1)
        assert pool.store_tags(RAM_BASE) == (True, False)
    assert not pool.page_word(RAM_BASE) & PAGE_STORED


@pytest.mark.parametrize("others", [0, 200])
def test_decoding_ends_fast_stores_of_all_harts(pool: Pool, others: int) -> None:
    first, second = pool.harts
    for hart in (first, second):
        pool.h = hart
        for n in range(others):  # the log overflows
            pool.call(load8, RAM_BASE + n * PAGE)
        pool.call(store8, RAM_BASE + 5 * PAGE, 1)
        pool.call(store8, RAM_BASE + 6 * PAGE, 1)
    assert pool.page_word(RAM_BASE + 5 * PAGE) == PAGE_STORED
    pool.call(decode_page, RAM_BASE + 5 * PAGE)
    assert pool.page_word(RAM_BASE + 5 * PAGE) == 1
    for hart in (first, second):
        assert pool.store_tags(RAM_BASE + 5 * PAGE, hart) == (True, False)
        assert pool.store_tags(RAM_BASE + 6 * PAGE, hart) == (True, True)
    pool.decode(0)
    pool.h = first
    pool.call(store8, RAM_BASE + 5 * PAGE + 10, 1)
    assert pool.emptied(0) == [4, 5]


def test_releasing_all(pool: Pool) -> None:
    pool.call(store8, RAM_BASE + PAGE, 1)
    for n in range(PAGES):
        pool.call(decode_page, RAM_BASE + n * PAGE)
    pool.call(fetch, RAM_BASE)
    i = CONTEXT_M * FETCH_WORDS + (RAM_BASE >> 12) % FETCH_ENTRIES * 4
    for hart in pool.harts:
        hart.ftlb[i + FETCH_DECODED] = 1
    pool.call(release_all_decoded)
    assert [pool.page_word(RAM_BASE + n * PAGE) & ~PAGE_STORED for n in range(PAGES)] == [0] * PAGES
    for hart in pool.harts:
        assert hart.ftlb[i + FETCH_DECODED] == 0
    assert pool.call(decode_page, RAM_BASE + PAGE) == pool.shared.pool_host
    # A store goes the fast way again where nothing is decoded any more.
    pool.call(store8, RAM_BASE + 2 * PAGE, 1)
    assert pool.store_tags(RAM_BASE + 2 * PAGE) == (True, True)
