"""Hypervisor instructions, and which exception an instruction that is not allowed raises. Numbers
in names are of the list of corners that implementations got wrong."""

import pytest

from rvemu.hart.fields import HSTATUS, MSTATUS, SSTATUS
from tests.hypervisor.lab import (
    BY_NAME,
    DATA,
    GVA,
    ILLEGAL,
    LOAD_ACCESS,
    LOAD_GUEST,
    LOAD_PAGE,
    RWX,
    STORE_ACCESS,
    STORE_GUEST,
    STORE_PAGE,
    VIRTUAL,
    A,
    D,
    Lab,
    R,
    Taken,
    U,
    V,
    X,
    causes,
    encode,
    number,
)

LOADS = ("hlv.b", "hlv.bu", "hlv.h", "hlv.hu", "hlv.w", "hlv.wu", "hlv.d", "hlvx.hu", "hlvx.wu")
STORES = ("hsv.b", "hsv.h", "hsv.w", "hsv.d")
FENCES = ("hfence.vvma", "hfence.gvma", "hinval.vvma", "hinval.gvma")
VALUE = 0x8877_6655_C433_E291


def spvp(lab: Lab, privilege: int) -> None:
    lab["hstatus.SPVP"] = privilege


# --- Who may execute them ------------------------------------------------------------------------


@pytest.mark.norm("hlsv_virtinst", "hlsv_illegalinst", "hlsv_mode", "H_virtinst_vu_vs_hinst")
@pytest.mark.parametrize("name", LOADS + STORES)
def test_1_hlv_by_mode(lab: Lab, name: str) -> None:
    """At V=1 virtual, whatever HU says; in U-mode illegal while HU=0."""
    for hu in (0, 1):
        lab["hstatus.HU"] = hu
        raw = encode(name, rs1=10, **({"rs2": 11} if name in STORES else {"rd": 11}))
        for mode in ("VS", "VU"):
            assert lab.access(mode, name, DATA) == Taken("M", VIRTUAL, raw)
        for mode in ("M", "S"):
            assert not isinstance(lab.access(mode, name, DATA), Taken)
        if hu:
            assert not isinstance(lab.access("U", name, DATA), Taken)
        else:
            assert lab.access("U", name, DATA) == Taken("M", ILLEGAL, raw)


@pytest.mark.norm("hstatus_hu_op")
def test_1_hu_lets_u_mode_access_and_not_fence(lab: Lab) -> None:
    lab["hstatus.HU"] = 1
    lab.write(DATA, 7)
    assert lab.access("U", "hlv.d", DATA) == 7
    for name in FENCES:
        assert lab.do("U", name) == Taken("M", ILLEGAL, encode(name))


@pytest.mark.norm("hlsv_op")
def test_values_are_extended_as_by_loads(guest: Lab) -> None:
    guest.page()
    guest.write(DATA, VALUE)
    loaded = {
        "hlv.b": 0xFFFF_FFFF_FFFF_FF91,
        "hlv.bu": 0x91,
        "hlv.h": 0xFFFF_FFFF_FFFF_E291,
        "hlv.hu": 0xE291,
        "hlvx.hu": 0xE291,
        "hlv.w": 0xFFFF_FFFF_C433_E291,
        "hlv.wu": 0xC433_E291,
        "hlvx.wu": 0xC433_E291,
        "hlv.d": VALUE,
    }
    spvp(guest, 1)
    assert {name: guest.access("S", name, GVA) for name in LOADS} == loaded
    for size, name in zip((1, 2, 4, 8), STORES, strict=True):
        guest.write(DATA, 0)
        guest.access("S", name, GVA, VALUE)
        assert guest.read(DATA) == VALUE & ((1 << 8 * size) - 1)


# --- As whom they act ----------------------------------------------------------------------------


@pytest.mark.norm("hlsv_priv", "hlsv_trans", "mstatus_mprv_hlsv")
@pytest.mark.parametrize("mprv", [0, 1])
@pytest.mark.parametrize("mode", ["M", "S"])
def test_2_they_act_with_spvp(guest: Lab, mode: str, mprv: int) -> None:
    """Not with MPP and MPV of MPRV, and not with SUM of HS-mode, but with that of VS-mode."""
    guest.page(vs_flags=RWX | U)
    guest.write(DATA, VALUE)
    guest["mstatus"] = MSTATUS.SUM.mask | MSTATUS.MPRV.mask * mprv  # MPP=U, MPV=0
    spvp(guest, 0)
    assert guest.access(mode, "hlv.d", GVA) == VALUE
    spvp(guest, 1)
    assert causes(guest.access(mode, "hlv.d", GVA)) == [LOAD_PAGE]
    assert causes(guest.access(mode, "hsv.d", GVA)) == [STORE_PAGE]
    guest["vsstatus.SUM"] = 1
    guest["mstatus.SUM"] = 0
    assert guest.access(mode, "hlv.d", GVA) == VALUE
    guest.page(vs_flags=RWX)
    assert guest.access(mode, "hlv.d", GVA) == VALUE
    spvp(guest, 0)
    assert causes(guest.access(mode, "hlv.d", GVA)) == [LOAD_PAGE]


@pytest.mark.norm("hlsv_u_op")
def test_3_hlvx_needs_execution_and_faults_as_a_load(guest: Lab) -> None:
    spvp(guest, 1)
    guest.write(DATA, VALUE)
    only_x, only_r = V | X | A | D, V | R | A | D
    guest.page(only_x, only_x | U)
    assert guest.access("S", "hlvx.wu", GVA) == VALUE & 0xFFFF_FFFF
    guest.page(only_r, only_x | U)
    assert causes(guest.access("S", "hlvx.wu", GVA)) == [LOAD_PAGE]
    guest.page(only_x, only_r | U)
    assert causes(guest.access("S", "hlvx.wu", GVA)) == [LOAD_GUEST]
    # MXR makes what is executable readable, and not the other way round.
    guest["mstatus.MXR"] = guest["vsstatus.MXR"] = 1
    assert causes(guest.access("S", "hlvx.wu", GVA)) == [LOAD_GUEST]
    guest.page(only_x, only_x | U)
    for pmp, allowed in ((1, False), (4, False), (5, True)):
        guest.pmp(DATA, pmp)
        result = guest.access("S", "hlvx.hu", GVA)
        if allowed:
            assert result == VALUE & 0xFFFF
        else:
            assert result == Taken("M", LOAD_ACCESS, GVA, gva=1, tinst=0x6430_45F3 & ~0xF8000)


@pytest.mark.norm("hlsv_sstatus_mxr", "hlsv_vsstatus_mxr", "vsstatus_mxr_vm", "sstatus_mxr_vm")
@pytest.mark.parametrize("how", ["hlv", "VS"])
def test_4_mxr_of_both_levels(guest: Lab, how: str) -> None:
    """sstatus.MXR acts on both stages, vsstatus.MXR on the VS stage alone."""
    spvp(guest, 1)
    guest.write(DATA, VALUE)

    def load() -> object:
        if how == "hlv":
            return guest.access("S", "hlv.d", GVA)
        return guest.access("VS", "ld", GVA)

    only_x = V | X | A | D
    # (VS-stage flags, G-stage flags): results with no MXR, vsstatus's, sstatus's
    expected = {
        (only_x, RWX | U): (LOAD_PAGE, VALUE, VALUE),
        (RWX, only_x | U): (LOAD_GUEST, LOAD_GUEST, VALUE),
        (only_x, only_x | U): (LOAD_PAGE, LOAD_GUEST, VALUE),
    }
    for flags, results in expected.items():
        guest.page(*flags)
        for (mxr, vs_mxr), result in zip(((0, 0), (0, 1), (1, 0)), results, strict=True):
            guest["mstatus.MXR"] = mxr
            guest["vsstatus.MXR"] = vs_mxr
            assert causes(load()) == [result]


@pytest.mark.norm("sstatus_mxr_vm")
def test_4_mxr_does_not_act_on_reads_of_tables(guest: Lab) -> None:
    """A VS-stage table in a page that the G stage lets be executed only."""
    guest.page()
    guest["mstatus.MXR"] = guest["vsstatus.MXR"] = 1
    table = guest["vsatp"] << 12 & ((1 << 56) - 1)
    guest.map("hgatp", 0x4000_0000, 0x8000_0000, V | X | A | D | U, level=2)
    guest["mstatus"] = MSTATUS.MXR.mask
    spvp(guest, 1)
    taken = guest.access("M", "hlv.d", GVA)
    assert isinstance(taken, Taken) and taken.cause == LOAD_GUEST
    assert taken.tval2 == (table + 8 * (GVA >> 30)) >> 2 and taken.tinst == 0x3000


# --- Virtual or illegal --------------------------------------------------------------------------


@pytest.mark.norm(
    "H_cause_virtual_instruction",
    "H_illegal_high_half",
    "H_virtinst_xtval",
    "H_virtinst_vs_nonhighctr_h0_m1",
)
@pytest.mark.parametrize("mode", ["VS", "VU"])
def test_5_virtual_only_where_hs_mode_would_be_allowed(lab: Lab, mode: str) -> None:
    cycle = number("cycle")
    lab["mcounteren"] = 0
    lab["hcounteren"] = lab["scounteren"] = 0xFFFF_FFFF
    # Not allowed in HS-mode either.
    assert causes(lab.csrr(mode, "cycle")) == [ILLEGAL]
    lab["mcounteren"] = 0xFFFF_FFFF
    assert not isinstance(lab.csrr(mode, "cycle"), Taken)
    assert causes(lab.csrw(mode, "cycle")) == [ILLEGAL]  # read-only
    assert causes(lab.csrw(mode, "hgeip")) == [ILLEGAL]
    assert causes(lab.do(mode, "csrrs", csr=number("hgeip"), rs1=10, rd=11)) == [ILLEGAL]
    for high in (cycle + 0x80, 0x615, 0x61A, 0x612, 0x25D, 0x15D):  # cycleh, htimedeltah...
        assert causes(lab.do(mode, "csrrs", csr=high, rd=11)) == [ILLEGAL]
    for nothing in (0x5C0, 0x6FF, 0x2FF, 0x8FF):
        assert causes(lab.do(mode, "csrrs", csr=nothing, rd=11)) == [ILLEGAL]
    assert causes(lab.csrr(mode, "mstatus"), lab.csrr(mode, "mhartid")) == [ILLEGAL, ILLEGAL]
    lab["hcounteren"] = 0
    word = encode("csrrs", csr=cycle, rd=11)
    assert lab.csrr(mode, "cycle") == Taken("M", VIRTUAL, word)


@pytest.mark.norm(
    "hcounteren_op",
    "H_virtinst_vs_nonhighctr_h0_m1",
    "H_virtinst_vu_nonhighctr_h0_s0_m1",
)
@pytest.mark.parametrize("name", ["cycle", "time", "instret", "hpmcounter3", "hpmcounter31"])
def test_6_counters(lab: Lab, name: str) -> None:
    bit = 1 << (number(name) & 31)
    for m in (0, bit):
        for h in (0, bit):
            for s in (0, bit):
                lab["mcounteren"] = m
                lab["hcounteren"] = h
                lab["scounteren"] = s
                results = [lab.csrr(mode, name) for mode in ("VS", "VU", "U")]
                found = [r.cause if isinstance(r, Taken) else None for r in results]
                if not m:
                    assert found == [ILLEGAL] * 3
                else:
                    virtual, both = None if h else VIRTUAL, None if h and s else VIRTUAL
                    assert found == [virtual, both, None if s else ILLEGAL]


@pytest.mark.norm("H_illegalinst_xstatus_fs_vs", "vsstatus_fs_op")
@pytest.mark.parametrize("mode", ["VS", "VU"])
def test_7_floating_point_off_in_either_status(lab: Lab, mode: str) -> None:
    for fs, vs_fs in ((0, 1), (1, 0), (0, 0)):
        lab["mstatus.FS"], lab["vsstatus.FS"] = fs, vs_fs
        for name in ("fadd.d", "fmv.x.d", "fsw"):
            assert causes(lab.do(mode, name)) == [ILLEGAL]
        assert causes(lab.csrr(mode, "fcsr"), lab.csrw(mode, "frm")) == [ILLEGAL, ILLEGAL]
        assert lab["mstatus.FS"] == fs and lab["vsstatus.FS"] == vs_fs


@pytest.mark.norm("vsstatus_fs_op", "vsstatus_sd_xs_op", "vsstatus_v0")
def test_7_floating_point_writes_dirty_both(lab: Lab) -> None:
    for write in (
        encode("fmv.d.x"),
        encode("csrrwi", csr=number("fcsr"), zimm=1),
        encode("fld", rs1=10),
    ):
        lab["mstatus.FS"], lab["vsstatus.FS"], lab["a0"] = 1, 2, DATA
        assert lab.execute("VS", write) is None
        assert lab["mstatus.FS"] == lab["vsstatus.FS"] == 3
        assert lab["mstatus"] & lab["vsstatus"] & SSTATUS.SD.mask
    # At V=0, vsstatus is not looked at and not changed. SD follows each one's own FS.
    lab["mstatus.FS"], lab["vsstatus.FS"] = 1, 0
    assert lab.do("U", "fmv.d.x") is None
    assert lab["mstatus"] & SSTATUS.SD.mask
    assert lab["vsstatus.FS"] == 0 and not lab["vsstatus"] & SSTATUS.SD.mask
    lab["mstatus.FS"], lab["vsstatus.FS"] = 1, 3
    assert lab["vsstatus"] & SSTATUS.SD.mask and not lab["sstatus"] & SSTATUS.SD.mask
    assert lab.csrr("VS", "sstatus") == lab["vsstatus"]


@pytest.mark.norm("mstatus_modes", "hstatus_vtsr_op", "H_virtinst_vs_sret_vtsr1")
@pytest.mark.norm("H_virtinst_vu_sret_sfence")
def test_8_sret(lab: Lab) -> None:
    """TSR is for HS-mode, VTSR for VS-mode."""
    for tsr, vtsr in ((0, 0), (0, 1), (1, 0), (1, 1)):
        lab["mstatus.TSR"], lab["hstatus.VTSR"] = tsr, vtsr
        lab["vsstatus.SPP"], lab["mstatus.SPP"] = 1, 1
        expected = VIRTUAL if vtsr else None
        assert causes(lab.do("VS", "sret")) == [expected]
        assert causes(lab.do("VU", "sret"), lab.do("U", "sret")) == [VIRTUAL, ILLEGAL]
        assert causes(lab.do("S", "sret")) == [ILLEGAL if tsr else None]
        assert lab.do("M", "sret") is None


@pytest.mark.norm(
    "mstatus_modes",
    "hstatus_vtw_op",
    "VTW_VIRTINSTR",
    "H_virtinst_vu_wfi_tw0",
    "H_virtinst_wfi_vtw1_tw0",
)
def test_8_wfi(lab: Lab) -> None:
    """TW=1 is illegal in all modes but M; else VTW in VS-mode, and VU-mode always, are virtual.
    A guest's interrupt is pending and not taken, so what is allowed does not wait."""
    lab["mie"] = lab["hideleg"] = 4
    for tw, vtw in ((0, 0), (0, 1), (1, 0), (1, 1)):
        lab["mstatus.TW"], lab["hstatus.VTW"] = tw, vtw
        lab["hvip"] = 0
        assert causes(lab.do("VU", "wfi")) == [ILLEGAL if tw else VIRTUAL]
        lab["hvip"] = 4
        assert causes(lab.do("VS", "wfi")) == [ILLEGAL if tw else VIRTUAL if vtw else None]
        assert causes(lab.do("S", "wfi")) == [ILLEGAL if tw else None]
        assert causes(lab.do("U", "wfi")) == [ILLEGAL]
        assert lab.do("M", "wfi") is None


@pytest.mark.norm(
    "mstatus_modes",
    "hstatus_vtvm_op",
    "H_virtinst_vs_sfence_sinval_satp_vtvm1",
    "H_virtinst_vu_sret_sfence",
)
def test_8_tvm_and_vtvm(lab: Lab) -> None:
    for tvm, vtvm in ((0, 0), (0, 1), (1, 0), (1, 1)):
        lab["mstatus.TVM"], lab["hstatus.VTVM"] = tvm, vtvm
        for name in ("sfence.vma", "sinval.vma"):
            assert causes(lab.do("VS", name)) == [VIRTUAL if vtvm else None]
            assert causes(lab.do("S", name)) == [ILLEGAL if tvm else None]
            assert causes(lab.do("VU", name), lab.do("U", name)) == [VIRTUAL, ILLEGAL]
        for result in (lab.csrr("VS", "satp"), lab.csrw("VS", "satp")):
            assert isinstance(result, Taken) == bool(vtvm)
            assert not vtvm or causes(result) == [VIRTUAL]
        for result in (lab.csrr("S", "satp"), lab.csrw("S", "satp")):
            assert isinstance(result, Taken) == bool(tvm)
            assert not tvm or causes(result) == [ILLEGAL]
        assert causes(lab.csrr("VU", "satp")) == [VIRTUAL]
        # The ordering instructions of Svinval are never trapped in VS-mode.
        for name in ("sfence.w.inval", "sfence.inval.ir"):
            assert lab.do("VS", name) is None and lab.do("S", name) is None
            assert causes(lab.do("VU", name), lab.do("U", name)) == [VIRTUAL, ILLEGAL]


@pytest.mark.norm(
    "mstatus_tvm_hs",
    "hgatp_tvm_illegal",
    "hfence-vvma_tvm",
    "hfence-gvma_op",
    "hfence-vvma_hfence-gvma_exceptions",
)
def test_9_tvm_is_for_hgatp(lab: Lab) -> None:
    for tvm in (0, 1):
        lab["mstatus.TVM"], lab["hstatus.VTVM"] = tvm, 1
        expected = [ILLEGAL if tvm else None]
        assert causes(lab.csrw("S", "hgatp")) == expected
        assert isinstance(lab.csrr("S", "hgatp"), Taken) == bool(tvm)
        assert causes(lab.do("S", "hfence.gvma")) == expected
        assert causes(lab.do("S", "hinval.gvma")) == expected
        assert lab.csrw("S", "vsatp") is None and lab.csrr("S", "vsatp") == 0
        assert lab.do("S", "hfence.vvma") is None and lab.do("S", "hinval.vvma") is None
        for name in FENCES:
            assert lab.do("M", name) is None
        assert lab.csrr("M", "hgatp") == 0
        # At V=1 it is taken to be zero.
        assert causes(lab.csrr("VS", "hgatp"), lab.csrr("VU", "hgatp")) == [VIRTUAL] * 2


@pytest.mark.norm(
    "hfence-vvma_mode",
    "hfence-vvma_hfence-gvma_exceptions",
    "H_virtinst_vu_vs_hinst",
)
@pytest.mark.parametrize("name", FENCES)
def test_10_fences_by_mode(lab: Lab, name: str) -> None:
    word = encode(name, rs1=10, rs2=11)
    for tvm in (0, 1):
        lab["mstatus.TVM"] = tvm
        for mode in ("VS", "VU"):
            assert lab.execute(mode, word) == Taken("M", VIRTUAL, word)
        assert lab.execute("U", word) == Taken("M", ILLEGAL, word)


@pytest.mark.norm("H_virtinst_vu_vs_hinst")
def test_reserved_encodings_are_illegal(lab: Lab) -> None:
    """Neighbours of the hypervisor instructions, at V=1 as well."""
    known = {(i.mask, i.match) for i in BY_NAME.values() if i.mask}
    words = [0x6000_4073 | funct7 << 25 | rs2 << 20 for funct7 in range(8) for rs2 in (2, 4, 31)]
    reserved = [w for w in words if not any(w & mask == match for mask, match in known)]
    assert len(reserved) > 10
    for word in reserved:
        for mode in ("M", "S", "VS", "VU"):
            assert lab.execute(mode, word) == Taken("M", ILLEGAL, word)


@pytest.mark.norm("hlsv_op")
@pytest.mark.parametrize("name", ["hlv.h", "hlv.w", "hlv.d", "hsv.d"])
def test_misaligned_accesses(guest: Lab, name: str) -> None:
    guest.page()
    guest.write(DATA + 8, VALUE)
    spvp(guest, 1)
    result = guest.access("S", name, GVA + 9, 0x1234)
    assert not isinstance(result, Taken)
    if name == "hlv.d":
        assert result == VALUE >> 8
    elif name == "hsv.d":
        assert guest.read(DATA + 9) == 0x1234


@pytest.mark.norm("hlsv_u_op")
def test_devices_and_nothing(guest: Lab) -> None:
    """HLV reaches devices, HLVX does not; where nothing is, both are access faults."""
    spvp(guest, 1)
    guest.page()
    guest.map("hgatp", 0x1_2340_0000, 0x10_1000, RWX | U)  # the RTC
    assert not isinstance(guest.access("S", "hlv.wu", GVA), Taken)
    assert causes(guest.access("S", "hlvx.wu", GVA)) == [LOAD_ACCESS]
    guest.map("hgatp", 0x1_2340_0000, 0x7000_0000, RWX | U)
    assert causes(guest.access("S", "hlv.wu", GVA)) == [LOAD_ACCESS]
    assert causes(guest.access("S", "hsv.w", GVA)) == [STORE_ACCESS]


@pytest.mark.norm("hlsv_trans")
def test_stores_need_write_permission_of_both_stages(guest: Lab) -> None:
    spvp(guest, 1)
    read_only = V | R | A | D
    guest.page(read_only, RWX | U)
    assert causes(guest.access("S", "hsv.b", GVA)) == [STORE_PAGE]
    guest.page(RWX, read_only | U)
    assert causes(guest.access("S", "hsv.b", GVA)) == [STORE_GUEST]


@pytest.mark.norm("hlsv_priv")
def test_32_nothing_is_left_of_a_fault(guest: Lab) -> None:
    """The next access is made with the mode's own privilege and translation."""
    guest.page()
    spvp(guest, 1)
    guest.write(DATA, VALUE)
    for name in ("hlv.d", "hlvx.wu", "hsv.d"):
        assert isinstance(guest.access("S", name, GVA + 0x1000), Taken)
        assert guest.access("S", "ld", DATA) == VALUE  # satp is Bare
        assert causes(guest.access("S", "ld", GVA)) == [LOAD_ACCESS]
        assert causes(guest.access("M", "ld", GVA)) == [LOAD_ACCESS]
        assert guest.access("VS", "ld", GVA) == VALUE
    assert guest["hstatus"] & HSTATUS.SPVP.mask
