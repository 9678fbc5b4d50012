"""Who may access which CSR, and what refusing raises."""

import pytest

from rvemu.hart.csr_table import BY_NAME, CSRS
from rvemu.hart.csrs import csr_read, csr_write
from rvemu.hart.exceptions import Cause
from rvemu.hart.fields import FS_CLEAN, FS_DIRTY, HSTATUS, MENVCFG, MSTATUS, SSTATUS
from rvemu.lang import M64, Trap, get, put
from tests.hart.model_hart import (
    HS,
    VS,
    VU,
    WITHOUT_H,
    M,
    U,
    cause_of,
    cause_of_read,
    cause_of_write,
    enter,
    new_hart,
    number,
    read,
    write,
)

ILLEGAL = Cause.ILLEGAL_INSTRUCTION
VIRTUAL = Cause.VIRTUAL_INSTRUCTION


def test_numbers_and_names_are_unique() -> None:
    assert len({c.number for c in CSRS}) == len({c.name for c in CSRS}) == len(CSRS)


@pytest.mark.parametrize("csr", CSRS, ids=lambda c: c.name)
def test_rows_agree_with_their_numbers(csr) -> None:
    assert 0 <= csr.number < 4096
    assert (csr.write is None) == csr.read_only
    prefix = {"m": 3, "p": 3, "t": 3, "h": 2, "v": 2, "s": 1}
    if csr.name.startswith("hpmcounter") or csr.name in ("time", "fflags", "frm", "fcsr"):
        assert csr.least_privilege == 0
    elif csr.name[0] in prefix:
        assert csr.least_privilege == prefix[csr.name[0]]


@pytest.mark.parametrize("csr", CSRS, ids=lambda c: c.name)
def test_least_privilege_without_guests(csr) -> None:
    h = new_hart()
    h.mcounteren = h.scounteren = M64 >> 32
    h.menvcfg = MENVCFG.STCE.mask
    h.mstatus |= MSTATUS.FS.mask
    for mode, level in ((U, 0), (HS, 2), (M, 3)):
        expected = None if csr.least_privilege <= level else ILLEGAL
        assert cause_of_read(h, csr.name, mode) == expected
        if csr.read_only:
            assert cause_of_write(h, csr.name, 0, mode) == ILLEGAL


def test_numbers_without_a_csr_are_illegal() -> None:
    h = new_hart()
    known = {c.number for c in CSRS}
    for n in range(4096):
        if n not in known:
            assert cause_of(h, csr_read, n) == ILLEGAL
            assert cause_of(h, csr_write, n, 0) == ILLEGAL
            assert h.trap_value == h.insn


def test_an_access_that_is_refused_changes_nothing() -> None:
    h = new_hart()
    write(h, "mscratch", 5)
    assert cause_of_write(h, "mscratch", 7, HS) == ILLEGAL
    assert read(h, "mscratch") == 5


# --- Extensions ------------------------------------------------------------------------------


def test_without_h_its_csrs_do_not_exist() -> None:
    h = new_hart(WITHOUT_H)
    names = ["hstatus", "hgatp", "vsstatus", "vstimecmp", "mtval2", "mtinst", "hgeip", "htimedelta"]
    for name in names:
        assert cause_of_read(h, name, M) == ILLEGAL


def test_clearing_misa_h_removes_them() -> None:
    h = new_hart()
    assert cause_of_read(h, "hstatus", M) is None
    write(h, "misa", read(h, "misa") & ~(1 << 7))
    assert cause_of_read(h, "hstatus", M) == ILLEGAL
    assert read(h, "mideleg") == 0


@pytest.mark.parametrize(
    ("isa", "privilege", "absent"),
    [
        ("rv64imac_zicsr", "m", ["sstatus", "mideleg", "medeleg", "mcounteren", "menvcfg"]),
        ("rv64imac_zicsr", "mu", ["sstatus", "mideleg", "satp"]),
        ("rv64imac_zicsr", "msu", ["fcsr", "cycle", "hpmcounter3", "stimecmp", "mseccfg"]),
    ],
)
def test_absent_extensions(isa: str, privilege: str, absent: list[str]) -> None:
    h = new_hart(isa, privilege=privilege)
    for name in absent:
        assert cause_of_read(h, name, M) == ILLEGAL


def test_machine_counters_exist_without_zicntr() -> None:
    h = new_hart("rv64i_zicsr")
    assert cause_of_read(h, "mcycle", M) is None
    assert cause_of_read(h, "mhpmcounter3", M) is None


# --- Counters --------------------------------------------------------------------------------


@pytest.mark.parametrize("bit", [0, 1, 2, 3, 31])
def test_counters_are_let_through_mode_by_mode(bit: int) -> None:
    """norm:mcounteren_op, norm:scounteren_op, norm:hcounteren_op,
    norm:H_virtinst_vs_nonhighctr_h0_m1, norm:H_virtinst_vu_nonhighctr_h0_s0_m1"""
    name = {0: "cycle", 1: "time", 2: "instret"}.get(bit, f"hpmcounter{bit}")
    h = new_hart()
    for m in (0, 1):
        for s in (0, 1):
            for g in (0, 1):
                h.mcounteren, h.scounteren, h.hcounteren = m << bit, s << bit, g << bit
                assert cause_of_read(h, name, M) is None
                assert cause_of_read(h, name, HS) == (None if m else ILLEGAL)
                assert cause_of_read(h, name, U) == (None if m and s else ILLEGAL)
                refused = VIRTUAL if m else ILLEGAL
                assert cause_of_read(h, name, VS) == (None if m and g else refused)
                assert cause_of_read(h, name, VU) == (None if m and g and s else refused)
                # Read-only, whatever is let through (#1466 of Spike).
                assert cause_of_write(h, name, 0, VS) == ILLEGAL


def test_stimecmp_needs_stce_and_tm() -> None:
    """norm:menvcfg_stce_op2, norm:mcounteren_tm_clr, norm:henvcfg_stce, norm:hcounteren_acc"""
    h = new_hart()
    tm, stce = 2, MENVCFG.STCE.mask
    for menv, men, henv, hen in (
        (a, b, c, d) for a in (0, 1) for b in (0, 1) for c in (0, 1) for d in (0, 1)
    ):
        h.menvcfg, h.mcounteren = menv * stce, men * tm
        h.henvcfg, h.hcounteren = henv * stce, hen * tm
        host = None if menv and men else ILLEGAL
        assert cause_of_read(h, "stimecmp", M) is None
        assert cause_of_read(h, "stimecmp", HS) == host
        assert cause_of_read(h, "vstimecmp", HS) == host
        guest = host or (None if henv and hen else VIRTUAL)
        assert cause_of_read(h, "stimecmp", VS) == guest
        assert cause_of_read(h, "stimecmp", VU) == (host or VIRTUAL)
        assert cause_of_read(h, "vstimecmp", VS) == (host or VIRTUAL)
        assert cause_of_read(h, "stimecmp", U) == ILLEGAL


# --- V=1 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("csr", CSRS, ids=lambda c: c.name)
def test_general_rule_at_v1(csr) -> None:
    """norm:H_cause_virtual_instruction: virtual if and only if HS-mode could."""
    h = new_hart()
    h.mcounteren = h.scounteren = h.hcounteren = M64 >> 32
    h.menvcfg = h.henvcfg = MENVCFG.STCE.mask
    h.mstatus |= MSTATUS.FS.mask
    h.vsstatus |= SSTATUS.FS.mask
    for mode, level in ((VS, 1), (VU, 0)):
        refused = VIRTUAL if csr.least_privilege <= 2 else ILLEGAL
        expected = None if csr.least_privilege <= level else refused
        assert cause_of_read(h, csr.name, mode) == expected
        value = csr.read(h)
        h.stop_reason = 0
        expected = ILLEGAL if csr.read_only else expected
        assert cause_of_write(h, csr.name, value, mode) == expected


def test_tvm_and_vtvm() -> None:
    """norm:hstatus_vtvm_op, norm:hgatp_tvm_illegal, norm:mstatus_modes,
    norm:H_virtinst_vu_vs_nonhigh_allowedhs_tvm0"""
    h = new_hart()
    h.mstatus |= MSTATUS.TVM.mask
    for name, mode, expected in (
        ("satp", M, None),
        ("satp", HS, ILLEGAL),
        ("hgatp", M, None),
        ("hgatp", HS, ILLEGAL),
        ("vsatp", HS, None),
        ("satp", VS, None),
        ("satp", VU, VIRTUAL),
        ("hgatp", VS, VIRTUAL),
        ("vsatp", VS, VIRTUAL),
    ):
        assert cause_of_read(h, name, mode) == expected, (name, mode)
    h.mstatus &= ~MSTATUS.TVM.mask
    h.hstatus |= HSTATUS.VTVM.mask
    for name, mode, expected in (
        ("satp", HS, None),
        ("hgatp", HS, None),
        ("satp", VS, VIRTUAL),
        ("satp", VU, VIRTUAL),
    ):
        assert cause_of_read(h, name, mode) == expected, (name, mode)


@pytest.mark.parametrize(
    "name",
    ["stvec", "sscratch", "sepc", "scause", "stval", "stimecmp", "satp"],
)
def test_vs_csrs_take_the_place_of_supervisor_csrs(name: str) -> None:
    """norm:H_vscsrs_sub, norm:H_vscsrs_acc_m_hs"""
    h = new_hart()
    h.mcounteren = h.hcounteren = 2
    h.menvcfg = h.henvcfg = MENVCFG.STCE.mask
    write(h, name, 0x1000)
    write(h, f"v{name}", 0x2000)
    for mode, value in ((M, 0x1000), (HS, 0x1000), (VS, 0x2000)):
        enter(h, mode)
        assert read(h, name) == value
    write(h, name, 0x3000)
    enter(h, M)
    assert (read(h, name), read(h, f"v{name}")) == (0x1000, 0x3000)


@pytest.mark.parametrize("name", ["senvcfg", "scounteren"])
def test_some_supervisor_csrs_are_not_banked(name: str) -> None:
    """norm:H_scsrs_nomatch"""
    h = new_hart()
    assert cause_of_write(h, name, 1, VS) is None
    assert read(h, name) == 1


# --- Floating point --------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fflags", "frm", "fcsr"])
def test_fs_off_is_illegal_at_any_v(name: str) -> None:
    """norm:H_illegalinst_xstatus_fs_vs"""
    h = new_hart()
    for mode in (M, HS, U, VS, VU):
        assert cause_of_read(h, name, mode) == ILLEGAL
    h.mstatus |= MSTATUS.FS.mask
    for mode in (M, HS, U):
        assert cause_of_read(h, name, mode) is None
    for mode in (VS, VU):
        assert cause_of_read(h, name, mode) == ILLEGAL
    h.vsstatus |= SSTATUS.FS.mask
    h.mstatus &= ~MSTATUS.FS.mask
    for mode in (VS, VU):
        assert cause_of_read(h, name, mode) == ILLEGAL


def test_writes_make_fs_dirty_in_both_statuses() -> None:
    """norm:vsstatus_fs_op, norm:vsstatus_sd_xs_op"""
    h = new_hart()
    write(h, "mstatus", put(0, MSTATUS.FS, FS_CLEAN))
    write(h, "vsstatus", put(0, SSTATUS.FS, FS_CLEAN))
    assert not read(h, "mstatus") & MSTATUS.SD.mask
    assert cause_of_write(h, "frm", 1, HS) is None
    assert get(read(h, "mstatus"), MSTATUS.FS) == FS_DIRTY
    assert read(h, "sstatus") & SSTATUS.SD.mask
    assert get(read(h, "vsstatus"), SSTATUS.FS) == FS_CLEAN
    assert not read(h, "vsstatus") & SSTATUS.SD.mask
    assert cause_of_write(h, "fcsr", 0xFF, VU) is None
    assert get(read(h, "vsstatus"), SSTATUS.FS) == FS_DIRTY
    assert read(h, "vsstatus") & SSTATUS.SD.mask
    assert (read(h, "frm"), read(h, "fflags")) == (7, 31)


def test_pmp_csrs() -> None:
    h = new_hart(pmp_count=16)
    write(h, "pmpaddr15", 5)
    write(h, "pmpaddr16", 5)
    assert (read(h, "pmpaddr15"), read(h, "pmpaddr16")) == (5, 0)
    assert cause_of(h, csr_read, number("pmpcfg0") + 1) == ILLEGAL  # norm:pmp_cfg_rv64_illegal
    none = new_hart(pmp_count=0)
    assert cause_of_read(none, "pmpaddr0", M) == ILLEGAL
    assert cause_of_read(none, "pmpcfg0", M) == ILLEGAL


def test_traps_of_csr_accesses_are_python_exceptions() -> None:
    h = new_hart()
    with pytest.raises(Trap):
        csr_read(h, 0x7FF)
    assert BY_NAME["mstatus"].number == 0x300
