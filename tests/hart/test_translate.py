"""Translation: the walk against a naive one, and each rule by itself."""

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rvemu.hart.exceptions import FETCH, LOAD, STORE, Cause
from rvemu.hart.extensions import Ext
from rvemu.hart.fields import (
    MENVCFG,
    MODE_BARE,
    MODE_SV39,
    MODE_SV48,
    MODE_SV57,
    PTE,
    SATP,
)
from rvemu.hart.pmp import LOAD_EXECUTABLE, MANAGE
from rvemu.hart.state import M_MODE, S_MODE, U_MODE
from rvemu.hart.tlb import flush_all
from rvemu.hart.translate import translate
from rvemu.hart.walk import (
    ACCESS_FAULT,
    GUEST_PAGE_FAULT,
    OK,
    PAGE_FAULT,
    READ_TABLE,
    WRITE_TABLE,
    translate_stages,
)
from rvemu.lang import Static, put
from tests.hart.memory_rig import (
    PAGE,
    RAM_BASE,
    RW,
    RWX,
    A,
    D,
    Fault,
    G,
    R,
    Rig,
    U,
    V,
    W,
    X,
)
from tests.hart.naive_walk import NaiveWalk, RefusedError, Stage

MODES = [MODE_SV39, MODE_SV48, MODE_SV57]
VA = 0x1234_5678
TARGET = RAM_BASE + 0x3000
N = PTE.N.mask


@pytest.fixture
def rig() -> Rig:
    r = Rig()
    r.mode(S_MODE)
    return r


def to(rig: Rig, address: int, access: int = LOAD, priv: int = S_MODE, v: int = 0) -> int:
    """Where an address leads to."""
    physical, _ = rig.call(translate, address, access, priv, v)
    return int(physical)


def refused(rig: Rig, address: int, access: int = LOAD, priv: int = S_MODE, v: int = 0) -> Fault:
    return rig.fault(translate, address, access, priv, v)


def page_fault(cause: Cause, value: int = VA, gva: int = 0) -> Fault:
    return Fault(cause, value, gva)


# --- Against the naive walk ------------------------------------------------------------------

POOL = 12  # pages that everything happens in


def fill_pool(rig: Rig, seed: int) -> None:
    """Fill pages with entries of all kinds, most of which point to these pages again."""
    r = random.Random(seed)
    for page in range(POOL):
        kinds = []
        for _ in range(5):
            ppn = (RAM_BASE >> 12) + r.randrange(POOL)
            choice = r.random()
            if choice < 0.45:
                entry = ppn << 10 | V
            elif choice < 0.97:
                size = r.choice([0, 0, 9, 18, 18, 18])
                ppn = ppn >> size << size
                flags = V | r.choice([R | W, RW, RWX, R | A, X | A, R | W | A])
                entry = ppn << 10 | flags | r.choice([0, U, U, U]) | r.choice([0, A, A | D])
            else:
                entry = r.getrandbits(64)
            if r.random() < 0.03:
                entry = (entry & ~(15 << 10)) | 8 << 10 | N
            if r.random() < 0.03:
                entry ^= 1 << r.randrange(64)
            kinds.append(entry)
        entries = [kinds[(n * n + n // 7) % 5] for n in range(512)]
        rig.ram.write(RAM_BASE + page * PAGE, struct.pack("<512Q", *entries))


def random_address(r: random.Random) -> int:
    if r.random() < 0.8:
        return r.randrange(1 << 38)
    return r.choice(
        [
            RAM_BASE + r.randrange(POOL * PAGE),
            r.randrange(1 << 41),
            r.randrange(1 << 59),
            (1 << 64) - 1 - r.randrange(1 << 38),
            (1 << 64) - 1 - r.randrange(1 << 56),
            r.randrange(1 << 64),
        ]
    )


RIG = Rig()
RIG.shared.region_size[1] = 0  # the naive walk knows of no ROM


@given(seed=st.integers(0, 1 << 32), two_stage=st.booleans())
@settings(max_examples=400, deadline=None)
def test_the_walk_does_what_the_naive_one_does(seed: int, two_stage: bool) -> None:
    rig, h = RIG, RIG.h
    r = random.Random(seed)
    fill_pool(rig, r.randrange(1 << 32))
    h.extensions |= Ext.SVNAPOT
    if r.random() < 0.3:
        h.extensions &= ~Ext.SVNAPOT
    adue, pbmte = MENVCFG.ADUE.mask, MENVCFG.PBMTE.mask
    h.menvcfg = r.choice([0, adue, adue]) | r.choice([0, pbmte])
    h.henvcfg = h.menvcfg & (r.choice([0, adue, adue]) | r.choice([0, pbmte]))
    sums = [r.getrandbits(1) for _ in range(2)]
    mxrs = [r.getrandbits(1) for _ in range(2)]
    rig.status("mstatus", SUM=sums[0], MXR=mxrs[0])
    rig.status("vsstatus", SUM=sums[1], MXR=mxrs[1])

    def root(aligned: int) -> tuple[int, int]:
        table = RAM_BASE + r.randrange(POOL - aligned) // aligned * aligned * PAGE
        return r.choice([*MODES, MODE_SV39, MODE_BARE]), table

    first_mode, first_root = root(1)
    second_mode, second_root = root(4)
    for register, mode, table in (
        ("vsatp" if two_stage else "satp", first_mode, first_root),
        ("hgatp", second_mode, second_root),
    ):
        setattr(h, register, put(put(0, SATP.MODE, mode), SATP.PPN, table >> 12))
    flush_all(h)

    def stage(mode: int, table: int, environment: int, sum_: int, mxr: int) -> Stage:
        return Stage(
            mode,
            table,
            bool(sum_),
            bool(mxr),
            bool(environment & MENVCFG.ADUE.mask),
            bool(environment & MENVCFG.PBMTE.mask),
            bool(h.extensions & Ext.SVNAPOT),
        )

    if two_stage:
        one = stage(first_mode, first_root, h.henvcfg, sums[1], mxrs[0] | mxrs[1])
        two = stage(second_mode, second_root, h.menvcfg, 0, mxrs[0])
    else:
        one, two = stage(first_mode, first_root, h.menvcfg, sums[0], mxrs[0]), None

    naive = NaiveWalk(bytearray(rig.ram.view), one, two, False)
    for _ in range(6):
        address = random_address(r)
        access = r.choice([LOAD, STORE, FETCH, LOAD_EXECUTABLE, MANAGE])
        naive.user = bool(r.getrandbits(1))
        priv = U_MODE if naive.user else S_MODE
        result = translate_stages(h, address, access, priv, int(two_stage), None)
        try:
            expected = (OK, naive.translate(address, access))
        except RefusedError as e:
            kind, guest, implicit = e.what
            if kind == "page":
                expected = (PAGE_FAULT, 0)
            elif kind == "access":
                expected = (ACCESS_FAULT, result[1])
            else:
                expected = (GUEST_PAGE_FAULT, guest)
                table = {None: 0, "read": READ_TABLE, "write": WRITE_TABLE}[implicit]
                assert result[2] == table
        assert result[:2] == expected
        assert rig.ram.view == naive.memory


# --- Which addresses -------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("level", range(3))
def test_pages_of_all_sizes(rig: Rig, mode: int, level: int) -> None:
    size = 1 << (12 + 9 * level)
    target = RAM_BASE // size * size
    rig.translate_with("satp", mode)
    rig.map("satp", 5 * size, target, RWX, level)
    for offset in (0, 0xFFF, size - 1):
        for access in (LOAD, STORE, FETCH):
            assert to(rig, 5 * size + offset, access) == target + offset
    fault = Fault(Cause.STORE_PAGE_FAULT, 6 * size)
    assert refused(rig, 6 * size, STORE) == fault


@pytest.mark.parametrize(("mode", "bits"), [(MODE_SV39, 39), (MODE_SV48, 48), (MODE_SV57, 57)])
def test_addresses_must_be_canonical(rig: Rig, mode: int, bits: int) -> None:
    """norm:Sv48_va_signext"""
    rig.translate_with("satp", mode)
    top = (1 << 64) - (1 << (bits - 1))
    rig.map("satp", top, TARGET)
    rig.map("satp", (1 << (bits - 1)) - PAGE, TARGET)
    assert to(rig, top) == TARGET
    assert to(rig, (1 << (bits - 1)) - PAGE) == TARGET
    for wrong in (top & ~(1 << 63), 1 << (bits - 1), 1 << 63, top - (1 << bits)):
        assert refused(rig, wrong, FETCH) == Fault(Cause.INSTRUCTION_PAGE_FAULT, wrong)


def test_m_mode_and_bare_do_not_translate(rig: Rig) -> None:
    assert to(rig, VA, priv=S_MODE) == VA
    rig.translate_with("satp", MODE_SV39)
    assert to(rig, VA, priv=M_MODE) == VA


# --- Entries ---------------------------------------------------------------------------------


def leaf_rules() -> list[tuple[int, int, Static]]:
    """(flags, access, refused?) in S-mode, with U=0, and A and D set."""
    rules = []
    for flags in (0, R, W, R | W, X, R | X, W | X, R | W | X):
        for access in (LOAD, STORE, FETCH):
            needed = {LOAD: R, STORE: W, FETCH: X}[access]
            rules.append((flags, access, not flags & needed or flags & (R | W) == W))
    return rules


@pytest.mark.parametrize(("flags", "access", "bad"), leaf_rules())
def test_permissions(rig: Rig, flags: int, access: int, bad: bool) -> None:
    rig.translate_with("satp", MODE_SV39)
    rig.map("satp", VA, TARGET, V | A | D | flags)
    if bad:
        causes = (Cause.LOAD_PAGE_FAULT, Cause.STORE_PAGE_FAULT, Cause.INSTRUCTION_PAGE_FAULT)
        assert refused(rig, VA, access) == page_fault(causes[access])
    else:
        assert to(rig, VA, access) == TARGET | VA & 0xFFF


def test_global_and_software_bits_do_not_matter(rig: Rig) -> None:
    rig.translate_with("satp", MODE_SV39)
    rig.map("satp", VA, TARGET, RW | G | PTE.RSW.mask)
    assert to(rig, VA) == TARGET | VA & 0xFFF


@pytest.mark.parametrize("bit", [*range(54, 61), 63])
def test_reserved_bits_of_a_leaf(rig: Rig, bit: int) -> None:
    rig.translate_with("satp", MODE_SV39)
    rig.map("satp", VA, TARGET, RW | 1 << bit)
    assert refused(rig, VA) == page_fault(Cause.LOAD_PAGE_FAULT)


@pytest.mark.parametrize("bit", [4, 6, 7, *range(54, 64)])
def test_reserved_bits_of_a_pointer(rig: Rig, bit: int) -> None:
    """norm:Svpbmt_nonleaf_pte_pbmt_must_be_zero, and those of Sv39"""
    root = rig.translate_with("satp", MODE_SV39)
    rig.h.menvcfg |= MENVCFG.PBMTE.mask
    rig.map("satp", VA, TARGET, RW)
    entry = rig.entry("satp", root, VA, 2)
    rig.write(entry, rig.read(entry) | 1 << bit)
    assert refused(rig, VA) == page_fault(Cause.LOAD_PAGE_FAULT)


def test_a_pointer_at_the_last_level(rig: Rig) -> None:
    rig.translate_with("satp", MODE_SV39)
    rig.map("satp", VA, TARGET, V)
    assert refused(rig, VA) == page_fault(Cause.LOAD_PAGE_FAULT)


@pytest.mark.parametrize("level", [1, 2])
def test_a_misaligned_large_page(rig: Rig, level: int) -> None:
    rig.translate_with("satp", MODE_SV39)
    size = 1 << (12 + 9 * level)
    rig.map("satp", 0, RAM_BASE + size // 2, RW, level)
    assert refused(rig, 0, STORE) == page_fault(Cause.STORE_PAGE_FAULT, 0)


# --- User pages, SUM, MXR --------------------------------------------------------------------


def test_user_pages(rig: Rig) -> None:
    rig.translate_with("satp", MODE_SV39)
    rig.map("satp", VA, TARGET, RWX | U)
    rig.map("satp", 0, TARGET, RWX)
    assert to(rig, VA, priv=U_MODE) == TARGET | VA & 0xFFF
    assert refused(rig, 0, priv=U_MODE) == page_fault(Cause.LOAD_PAGE_FAULT, 0)
    assert refused(rig, VA) == page_fault(Cause.LOAD_PAGE_FAULT)
    rig.status(SUM=1)
    assert to(rig, VA, STORE) == TARGET | VA & 0xFFF
    assert refused(rig, VA, FETCH) == page_fault(Cause.INSTRUCTION_PAGE_FAULT)


def test_mxr(rig: Rig) -> None:
    rig.translate_with("satp", MODE_SV39)
    rig.map("satp", VA, TARGET, V | X | A | D)
    assert refused(rig, VA) == page_fault(Cause.LOAD_PAGE_FAULT)
    rig.status(MXR=1)
    assert to(rig, VA) == TARGET | VA & 0xFFF
    assert refused(rig, VA, STORE) == page_fault(Cause.STORE_PAGE_FAULT)


def test_vsstatus_does_not_matter_at_v0(rig: Rig) -> None:
    rig.translate_with("satp", MODE_SV39)
    rig.map("satp", VA, TARGET, V | X | A | D)
    rig.map("satp", 0, TARGET, RW | U)
    rig.status("vsstatus", MXR=1, SUM=1)
    refused(rig, VA)
    refused(rig, 0)


# --- A and D ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "access", "enough"),
    [
        (0, LOAD, False),
        (0, FETCH, False),
        (A, LOAD, True),
        (A, FETCH, True),
        (A, STORE, False),
        (A, MANAGE, True),  # norm:cbm_unperm_translate
        (D, STORE, False),
        (A | D, STORE, True),
    ],
)
def test_a_and_d(rig: Rig, flags: int, access: int, enough: bool) -> None:
    rig.translate_with("satp", MODE_SV39)
    entry = rig.map("satp", VA, TARGET, V | R | W | X | flags)
    rig.h.menvcfg = 0
    before = rig.read(entry)
    if enough:
        to(rig, VA, access)
    else:
        refused(rig, VA, access)
    assert rig.read(entry) == before
    rig.h.menvcfg = MENVCFG.ADUE.mask
    to(rig, VA, access)
    assert rig.read(entry) == before | A | (D if access == STORE else 0)


def test_an_access_that_is_refused_sets_nothing(rig: Rig) -> None:
    rig.translate_with("satp", MODE_SV39)
    rig.h.menvcfg = MENVCFG.ADUE.mask
    entry = rig.map("satp", VA, TARGET, V | R)
    before = rig.read(entry)
    refused(rig, VA, STORE)
    refused(rig, VA, LOAD, U_MODE)
    assert rig.read(entry) == before


# --- Svnapot and Svpbmt ----------------------------------------------------------------------


def test_svnapot(rig: Rig) -> None:
    """norm:Svnapot_implicit_read_ppn_subst"""
    rig.translate_with("satp", MODE_SV39)
    base = 0x40_0000
    for n in range(16):
        rig.map("satp", base + n * PAGE, RAM_BASE + 0x8000, RW | N)
    for n in range(16):
        assert to(rig, base + n * PAGE + 7) == RAM_BASE + n * PAGE + 7


@pytest.mark.parametrize("bits", [n for n in range(16) if n != 8])
def test_svnapot_reserved_sizes(rig: Rig, bits: int) -> None:
    """norm:Svnapot_reserved_encoding_fault"""
    rig.translate_with("satp", MODE_SV39)
    rig.map("satp", VA, RAM_BASE + bits * PAGE, RW | N)
    assert refused(rig, VA) == page_fault(Cause.LOAD_PAGE_FAULT)


def test_svnapot_large_page_and_absent_extension(rig: Rig) -> None:
    rig.translate_with("satp", MODE_SV39)
    rig.map("satp", 0, RAM_BASE, RW | N | 8 << 10, level=1)
    refused(rig, 0)
    rig.map("satp", VA, RAM_BASE + 0x8000, RW | N)
    to(rig, VA)
    rig.h.extensions &= ~Ext.SVNAPOT
    assert refused(rig, VA) == page_fault(Cause.LOAD_PAGE_FAULT)


@pytest.mark.parametrize("kind", range(4))
def test_svpbmt(rig: Rig, kind: int) -> None:
    """norm:Svpbmt_leaf_pte_pbmt_reserved_3_fault"""
    rig.translate_with("satp", MODE_SV39)
    rig.map("satp", VA, TARGET, RW | kind << 61)
    rig.h.menvcfg = MENVCFG.PBMTE.mask
    if kind == 3:
        refused(rig, VA)
    else:
        to(rig, VA)
    rig.h.menvcfg = 0
    if kind:
        refused(rig, VA)


# --- Tables that can't be accessed -----------------------------------------------------------


@pytest.mark.parametrize("access", [LOAD, STORE, FETCH])
def test_a_table_where_no_memory_is(rig: Rig, access: int) -> None:
    rig.translate_with("satp", MODE_SV39, 0x1000_0000)
    causes = (Cause.LOAD_ACCESS_FAULT, Cause.STORE_ACCESS_FAULT, Cause.INSTRUCTION_ACCESS_FAULT)
    assert refused(rig, VA, access) == Fault(causes[access], VA)


def test_a_table_that_pmp_forbids(rig: Rig) -> None:
    """norm:pmp_with_paging: implicit accesses are S-mode's. The cause is the access's own."""
    rig.translate_with("satp", MODE_SV39)
    entry = rig.map("satp", VA, TARGET, RWX & ~D)
    rig.pmp(0, 0x10, entry >> 2)  # NA4: half of the entry
    assert refused(rig, VA, FETCH) == Fault(Cause.INSTRUCTION_ACCESS_FAULT, VA)
    rig.pmp(0, 0x18 | 1, entry >> 2)  # 8 bytes, read-only
    assert to(rig, VA) == TARGET | VA & 0xFFF
    rig.h.menvcfg = MENVCFG.ADUE.mask
    assert refused(rig, VA, STORE) == Fault(Cause.STORE_ACCESS_FAULT, VA)
    rig.pmp(0, 0x18 | 3, entry >> 2)
    assert to(rig, VA, STORE) == TARGET | VA & 0xFFF


def test_a_table_in_rom_is_read_but_not_updated(rig: Rig) -> None:
    rig.translate_with("satp", MODE_SV39, 0x1000)
    entry = rig.entry("satp", 0x1000, 1 << 30, 2)
    rig.write(entry, (RAM_BASE >> 12 << 10) | V | R | W | A)
    rig.h.menvcfg = MENVCFG.ADUE.mask
    assert to(rig, (1 << 30) + 5) == RAM_BASE + 5
    assert refused(rig, 1 << 30, STORE) == Fault(Cause.STORE_ACCESS_FAULT, 1 << 30)
