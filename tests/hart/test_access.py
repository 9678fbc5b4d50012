"""Loads, stores, atomics and fetches: alignment, page crossings, devices, faults."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rvemu.hart.access import (
    fetch,
    fetch_instruction,
    load8,
    load16,
    load32,
    load64,
    load_reserved,
    locate_for_amo,
    manage_block,
    store8,
    store16,
    store32,
    store64,
    store_conditional,
    zero_block,
)
from rvemu.hart.exceptions import Cause
from rvemu.hart.fields import MODE_SV39, PMP_NA4, PMP_NAPOT
from rvemu.hart.state import (
    DEVICE_NONE,
    FETCH_ENTRIES,
    FETCH_TAG,
    M_MODE,
    S_MODE,
    STOP_READ,
    STOP_WRITE,
    U_MODE,
)
from rvemu.lang import host_load16
from tests.hart.memory_rig import (
    DEVICE,
    PAGE,
    RAM_BASE,
    RAM_SIZE,
    ROM_BASE,
    RW,
    RWX,
    A,
    D,
    Fault,
    R,
    Rig,
    V,
    X,
)

LOADS: dict[int, Callable[..., Any]] = {1: load8, 2: load16, 4: load32, 8: load64}
STORES: dict[int, Callable[..., Any]] = {1: store8, 2: store16, 4: store32, 8: store64}
SIZES = [1, 2, 4, 8]
NAPOT, NA4 = PMP_NAPOT << 3, PMP_NA4 << 3

# In the paged rig: two pages side by side whose memory is not, and one page beside nothing.
VA = 0x40_0000
FIRST, SECOND = RAM_BASE + 0x5000, RAM_BASE + 0x2000
LAST = VA + PAGE


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def paged() -> Rig:
    r = Rig()
    r.translate_with("satp", MODE_SV39)
    r.map("satp", VA, FIRST)
    r.map("satp", LAST, SECOND)
    r.mode(S_MODE)
    return r


# --- In memory -------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("offset", range(9))
def test_loads_and_stores_of_any_alignment(rig: Rig, size: int, offset: int) -> None:
    rig.ram.write(RAM_BASE, bytes(range(0x80, 0xA0)))
    address = RAM_BASE + offset
    for _ in range(2):  # the second time the TLB has it
        expected = int.from_bytes(bytes(range(0x80 + offset, 0x80 + offset + size)), "little")
        assert rig.call(LOADS[size], address) == expected
    rig.call(STORES[size], address, 0x1122_3344_5566_7788)
    stored = bytearray(range(0x80, 0xA0))
    stored[offset : offset + size] = (0x1122_3344_5566_7788).to_bytes(8, "little")[:size]
    assert rig.ram.read(RAM_BASE, 32) == bytes(stored)


accesses = st.lists(
    st.tuples(st.integers(0, 2 * PAGE - 8), st.sampled_from(SIZES), st.integers(0, (1 << 64) - 1)),
    min_size=1,
    max_size=20,
)
PAGED = Rig()
PAGED.translate_with("satp", MODE_SV39)
PAGED.map("satp", VA, FIRST)
PAGED.map("satp", LAST, SECOND)
PAGED.mode(S_MODE)


@given(accesses)
@settings(max_examples=100, deadline=None)
def test_two_pages_are_as_one_array(trace: list[tuple[int, int, int]]) -> None:
    for page in (FIRST, SECOND):
        PAGED.ram.write(page, bytes(PAGE))
    expected = bytearray(2 * PAGE)
    for offset, size, value in trace:
        offset = max(offset, PAGE - 12) if offset % 3 else offset
        offset = min(offset, PAGE + 4) if offset % 5 else offset
        PAGED.call(STORES[size], VA + offset, value)
        expected[offset : offset + size] = value.to_bytes(8, "little")[:size]
        for other in SIZES:
            start = max(offset - 3, 0)
            loaded = PAGED.call(LOADS[other], VA + start)
            assert loaded == int.from_bytes(expected[start : start + other], "little")
    assert PAGED.ram.read(FIRST, PAGE) + PAGED.ram.read(SECOND, PAGE) == bytes(expected)


@pytest.mark.parametrize("size", [2, 4, 8])
def test_21_a_fault_names_the_part_that_faults(paged: Rig, size: int) -> None:
    """ "Machine Trap Value", norm:H_straddle"""
    for back in range(1, size):
        address = LAST + PAGE - back
        fault = paged.fault(LOADS[size], address)
        assert fault == Fault(Cause.LOAD_PAGE_FAULT, LAST + PAGE)
        before = paged.ram.read(SECOND, PAGE)
        fault = paged.fault(STORES[size], address, (1 << 64) - 1)
        assert fault == Fault(Cause.STORE_PAGE_FAULT, LAST + PAGE)
        assert paged.ram.read(SECOND, PAGE) == before
        address = VA - back
        assert paged.fault(LOADS[size], address) == Fault(Cause.LOAD_PAGE_FAULT, address)
        assert paged.fault(STORES[size], address, 0) == Fault(Cause.STORE_PAGE_FAULT, address)


def test_the_end_of_memory(rig: Rig) -> None:
    end = RAM_BASE + RAM_SIZE
    assert rig.fault(load64, end - 4) == Fault(Cause.LOAD_ACCESS_FAULT, end)
    assert rig.fault(store64, end - 4, 0) == Fault(Cause.STORE_ACCESS_FAULT, end)
    assert rig.fault(load64, RAM_BASE - 4) == Fault(Cause.LOAD_ACCESS_FAULT, RAM_BASE - 4)


@pytest.mark.parametrize("address", [(1 << 64) - 4, (1 << 64) - 8, 1 << 56, 1 << 63])
def test_there_is_nothing_above_56_bits(rig: Rig, address: int) -> None:
    assert rig.fault(load64, address) == Fault(Cause.LOAD_ACCESS_FAULT, address)
    assert rig.fault(store64, address, 0) == Fault(Cause.STORE_ACCESS_FAULT, address)
    assert rig.fault(fetch, address).cause == Cause.INSTRUCTION_ACCESS_FAULT


def test_rom_can_be_read_only(rig: Rig) -> None:
    rig.write(ROM_BASE, 0x1234)
    assert rig.call(load64, ROM_BASE) == 0x1234
    for _ in range(2):
        assert rig.fault(store64, ROM_BASE, 0) == Fault(Cause.STORE_ACCESS_FAULT, ROM_BASE)
    assert rig.fault(locate_for_amo, ROM_BASE, 8) == Fault(Cause.STORE_ACCESS_FAULT, ROM_BASE)
    assert rig.fault(zero_block, ROM_BASE) == Fault(Cause.STORE_ACCESS_FAULT, ROM_BASE)
    assert rig.read(ROM_BASE) == 0x1234


# --- PMP -------------------------------------------------------------------------------------


def test_a_page_that_pmp_cuts_is_checked_each_time(rig: Rig) -> None:
    rig.mode(S_MODE)
    rig.pmp(0, NA4 | 1, (RAM_BASE + 8) >> 2)
    for _ in range(2):
        assert rig.call(load32, RAM_BASE + 8) == 0
        assert rig.call(load8, RAM_BASE + 11) == 0
        rig.call(store32, RAM_BASE + 12, 1)
        store = rig.fault(store32, RAM_BASE + 8, 1)
        assert store == Fault(Cause.STORE_ACCESS_FAULT, RAM_BASE + 8)
        # norm:pmp_full_match_required
        assert rig.fault(load64, RAM_BASE + 8) == Fault(Cause.LOAD_ACCESS_FAULT, RAM_BASE + 8)
        assert rig.fault(load32, RAM_BASE + 10) == Fault(Cause.LOAD_ACCESS_FAULT, RAM_BASE + 10)


def test_pmp_with_mprv(rig: Rig) -> None:
    rig.pmp(0, NAPOT | 1, RAM_BASE >> 2 | 0x1FF)
    rig.call(store64, RAM_BASE, 7)
    rig.status(MPRV=1, MPP=U_MODE)
    assert rig.call(load64, RAM_BASE) == 7
    assert rig.fault(store64, RAM_BASE, 8) == Fault(Cause.STORE_ACCESS_FAULT, RAM_BASE)
    rig.status(MPP=M_MODE)
    rig.call(store64, RAM_BASE, 8)


def test_loading_does_not_let_store_where_pmp_forbids(rig: Rig) -> None:
    rig.mode(S_MODE)
    rig.pmp(0, NAPOT | 1, RAM_BASE >> 2 | 0x1FF)
    rig.call(load64, RAM_BASE)
    assert rig.fault(store64, RAM_BASE, 8) == Fault(Cause.STORE_ACCESS_FAULT, RAM_BASE)


# --- Devices ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_a_device_read(rig: Rig, size: int) -> None:
    h = rig.h
    assert rig.stopped(LOADS[size], DEVICE + 8) == STOP_READ
    assert (h.device_address, h.device_width) == (DEVICE + 8, size)
    rig.answer(0x1122_3344_5566_7788)
    low = 0x1122_3344_5566_7788 & ((1 << 8 * size) - 1)
    assert rig.call(LOADS[size], DEVICE + 8) == low
    assert h.device_state == DEVICE_NONE
    assert rig.stopped(LOADS[size], DEVICE + 8) == STOP_READ


@pytest.mark.parametrize("size", SIZES)
def test_a_device_write(rig: Rig, size: int) -> None:
    h = rig.h
    assert rig.stopped(STORES[size], DEVICE, 0x1122_3344_5566_7788) == STOP_WRITE
    assert (h.device_address, h.device_width) == (DEVICE, size)
    assert h.device_value == 0x1122_3344_5566_7788 & ((1 << 8 * size) - 1)
    rig.answer(0)
    rig.call(STORES[size], DEVICE, 0x1122_3344_5566_7788)
    assert h.device_state == DEVICE_NONE


def test_absent_devices(rig: Rig) -> None:
    rig.stopped(load32, DEVICE)
    rig.answer(None)
    assert rig.fault(load32, DEVICE) == Fault(Cause.LOAD_ACCESS_FAULT, DEVICE)
    assert rig.h.device_state == DEVICE_NONE
    rig.stopped(store32, DEVICE, 0)
    rig.answer(None)
    assert rig.fault(store32, DEVICE, 0) == Fault(Cause.STORE_ACCESS_FAULT, DEVICE)


@pytest.mark.parametrize("address", [DEVICE + 1, DEVICE + 2, DEVICE + PAGE - 2])
def test_devices_want_aligned_accesses(rig: Rig, address: int) -> None:
    assert rig.fault(load32, address) == Fault(Cause.LOAD_ACCESS_FAULT, address)
    assert rig.fault(store32, address, 0) == Fault(Cause.STORE_ACCESS_FAULT, address)


def test_devices_know_no_atomics_and_no_code(rig: Rig) -> None:
    assert rig.fault(locate_for_amo, DEVICE, 4) == Fault(Cause.STORE_ACCESS_FAULT, DEVICE)
    assert rig.fault(load_reserved, DEVICE, 4) == Fault(Cause.LOAD_ACCESS_FAULT, DEVICE)
    assert rig.fault(store_conditional, DEVICE, 4, 0) == Fault(Cause.STORE_ACCESS_FAULT, DEVICE)
    assert rig.fault(fetch, DEVICE) == Fault(Cause.INSTRUCTION_ACCESS_FAULT, DEVICE)
    assert rig.fault(zero_block, DEVICE) == Fault(Cause.STORE_ACCESS_FAULT, DEVICE)
    assert rig.fault(manage_block, DEVICE) == Fault(Cause.STORE_ACCESS_FAULT, DEVICE)


def test_a_device_behind_a_page_table(paged: Rig) -> None:
    paged.map("satp", VA, DEVICE, RW)
    assert paged.stopped(load32, VA + 4) == STOP_READ
    assert paged.h.device_address == DEVICE + 4
    paged.answer(None)
    assert paged.fault(load32, VA + 4) == Fault(Cause.LOAD_ACCESS_FAULT, VA + 4)


# --- Atomics ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [4, 8])
def test_misaligned_atomics(rig: Rig, size: int) -> None:
    """norm:lr_sc_alignment"""
    for offset in range(1, size):
        address = RAM_BASE + offset
        store = Fault(Cause.STORE_ADDRESS_MISALIGNED, address)
        assert rig.fault(load_reserved, address, size).cause == Cause.LOAD_ADDRESS_MISALIGNED
        assert rig.fault(store_conditional, address, size, 0) == store
        for _ in range(2):
            assert rig.fault(locate_for_amo, address, size) == store
            rig.call(store64, RAM_BASE, 0)


def test_an_amo_is_checked_as_a_store(paged: Rig) -> None:
    assert paged.call(locate_for_amo, VA, 8) == paged.ram.host_address + FIRST - RAM_BASE
    paged.map("satp", VA, FIRST, V | R | A | D)
    assert paged.fault(locate_for_amo, VA, 8) == Fault(Cause.STORE_PAGE_FAULT, VA)
    paged.call(load64, VA)
    assert paged.fault(locate_for_amo, VA, 8) == Fault(Cause.STORE_PAGE_FAULT, VA)


def test_store_conditional(paged: Rig) -> None:
    paged.write(FIRST, 0x8000_0001_8000_0002)
    assert paged.call(store_conditional, VA, 8, 1) == 1  # no reservation
    assert paged.call(load_reserved, VA, 8) == 0x8000_0001_8000_0002
    assert paged.h.reservation_address == FIRST
    assert paged.call(store_conditional, VA, 8, 5) == 0
    assert paged.read(FIRST) == 5
    # norm:sc_reservation_invalidate
    assert paged.call(store_conditional, VA, 8, 6) == 1
    assert paged.read(FIRST) == 5


def test_store_conditional_needs_all_its_bytes_reserved(paged: Rig) -> None:
    """norm:sc_addr_not_in_reservation_fail"""
    for reserved, size, address, stored, result in (
        (VA, 8, VA + 8, 8, 1),
        (VA, 4, VA + 4, 4, 1),
        (VA + 4, 4, VA, 4, 1),
        (VA, 4, VA, 8, 1),
        (VA, 8, VA + 4, 4, 0),
        (VA, 4, LAST, 4, 1),
    ):
        paged.call(load_reserved, reserved, size)
        assert paged.call(store_conditional, address, stored, 0) == result


def test_a_reservation_is_of_physical_memory(paged: Rig) -> None:
    paged.map("satp", VA + 8 * PAGE, FIRST)
    paged.call(load_reserved, VA, 4)
    assert paged.call(store_conditional, VA + 8 * PAGE, 4, 0) == 0


def test_store_conditional_that_fails_is_checked_too(paged: Rig) -> None:
    """norm:sc_retire_permission"""
    paged.map("satp", VA, FIRST, V | R | A)
    assert paged.fault(store_conditional, VA, 4, 0) == Fault(Cause.STORE_PAGE_FAULT, VA)


# --- Fetches ---------------------------------------------------------------------------------


def test_instructions_of_both_lengths(rig: Rig) -> None:
    rig.write(RAM_BASE, 0x1234_5677_0001_4321)  # c: 4321, 0001; then 12345677
    assert rig.call(fetch_instruction, RAM_BASE) == 0x4321 & 0xFFFF
    assert rig.call(fetch_instruction, RAM_BASE + 2) == 0x0001
    assert rig.call(fetch_instruction, RAM_BASE + 4) == 0x1234_5677
    assert page_is_held(rig, RAM_BASE)


def test_an_instruction_across_pages(paged: Rig) -> None:
    paged.write(FIRST + PAGE - 2, 0x5677, 2)
    paged.write(SECOND, 0x1234, 2)
    assert paged.call(fetch_instruction, LAST - 2) == 0x1234_5677
    paged.write(SECOND + PAGE - 2, 0x5677, 2)
    fault = paged.fault(fetch_instruction, LAST + PAGE - 2)
    assert fault == Fault(Cause.INSTRUCTION_PAGE_FAULT, LAST + PAGE)
    paged.write(SECOND + PAGE - 2, 0x5675, 2)  # two bytes: the next page does not matter
    assert paged.call(fetch_instruction, LAST + PAGE - 2) == 0x5675


def test_fetching_needs_x(paged: Rig) -> None:
    paged.map("satp", VA, FIRST, RW)
    assert paged.fault(fetch, VA) == Fault(Cause.INSTRUCTION_PAGE_FAULT, VA)
    paged.map("satp", VA, FIRST, V | X | A)
    assert paged.call(host_at, VA) == paged.read(FIRST, 2)


def page_is_held(rig: Rig, address: int) -> bool:
    h = rig.h
    return h.ftlb[h.ftlb_base + (address >> 12 & FETCH_ENTRIES - 1) * 4 + FETCH_TAG] == address


def host_at(h: Any, address: int) -> int:
    return host_load16(fetch(h, address))


def test_fetching_where_pmp_cuts_the_page(rig: Rig) -> None:
    rig.mode(S_MODE)
    rig.write(RAM_BASE, 0x5677_1234_5677)
    rig.pmp(0, NA4 | 1, (RAM_BASE + 4) >> 2)  # not executable
    assert rig.call(fetch_instruction, RAM_BASE) == 0x1234_5677
    assert not page_is_held(rig, RAM_BASE)
    fault = rig.fault(fetch_instruction, RAM_BASE + 4)
    assert fault == Fault(Cause.INSTRUCTION_ACCESS_FAULT, RAM_BASE + 4)
    rig.write(RAM_BASE + 2, 0x1237, 2)
    fault = rig.fault(fetch_instruction, RAM_BASE + 2)
    assert fault == Fault(Cause.INSTRUCTION_ACCESS_FAULT, RAM_BASE + 4)


def test_fetching_is_not_subject_to_mprv(rig: Rig) -> None:
    rig.status(MPRV=1, MPP=U_MODE)
    rig.pmp(0, NAPOT | 3, RAM_BASE >> 2 | 0x1FF)
    rig.call(fetch, RAM_BASE)


# --- Cache blocks ----------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0, 1, 63, 64, PAGE - 1])
def test_zero_block(paged: Rig, offset: int) -> None:
    for _ in range(2):
        paged.ram.write(FIRST, b"\xff" * PAGE)
        paged.call(zero_block, VA + offset)
        block = offset // 64 * 64
        expected = b"\xff" * block + bytes(64) + b"\xff" * (PAGE - 64 - block)
        assert paged.ram.read(FIRST, PAGE) == expected


def test_cache_block_faults_name_the_address_as_it_is(paged: Rig) -> None:
    """norm:fault_excep_csr"""
    paged.map("satp", VA, FIRST, V | R | A)
    assert paged.fault(zero_block, VA + 70) == Fault(Cause.STORE_PAGE_FAULT, VA + 70)
    paged.call(manage_block, VA + 70)  # what may be loaded from (norm:cbm_access)
    paged.map("satp", VA, FIRST, V | X | A)
    assert paged.fault(manage_block, VA + 70) == Fault(Cause.STORE_PAGE_FAULT, VA + 70)
    paged.map("satp", VA, FIRST, RWX)
    paged.pmp(0, NAPOT, FIRST >> 2 | 0x7)
    assert paged.fault(manage_block, VA + 5) == Fault(Cause.STORE_ACCESS_FAULT, VA + 5)
    assert paged.fault(zero_block, VA + 5) == Fault(Cause.STORE_ACCESS_FAULT, VA + 5)


def test_a_dirty_page_is_not_needed_for_management(paged: Rig) -> None:
    """norm:cbm_unperm_translate"""
    entry = paged.map("satp", VA, FIRST, V | R | A)
    paged.h.menvcfg = 0
    paged.call(manage_block, VA)
    assert not paged.read(entry) & D
