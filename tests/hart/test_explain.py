"""Explanations of page walks."""

import pytest

from rvemu.hart.exceptions import FETCH, LOAD, STORE
from rvemu.hart.explain import REASONS, Walk, explain
from rvemu.hart.fields import MENVCFG, MODE_BARE, MODE_SV39, PMP_NA4
from rvemu.hart.pte import Verdict
from rvemu.hart.state import M_MODE, S_MODE, U_MODE
from rvemu.hart.walk import (
    ACCESS_FAULT,
    GUEST_PAGE_FAULT,
    OK,
    PAGE_FAULT,
    STAGE_G,
    STAGE_S,
    STAGE_VS,
)
from tests.hart.memory_rig import DEVICE, PAGE, RAM_BASE, RW, RWX, A, D, R, Rig, U, V, X

VA = 0x1234_5678
GPA = 0x4000_2000
TARGET = RAM_BASE + 0x3000


@pytest.fixture
def rig() -> Rig:
    r = Rig()
    r.mode(S_MODE)
    r.h.menvcfg = r.h.henvcfg = 0
    r.translate_with("satp", MODE_SV39)
    return r


@pytest.fixture
def guest(rig: Rig) -> Rig:
    rig.mode(S_MODE, 1)
    rig.translate_with("hgatp", MODE_SV39)
    rig.identity()
    rig.map("hgatp", GPA, TARGET, RWX | U)
    rig.translate_with("vsatp", MODE_SV39)
    rig.map("vsatp", VA, GPA)
    return rig


def without_effect(rig: Rig, address: int, access: int, **how: int) -> Walk:
    before = bytes(rig.h), bytes(rig.ram.view)
    walk = explain(rig.h, address, access, **how)
    assert (bytes(rig.h), bytes(rig.ram.view)) == before
    return walk


def test_a_walk_that_succeeds(rig: Rig) -> None:
    entry = rig.map("satp", VA, TARGET, RW)
    walk = without_effect(rig, VA, STORE)
    assert (walk.outcome, walk.physical, walk.refused) == (OK, TARGET | 0x678, None)
    assert [(s.stage, s.level) for s in walk.steps] == [(STAGE_S, n) for n in (2, 1, 0)]
    assert walk.steps[-1].entry == entry
    assert walk.steps[-1].flags == "VRW---AD"
    text = str(walk)
    assert text.splitlines()[0] == "store at 0x12345678 in S-mode"
    assert "satp: Sv39, ASID 0, root table" in text
    assert "-> 4 KiB page 0x80003000" in text
    assert "=> physical 0x80003678, memory; PMP entry 15 (NAPOT" in text


@pytest.mark.parametrize(
    ("flags", "access", "priv", "verdict"),
    [
        (0, LOAD, S_MODE, Verdict.INVALID),
        (V, LOAD, S_MODE, Verdict.NO_LEAF),
        (V | 4, LOAD, S_MODE, Verdict.WRITE_ONLY),
        (RW | 1 << 55, LOAD, S_MODE, Verdict.RESERVED),
        (RW | 1 << 61, LOAD, S_MODE, Verdict.MEMORY_TYPE),
        (RW | 1 << 63, LOAD, S_MODE, Verdict.CONTIGUOUS),
        (V | D, LOAD, S_MODE, Verdict.POINTER_RESERVED),
        (RW, LOAD, U_MODE, Verdict.SUPERVISOR_PAGE),
        (RW | U, LOAD, S_MODE, Verdict.USER_PAGE),
        (V | X | A, LOAD, S_MODE, Verdict.NOT_READABLE),
        (V | R | A, STORE, S_MODE, Verdict.NOT_WRITABLE),
        (RW, FETCH, S_MODE, Verdict.NOT_EXECUTABLE),
        (V | R, LOAD, S_MODE, Verdict.NOT_ACCESSED),
        (RW & ~D, STORE, S_MODE, Verdict.NOT_DIRTY),
    ],
)
def test_the_bit_that_refuses(
    rig: Rig, flags: int, access: int, priv: int, verdict: Verdict
) -> None:
    rig.map("satp", VA, TARGET, flags)
    walk = without_effect(rig, VA, access, priv=priv)
    assert (walk.outcome, walk.physical) == (PAGE_FAULT, None)
    assert walk.refused is walk.steps[-1]
    assert walk.refused is not None and walk.refused.verdict == verdict
    assert REASONS[verdict] in str(walk)
    assert "page fault, xtval 0x12345678" in str(walk).splitlines()[-1]


def test_a_misaligned_large_page(rig: Rig) -> None:
    rig.map("satp", VA, TARGET, RW, level=1)
    assert REASONS[Verdict.MISALIGNED] in str(without_effect(rig, VA, LOAD))


def test_every_refusal_has_a_reason() -> None:
    assert set(REASONS) == {v for v in Verdict if v >= Verdict.INVALID}


def test_addresses_that_are_not_canonical(rig: Rig) -> None:
    walk = without_effect(rig, 1 << 50, LOAD)
    assert (walk.outcome, walk.steps) == (PAGE_FAULT, [])
    assert "not canonical" in str(walk)


def test_updates_are_foreseen_but_not_made(rig: Rig) -> None:
    rig.h.menvcfg = MENVCFG.ADUE.mask
    rig.map("satp", VA, TARGET, V | R | 4)
    walk = without_effect(rig, VA, STORE)
    assert (walk.outcome, walk.steps[-1].verdict) == (OK, Verdict.UPDATE)
    assert "to be set by hardware" in str(walk)


def test_pmp(rig: Rig) -> None:
    entry = rig.map("satp", VA, TARGET, RW)
    rig.pmp(0, PMP_NA4 << 3 | 1, (TARGET | 0x678) >> 2)
    text = str(without_effect(rig, VA, STORE))
    assert "REFUSED: physical 0x80003678: PMP entry 0 (NA4 0x80003678..0x8000367b) allows R" in text
    assert text.endswith("=> store/AMO access fault, xtval 0x12345678")
    rig.pmp(0, PMP_NA4 << 3 | 7, entry >> 2)
    walk = without_effect(rig, VA, STORE)
    assert walk.outcome == ACCESS_FAULT
    assert f"table entry at {entry:#x}: PMP entry 0" in str(walk)
    assert "matches only a part" in str(walk)


def test_tables_and_pages_outside_memory(rig: Rig) -> None:
    rig.map("satp", VA, DEVICE, RW)
    assert "no memory (a device, or nothing)" in str(without_effect(rig, VA, LOAD))
    rig.translate_with("satp", MODE_SV39, DEVICE)
    assert "there is no memory" in str(without_effect(rig, VA, LOAD))


def test_m_mode(rig: Rig) -> None:
    rig.mode(M_MODE)
    walk = without_effect(rig, RAM_BASE + 4, FETCH)
    assert (walk.outcome, walk.physical, walk.steps) == (OK, RAM_BASE + 4, [])
    assert "M-mode: not translated" in str(walk)


def test_the_privilege_is_the_harts(rig: Rig) -> None:
    rig.map("satp", VA, TARGET, RWX | U)
    rig.mode(M_MODE)
    rig.status(MPRV=1, MPP=U_MODE)
    assert explain(rig.h, VA, LOAD).physical == TARGET | 0x678
    assert explain(rig.h, VA, FETCH).physical == VA


# --- Two stages ------------------------------------------------------------------------------


def test_both_stages(guest: Rig) -> None:
    walk = without_effect(guest, VA, LOAD)
    assert (walk.outcome, walk.guest_physical) == (OK, GPA | 0x678)
    assert walk.physical == TARGET | 0x678
    stages = [(s.stage, s.level) for s in walk.steps]
    table = [(STAGE_G, 2)]  # RAM is one large page
    vs = [(STAGE_VS, n) for n in (2, 1, 0)]
    assert stages == [
        *table,
        vs[0],
        *table,
        vs[1],
        *table,
        vs[2],
        *((STAGE_G, n) for n in (2, 1, 0)),
    ]
    lines = str(walk).splitlines()
    assert lines[:3] == [
        "load at 0x12345678 in VS-mode",
        f"vsatp: Sv39, ASID 0, root table {(guest.h.vsatp & ((1 << 44) - 1)) << 12:#x}",
        f"hgatp: Sv39x4, VMID 0, root table {(guest.h.hgatp & ((1 << 44) - 1)) << 12:#x}",
    ]
    assert f"    G stage of the table entry at {walk.steps[1].entry:#x}" in lines
    assert f"    G stage of guest-physical {GPA | 0x678:#x}" in lines
    assert lines[-1].startswith(f"=> physical {TARGET | 0x678:#x}, memory")


def test_the_second_stage_refuses(guest: Rig) -> None:
    guest.map("hgatp", GPA, TARGET, RW)
    walk = without_effect(guest, VA, LOAD)
    assert (walk.outcome, walk.guest_physical) == (GUEST_PAGE_FAULT, GPA | 0x678)
    assert walk.refused is not None
    assert (walk.refused.stage, walk.refused.verdict) == (STAGE_G, Verdict.SUPERVISOR_PAGE)
    last = str(walk).splitlines()[-1]
    assert last == f"=> load guest-page fault, xtval {VA:#x}, xtval2 {(GPA | 0x678) >> 2:#x}"


def test_the_second_stage_refuses_a_table(guest: Rig) -> None:
    guest.h.vsatp = guest.h.vsatp & ~((1 << 44) - 1) | (GPA + PAGE) >> 12
    walk = without_effect(guest, VA, FETCH)
    assert walk.outcome == GUEST_PAGE_FAULT
    text = str(walk)
    assert "G stage of a table entry" in text
    assert "while a VS-stage table was accessed, xtinst 0x3000" in text


def test_the_second_stage_refuses_an_update(guest: Rig) -> None:
    guest.h.menvcfg = guest.h.henvcfg = MENVCFG.ADUE.mask
    guest.identity(flags=V | R | U | A)
    entry = guest.map("vsatp", VA, GPA, V | R)
    walk = without_effect(guest, VA, LOAD)
    assert f"G stage of a write to the table entry at {entry:#x}" in str(walk)
    assert "xtinst 0x3020 (to set A or D)" in str(walk)


def test_guest_physical_addresses_that_are_too_wide(guest: Rig) -> None:
    guest.translate_with("vsatp", MODE_BARE, 0)
    walk = without_effect(guest, 1 << 45, LOAD)
    assert (walk.outcome, walk.guest_physical) == (GUEST_PAGE_FAULT, 1 << 45)
    assert "too wide" in str(walk)
    assert "vsatp: Bare" in str(walk)


def test_bare_stages(guest: Rig) -> None:
    guest.translate_with("vsatp", MODE_BARE, 0)
    guest.translate_with("hgatp", MODE_BARE, 0)
    walk = without_effect(guest, TARGET, LOAD)
    assert (walk.guest_physical, walk.physical) == (TARGET, TARGET)


def test_reserved_modes_do_no_harm(guest: Rig) -> None:
    guest.h.vsatp |= 15 << 60
    without_effect(guest, VA, LOAD)
    guest.h.hgatp |= 5 << 60
    without_effect(guest, VA, LOAD)
