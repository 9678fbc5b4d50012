"""Two-stage translation: what the H extension adds to the walk (hypervisor.adoc, "Two-Stage Address
Translation"). Numbers in names are of the list of corners that other implementations got wrong."""

import pytest

from rvemu.hart.exceptions import FETCH, LOAD, STORE, Cause
from rvemu.hart.fields import MENVCFG, MODE_BARE, MODE_SV39, MODE_SV48, MODE_SV57
from rvemu.hart.pmp import LOAD_EXECUTABLE
from rvemu.hart.state import S_MODE, U_MODE
from rvemu.hart.translate import translate
from rvemu.hart.walk import READ_TABLE, WRITE_TABLE
from tests.hart.memory_rig import (
    DEVICE,
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

VA = 0x1234_5678
GPA = 0x4000_2000  # guest-physical, mapped to TARGET
TARGET = RAM_BASE + 0x3000
OFFSET = VA & 0xFFF

GUEST_FAULTS = {
    LOAD: Cause.LOAD_GUEST_PAGE_FAULT,
    STORE: Cause.STORE_GUEST_PAGE_FAULT,
    FETCH: Cause.INSTRUCTION_GUEST_PAGE_FAULT,
    LOAD_EXECUTABLE: Cause.LOAD_GUEST_PAGE_FAULT,
}


@pytest.fixture
def rig() -> Rig:
    """A guest whose memory is RAM, by one large page, and one page at GPA. VA is mapped to GPA."""
    r = Rig()
    r.mode(S_MODE, 1)
    r.h.menvcfg = r.h.henvcfg = 0
    r.translate_with("hgatp", MODE_SV39)
    r.identity()
    r.map("hgatp", GPA, TARGET, RWX | U)
    r.translate_with("vsatp", MODE_SV39)
    r.map("vsatp", VA, GPA)
    return r


def to(rig: Rig, address: int, access: int = LOAD, priv: int = S_MODE) -> int:
    physical, _ = rig.call(translate, address, access, priv, 1)
    return int(physical)


def refused(rig: Rig, address: int, access: int = LOAD, priv: int = S_MODE) -> Fault:
    return rig.fault(translate, address, access, priv, 1)


def guest_fault(access: int, value: int, guest: int, instruction: int = 0) -> Fault:
    return Fault(GUEST_FAULTS[access], value, 1, guest, instruction)


def test_both_stages(rig: Rig) -> None:
    """norm:H_vm_twostage"""
    for access in (LOAD, STORE, FETCH):
        assert to(rig, VA, access) == TARGET | OFFSET


def test_the_first_stage_refuses(rig: Rig) -> None:
    rig.map("vsatp", VA, GPA, V | X | A)
    assert refused(rig, VA, STORE) == Fault(Cause.STORE_PAGE_FAULT, VA, 1)
    assert refused(rig, 0) == Fault(Cause.LOAD_PAGE_FAULT, 0, 1)


@pytest.mark.parametrize("access", list(GUEST_FAULTS))
def test_the_second_stage_refuses(rig: Rig, access: int) -> None:
    """norm:mtval2_htval_virtaddr: the exact guest-physical address. 16: and xtval has the GVA."""
    rig.map("hgatp", GPA, TARGET, V | U)
    assert refused(rig, VA, access) == guest_fault(access, VA, GPA | OFFSET)


def test_11_the_second_stage_is_user_mode(rig: Rig) -> None:
    """norm:H_vm_gpapriv"""
    rig.map("hgatp", GPA, TARGET, RWX)
    assert refused(rig, VA) == guest_fault(LOAD, VA, GPA | OFFSET)
    rig.map("vsatp", VA, GPA, RWX | U)
    assert refused(rig, VA, LOAD, U_MODE) == guest_fault(LOAD, VA, GPA | OFFSET)


def test_11_the_second_stage_ignores_g(rig: Rig) -> None:
    """norm:H_vm_gpa_g"""
    rig.map("hgatp", GPA, TARGET, RWX | U | G)
    assert to(rig, VA) == TARGET | OFFSET


@pytest.mark.parametrize(("mode", "bits"), [(MODE_SV39, 41), (MODE_SV48, 50), (MODE_SV57, 59)])
def test_12_guest_physical_addresses_are_two_bits_wider(rig: Rig, mode: int, bits: int) -> None:
    """norm:hgatp_mode_sv39x4, norm:hgatp_mode_sv48x4, norm:hgatp_mode_sv57x4"""
    rig.translate_with("vsatp", MODE_BARE, 0)
    rig.translate_with("hgatp", mode)
    top = (1 << bits) - PAGE
    rig.map("hgatp", top, TARGET, RW | U)
    assert to(rig, top + 5) == TARGET + 5
    for wrong in (1 << bits, 1 << 63, (1 << 64) - PAGE):
        assert refused(rig, wrong, STORE) == guest_fault(STORE, wrong, wrong)


def test_12_the_root_table_is_aligned(rig: Rig) -> None:
    """norm:hgatp_ppn_op: PPN[1:0] count as zero, whatever state was restored."""
    rig.h.hgatp |= 3
    assert to(rig, VA) == TARGET | OFFSET


def test_14_a_bare_first_stage(rig: Rig) -> None:
    rig.translate_with("vsatp", MODE_BARE, 0)
    assert to(rig, GPA + 5) == TARGET + 5
    assert refused(rig, PAGE, STORE) == guest_fault(STORE, PAGE, PAGE)


def test_a_bare_second_stage(rig: Rig) -> None:
    """norm:hgatp_mode_bare_trans"""
    rig.translate_with("hgatp", MODE_BARE, 0)
    assert to(rig, VA) == GPA | OFFSET


@pytest.mark.parametrize("access", [LOAD, STORE, FETCH])
def test_15_16_17_a_first_stage_table_that_is_not_mapped(rig: Rig, access: int) -> None:
    """The access to the table is a load, the cause is of the original access, and the
    pseudoinstruction tells of an implicit read."""
    table = GPA + 0x10_0000
    rig.h.vsatp = rig.h.vsatp & ~((1 << 44) - 1) | table >> 12
    entry = table + 8 * (VA >> 30)
    assert refused(rig, VA, access) == guest_fault(access, VA, entry, READ_TABLE)


def test_a_first_stage_table_needs_only_to_be_readable(rig: Rig) -> None:
    """norm:H_vm_gpapriv: permissions for tables are checked as for a load."""
    rig.identity(flags=V | R | U | A)
    for access in (LOAD, STORE, FETCH):
        assert to(rig, VA, access) == TARGET | OFFSET


def test_4_mxr_of_hs_acts_on_both_stages(rig: Rig) -> None:
    """norm:sstatus_mxr_vm"""
    rig.map("vsatp", VA, GPA, V | X | A)
    rig.map("hgatp", GPA, TARGET, V | X | U | A)
    assert refused(rig, VA) == Fault(Cause.LOAD_PAGE_FAULT, VA, 1)
    rig.status("mstatus", MXR=1)
    assert to(rig, VA) == TARGET | OFFSET


def test_4_mxr_of_vs_acts_on_the_first_stage(rig: Rig) -> None:
    """norm:vsstatus_mxr_vm"""
    rig.map("vsatp", VA, GPA, V | X | A)
    rig.status("vsstatus", MXR=1)
    assert to(rig, VA) == TARGET | OFFSET
    rig.map("hgatp", GPA, TARGET, V | X | U | A)
    assert refused(rig, VA) == guest_fault(LOAD, VA, GPA | OFFSET)


def test_4_mxr_does_not_act_on_tables(rig: Rig) -> None:
    rig.identity(flags=V | X | U | A)
    rig.status("mstatus", MXR=1)
    fault = refused(rig, VA)
    assert (fault.cause, fault.instruction) == (Cause.LOAD_GUEST_PAGE_FAULT, READ_TABLE)


def test_3_hlvx_needs_x_in_both_stages(rig: Rig) -> None:
    """norm:hlsv_u_op; and it raises a load's faults."""
    rig.map("vsatp", VA, GPA, V | X | A)
    rig.map("hgatp", GPA, TARGET, V | X | U | A)
    assert to(rig, VA, LOAD_EXECUTABLE) == TARGET | OFFSET
    rig.map("hgatp", GPA, TARGET, RW | U)
    assert refused(rig, VA, LOAD_EXECUTABLE) == guest_fault(LOAD, VA, GPA | OFFSET)
    rig.map("vsatp", VA, GPA, RW)
    assert refused(rig, VA, LOAD_EXECUTABLE) == Fault(Cause.LOAD_PAGE_FAULT, VA, 1)


def test_sum_is_of_vsstatus(rig: Rig) -> None:
    rig.map("vsatp", VA, GPA, RW | U)
    rig.status("mstatus", SUM=1)
    assert refused(rig, VA) == Fault(Cause.LOAD_PAGE_FAULT, VA, 1)
    rig.status("vsstatus", SUM=1)
    assert to(rig, VA) == TARGET | OFFSET


# --- A and D ---------------------------------------------------------------------------------


def test_19_each_stage_has_its_own_switch(rig: Rig) -> None:
    """norm:henvcfg_adue_op, norm:menvcfg_adue_op"""
    first = rig.map("vsatp", VA, GPA, V | R | W)
    second = rig.map("hgatp", GPA, TARGET, V | R | W | U)
    assert refused(rig, VA) == Fault(Cause.LOAD_PAGE_FAULT, VA, 1)
    rig.h.menvcfg = MENVCFG.ADUE.mask
    assert refused(rig, VA) == Fault(Cause.LOAD_PAGE_FAULT, VA, 1)
    rig.h.henvcfg = MENVCFG.ADUE.mask
    assert to(rig, VA) == TARGET | OFFSET
    assert (rig.read(first) & (A | D), rig.read(second) & (A | D)) == (A, A)
    assert to(rig, VA, STORE) == TARGET | OFFSET
    assert (rig.read(first) & (A | D), rig.read(second) & (A | D)) == (A | D, A | D)


def test_19_henvcfg_needs_menvcfg(rig: Rig) -> None:
    """norm:menvcfg_adue_henvcfg_adue_rdonly0"""
    rig.map("vsatp", VA, GPA, V | R | W)
    rig.h.henvcfg = MENVCFG.ADUE.mask
    assert refused(rig, VA) == Fault(Cause.LOAD_PAGE_FAULT, VA, 1)


def test_19_an_update_needs_w_in_the_second_stage(rig: Rig) -> None:
    rig.h.menvcfg = rig.h.henvcfg = MENVCFG.ADUE.mask
    rig.identity(flags=V | R | U | A)
    entry = rig.map("vsatp", VA, GPA, V | R | W)
    before = rig.read(entry)
    assert refused(rig, VA, FETCH).cause == Cause.INSTRUCTION_PAGE_FAULT
    assert refused(rig, VA) == guest_fault(LOAD, VA, entry, WRITE_TABLE)
    assert rig.read(entry) == before


def test_19_an_update_sets_d_in_the_second_stage(rig: Rig) -> None:
    rig.h.menvcfg = rig.h.henvcfg = MENVCFG.ADUE.mask
    rig.identity(flags=V | R | W | U | A)
    rig.map("vsatp", VA, GPA, V | R | W)
    root = (rig.h.hgatp & ((1 << 44) - 1)) << 12
    large = rig.entry("hgatp", root, RAM_BASE, 2)
    assert not rig.read(large) & D
    assert to(rig, VA) == TARGET | OFFSET
    assert rig.read(large) & D


def test_an_entry_that_its_own_update_changes(rig: Rig) -> None:
    """The VS-stage entry is the G-stage entry that maps it: when the G stage gets its D, the
    comparison fails, and the entry is read again."""
    rig.h.menvcfg = rig.h.henvcfg = MENVCFG.ADUE.mask
    page = rig.new_table()
    guest = 0x5000_0000
    # The last-level G-stage table for `guest` is also the VS-stage's last-level table.
    rig.map("hgatp", guest, page, V | R | W | X | U | A)
    table = (rig.read(_pointer(rig, "hgatp", guest)) >> 10) << 12
    rig.write(table, table >> 12 << 10 | V | R | W | X | U | A)  # guest -> the table itself
    rig.map("vsatp", 0, GPA)
    rig.write(_pointer(rig, "vsatp", 0), guest >> 12 << 10 | V)
    # Entry 0 now says both guest -> table, and va 0 -> guest-physical `table`.
    rig.status("vsstatus", SUM=1)
    assert to(rig, 8, STORE) == table + 8
    assert rig.read(table) & (A | D) == A | D


def _pointer(rig: Rig, register: str, address: int) -> int:
    """The entry at level 1 on an address's way."""
    root = (getattr(rig.h, register) & ((1 << 44) - 1)) << 12
    table = (rig.read(rig.entry(register, root, address, 2)) >> 10) << 12
    return rig.entry(register, table, address, 1)


# --- Memory types, NAPOT, protection ---------------------------------------------------------


def test_memory_types_have_a_switch_for_each_stage(rig: Rig) -> None:
    """norm:henvcfg_pbmte_op"""
    rig.map("vsatp", VA, GPA, RW | 1 << 61)
    rig.h.menvcfg = MENVCFG.PBMTE.mask
    assert refused(rig, VA) == Fault(Cause.LOAD_PAGE_FAULT, VA, 1)
    rig.h.henvcfg = MENVCFG.PBMTE.mask
    assert to(rig, VA) == TARGET | OFFSET
    rig.map("hgatp", GPA, TARGET, RW | U | 2 << 61)
    assert to(rig, VA) == TARGET | OFFSET
    rig.h.menvcfg = 0
    rig.map("vsatp", VA, GPA, RW)
    assert refused(rig, VA) == guest_fault(LOAD, VA, GPA | OFFSET)


def test_napot_in_the_second_stage(rig: Rig) -> None:
    """norm:Svnapot_hyp_gstage"""
    rig.map("hgatp", GPA, RAM_BASE + 0x8000, RW | U | 1 << 63)
    assert to(rig, VA) == RAM_BASE + (GPA & 0xF000) | OFFSET


@pytest.mark.parametrize("access", [LOAD, STORE, FETCH])
def test_20_pmp_in_a_walk(rig: Rig, access: int) -> None:
    root = (rig.h.hgatp & ((1 << 44) - 1)) << 12
    rig.pmp(0, 0x18, root >> 2 | 0x7FF)  # 16 KiB, no access
    causes = (Cause.LOAD_ACCESS_FAULT, Cause.STORE_ACCESS_FAULT, Cause.INSTRUCTION_ACCESS_FAULT)
    assert refused(rig, VA, access) == Fault(causes[access], VA, 1)


def test_tables_where_no_memory_is(rig: Rig) -> None:
    rig.h.hgatp = rig.h.hgatp & ~((1 << 44) - 1) | DEVICE >> 12
    assert refused(rig, VA) == Fault(Cause.LOAD_ACCESS_FAULT, VA, 1)
