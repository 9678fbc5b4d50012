"""HLV, HLVX and HSV ("Hypervisor Virtual-Machine Load and Store Instructions" in hypervisor.adoc),
and loads and stores at V=1. Numbers are of the list of corners that implementations got wrong."""

import pytest

from rvemu.hart.access import (
    fetch,
    fetch_instruction,
    hypervisor_load,
    hypervisor_store,
    load32,
    load64,
    load_reserved,
    store64,
    zero_block,
)
from rvemu.hart.exceptions import Cause
from rvemu.hart.fields import HSTATUS, MODE_SV39, PMP_NAPOT
from rvemu.hart.state import M_MODE, S_MODE, STOP_READ, STOP_WRITE, U_MODE
from tests.hart.memory_rig import DEVICE, PAGE, RAM_BASE, RW, RWX, A, Fault, Rig, U, V, X

VA = 0x1234_5000
GPA = 0x4000_2000
TARGET = RAM_BASE + 0x3000
VALUE = 0x8877_6655_4433_2211


@pytest.fixture
def rig() -> Rig:
    """HS-mode, over a guest as in test_translate_two_stage; SPVP says VS-mode."""
    r = Rig()
    r.mode(S_MODE)
    r.h.menvcfg = r.h.henvcfg = 0
    r.translate_with("hgatp", MODE_SV39)
    r.identity()
    r.map("hgatp", GPA, TARGET, RWX | U)
    r.translate_with("vsatp", MODE_SV39)
    r.map("vsatp", VA, GPA)
    r.h.hstatus |= HSTATUS.SPVP.mask
    r.write(TARGET, VALUE)
    return r


def snapshot(rig: Rig) -> bytes:
    """All of the hart but its trap."""
    h = rig.h
    kept = (h.trap_cause, h.trap_value, h.trap_gva, h.trap_guest_address, h.trap_instruction)
    names = ("cause", "value", "gva", "guest_address", "instruction")
    for name in names:
        setattr(h, f"trap_{name}", 0)
    state = bytes(h)
    for name, value in zip(names, kept, strict=True):
        setattr(h, f"trap_{name}", value)
    return state


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_loads_and_stores(rig: Rig, size: int) -> None:
    mask = (1 << 8 * size) - 1
    assert rig.call(hypervisor_load, VA, size, False) == VALUE & mask
    assert rig.call(hypervisor_load, VA, size, True) == VALUE & mask
    rig.call(hypervisor_store, VA + 1, VALUE, size)
    assert rig.read(TARGET + 1) & mask == VALUE & mask


def test_2_the_privilege_is_spvp(rig: Rig) -> None:
    """norm:hlsv_priv, norm:hlsv_trans"""
    rig.status(MPRV=1, MPP=M_MODE, SUM=1)
    assert rig.call(hypervisor_load, VA, 8, False) == VALUE
    rig.h.hstatus &= ~HSTATUS.SPVP.mask
    assert rig.fault(hypervisor_load, VA, 8, False) == Fault(Cause.LOAD_PAGE_FAULT, VA, 1)
    rig.map("vsatp", VA, GPA, RW | U)
    assert rig.call(hypervisor_load, VA, 8, False) == VALUE
    rig.h.hstatus |= HSTATUS.SPVP.mask
    assert rig.fault(hypervisor_store, VA, 0, 8) == Fault(Cause.STORE_PAGE_FAULT, VA, 1)
    rig.status("vsstatus", SUM=1)
    rig.call(hypervisor_store, VA, 0, 8)


def test_3_hlvx_needs_r_and_x_of_pmp(rig: Rig) -> None:
    """norm:hlsv_u_op: and raises a load's fault."""
    fault = Fault(Cause.LOAD_ACCESS_FAULT, VA, 1)
    for cfg, allowed in ((1, False), (4, False), (5, True)):
        rig.pmp(0, PMP_NAPOT << 3 | cfg, TARGET >> 2 | 0x1FF)
        if allowed:
            assert rig.call(hypervisor_load, VA, 4, True) == VALUE & 0xFFFF_FFFF
        else:
            assert rig.fault(hypervisor_load, VA, 4, True) == fault


def test_3_hlvx_does_not_need_r_of_page_tables(rig: Rig) -> None:
    rig.map("vsatp", VA, GPA, V | X | A)
    rig.map("hgatp", GPA, TARGET, V | X | A | U)
    assert rig.call(hypervisor_load, VA, 2, True) == VALUE & 0xFFFF
    assert rig.fault(hypervisor_load, VA, 2, False) == Fault(Cause.LOAD_PAGE_FAULT, VA, 1)


def test_32_a_fault_leaves_nothing_behind(rig: Rig) -> None:
    rig.translate_with("satp", MODE_SV39)
    rig.map("satp", VA, RAM_BASE + 0x7000)
    rig.write(RAM_BASE + 0x7000, 42)
    before = snapshot(rig)
    rig.fault(hypervisor_load, VA + PAGE, 8, False)
    rig.fault(hypervisor_load, VA + PAGE, 4, True)
    rig.fault(hypervisor_store, VA + PAGE, 0, 8)
    assert snapshot(rig) == before
    assert rig.call(load64, VA) == 42


def test_21_across_pages(rig: Rig) -> None:
    rig.map("vsatp", VA + PAGE, GPA + PAGE)
    address = VA + PAGE - 4
    value = VA + PAGE
    fault = Fault(Cause.LOAD_GUEST_PAGE_FAULT, value, 1, GPA + PAGE)
    assert rig.fault(hypervisor_load, address, 8, False) == fault
    before = rig.ram.read(TARGET, PAGE)
    fault = Fault(Cause.STORE_GUEST_PAGE_FAULT, value, 1, GPA + PAGE)
    assert rig.fault(hypervisor_store, address, 1, 8) == fault
    assert rig.ram.read(TARGET, PAGE) == before
    rig.map("hgatp", GPA + PAGE, TARGET + 4 * PAGE, RW | U)
    rig.call(hypervisor_store, address, VALUE, 8)
    assert rig.call(hypervisor_load, address, 8, False) == VALUE
    assert rig.read(TARGET + 4 * PAGE, 4) == VALUE >> 32


def test_devices(rig: Rig) -> None:
    rig.map("hgatp", GPA, DEVICE, RWX | U)
    assert rig.stopped(hypervisor_load, VA, 4, False) == STOP_READ
    rig.answer(7)
    assert rig.call(hypervisor_load, VA, 4, False) == 7
    assert rig.stopped(hypervisor_store, VA, 9, 4) == STOP_WRITE
    rig.answer(None)
    assert rig.fault(hypervisor_store, VA, 9, 4) == Fault(Cause.STORE_ACCESS_FAULT, VA, 1)
    assert rig.fault(hypervisor_load, VA, 4, True) == Fault(Cause.LOAD_ACCESS_FAULT, VA, 1)


def test_accesses_at_v1(rig: Rig) -> None:
    rig.mode(S_MODE, 1)
    assert rig.call(load64, VA) == VALUE
    rig.call(store64, VA + 8, 5)
    assert rig.read(TARGET + 8) == 5
    fault = rig.fault(store64, VA + PAGE, 0)
    assert fault == Fault(Cause.STORE_PAGE_FAULT, VA + PAGE, 1)
    rig.map("vsatp", VA + PAGE, GPA + PAGE)
    guest = Fault(Cause.STORE_GUEST_PAGE_FAULT, VA + PAGE + 5, 1, GPA + PAGE + 5)
    assert rig.fault(zero_block, VA + PAGE + 5) == guest
    guest = Fault(Cause.LOAD_GUEST_PAGE_FAULT, VA + PAGE, 1, GPA + PAGE)
    assert rig.fault(load_reserved, VA + PAGE, 4) == guest
    guest = Fault(Cause.INSTRUCTION_GUEST_PAGE_FAULT, VA + PAGE, 1, GPA + PAGE)
    assert rig.fault(fetch, VA + PAGE) == guest


def test_21_an_instruction_across_pages(rig: Rig) -> None:
    rig.mode(S_MODE, 1)
    rig.map("vsatp", VA + PAGE, GPA + PAGE)
    rig.write(TARGET + PAGE - 2, 0xFFFF, 2)
    guest = Fault(Cause.INSTRUCTION_GUEST_PAGE_FAULT, VA + PAGE, 1, GPA + PAGE)
    assert rig.fault(fetch_instruction, VA + PAGE - 2) == guest


def test_25_mprv_with_mpv(rig: Rig) -> None:
    """norm:mstatus_mprv_hypervisor"""
    rig.mode(M_MODE)
    rig.status(MPRV=1, MPV=1, MPP=S_MODE)
    assert rig.call(load32, VA) == VALUE & 0xFFFF_FFFF
    assert rig.fault(load32, VA + PAGE) == Fault(Cause.LOAD_PAGE_FAULT, VA + PAGE, 1)
    rig.status(MPP=U_MODE)
    assert rig.fault(load32, VA) == Fault(Cause.LOAD_PAGE_FAULT, VA, 1)
    rig.status(MPP=M_MODE)
    assert rig.call(load32, TARGET) == VALUE & 0xFFFF_FFFF
