"""PMP: what entries match, who may do what, and Smepmp."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rvemu.hart.exceptions import FETCH, LOAD, STORE
from rvemu.hart.fields import MSECCFG, PMP_NA4, PMP_NAPOT, PMP_OFF, PMP_TOR
from rvemu.hart.pmp import (
    CUT,
    LOAD_EXECUTABLE,
    MANAGE,
    pmp_allows,
    pmp_page_permissions,
    pmp_permissions,
)
from rvemu.hart.state import M_MODE, S_MODE, U_MODE
from rvemu.lang import M64
from tests.hart.memory_rig import Rig

R, W, X, L = 1, 2, 4, 0x80
TOR, NA4, NAPOT = PMP_TOR << 3, PMP_NA4 << 3, PMP_NAPOT << 3
BASE = 0x8000_0000


@pytest.fixture
def rig() -> Rig:
    r = Rig()
    r.pmp(15, 0, 0)
    return r


def granted(rig: Rig, address: int, size: int = 4, priv: int = S_MODE) -> int:
    return int(rig.call(pmp_permissions, address, size, priv))


# --- Matching --------------------------------------------------------------------------------


@given(bits=st.integers(3, 57), n=st.integers(0, (1 << 54) - 1), near=st.integers(-9, 9))
@example(bits=57, n=0, near=0)
@example(bits=12, n=BASE >> 12, near=0)
@settings(max_examples=200, deadline=None)
def test_napot_matches_a_naturally_aligned_range(bits: int, n: int, near: int) -> None:
    rig = Rig(pmp_count=1)
    size = 1 << bits
    base = (n << 2) & ((1 << 56) - 1) & ~(size - 1)
    rig.pmp(0, NAPOT | R, base >> 2 | (size // 8 - 1))
    for edge in (base, base + size):
        address = edge + near
        if 0 <= address < M64:
            inside = base <= address < base + size
            assert granted(rig, address, 1) == (R if inside else 0)
            whole_page = granted_page(rig, address)
            page = address & ~0xFFF
            if base <= page and page + 4096 <= base + size:
                assert whole_page == R
            elif page + 4096 <= base or base + size <= page:
                assert whole_page == 0
            else:
                assert whole_page == CUT


def granted_page(rig: Rig, address: int) -> int:
    return int(rig.call(pmp_page_permissions, address, S_MODE))


def test_na4(rig: Rig) -> None:
    rig.pmp(0, NA4 | R | W, (BASE + 8) >> 2)
    assert [granted(rig, BASE + 4 * n) for n in range(4)] == [0, 0, R | W, 0]
    assert granted(rig, BASE + 8, 8) == CUT
    assert granted(rig, BASE + 10, 2) == R | W


def test_tor(rig: Rig) -> None:
    rig.pmp(0, TOR | X, BASE >> 2)  # from 0
    rig.pmp(1, TOR | R, (BASE + 0x104) >> 2)
    assert granted(rig, 0) == X
    assert granted(rig, BASE - 4) == X
    assert granted(rig, BASE) == R
    assert granted(rig, BASE + 0x100) == R
    assert granted(rig, BASE + 0x100, 8) == CUT
    assert granted(rig, BASE + 0x104) == 0


@pytest.mark.parametrize("top", [BASE, BASE - 4, 0])
def test_tor_that_ends_where_it_begins_matches_nothing(rig: Rig, top: int) -> None:
    rig.pmp(0, PMP_OFF, BASE >> 2)
    rig.pmp(1, TOR | R, top >> 2)
    for address in (0, BASE - 4, BASE, BASE + 4):
        assert granted(rig, address, 4) == 0
        assert granted(rig, address, 4, M_MODE) == R | W | X


def test_the_entry_before_counts_as_tor_base_even_if_off(rig: Rig) -> None:
    rig.pmp(3, PMP_OFF, 0x100 >> 2)
    rig.pmp(4, TOR | R, 0x200 >> 2)
    assert [granted(rig, a) for a in (0xFC, 0x100, 0x1FC, 0x200)] == [0, R, R, 0]


def test_the_first_match_decides(rig: Rig) -> None:
    """norm:pmp_entry_priority"""
    rig.pmp(2, NAPOT | R | W, BASE >> 2 | 0x1FF)
    rig.pmp(1, NA4, BASE >> 2)
    assert granted(rig, BASE) == 0
    assert granted(rig, BASE + 4) == R | W
    # norm:pmp_full_match_required: entry 1 matches a part, so entry 2 is not asked.
    assert granted(rig, BASE, 8) == CUT
    assert granted(rig, BASE, 8, M_MODE) == CUT
    for access in (LOAD, STORE, FETCH, LOAD_EXECUTABLE, MANAGE):
        assert not rig.call(pmp_allows, BASE, 8, access, M_MODE)


# --- Without a match -------------------------------------------------------------------------


def test_unmatched(rig: Rig) -> None:
    """norm:pmp_no_entry_match"""
    assert granted(rig, BASE, priv=M_MODE) == R | W | X
    assert granted(rig, BASE, priv=S_MODE) == 0
    assert granted(rig, BASE, priv=U_MODE) == 0
    rig.h.mseccfg = MSECCFG.MML.mask
    assert granted(rig, BASE, priv=M_MODE) == R | W
    rig.h.mseccfg = MSECCFG.MMWP.mask
    assert granted(rig, BASE, priv=M_MODE) == 0


def test_without_entries_all_is_allowed() -> None:
    rig = Rig(pmp_count=0)
    assert granted(rig, BASE, priv=U_MODE) == R | W | X


def test_entries_that_are_not_implemented_match_nothing() -> None:
    rig = Rig(pmp_count=4)
    rig.pmp(3, 0, 0)
    rig.pmp(4, NAPOT | R, (1 << 54) - 1)
    assert granted(rig, BASE) == 0


# --- Permissions -----------------------------------------------------------------------------


@pytest.mark.parametrize("cfg", range(8))
def test_permissions_without_mml(rig: Rig, cfg: int) -> None:
    """norm:pmp_rwx_check"""
    rig.pmp(0, NAPOT | cfg, BASE >> 2)
    assert granted(rig, BASE, priv=S_MODE) == cfg
    assert granted(rig, BASE, priv=U_MODE) == cfg
    assert granted(rig, BASE, priv=M_MODE) == R | W | X
    rig.pmp(0, L | NAPOT | cfg, BASE >> 2)
    assert granted(rig, BASE, priv=M_MODE) == cfg


# The truth table, row by row as it stands in smepmp.adoc: LRWX, M-mode, S- and U-mode.
MML_ROWS = [
    ("0000", "", ""),
    ("0001", "", "X"),
    ("0010", "RW", "R"),
    ("0011", "RW", "RW"),
    ("0100", "", "R"),
    ("0101", "", "RX"),
    ("0110", "", "RW"),
    ("0111", "", "RWX"),
    ("1000", "", ""),
    ("1001", "X", ""),
    ("1010", "X", "X"),
    ("1011", "RX", "X"),
    ("1100", "R", ""),
    ("1101", "RX", ""),
    ("1110", "RW", ""),
    ("1111", "R", "R"),
]


@pytest.mark.parametrize(("bits", "machine", "others"), MML_ROWS)
def test_permissions_with_mml(rig: Rig, bits: str, machine: str, others: str) -> None:
    """norm:mml_truth_table"""
    locked, r, w, x = (int(b) for b in bits)
    rig.h.mseccfg = MSECCFG.MML.mask
    rig.pmp(0, NAPOT | locked * L | r * R | w * W | x * X, BASE >> 2)
    for priv, expected in ((M_MODE, machine), (S_MODE, others), (U_MODE, others)):
        assert granted(rig, BASE, priv=priv) == sum({"R": R, "W": W, "X": X}[c] for c in expected)


@pytest.mark.parametrize(
    ("access", "enough"),
    [
        (LOAD, [{"R"}]),
        (STORE, [{"W"}]),
        (FETCH, [{"X"}]),
        (LOAD_EXECUTABLE, [{"R", "X"}]),  # norm:hlsv_u_op
        (MANAGE, [{"R"}]),
    ],
)
def test_what_each_access_needs(rig: Rig, access: int, enough: list[set[str]]) -> None:
    for cfg in range(8):
        rig.pmp(0, NAPOT | cfg, BASE >> 2)
        has = {c for c, bit in (("R", R), ("W", W), ("X", X)) if cfg & bit}
        expected = any(needed <= has for needed in enough)
        assert bool(rig.call(pmp_allows, BASE, 4, access, S_MODE)) == expected


# --- Against a byte-by-byte model ------------------------------------------------------------


def naive_match(cfgs: list[int], addresses: list[int], byte: int) -> int | None:
    """Which entry matches a byte."""
    for n, cfg in enumerate(cfgs):
        mode, address = cfg >> 3 & 3, addresses[n]
        if mode == PMP_TOR:
            low = addresses[n - 1] * 4 if n else 0
            high = address * 4
        elif mode == PMP_NA4:
            low, high = address * 4, address * 4 + 4
        elif mode == PMP_NAPOT:
            ones = 0
            while address >> ones & 1:
                ones += 1
            low = (address >> (ones + 1) << (ones + 1)) * 4
            high = low + (8 << ones)
        else:
            continue
        if low <= byte < high:
            return n
    return None


@given(
    cfgs=st.lists(st.integers(0, 31), min_size=4, max_size=4),
    addresses=st.lists(st.integers(0, 40), min_size=4, max_size=4),
    start=st.integers(0, 160),
    size=st.sampled_from([1, 2, 4, 8, 64]),
)
@settings(max_examples=400, deadline=None)
def test_matches_a_naive_model(
    cfgs: list[int], addresses: list[int], start: int, size: int
) -> None:
    rig = Rig(pmp_count=4)
    for n in range(4):
        rig.pmp(n, cfgs[n], addresses[n])
    matches = [naive_match(cfgs, addresses, b) for b in range(start, start + size)]
    hit = [m for m in matches if m is not None]
    if not hit:
        expected = 0
    elif any(m != min(hit) for m in matches):
        expected = CUT
    else:
        expected = cfgs[min(hit)] & 7
    assert granted(rig, start, size) == expected
