"""Hypervisor and virtual-supervisor CSRs: who may access them, what they hold, and which stands for
which at V=1."""

import pytest

from rvemu.hart.fields import HSTATUS, SSTATUS
from rvemu.lang import M64
from tests.hypervisor.lab import DATA, ILLEGAL, VIRTUAL, Lab, Taken, causes, encode, number

H_CSRS = [
    "hstatus", "hedeleg", "hideleg", "hie", "htimedelta", "hcounteren", "hgeie", "henvcfg",
    "htval", "hip", "hvip", "htinst", "hgatp", "hgeip",
]  # fmt: skip
VS_CSRS = [
    "vsstatus", "vsie", "vstvec", "vsscratch", "vsepc", "vscause", "vstval", "vsip", "vstimecmp",
    "vsatp",
]  # fmt: skip
SUBSTITUTED = [
    "sstatus", "sie", "stvec", "sscratch", "sepc", "scause", "stval", "sip", "stimecmp", "satp",
]  # fmt: skip
S_CSRS = [*SUBSTITUTED, "scounteren", "senvcfg"]


@pytest.fixture
def timer(lab: Lab) -> Lab:
    """A machine where all may have their timers and counters."""
    lab["menvcfg.STCE"] = lab["henvcfg.STCE"] = 1
    lab["mcounteren"] = lab["hcounteren"] = lab["scounteren"] = M64
    return lab


# --- Who may -------------------------------------------------------------------------------------


@pytest.mark.norm("H_csrs_hs_not_vs", "H_vscsrs_acc_vs", "H_vscsrs_acc_u", "H_vscsrs_acc_m_hs")
@pytest.mark.norm("H_virtinst_vu_vs_nonhigh_allowedhs_tvm0")
@pytest.mark.parametrize("name", H_CSRS + VS_CSRS)
def test_31_only_m_and_hs_reach_h_and_vs_csrs(timer: Lab, name: str) -> None:
    write = ILLEGAL if name == "hgeip" else None
    for mode in ("M", "S"):
        assert not isinstance(timer.csrr(mode, name), Taken)
        assert causes(timer.csrw(mode, name, timer[name])) == [write]
    assert causes(timer.csrr("U", name), timer.csrw("U", name)) == [ILLEGAL] * 2
    for mode in ("VS", "VU"):
        word = encode("csrrs", csr=number(name), rd=11)
        assert timer.csrr(mode, name) == Taken("M", VIRTUAL, word)
        assert causes(timer.csrw(mode, name)) == [write or VIRTUAL]


@pytest.mark.norm("H_virtinst_vu_nonhigh_supervisor_allowedhs_tvm0")
@pytest.mark.parametrize("name", S_CSRS)
def test_31_supervisor_csrs_in_vu(timer: Lab, name: str) -> None:
    """Virtual, whatever TVM is; in U-mode illegal."""
    for tvm in (0, 1):
        timer["mstatus.TVM"] = tvm
        assert causes(timer.csrr("VU", name), timer.csrw("VU", name)) == [VIRTUAL] * 2
        assert causes(timer.csrr("U", name), timer.csrw("U", name)) == [ILLEGAL] * 2


@pytest.mark.norm("H_vscsrs_acc_vs")
@pytest.mark.parametrize("name", ["mstatus", "mtval2", "mtinst", "mideleg", "menvcfg", "pmpcfg0"])
def test_machine_csrs_are_illegal_in_all_lesser_modes(lab: Lab, name: str) -> None:
    for mode in ("S", "U", "VS", "VU"):
        assert causes(lab.csrr(mode, name), lab.csrw(mode, name)) == [ILLEGAL] * 2


# --- Substitution --------------------------------------------------------------------------------

PLAIN = ["stvec", "sscratch", "sepc", "scause", "stval", "stimecmp"]


@pytest.mark.norm("H_vscsrs_sub", "H_vscsrs_v1", "H_vscsrs_v0")
@pytest.mark.norm("vsscratch_sz_acc_op", "vsscratch_sz", "vsscratch_acc", "vsscratch_op")
@pytest.mark.norm("vspec_sz", "vspec_acc", "vspec_op", "vscause_sz", "vscause_acc", "vscause_op")
@pytest.mark.norm("vstvec_sz_acc_op", "vspec_sz_acc_op", "vstval_sz_acc_op", "vscause_sz_acc_op")
@pytest.mark.parametrize("name", PLAIN)
def test_vs_csrs_stand_for_those_of_s(timer: Lab, name: str) -> None:
    twin = "v" + name
    timer[name], timer[twin] = 0x1110, 0x2220
    assert timer.csrr("VS", name) == 0x2220 and timer.csrr("S", name) == 0x1110
    assert timer.csrw("VS", name, 0x3330) is None
    assert (timer[name], timer[twin]) == (0x1110, 0x3330)
    assert timer.csrw("S", name, 0x4440) is None
    assert (timer[name], timer[twin]) == (0x4440, 0x3330)
    assert timer.csrr("S", twin) == 0x3330
    # csrrs and csrrc read and write the same one.
    timer["a0"] = 0x20
    assert timer.do("VS", "csrrs", csr=number(name), rs1=10, rd=11) is None
    assert timer["a1"] == 0x3330 and timer[twin] == 0x3330 | 0x20
    assert (timer[name], timer.csrr("M", name)) == (0x4440, 0x4440)


@pytest.mark.norm("H_scsrs_nomatch")
@pytest.mark.parametrize("name", ["scounteren", "senvcfg"])
def test_31_not_banked(timer: Lab, name: str) -> None:
    """One register for both: the hypervisor swaps it."""
    assert timer.csrw("S", name, 1) is None
    assert timer.csrr("VS", name) == 1
    assert timer.csrw("VS", name, 0) is None
    assert timer.csrr("S", name) == 0 == timer[name]


@pytest.mark.norm("H_scsrs_nomatch", "H_virtinst_vu_nonhighctr_h0_s0_m1")
def test_scounteren_acts_on_vu(timer: Lab) -> None:
    """Shcounterenw: each counter that is there has a bit that can be set."""
    timer["scounteren"] = 0
    assert causes(timer.csrr("VU", "cycle")) == [VIRTUAL]
    for name in ("mcounteren", "hcounteren", "scounteren"):
        timer[name] = 0
        timer.csrw("M", name, M64)
        assert timer[name] == 0xFFFF_FFFF


@pytest.mark.norm("vsstatus_sz_acc_op", "vsstatus_sz", "vsstatus_acc", "vsstatus_op")
@pytest.mark.norm("vsstatus_uxl_op", "VSSTATUS_UXL_WARL", "VSSTATUS_UBE", "vsstatus_sd_xs_op")
def test_vsstatus(lab: Lab) -> None:
    """Of it, what sstatus has; UXL=64, little-endian."""
    lab.csrw("VS", "sstatus", M64)
    value = lab["vsstatus"]
    masks = [SSTATUS.SIE, SSTATUS.SPIE, SSTATUS.SPP, SSTATUS.SUM, SSTATUS.MXR, SSTATUS.FS]
    for field in [*masks, SSTATUS.SD]:
        assert value & field.mask == field.mask
    assert value & ~(sum(f.mask for f in masks) | SSTATUS.SD.mask) == 2 << 32
    assert lab["sstatus"] & ~SSTATUS.UXL.mask == 0
    lab.csrw("S", "sstatus", M64)
    lab.csrw("VS", "sstatus", 0)
    assert lab["vsstatus"] == 2 << 32 and lab["sstatus.SUM"] == 1
    assert lab.csrr("VS", "sstatus") == 2 << 32


@pytest.mark.norm("vspec_sz_acc_op", "VSEPC_WARL", "VSCAUSE_WLRL", "VSTVEC_BASE_WARL")
def test_what_vs_csrs_hold(lab: Lab) -> None:
    lab["vsepc"] = M64
    assert lab["vsepc"] == M64 - 1
    lab["vstvec"] = M64
    assert lab["vstvec"] == M64 - 2
    for cause in (0, 23, 63, 1 << 63 | 1, 1 << 63 | 9):
        lab.csrw("VS", "scause", cause)
        assert lab["vscause"] == cause
    lab.csrw("VS", "stval", M64)
    assert lab["vstval"] == M64


@pytest.mark.norm("vsatp_sz_acc_op", "vsatp_sz", "vsatp_acc", "vsatp_op", "vsatp_v0")
@pytest.mark.parametrize("mode", [0, 8, 9, 10])
def test_shvsatpa(lab: Lab, mode: int) -> None:
    """vsatp takes all the modes that satp takes, through both of its names."""
    value = mode << 60 | 0xABCD << 44 | 0x123_4567_89AB
    for name in ("vsatp", "satp"):
        lab[name] = 0
        lab.csrw("M", name, value)
        assert lab[name] == value
    lab["vsatp"] = lab["hgatp"] = 0
    lab.csrw("VS", "satp", value)
    assert lab["vsatp"] == value


@pytest.mark.norm("hgatp_sz_acc_op", "hgatp_sz", "hgatp_acc", "hgatp_op", "HGATP_MODE_WARL")
@pytest.mark.norm("HGATP_VMID", "hgatp_vmid_lsbs")
@pytest.mark.parametrize("mode", [0, 8, 9, 10])
def test_shgatpa(lab: Lab, mode: int) -> None:
    """For each mode of satp its x4 mode, and Bare; 14 bits of VMID."""
    lab.csrw("S", "hgatp", mode << 60 | M64 >> 4)
    assert lab["hgatp"] == mode << 60 | 0x3FFF << 44 | 0xFFF_FFFF_FFFC


# --- hstatus, henvcfg ----------------------------------------------------------------------------


@pytest.mark.norm("hstatus_sz", "hstatus_acc", "hstatus_op", "hstatus_sz_acc_op")
@pytest.mark.norm("hstatus_vsxl_op", "hstatus_vsxl_64", "HSTATUS_VSXL_64_WARL", "VSXL_RO")
@pytest.mark.norm("HSTATUS_VSBE_WARL", "hstatus_vsbe_op", "HSXLEN", "VSXLEN")
def test_hstatus(lab: Lab) -> None:
    """VSXL is 64 bits always, VSBE little-endian, and unnamed bits are zero."""
    for value in (M64, 0):
        lab.csrw("S", "hstatus", value & ~HSTATUS.VGEIN.mask)
        fields = ("GVA", "SPV", "SPVP", "HU", "VTVM", "VTW", "VTSR")
        assert [lab[f"hstatus.{f}"] for f in fields] == [value & 1] * len(fields)
        known = sum(getattr(HSTATUS, f).mask for f in fields)
        assert lab["hstatus"] & ~known == 2 << 32
    # The guest's XLEN is 64, and its accesses are little-endian.
    lab["a0"] = M64
    assert lab.do("VS", "srli", rd=10, rs1=10, shamt=63) is None and lab["a0"] == 1
    lab.write(DATA, 0x0102_0304_0506_0708)
    assert lab.access("VS", "lbu", DATA) == 8


@pytest.mark.norm("henvcfg_sz_acc_op", "henvcfg_sz", "henvcfg_acc", "henvcfg_op")
@pytest.mark.norm("henvcfg_pbmte_op", "henvcfg_adue_op", "henvcfg_stce", "henvcfg_fiom_op")
def test_henvcfg(lab: Lab) -> None:
    """PBMTE, ADUE and STCE are read-only zero where menvcfg has them off."""
    for name in ("PBMTE", "ADUE", "STCE"):
        for m in (0, 1):
            lab[f"menvcfg.{name}"] = m
            lab.csrw("S", "henvcfg", M64)
            assert lab[f"henvcfg.{name}"] == m
            lab.csrw("S", "henvcfg", 0)
            assert lab[f"henvcfg.{name}"] == 0
        lab[f"henvcfg.{name}"] = 1
        lab[f"menvcfg.{name}"] = 0
        assert lab[f"henvcfg.{name}"] == 0
    lab.csrw("S", "henvcfg", 1)
    assert lab["henvcfg.FIOM"] == 1
    assert lab.do("VS", "fence", pred=8, succ=8) is None


@pytest.mark.norm("henvcfg_pmm_op", "henvcfg_lpe_op", "henvcfg_sse_op", "henvcfg_dte_op")
@pytest.mark.norm("vsstatus_spelp_op", "vsstatus_sdt_op")
def test_fields_of_extensions_that_are_absent(lab: Lab) -> None:
    """Ssnpm, Zicfilp, Zicfiss and Ssdbltrp: read-only zero."""
    lab["menvcfg"] = M64
    lab.csrw("S", "henvcfg", M64)
    assert lab["henvcfg"] & (3 << 32 | 1 << 2 | 1 << 3 | 1 << 59) == 0
    lab.csrw("VS", "sstatus", M64)
    assert lab["vsstatus"] & (1 << 23 | 1 << 24) == 0


CBO = {"cbo.zero": "CBZE", "cbo.clean": "CBCFE", "cbo.flush": "CBCFE", "cbo.inval": "CBIE"}


@pytest.mark.norm("henvcfg_cbze", "henvcfg_cbcfe", "henvcfg_cbie", "cbo-inval_h-mode_veq1_op")
@pytest.mark.norm("cbo-inval_h-mode_op", "H_cause_virtual_instruction")
@pytest.mark.parametrize("name", list(CBO))
def test_cache_block_instructions(lab: Lab, name: str) -> None:
    """Illegal where not allowed in HS-mode, else virtual where henvcfg (and in VU senvcfg) has it
    off."""
    field = CBO[name]
    on = 1
    lab["a0"] = DATA
    for m in (0, on):
        for h in (0, on):
            for s in (0, on):
                lab[f"menvcfg.{field}"] = m
                lab[f"henvcfg.{field}"] = h
                lab[f"senvcfg.{field}"] = s
                vs, vu, u, hs = (
                    causes(lab.do(mode, name, rs1=10))[0] for mode in ("VS", "VU", "U", "S")
                )
                if not m:
                    assert [vs, vu, u, hs] == [ILLEGAL] * 4
                else:
                    assert hs is None
                    assert u == (None if s else ILLEGAL)
                    assert vs == (None if h else VIRTUAL)
                    assert vu == (None if h and s else VIRTUAL)


@pytest.mark.norm("HENVCFG_CBIE_WARL", "henvcfg_cbie")
def test_the_reserved_cbie_is_not_held(lab: Lab) -> None:
    for name in ("menvcfg", "henvcfg", "senvcfg"):
        for value in (0, 1, 3):
            lab[f"{name}.CBIE"] = value
            assert lab[f"{name}.CBIE"] == value
        lab[f"{name}.CBIE"] = 2
        assert lab[f"{name}.CBIE"] != 2


@pytest.mark.norm("hcounteren_sz", "HCOUNTEREN_WARL", "hcounteren_op")
def test_hcounteren(lab: Lab) -> None:
    lab.csrw("S", "hcounteren", M64)
    assert lab["hcounteren"] == 0xFFFF_FFFF
    lab.csrw("S", "hcounteren", 2)
    assert lab["hcounteren"] == 2


# --- Trap values ---------------------------------------------------------------------------------


@pytest.mark.norm("htval_sz_acc_op", "htval_sz", "htval_acc", "htval_op")
@pytest.mark.norm("htinst_sz_acc_op", "htinst_sz", "htinst_acc", "htinst_op", "htinst_val")
@pytest.mark.norm("mtval2_sz_acc_op", "mtval2_sz", "mtval2_acc", "mtval2_op", "HTINST_WARL")
@pytest.mark.norm("mtinst_sz_acc_op", "mtinst_sz", "mtinst_acc", "mtinst_op", "mtinst_val")
@pytest.mark.norm("MTINST_WARL", "H_mtval_nrz")
@pytest.mark.parametrize("name", ["htval", "htinst", "mtval2", "mtinst", "mtval", "stval"])
def test_trap_values_can_be_written(lab: Lab, name: str) -> None:
    mode = "M" if name.startswith("m") else "S"
    for value in (0, 0x3020, 0x1234_5678_9ABC):
        assert lab.csrw(mode, name, value) is None
        assert lab.csrr(mode, name) == value


@pytest.mark.norm("hstatus_vsxl_32", "hedelegh_sz", "hedelegh_acc", "hedelegh_op", "vstimecmp_acc")
@pytest.mark.norm(
    "henvcfgh_sz", "henvcfgh_acc", "henvcfgh_op", "htimedeltah_sz", "H_illegal_high_half"
)
@pytest.mark.norm("htimedeltah_acc", "htimedeltah_op")
@pytest.mark.parametrize("high_half", [0x612, 0x61A, 0x615, 0x25D])
def test_high_halves_are_absent(timer: Lab, high_half: int) -> None:
    """hedelegh, henvcfgh, htimedeltah, vstimecmph: illegal in every mode, at V=1 too."""
    for mode in ("M", "S", "U", "VS", "VU"):
        for name in ("csrrs", "csrrw"):
            assert causes(timer.do(mode, name, csr=high_half, rd=11)) == [ILLEGAL]
