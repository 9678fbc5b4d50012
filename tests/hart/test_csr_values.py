"""Which values CSRs hold: WARL, aliases, and what follows from writes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rvemu.hart.csr_table import CSRS
from rvemu.hart.extensions import DEFAULT_ISA, Ext, parse_isa
from rvemu.hart.fields import (
    HGATP,
    HSTATUS,
    MENVCFG,
    MIP,
    MSECCFG,
    MSTATUS,
    PMPCFG,
    SATP,
    SENVCFG,
    SSTATUS,
)
from rvemu.hart.state import CONTEXT_S, CONTEXT_S_SUM, CONTEXT_U, CONTEXT_VS_SUM, STOP_FLUSH, Hart
from rvemu.lang import M64, get, put
from tests.hart.model_hart import VS, M, complete, enter, new_hart, read, set_bits, write

WRITABLE = [c.name for c in CSRS if c.write is not None]
values = st.one_of(
    st.integers(0, M64), st.sampled_from([0, M64]), st.integers(0, 63).map(lambda n: 1 << n)
)
writes = st.lists(st.tuples(st.sampled_from(WRITABLE), values), max_size=12)


def ready(h: Hart) -> Hart:
    """With floating point on, so that all CSRs are accessible."""
    h.mstatus |= MSTATUS.FS.mask
    return h


def write_one(h: Hart, name: str, value: int) -> None:
    if name in ("fflags", "frm", "fcsr"):
        h.mstatus |= MSTATUS.FS.mask
    if (
        h.extensions & next(c for c in CSRS if c.name == name).requires
        == next(c for c in CSRS if c.name == name).requires
    ):
        write(h, name, value)
    complete(h)


def check_legal(h: Hart) -> None:
    """Whatever was written: every field has a legal value."""
    mstatus, sstatus, vsstatus = (read(h, n) for n in ("mstatus", "sstatus", "vsstatus"))
    assert get(mstatus, MSTATUS.MPP) in (0, 1, 3)
    for status in (mstatus, sstatus, vsstatus):
        assert bool(status & SSTATUS.SD.mask) == (get(status, SSTATUS.FS) == 3)
        assert get(status, SSTATUS.UXL) == 2
        assert not status & (SSTATUS.VS.mask | SSTATUS.XS.mask | SSTATUS.UBE.mask)
    assert get(read(h, "satp"), SATP.MODE) in (0, 8, 9, 10)
    assert get(read(h, "vsatp"), SATP.MODE) in (0, 8, 9, 10)
    hgatp = read(h, "hgatp")
    assert get(hgatp, HGATP.MODE) in (0, 8, 9, 10)
    assert hgatp & 3 == 0
    for name in ("menvcfg", "henvcfg", "senvcfg"):
        assert get(read(h, name), SENVCFG.CBIE) in (0, 1, 3)
    switches = MENVCFG.ADUE.mask | MENVCFG.PBMTE.mask | MENVCFG.STCE.mask
    assert read(h, "henvcfg") & switches & ~read(h, "menvcfg") == 0
    for name in ("mtvec", "stvec", "vstvec"):
        assert read(h, name) & 3 in (0, 1)
    for name in ("mepc", "sepc", "vsepc"):
        assert read(h, name) & (1 | h.pc_align_mask) == 0
    assert read(h, "mideleg") & 0x1444 == 0x1444
    assert read(h, "hideleg") & ~0x444 == 0
    assert read(h, "sie") & read(h, "hie") == 0  # norm:sie_hip_hie_mutex
    assert read(h, "sip") & read(h, "hip") == 0
    if not h.mseccfg & MSECCFG.MML.mask:
        for n in range(16):
            assert h.pmpcfg[n] & 3 != PMPCFG.W.mask
    assert read(h, "misa") >> 62 == 2
    assert get(read(h, "hstatus"), HSTATUS.VSXL) == 2


@settings(max_examples=150, deadline=None)
@given(writes)
def test_any_writes_leave_legal_values(sequence: list[tuple[str, int]]) -> None:
    h = new_hart()
    for name, value in sequence:
        write_one(h, name, value)
    write_one(h, "misa", M64)
    if h.extensions & Ext.H:
        check_legal(h)


@settings(max_examples=300, deadline=None)
@given(writes, st.sampled_from(WRITABLE), values)
def test_writing_back_what_was_read_changes_nothing(
    before: list[tuple[str, int]], name: str, value: int
) -> None:
    h = new_hart()
    for other, other_value in before:
        if other != "misa":
            write_one(h, other, other_value)
    ready(h)
    write(h, name, value)
    complete(h)
    held = read(h, name)
    write(h, name, held)
    complete(h)
    assert read(h, name) == held


# --- misa ------------------------------------------------------------------------------------


def test_misa_of_the_default() -> None:
    assert read(new_hart(DEFAULT_ISA), "misa") == (2 << 62) | 0x1411AF  # RV64 A B C D F H I M S U


def test_clearing_f_clears_d() -> None:
    """norm:misa_extensions_dependencies"""
    h = new_hart()
    write(h, "misa", read(h, "misa") & ~(1 << 5))
    assert read(h, "misa") & 0b101000 == 0
    assert h.extensions & (Ext.F | Ext.D | Ext.ZFH | Ext.ZFHMIN | Ext.ZCD) == 0
    assert h.stop_reason == STOP_FLUSH
    write(h, "misa", M64)
    assert h.extensions == h.extensions_built


def test_misa_c_needs_an_aligned_next_pc() -> None:
    """norm:misa_inc_ialign"""
    h = new_hart()
    old = read(h, "misa")
    h.next_pc = h.pc + 2
    write(h, "misa", old & ~4)
    assert (read(h, "misa"), h.pc_align_mask, h.stop_reason) == (old, 0, 0)
    h.next_pc = h.pc + 4
    write(h, "misa", old & ~4)
    assert (read(h, "misa"), h.pc_align_mask) == (old & ~4, 2)


def test_epc_masks_bit_1_while_c_is_off() -> None:
    h = new_hart()
    write(h, "mepc", 0x1003)
    assert read(h, "mepc") == 0x1002
    write(h, "misa", read(h, "misa") & ~4)
    assert read(h, "mepc") == 0x1000
    write(h, "misa", M64)
    assert read(h, "mepc") == 0x1002


def test_misa_fields_that_are_fixed() -> None:
    h = new_hart()
    write(h, "misa", 0)
    assert read(h, "misa") == (2 << 62) | (1 << 1) | (1 << 8) | (1 << 18) | (1 << 20)


# --- mstatus ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("privilege", "kept"), [("msu", (0, 1, 0, 3)), ("mu", (0, 0, 0, 3)), ("m", (3, 3, 3, 3))]
)
def test_mpp_holds_modes_that_exist(privilege: str, kept: tuple[int, ...]) -> None:
    h = new_hart("rv64imac_zicsr", privilege=privilege)
    for mode, expected in enumerate(kept):
        write(h, "mstatus", put(0, MSTATUS.MPP, mode))
        assert get(read(h, "mstatus"), MSTATUS.MPP) == expected


def test_contexts_follow_mstatus() -> None:
    h = new_hart()
    enter(h, (1, 0))
    assert h.data_context == CONTEXT_S
    write(h, "sstatus", SSTATUS.SUM.mask)
    assert (h.data_context, h.fetch_context) == (CONTEXT_S_SUM, CONTEXT_S)
    enter(h, M)
    write(h, "mstatus", MSTATUS.MPRV.mask)
    assert (h.data_context, h.data_priv, h.data_v) == (CONTEXT_U, 0, 0)
    write(h, "vsstatus", SSTATUS.SUM.mask)
    write(h, "mstatus", put(MSTATUS.MPRV.mask | MSTATUS.MPV.mask, MSTATUS.MPP, 1))
    assert (h.data_context, h.data_priv, h.data_v) == (CONTEXT_VS_SUM, 1, 1)
    write(h, "mstatus", put(MSTATUS.MPRV.mask | MSTATUS.MPV.mask, MSTATUS.MPP, 3))
    assert (h.data_context, h.data_priv, h.data_v) == (0, 3, 0)  # norm:mstatus_mprv_hypervisor


# --- Interrupt registers ---------------------------------------------------------------------


def test_seip_of_a_device_is_read_and_not_written_back() -> None:
    """norm:mip_seip_rdcsr, norm:mip_seip_wrcsr"""
    h = new_hart()
    h.interrupt_lines = MIP.SEIP.mask
    assert set_bits(h, "mip", MIP.SSIP.mask) & MIP.SEIP.mask
    h.interrupt_lines = 0
    assert read(h, "mip") == MIP.SSIP.mask
    assert set_bits(h, "mip", MIP.SEIP.mask) == MIP.SSIP.mask
    assert read(h, "mip") == MIP.SSIP.mask | MIP.SEIP.mask


def test_stip_is_stimecmps_where_that_is_enabled() -> None:
    """norm:mip_stip_no_stimecmp_acc, norm:mip_stip_stimecmp_acc"""
    h = new_hart()
    write(h, "mip", MIP.STIP.mask)
    assert read(h, "mip") & MIP.STIP.mask
    write(h, "menvcfg", MENVCFG.STCE.mask)
    assert not read(h, "mip") & MIP.STIP.mask
    write(h, "mip", MIP.STIP.mask)
    assert not read(h, "mip") & MIP.STIP.mask
    write(h, "stimecmp", 0)
    assert read(h, "mip") & MIP.STIP.mask


def test_sip_and_sie_show_what_is_delegated() -> None:
    h = new_hart()
    write(h, "mie", M64)
    write(h, "mip", M64)
    assert (read(h, "sie"), read(h, "sip")) == (0, 0)
    write(h, "mideleg", MIP.SSIP.mask)
    assert (read(h, "sie"), read(h, "sip")) == (MIP.SSIP.mask, MIP.SSIP.mask)
    write(h, "sip", 0)
    write(h, "sie", 0)
    assert not read(h, "mip") & MIP.SSIP.mask
    assert read(h, "mie") & 0x222 == 0x220


def test_hvip_is_aliased() -> None:
    """norm:hvip_acc, norm:hip_vssip_vssie_op, norm:vsip_vsie_ssi"""
    h = new_hart()
    write(h, "hvip", M64)
    assert (read(h, "hvip"), read(h, "hip"), read(h, "mip") & 0x1444) == (0x444, 0x444, 0x444)
    write(h, "hip", 0)
    assert (read(h, "hvip"), read(h, "hip")) == (0x440, 0x440)
    write(h, "mip", MIP.VSSIP.mask)
    assert read(h, "hvip") == 0x444
    assert read(h, "vsip") == 0
    write(h, "hideleg", MIP.VSSIP.mask | MIP.VSEIP.mask)
    assert read(h, "vsip") == 0x202
    write(h, "vsip", 0)
    assert (read(h, "vsip"), read(h, "hvip")) == (0x200, 0x440)


def test_vsie_is_hie_shifted() -> None:
    h = new_hart()
    write(h, "hideleg", MIP.VSTIP.mask)
    enter(h, VS)
    write(h, "sie", M64)
    assert read(h, "sie") == 0x20
    enter(h, M)
    assert (read(h, "hie"), read(h, "mie"), read(h, "sie")) == (0x40, 0x40, 0)


def test_guest_external_interrupts() -> None:
    """norm:geilen, norm:hip_vseip_vseie_op, norm:hip_sgeip_sgeie_acc_op, norm:hgeie_op"""
    h = new_hart()
    write(h, "hgeie", M64)
    assert read(h, "hgeie") == 0xFE
    write(h, "hgeie", 0)
    h.hgeip = 1 << 3
    assert read(h, "hip") == 0
    write(h, "hstatus", put(0, HSTATUS.VGEIN, 3))
    assert read(h, "hip") == MIP.VSEIP.mask
    write(h, "hgeie", 1 << 3)
    assert read(h, "hip") == MIP.VSEIP.mask | MIP.SGEIP.mask
    write(h, "hstatus", put(0, HSTATUS.VGEIN, 63))
    assert get(read(h, "hstatus"), HSTATUS.VGEIN) == 3


# --- Translation -----------------------------------------------------------------------------


def test_satp_ignores_an_unsupported_mode() -> None:
    h = new_hart()
    for name in ("satp", "vsatp"):
        write(h, name, put(0x1234, SATP.MODE, 9))
        write(h, name, put(0x5678, SATP.MODE, 5))
        assert read(h, name) == put(0x1234, SATP.MODE, 9)
    enter(h, VS)
    write(h, "satp", put(0x5678, SATP.MODE, 15))  # norm:vsatp_mode_unsupported_v1
    assert read(h, "satp") == put(0x1234, SATP.MODE, 9)


def test_hgatp_is_warl_field_by_field() -> None:
    """norm:hgatp_mode_warl, norm:hgatp_ppn_op"""
    h = new_hart()
    write(h, "hgatp", put(0x1003, HGATP.MODE, 8))
    assert read(h, "hgatp") == put(0x1000, HGATP.MODE, 8)
    write(h, "hgatp", put(put(0x2000, HGATP.MODE, 7), HGATP.VMID, M64))
    assert read(h, "hgatp") == put(put(0x2000, HGATP.MODE, 8), HGATP.VMID, 0x3FFF)


def test_paging_modes_follow_the_isa() -> None:
    h = new_hart("rv64imach_zicsr_sv48")
    for mode, held in ((8, 8), (9, 9), (10, 9)):
        write(h, "satp", put(0, SATP.MODE, mode))
        assert get(read(h, "satp"), SATP.MODE) == held


# --- Environment -----------------------------------------------------------------------------


def test_henvcfg_reads_zero_what_menvcfg_turns_off() -> None:
    """norm:menvcfg_adue_henvcfg_adue_rdonly0 and its like"""
    h = new_hart()
    switches = MENVCFG.ADUE.mask | MENVCFG.PBMTE.mask | MENVCFG.STCE.mask
    write(h, "menvcfg", 0)
    write(h, "henvcfg", switches)
    assert read(h, "henvcfg") == 0
    write(h, "menvcfg", switches)
    write(h, "henvcfg", switches)
    assert read(h, "henvcfg") == switches
    write(h, "menvcfg", MENVCFG.STCE.mask)
    assert read(h, "henvcfg") == MENVCFG.STCE.mask


def test_environment_bits_need_their_extensions() -> None:
    h = new_hart("rv64imac_zicsr")
    write(h, "menvcfg", M64)
    assert read(h, "menvcfg") == MENVCFG.FIOM.mask


@pytest.mark.parametrize(
    ("extensions", "adue"), [("svadu", 1), ("svade", 0), ("svade_svadu", 0), ("zicsr", 0)]
)
def test_adue_at_reset(extensions: str, adue: int) -> None:
    h = new_hart(f"rv64i_zicsr_{extensions}")
    assert get(read(h, "menvcfg"), MENVCFG.ADUE) == adue


# --- PMP -------------------------------------------------------------------------------------


def test_locked_entries_hold() -> None:
    """norm:pmp_l_bit_write_protection"""
    h = new_hart()
    write(h, "pmpaddr0", 0x100)
    write(h, "pmpaddr1", 0x200)
    write(h, "pmpcfg0", 0x8900)  # entry 1: L, TOR, R
    write(h, "pmpcfg0", 0)
    assert read(h, "pmpcfg0") == 0x8900
    write(h, "pmpaddr0", 1)
    write(h, "pmpaddr1", 1)
    assert (read(h, "pmpaddr0"), read(h, "pmpaddr1")) == (0x100, 0x200)
    write(h, "pmpaddr2", 1)
    assert read(h, "pmpaddr2") == 1


def test_write_without_read_is_reserved_until_mml() -> None:
    """norm:pmp_rwx_warl"""
    h = new_hart()
    write(h, "pmpcfg0", 0x1A)
    assert read(h, "pmpcfg0") == 0x18
    write(h, "mseccfg", MSECCFG.MML.mask)
    write(h, "pmpcfg0", 0x1A)
    assert read(h, "pmpcfg0") == 0x1A


@pytest.mark.parametrize("rwx", range(8))
def test_no_new_machine_code_under_mml(rwx: int) -> None:
    """norm:mseccfg_mml_X_restrict: X for M-mode alone, or shared code."""
    h = new_hart()
    write(h, "mseccfg", MSECCFG.MML.mask)
    cfg = 0x98 | rwx
    write(h, "pmpcfg2", cfg)
    refused = rwx in (0b010, 0b110, 0b100, 0b101)
    assert read(h, "pmpcfg2") == (0 if refused else cfg)


def test_mseccfg_is_sticky() -> None:
    """norm:mseccfg_mml_sticky, norm:mseccfg_mmwp_op_warl, norm:mseccfg_rlb_op_warl"""
    h = new_hart()
    write(h, "mseccfg", 7)
    write(h, "mseccfg", 0)
    assert read(h, "mseccfg") == 3
    write(h, "mseccfg", 4)
    assert read(h, "mseccfg") == 7
    write(h, "pmpcfg0", 0x80)
    write(h, "pmpcfg0", 0x00)  # RLB: a locked rule may go
    assert read(h, "pmpcfg0") == 0
    write(h, "pmpcfg0", 0x80)
    write(h, "mseccfg", 0)
    write(h, "mseccfg", 4)  # a lock bit is set: RLB stays 0
    assert read(h, "mseccfg") == 3


def test_parsing_is_what_harts_have() -> None:
    assert new_hart(DEFAULT_ISA).extensions == parse_isa(DEFAULT_ISA)
