"""The soft TLBs: what they hold, and what fences drop."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rvemu.hart.access import fetch, load8, store8
from rvemu.hart.fences import fence_guest, fence_supervisor, fence_virtual
from rvemu.hart.fields import MENVCFG, MODE_SV39, PMP_NA4
from rvemu.hart.state import (
    CONTEXT_M,
    CONTEXT_S,
    CONTEXT_S_SUM,
    CONTEXT_U,
    CONTEXT_VS,
    CONTEXT_VU,
    CONTEXTS,
    DATA_ENTRIES,
    DATA_WORDS,
    FAST_STORE_TAG,
    FETCH_ENTRIES,
    FETCH_TAG,
    FETCH_WORDS,
    FILL_LOG,
    LOAD_TAG,
    M_MODE,
    NO_PAGE,
    S_MODE,
    STOP_TRANSLATION,
    STORE_TAG,
    U_MODE,
)
from rvemu.hart.tlb import flush_address, flush_all, flush_context, flush_supervisor
from rvemu.lang import M64
from tests.hart.memory_rig import DEVICE, PAGE, RAM_BASE, ROM_BASE, RW, RWX, A, D, R, Rig, U, V, W

VA = 0x40_0000
TARGET = RAM_BASE + 0x3000


@pytest.fixture
def rig() -> Rig:
    r = Rig()
    r.translate_with("satp", MODE_SV39)
    r.mode(S_MODE)
    return r


def held(rig: Rig, context: int, address: int, tag: int = LOAD_TAG) -> bool:
    """Whether a data entry of a context answers for an address."""
    i = context * DATA_WORDS + (address >> 12) % DATA_ENTRIES * 4
    return bool(rig.h.dtlb[i + tag] == address & ~0xFFF & M64)


def fetch_held(rig: Rig, context: int, address: int) -> bool:
    i = context * FETCH_WORDS + (address >> 12) % FETCH_ENTRIES * 4
    return bool(rig.h.ftlb[i + FETCH_TAG] == address & ~0xFFF & M64)


def entries(rig: Rig, context: int) -> int:
    """How many data and fetch entries of a context are not empty."""
    d = rig.h.dtlb[context * DATA_WORDS : (context + 1) * DATA_WORDS]
    f = rig.h.ftlb[context * FETCH_WORDS : (context + 1) * FETCH_WORDS]
    data = [d[i : i + 4] for i in range(0, DATA_WORDS, 4)]
    used = sum(any(e[t] != NO_PAGE for t in (LOAD_TAG, FAST_STORE_TAG, STORE_TAG)) for e in data)
    return used + sum(tag != NO_PAGE for tag in f[FETCH_TAG::4])


# --- Filling ---------------------------------------------------------------------------------


def test_a_new_hart_holds_nothing(rig: Rig) -> None:
    assert all(entries(rig, c) == 0 for c in range(CONTEXTS))


def test_a_load_of_a_dirty_page_lets_store(rig: Rig) -> None:
    rig.map("satp", VA, TARGET, RW)
    rig.call(load8, VA + 5)
    for tag in (LOAD_TAG, STORE_TAG, FAST_STORE_TAG):
        assert held(rig, CONTEXT_S, VA, tag)


@pytest.mark.parametrize("flags", [V | R | A, V | R | A | D, V | R | W | A])
def test_a_load_does_not_let_store_what_is_not_writable_or_dirty(rig: Rig, flags: int) -> None:
    rig.map("satp", VA, TARGET, flags)
    rig.call(load8, VA)
    assert held(rig, CONTEXT_S, VA)
    assert not held(rig, CONTEXT_S, VA, STORE_TAG)
    assert not held(rig, CONTEXT_S, VA, FAST_STORE_TAG)


def test_the_first_store_sets_d(rig: Rig) -> None:
    rig.h.menvcfg = MENVCFG.ADUE.mask
    entry = rig.map("satp", VA, TARGET, V | R | W)
    rig.call(load8, VA)
    assert rig.read(entry) & (A | D) == A
    rig.call(store8, VA, 1)
    assert rig.read(entry) & (A | D) == A | D
    assert held(rig, CONTEXT_S, VA, FAST_STORE_TAG)


def test_what_is_not_held(rig: Rig) -> None:
    rig.map("satp", VA, DEVICE, RWX)
    rig.stopped(load8, VA)
    rig.map("satp", VA + PAGE, ROM_BASE, RWX)
    rig.call(load8, VA + PAGE)
    assert not held(rig, CONTEXT_S, VA)
    assert held(rig, CONTEXT_S, VA + PAGE)
    assert not held(rig, CONTEXT_S, VA + PAGE, STORE_TAG)
    rig.map("satp", VA + 2 * PAGE, TARGET, RWX)
    rig.pmp(0, PMP_NA4 << 3 | 7, TARGET >> 2)
    rig.call(load8, VA + 2 * PAGE)
    rig.call(fetch, VA + 2 * PAGE)
    assert entries(rig, CONTEXT_S) == 0


def test_contexts_are_apart(rig: Rig) -> None:
    rig.map("satp", VA, TARGET, RW | U)
    rig.mode(U_MODE)
    rig.call(load8, VA)
    assert held(rig, CONTEXT_U, VA)
    rig.mode(S_MODE)
    rig.fault(load8, VA)
    rig.status(SUM=1)
    rig.call(load8, VA)
    assert held(rig, CONTEXT_S_SUM, VA)
    assert not held(rig, CONTEXT_S, VA)
    rig.mode(M_MODE)
    rig.call(load8, TARGET)
    assert held(rig, CONTEXT_M, TARGET)


# --- Fences ----------------------------------------------------------------------------------


def world(rig: Rig) -> None:
    """Entries for VA in every context."""
    rig.h.menvcfg = 0
    rig.translate_with("hgatp", MODE_SV39)
    rig.identity()
    rig.translate_with("vsatp", MODE_SV39)
    rig.map("vsatp", VA, TARGET)
    rig.map("satp", VA, TARGET, RWX)
    for priv, v, user in (
        (S_MODE, 0, 0),
        (U_MODE, 0, U),
        (S_MODE, 1, 0),
        (U_MODE, 1, U),
        (M_MODE, 0, 0),
    ):
        register = "vsatp" if v else "satp"
        root = (getattr(rig.h, register) & ((1 << 44) - 1)) << 12
        for level in (2, 1):
            root = (rig.read(rig.entry(register, root, VA, level)) >> 10) << 12
        entry = rig.entry(register, root, VA, 0)
        rig.write(entry, (rig.read(entry) & ~U) | user)
        rig.mode(priv, v)
        rig.call(load8, TARGET if priv == M_MODE else VA)
        rig.call(fetch, TARGET if priv == M_MODE else VA)


HOST = (CONTEXT_S, CONTEXT_U)
GUEST = (CONTEXT_VS, CONTEXT_VU)


def empty(rig: Rig) -> set[int]:
    return {c for c in (CONTEXT_M, *HOST, *GUEST) if entries(rig, c) == 0}


@pytest.mark.parametrize(
    ("fence", "arguments", "dropped"),
    [
        (fence_supervisor, (0, 0), {*HOST}),
        (fence_supervisor, (1, VA + 7), {*HOST}),
        (fence_supervisor, (1, VA + PAGE), set()),
        (fence_supervisor, (1, VA | 1 << 63), set()),  # norm:sfence_vma_invalid_va
        (fence_virtual, (0, 0), {*GUEST}),
        (fence_virtual, (1, VA), {*GUEST}),
        (fence_virtual, (1, VA - 1), set()),
        (fence_guest, (), {*GUEST}),  # 33
        (flush_all, (), {CONTEXT_M, *HOST, *GUEST}),
    ],
)
def test_fences(rig: Rig, fence: Any, arguments: tuple[int, ...], dropped: set[int]) -> None:
    world(rig)
    assert empty(rig) == set()
    rig.call(fence, *arguments)
    assert empty(rig) == dropped


@pytest.mark.parametrize(("level", "flags"), [(1, RWX), (2, RWX), (0, RWX | 1 << 63)])
def test_one_address_of_a_large_page_stands_for_all(rig: Rig, level: int, flags: int) -> None:
    size = 1 << (12 + 9 * level) if level else 16 * PAGE
    target = RAM_BASE if level else RAM_BASE + 0x8000
    for n in range(16 if level == 0 else 1):
        rig.map("satp", 4 * size + n * PAGE, target, flags, level)
    rig.map("satp", 64 * size, TARGET)
    for n in (0, 3, 15):
        rig.call(load8, 4 * size + n * PAGE)
        rig.call(fetch, 4 * size + n * PAGE)
    rig.call(load8, 64 * size)
    rig.call(fence_supervisor, 1, 5 * size)
    assert held(rig, CONTEXT_S, 4 * size + 3 * PAGE)
    rig.call(fence_supervisor, 1, 5 * size - 1)
    for n in (0, 3, 15):
        assert not held(rig, CONTEXT_S, 4 * size + n * PAGE)
        assert not fetch_held(rig, CONTEXT_S, 4 * size + n * PAGE)


def test_a_fence_by_address_spares_other_pages(rig: Rig) -> None:
    for n in range(3):
        rig.map("satp", VA + n * PAGE, TARGET + n * PAGE)
    for n in range(3):
        rig.call(load8, VA + n * PAGE)
    rig.call(flush_address, False, VA + PAGE)
    assert [held(rig, CONTEXT_S, VA + n * PAGE) for n in range(3)] == [True, False, True]


@pytest.mark.parametrize("count", [1, FILL_LOG, FILL_LOG + 1, 3 * FILL_LOG])
def test_emptying_a_context_empties_it(count: int) -> None:
    rig = Rig()
    h = rig.h
    pages = [RAM_BASE + n % 256 * PAGE for n in range(count)]
    for page in pages:
        rig.call(load8, page)
        rig.call(fetch, page)
    before = entries(rig, CONTEXT_M)
    assert before == 2 * min(count, 256)
    rig.call(flush_supervisor)
    assert entries(rig, CONTEXT_M) == before
    rig.call(flush_context, CONTEXT_M)
    assert entries(rig, CONTEXT_M) == 0
    assert (h.dtlb_filled[CONTEXT_M], h.ftlb_filled[CONTEXT_M]) == (0, 0)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["load", "store", "fetch", "fence"]), st.integers(0, 300)),
            st.tuples(st.just("flush"), st.just(0)),
        ),
        max_size=300,
    )
)
@settings(max_examples=30, deadline=None)
def test_whatever_happened_a_flush_leaves_nothing(trace: list[tuple[str, int]]) -> None:
    """The log has every entry that is not empty, or says that it overflowed."""
    for what, n in trace:
        address = RAM_BASE + n % 256 * PAGE
        if what == "load":
            SHARED_RIG.call(load8, address)
        elif what == "store":
            SHARED_RIG.call(store8, address, n)
        elif what == "fetch":
            SHARED_RIG.call(fetch, address)
        elif what == "fence":
            SHARED_RIG.call(flush_address, False, address)
        else:
            SHARED_RIG.call(flush_context, CONTEXT_S)
    SHARED_RIG.call(flush_all)
    assert entries(SHARED_RIG, CONTEXT_S) == 0


SHARED_RIG = Rig()
SHARED_RIG.mode(S_MODE)


# --- Watching --------------------------------------------------------------------------------


def test_translations_are_noted_if_the_host_asks(rig: Rig) -> None:
    h = rig.h
    h.budget = 100
    rig.map("satp", VA, TARGET)
    rig.call(load8, VA + 4)
    assert h.seen_count == 0
    h.mmu_hook = 1
    rig.call(load8, VA + 8)  # held
    assert (h.seen_count, h.budget) == (0, 100)
    rig.call(fetch, VA + 6)
    rig.fault(store8, VA + PAGE + 1, 0)
    assert (h.seen_count, h.stop_reason, h.budget) == (2, STOP_TRANSLATION, 0)
    assert list(h.seen_address[:2]) == [VA + 6, VA + PAGE + 1]
    assert h.seen_physical[0] == TARGET + 6
    assert list(h.seen_access[:2]) == [2, 1]
    assert list(h.seen_refused[:2]) == [0, 1]
    assert list(h.seen_context[:2]) == [CONTEXT_S, CONTEXT_S]
    for n in range(20):
        rig.fault(load8, VA + (n + 2) * PAGE)
    assert h.seen_count == 8
