"""Taking traps and returning from them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rvemu.hart import exceptions
from rvemu.hart.control import jump
from rvemu.hart.counters import instret
from rvemu.hart.exceptions import FETCH, LOAD, STORE, Cause
from rvemu.hart.fields import HSTATUS, MSTATUS, SSTATUS
from rvemu.hart.state import STOP_TRAP, Hart
from rvemu.hart.traps import return_from_m, return_from_s, take_trap
from rvemu.lang import M64, get, put
from tests.hart.model_hart import (
    HS,
    PC,
    VS,
    VU,
    WITHOUT_H,
    M,
    U,
    cause_of,
    enter,
    new_hart,
    read,
    write,
)

MODES = (M, HS, U, VS, VU)
MTVEC, STVEC, VSTVEC = 0x1000, 0x2000, 0x3000


def trapping_hart(isa: str | None = None) -> Hart:
    h = new_hart() if isa is None else new_hart(isa)
    h.mtvec, h.stvec, h.vstvec = MTVEC, STVEC, VSTVEC
    return h


def mode_of(h: Hart) -> tuple[int, int]:
    return h.priv, h.v


# --- Delegation ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("hedeleg", [0, 1])
@pytest.mark.parametrize("medeleg", [0, 1])
def test_where_an_exception_goes(mode: tuple[int, int], medeleg: int, hedeleg: int) -> None:
    """norm:H_trap_deleg, norm:trap_never_trans_lower, norm:trap_horiz"""
    h = trapping_hart()
    h.medeleg = medeleg << Cause.ILLEGAL_INSTRUCTION
    h.hedeleg = hedeleg << Cause.ILLEGAL_INSTRUCTION
    enter(h, mode)
    exceptions.illegal_instruction(h)
    take_trap(h)
    if mode == M or not medeleg:
        assert (mode_of(h), h.pc, h.mepc, h.mcause, h.mtval) == (M, MTVEC, PC, 2, h.insn)
        assert h.trap_target == 3
    elif mode[1] and hedeleg:
        assert (mode_of(h), h.pc, h.vsepc, h.vscause, h.vstval) == (VS, VSTVEC, PC, 2, h.insn)
        assert h.trap_target == 5
    else:
        assert (mode_of(h), h.pc, h.sepc, h.scause, h.stval) == (HS, STVEC, PC, 2, h.insn)
        assert h.trap_target == 1


@pytest.mark.parametrize("mode", MODES)
def test_state_saved_by_a_trap_into_m(mode: tuple[int, int]) -> None:
    """norm:H_trap_m_csrwrites, table h-mpp"""
    h = trapping_hart()
    write(h, "mstatus", MSTATUS.MIE.mask | MSTATUS.SIE.mask)
    enter(h, mode)
    exceptions.environment_call(h)
    take_trap(h)
    status = read(h, "mstatus")
    assert (get(status, MSTATUS.MPP), get(status, MSTATUS.MPV)) == mode
    assert (get(status, MSTATUS.MPIE), get(status, MSTATUS.MIE)) == (1, 0)
    assert get(status, MSTATUS.SIE) == 1
    assert get(status, MSTATUS.GVA) == 0
    assert h.mcause == {M: 11, HS: 9, U: 8, VS: 10, VU: 8}[mode]
    assert h.mtval == 0


@pytest.mark.parametrize("spvp", [0, 1])
@pytest.mark.parametrize("mode", [HS, U, VS, VU])
def test_state_saved_by_a_trap_into_hs(mode: tuple[int, int], spvp: int) -> None:
    """norm:H_trap_hs_csrwrites, norm:hstatus_spvp_op (#667 of Spike), table h-spp"""
    h = trapping_hart()
    h.medeleg = M64
    h.hstatus = put(h.hstatus, HSTATUS.SPVP, spvp)
    h.mstatus |= MSTATUS.SIE.mask
    enter(h, mode)
    exceptions.virtual_instruction(h)
    take_trap(h)
    assert (get(h.mstatus, MSTATUS.SPP), get(h.hstatus, HSTATUS.SPV)) == mode
    assert get(h.hstatus, HSTATUS.SPVP) == (mode[0] if mode[1] else spvp)
    assert (get(h.mstatus, MSTATUS.SPIE), get(h.mstatus, MSTATUS.SIE)) == (1, 0)


@pytest.mark.parametrize("mode", [VS, VU])
def test_a_trap_into_vs_leaves_the_host_alone(mode: tuple[int, int]) -> None:
    """norm:H_trap_vs_csrwrites"""
    h = trapping_hart()
    h.medeleg = h.hedeleg = M64
    h.vsstatus |= SSTATUS.SIE.mask
    enter(h, mode)
    before = h.hstatus, h.mstatus, h.sepc, h.scause, h.stval, h.htval
    exceptions.page_fault(h, LOAD, 0x1234, 1)
    take_trap(h)
    assert (h.hstatus, h.mstatus, h.sepc, h.scause, h.stval, h.htval) == before
    assert get(h.vsstatus, SSTATUS.SPP) == mode[0]
    assert (get(h.vsstatus, SSTATUS.SPIE), get(h.vsstatus, SSTATUS.SIE)) == (1, 0)
    assert (h.vscause, h.vstval) == (13, 0x1234)


def test_an_exception_is_attempted_and_not_retired() -> None:
    h = trapping_hart()
    exceptions.illegal_instruction(h)
    take_trap(h)
    h.budget -= 1
    assert instret(h) == 0


def test_hook_on_traps() -> None:
    h = trapping_hart()
    h.trap_hooks = 1
    exceptions.illegal_instruction(h)
    take_trap(h)
    assert (h.stop_reason, h.pc, h.budget) == (STOP_TRAP, MTVEC, 0)


def test_vectored_mode_is_for_interrupts_only() -> None:
    h = trapping_hart()
    h.mtvec = MTVEC | 1
    exceptions.illegal_instruction(h)
    take_trap(h)
    assert h.pc == MTVEC


# --- Values of exceptions --------------------------------------------------------------------


@pytest.mark.parametrize("v", [0, 1])
def test_gva(v: int) -> None:
    """norm:hstatus_gva_op, norm:mstatus_gva_op"""
    cases = [
        (lambda h: exceptions.breakpoint(h, 4), 1),
        (lambda h: exceptions.instruction_address_misaligned(h, 4), 1),
        (lambda h: exceptions.address_misaligned(h, LOAD, 4, v), 1),
        (lambda h: exceptions.access_fault(h, STORE, 4, v), 1),
        (lambda h: exceptions.page_fault(h, FETCH, 4, v), 1),
        (exceptions.illegal_instruction, 0),
        (exceptions.environment_call, 0),
    ]
    for raise_it, gva in cases:
        for medeleg in (0, M64):
            h = trapping_hart()
            h.medeleg = medeleg
            enter(h, (1, v))
            raise_it(h)
            take_trap(h)
            status, field = (h.hstatus, HSTATUS.GVA) if medeleg else (h.mstatus, MSTATUS.GVA)
            assert get(status, field) == (gva and v)


def test_gva_of_hlv() -> None:
    """HLV in HS-mode: V was 0, and the address is a guest's all the same."""
    h = trapping_hart()
    h.medeleg = M64
    enter(h, HS)
    exceptions.page_fault(h, LOAD, 0x5000, 1)
    take_trap(h)
    assert (get(h.hstatus, HSTATUS.GVA), get(h.hstatus, HSTATUS.SPV)) == (1, 0)


def test_guest_page_fault_values() -> None:
    """norm:htval_trapval, norm:mtval2_trapval, norm:H_trap_xtinst_guestpage"""
    for medeleg in (0, M64):
        h = trapping_hart()
        h.medeleg = medeleg
        h.hedeleg = M64 & ~(1 << 21)
        enter(h, VS)
        exceptions.guest_page_fault(h, LOAD, 0x1234, 0x8000_0008, 0x3000)
        take_trap(h)
        if medeleg:
            assert (h.scause, h.stval, h.htval, h.htinst) == (21, 0x1234, 0x2000_0002, 0x3000)
            assert get(h.hstatus, HSTATUS.GVA) == 1
        else:
            assert (h.mcause, h.mtval, h.mtval2, h.mtinst) == (21, 0x1234, 0x2000_0002, 0x3000)
            assert get(h.mstatus, MSTATUS.GVA) == 1
        exceptions.illegal_instruction(h)
        take_trap(h)
        assert (h.mtval2, h.mtinst) == (0, 0)


def test_without_h_its_registers_stay_zero() -> None:
    h = trapping_hart(WITHOUT_H)
    h.insn = 0x0005_3503
    exceptions.page_fault(h, LOAD, 0x1234, 0)
    take_trap(h)
    assert (h.mtval2, h.mtinst, h.htval, h.htinst) == (0, 0, 0, 0)


def test_causes_by_access() -> None:
    h = new_hart()
    for access, misaligned, fault, page, guest in (
        (LOAD, 4, 5, 13, 21),
        (STORE, 6, 7, 15, 23),
        (FETCH, 0, 1, 12, 20),
    ):
        exceptions.address_misaligned(h, access, 0, 0)
        assert h.trap_cause == misaligned
        exceptions.access_fault(h, access, 0, 0)
        assert h.trap_cause == fault
        exceptions.page_fault(h, access, 0, 0)
        assert h.trap_cause == page
        exceptions.guest_page_fault(h, access, 0, 0, 0)
        assert h.trap_cause == guest


# --- Transformed instructions ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("insn", "transformed"),
    [
        (0x0085_3503, 0x0000_3503),  # ld a0, 8(a0)
        (0xFF85_3507, 0x0000_3507),  # fld fa0, -8(a0)
        (0x00C5_3423, 0x00C0_3023),  # sd a2, 8(a0)
        (0xFEC5_2E27, 0x00C0_2027),  # fsw fa2, -4(a0)
        (0x10C5_252F, 0x10C0_252F),  # lr.w-shaped atomic: all but rs1 stays
        (0x6C05_4573, 0x6C00_4573),  # hlv.d a0, (a0)
        (0x6508, 0x0000_3501),  # c.ld a0, 8(a0)
        (0xC150, 0x00C0_2021),  # c.sw a2, 4(a0)
        (0x2108, 0x0000_3505),  # c.fld fa0, 0(a0)
        (0x6522, 0x0000_3501),  # c.ldsp a0, 8(sp)
        (0xC432, 0x00C0_2021),  # c.swsp a2, 8(sp)
        (0x0005_200F, 0),  # cbo.inval (a0): none is defined
    ],
)
@pytest.mark.parametrize("distance", [0, 5])
def test_transformed_instructions(insn: int, transformed: int, distance: int) -> None:
    """norm:H_trap_xtinst_val, norm:H_tinst_addr_offset"""
    h = trapping_hart()
    h.insn = insn
    h.x[10] = 0x1000
    h.x[2] = 0x2000
    address = {
        0x0085_3503: 0x1008,
        0xFF85_3507: 0xFF8,
        0x00C5_3423: 0x1008,
        0xFEC5_2E27: 0xFFC,
        0x6508: 0x1008,
        0xC150: 0x1004,
        0x6522: 0x2008,
        0xC432: 0x2008,
    }.get(insn, 0x1000)
    enter(h, VS)
    exceptions.guest_page_fault(h, LOAD, address + distance, 0x4000, 0)
    take_trap(h)
    assert h.mtinst == (transformed and transformed | distance << 15)


def compressed_access(draw: st.DrawFn) -> tuple[int, int, int, int]:
    """A compressed load or store: its bits, base register, offset, and 32-bit form. Built from the
    fields' positions in the manual's tables ("Load and Store Instructions", c-st-ext.adoc)."""
    width = draw(st.sampled_from([1, 2, 3]))
    store = draw(st.booleans())
    stack = draw(st.booleans())
    scale = 4 if width == 2 else 8
    offset = draw(st.integers(0, 63 if stack else 31)) * scale
    register = draw(st.integers(1, 31)) if stack else draw(st.integers(8, 15))
    base = 2 if stack else draw(st.integers(8, 15))

    def bits(high: int, low: int) -> int:
        return offset >> low & ((1 << (high - low + 1)) - 1)

    insn = (4 * store + width) << 13
    if not stack:
        insn |= bits(5, 3) << 10 | (base - 8) << 7 | (register - 8) << 2
        insn |= bits(2, 2) << 6 | bits(6, 6) << 5 if width == 2 else bits(7, 6) << 5
    elif store:
        insn |= register << 2 | 2
        insn |= (
            bits(5, 2) << 9 | bits(7, 6) << 7 if width == 2 else bits(5, 3) << 10 | bits(8, 6) << 7
        )
    else:
        insn |= bits(5, 5) << 12 | register << 7 | 2
        insn |= (
            bits(4, 2) << 4 | bits(7, 6) << 2 if width == 2 else bits(4, 3) << 5 | bits(8, 6) << 2
        )
    opcode = (0x23 if store else 0x03) | (4 if width == 1 else 0)
    funct3 = 3 if width == 1 else width
    transformed = funct3 << 12 | opcode | (register << 20 if store else register << 7)
    return insn, base, offset, transformed & ~2


@settings(max_examples=200, deadline=None)
@given(st.composite(compressed_access)())
def test_transformed_compressed_instructions(case: tuple[int, int, int, int]) -> None:
    insn, base, offset, transformed = case
    h = trapping_hart()
    h.insn = insn
    h.x[base] = 0x1_0000
    enter(h, VU)
    exceptions.guest_page_fault(h, STORE, 0x1_0000 + offset, 0x4000, 0)
    take_trap(h)
    assert h.mtinst == transformed


# --- Returns ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mpv", [0, 1])
@pytest.mark.parametrize("mpp", [0, 1, 3])
def test_mret(mpp: int, mpv: int) -> None:
    """norm:mret_h, norm:mstatus_mpv_op, norm:mstatus_mprv_clr_mret_sret_less_priv"""
    h = trapping_hart()
    status = MSTATUS.MPIE.mask | MSTATUS.MPRV.mask
    write(h, "mstatus", put(put(status, MSTATUS.MPP, mpp), MSTATUS.MPV, mpv))
    write(h, "mepc", 0x4002)
    return_from_m(h)
    assert mode_of(h) == ((3, 0) if mpp == 3 else (mpp, mpv))
    assert h.next_pc == 0x4002
    status = h.mstatus
    assert (get(status, MSTATUS.MIE), get(status, MSTATUS.MPIE)) == (1, 1)
    assert (get(status, MSTATUS.MPP), get(status, MSTATUS.MPV)) == (0, 0)
    assert get(status, MSTATUS.MPRV) == (mpp == 3)
    assert h.budget == 0


@pytest.mark.parametrize("mode", [M, HS])
@pytest.mark.parametrize("spv", [0, 1])
@pytest.mark.parametrize("spp", [0, 1])
def test_sret_at_v0(mode: tuple[int, int], spp: int, spv: int) -> None:
    """norm:sret_v0, norm:hstatus_spv_sret"""
    h = trapping_hart()
    h.mstatus |= put(MSTATUS.MPRV.mask | MSTATUS.SIE.mask, MSTATUS.SPP, spp)
    h.hstatus = put(h.hstatus, HSTATUS.SPV, spv)
    h.sepc, h.vsepc = 0x4000, 0x5000
    enter(h, mode)
    return_from_s(h)
    assert (mode_of(h), h.next_pc) == ((spp, spv), 0x4000)
    status = h.mstatus
    assert (get(status, MSTATUS.SIE), get(status, MSTATUS.SPIE), get(status, MSTATUS.SPP)) == (
        0,
        1,
        0,
    )
    assert (get(status, MSTATUS.MPRV), get(h.hstatus, HSTATUS.SPV)) == (0, 0)


@pytest.mark.parametrize("spp", [0, 1])
def test_sret_at_v1(spp: int) -> None:
    """norm:sret_v1"""
    h = trapping_hart()
    h.vsstatus |= put(SSTATUS.SPIE.mask, SSTATUS.SPP, spp)
    h.hstatus |= HSTATUS.SPV.mask
    h.sepc, h.vsepc = 0x4000, 0x5000
    enter(h, VS)
    before = h.mstatus, h.hstatus
    return_from_s(h)
    assert (mode_of(h), h.next_pc) == ((spp, 1), 0x5000)
    assert (h.mstatus, h.hstatus) == before
    assert h.vsstatus & ~SSTATUS.UXL.mask == SSTATUS.SIE.mask | SSTATUS.SPIE.mask


def test_return_masks_the_address_where_ialign_is_32() -> None:
    h = trapping_hart("rv64i_zicsr")
    h.mepc = h.sepc = 0x4002
    return_from_m(h)
    assert h.next_pc == 0x4000
    return_from_s(h)
    assert h.next_pc == 0x4000


@pytest.mark.parametrize("mode", MODES)
@given(data=st.data())
@settings(max_examples=20, deadline=None)
def test_returning_undoes_a_trap(mode: tuple[int, int], data: st.DataObject) -> None:
    h = trapping_hart()
    h.medeleg = data.draw(st.sampled_from([0, M64]))
    h.hedeleg = data.draw(st.sampled_from([0, M64]))
    write(h, "mstatus", data.draw(st.integers(0, M64)) & ~MSTATUS.MPRV.mask)
    write(h, "vsstatus", data.draw(st.integers(0, M64)))
    enter(h, mode)
    interrupts = (MSTATUS.MIE.mask | MSTATUS.SIE.mask) & h.mstatus, h.vsstatus & SSTATUS.SIE.mask
    exceptions.illegal_instruction(h)
    take_trap(h)
    if h.priv == 3:
        return_from_m(h)
    else:
        return_from_s(h)
    assert (mode_of(h), h.next_pc) == (mode, PC)
    enabled = (MSTATUS.MIE.mask | MSTATUS.SIE.mask) & h.mstatus, h.vsstatus & SSTATUS.SIE.mask
    assert enabled == interrupts


# --- Jumps -----------------------------------------------------------------------------------


def test_jumps() -> None:
    h = new_hart()
    assert cause_of(h, jump, 0x4002) is None
    assert h.next_pc == 0x4002
    h = new_hart("rv64i_zicsr")
    enter(h, U)
    assert cause_of(h, jump, 0x4002) == Cause.INSTRUCTION_ADDRESS_MISALIGNED
    assert (h.trap_value, h.next_pc) == (0x4002, PC + 4)
