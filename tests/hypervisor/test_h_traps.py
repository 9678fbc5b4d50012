"""Traps into M, HS and VS, delegation, and returns from them."""

import pytest

from rvemu.hart.fields import HSTATUS, MSTATUS, SSTATUS
from rvemu.lang import M64
from tests.hypervisor.lab import (
    DATA,
    GPA,
    GVA,
    HS_HANDLER,
    ILLEGAL,
    LOAD_GUEST,
    LOAD_PAGE,
    M_HANDLER,
    PAGE,
    RWX,
    VIRTUAL,
    VS_HANDLER,
    Lab,
    Taken,
    U,
    causes,
    encode,
    number,
)

ECALLS = {"M": 11, "S": 9, "U": 8, "VS": 10, "VU": 8}
PRIVILEGE = {"M": 3, "S": 1, "U": 0, "VS": 1, "VU": 0}

# What hedeleg must, may and must not delegate (with compressed instructions).
HEDELEG = sum(1 << n for n in (1, 2, 3, 4, 5, 6, 7, 8, 12, 13, 15, 18, 19))
NOT_TO_VS = sum(1 << n for n in (9, 10, 11, 14, 16, 17, 20, 21, 22, 23))


@pytest.mark.norm("H_cause", "H_cause_ecall", "H_trap_m_csrwrites", "mstatus_mpv_op")
@pytest.mark.parametrize("mode", list(ECALLS))
def test_traps_into_m(lab: Lab, mode: str) -> None:
    lab["mstatus"] = MSTATUS.MIE.mask | MSTATUS.GVA.mask
    lab["mtval2"], lab["mtinst"] = 5, 7
    assert lab.do(mode, "ecall") == Taken("M", ECALLS[mode])
    assert lab["pc"] == M_HANDLER
    assert lab["mstatus.MPV"] == mode.startswith("V")
    assert lab["mstatus.MPP"] == PRIVILEGE[mode]
    assert (lab["mstatus.MPIE"], lab["mstatus.MIE"]) == (1, 0)


@pytest.mark.norm("H_trap_hs_csrwrites", "H_trap_deleg", "hstatus_spv_op", "hstatus_spvp_op")
@pytest.mark.parametrize("mode", ["S", "U", "VS", "VU"])
@pytest.mark.parametrize("spvp", [0, 1])
def test_23_traps_into_hs(lab: Lab, mode: str, spvp: int) -> None:
    """SPVP changes only where the trap comes from V=1."""
    lab.delegate("S")
    lab["hstatus"] = HSTATUS.GVA.mask | (HSTATUS.SPVP.mask if spvp else 0)
    lab["mstatus"] = MSTATUS.SIE.mask
    lab["vsstatus"] = before = SSTATUS.SIE.mask | SSTATUS.SPP.mask
    lab["htval"], lab["htinst"] = 5, 7
    vsstatus = lab["vsstatus"]
    assert lab.do(mode, "ecall") == Taken("S", ECALLS[mode])
    assert lab["pc"] == HS_HANDLER
    assert lab["hstatus.SPV"] == mode.startswith("V")
    assert lab["mstatus.SPP"] == PRIVILEGE[mode]
    assert lab["hstatus.SPVP"] == (PRIVILEGE[mode] if mode.startswith("V") else spvp)
    assert (lab["mstatus.SPIE"], lab["mstatus.SIE"]) == (1, 0)
    assert lab["vsstatus"] == vsstatus and vsstatus & before == before


@pytest.mark.norm("H_trap_vs_csrwrites", "hedeleg_op")
@pytest.mark.parametrize("mode", ["VS", "VU"])
def test_23_traps_into_vs_leave_hs_alone(lab: Lab, mode: str) -> None:
    lab.delegate("VS")
    lab["hstatus"] = HSTATUS.GVA.mask | HSTATUS.SPVP.mask * (mode == "VU")
    lab["vsstatus"] = SSTATUS.SIE.mask
    for name in ("htval", "htinst", "stval", "scause", "sepc", "mtval2", "mtinst", "mcause"):
        lab[name] = 0x44
    names = ("hstatus", "mstatus", "htval", "htinst", "stval", "scause", "sepc", "mcause", "mepc")
    before = {name: lab[name] for name in names}
    word = encode("csrrs", csr=number("mstatus"), rd=1)
    assert lab.execute(mode, word) == Taken("VS", ILLEGAL, word)
    assert lab["pc"] == VS_HANDLER and lab["vsepc"] == lab.code_address(mode)
    assert lab["vsstatus.SPP"] == PRIVILEGE[mode]
    assert (lab["vsstatus.SPIE"], lab["vsstatus.SIE"]) == (1, 0)
    assert {name: lab[name] for name in names} == before


@pytest.mark.norm("hedeleg_op", "H_trap_deleg", "H_cause_virtual_instruction")
@pytest.mark.parametrize("m", [0, 1])
@pytest.mark.parametrize("h", [0, 1])
def test_delegation_chain(lab: Lab, m: int, h: int) -> None:
    """M, or HS where medeleg says so, or VS where hedeleg does as well and V=1. What M-mode raises
    stays there; a virtual instruction never goes to VS."""
    lab["medeleg"] = M64 if m else 0
    lab["hedeleg"] = M64 if h else 0
    expected = "VS" if m and h else "S" if m else "M"
    for mode in ("VS", "VU"):
        taken = lab.execute(mode, 0)
        assert taken is not None and (taken.level, taken.cause) == (expected, ILLEGAL)
        taken = lab.do(mode, "hfence.gvma")
        assert taken is not None and (taken.level, taken.cause) == ("S" if m else "M", VIRTUAL)
    for mode in ("S", "U"):
        taken = lab.execute(mode, 0)
        assert taken is not None and taken.level == ("S" if m else "M")
    taken = lab.execute("M", 0)
    assert taken is not None and taken.level == "M"


@pytest.mark.norm("H_guest_page_fault")
def test_guest_page_faults_go_to_hs_at_most(guest: Lab) -> None:
    guest.page(RWX, 0)
    guest.delegate("VS")
    taken = guest.access("VS", "ld", GVA)
    assert isinstance(taken, Taken) and (taken.level, taken.cause) == ("S", LOAD_GUEST)
    guest.page(0)
    assert guest.access("VS", "ld", GVA) == Taken("VS", LOAD_PAGE, GVA)


# --- Delegation registers ------------------------------------------------------------------------


@pytest.mark.norm("hedeleg_sz", "hedeleg_acc", "HEDELEG_WARL", "hedeleg_sz_acc")
def test_26_hedeleg(lab: Lab) -> None:
    lab.csrw("S", "hedeleg", M64)
    assert lab["hedeleg"] & HEDELEG == HEDELEG
    assert lab["hedeleg"] & NOT_TO_VS == 0
    assert lab.csrr("S", "hedeleg") == lab["hedeleg"]
    lab.csrw("S", "hedeleg", 0)
    assert lab["hedeleg"] == 0


@pytest.mark.norm("hedeleg_acc")
def test_26_hedeleg_bit_0_without_compressed_instructions(engine: str) -> None:
    """A misaligned jump target can be delegated where it can occur."""
    lab = Lab(engine, "rv64ih")
    lab["hedeleg"] = lab["medeleg"] = 1
    assert lab["hedeleg"] == lab["medeleg"] == 1
    lab["a0"] = 0x8000_0002
    assert lab.do("VS", "jalr", rs1=10) == Taken("VS", 0, 0x8000_0002)


@pytest.mark.norm("hideleg_sz", "hideleg_acc", "HIDELEG_WARL", "vsip_vsie_lcofi")
def test_26_hideleg(lab: Lab) -> None:
    """Bits 2, 6 and 10; 13 only with Shlcofideleg."""
    assert lab.csrw("S", "hideleg", M64) is None
    assert lab["hideleg"] == 0x444


@pytest.mark.norm("mideleg_acc_h", "mideleg_hroz")
def test_26_mideleg(lab: Lab) -> None:
    for value in (0, M64):
        lab.csrw("M", "mideleg", value)
        assert lab["mideleg"] & 0x1444 == 0x1444
        assert lab["mideleg"] & 0x888 == 0


# --- Returns -------------------------------------------------------------------------------------


@pytest.mark.norm("mret_h", "mstatus_mpv_op")
@pytest.mark.parametrize("mpv", [0, 1])
@pytest.mark.parametrize("mpp", [0, 1, 3])
def test_24_mret(lab: Lab, mpv: int, mpp: int) -> None:
    """V=MPV unless MPP=M; MPV, MPP=0; MPRV=0 unless to M."""
    lab["mepc"] = lab.code_address("M") + 0x40
    lab["mstatus"] = (
        MSTATUS.MPRV.mask | MSTATUS.MPIE.mask | mpv << MSTATUS.MPV.low | mpp << MSTATUS.MPP.low
    )
    hstatus = lab["hstatus"]
    assert lab.do("M", "mret") is None
    modes = {(0, 0): "U", (0, 1): "S", (1, 0): "VU", (1, 1): "VS"}
    assert lab.hart.mode == ("M" if mpp == 3 else modes[mpv, mpp])
    assert lab["mstatus.MPRV"] == (mpp == 3)
    assert (lab["mstatus.MPV"], lab["mstatus.MPP"]) == (0, 0)
    assert (lab["mstatus.MIE"], lab["mstatus.MPIE"]) == (1, 1)
    assert lab["pc"] == lab["mepc"] and lab["hstatus"] == hstatus


@pytest.mark.norm("sret_h", "sret_v0", "hstatus_spv_sret")
@pytest.mark.parametrize("mode", ["M", "S"])
@pytest.mark.parametrize("spv", [0, 1])
@pytest.mark.parametrize("spp", [0, 1])
def test_24_sret_at_v0(lab: Lab, mode: str, spv: int, spp: int) -> None:
    lab["sepc"] = lab.code_address("S") + 0x40
    lab["mstatus"] = MSTATUS.MPRV.mask | MSTATUS.SPIE.mask | spp << MSTATUS.SPP.low
    lab["hstatus"] = HSTATUS.SPVP.mask | spv << HSTATUS.SPV.low
    lab["vsstatus.SPP"] = 1 - spp
    vsstatus = lab["vsstatus"]
    assert lab.do(mode, "sret") is None
    assert lab.hart.mode == {(0, 0): "U", (0, 1): "S", (1, 0): "VU", (1, 1): "VS"}[spv, spp]
    assert (lab["hstatus.SPV"], lab["mstatus.SPP"], lab["hstatus.SPVP"]) == (0, 0, 1)
    assert (lab["mstatus.SIE"], lab["mstatus.SPIE"], lab["mstatus.MPRV"]) == (1, 1, 0)
    assert lab["pc"] == lab["sepc"] and lab["vsstatus"] == vsstatus


@pytest.mark.norm("sret_h", "sret_v1")
@pytest.mark.parametrize("spp", [0, 1])
def test_24_sret_at_v1(lab: Lab, spp: int) -> None:
    """Only vsstatus says where to, and only it changes."""
    lab["vsepc"], lab["sepc"] = lab.code_address("S") + 0x40, 0x44
    lab["mstatus"] = MSTATUS.MPRV.mask | MSTATUS.SPIE.mask | (1 - spp) << MSTATUS.SPP.low
    lab["hstatus"] = HSTATUS.SPV.mask * (1 - spp) | HSTATUS.SPVP.mask
    lab["vsstatus"] = SSTATUS.SPIE.mask | spp << SSTATUS.SPP.low
    before = lab["mstatus"], lab["hstatus"]
    assert lab.do("VS", "sret") is None
    assert lab.hart.mode == ("VS" if spp else "VU")
    assert (lab["vsstatus.SPP"], lab["vsstatus.SIE"], lab["vsstatus.SPIE"]) == (0, 1, 1)
    assert (lab["mstatus"], lab["hstatus"]) == before
    assert lab["pc"] == lab["vsepc"]


# --- What the trap registers say -----------------------------------------------------------------


@pytest.mark.norm("H_virtinst_xtval", "H_mtval_nrz", "H_trap_xtinst_val")
@pytest.mark.parametrize("level", ["M", "S"])
def test_a_virtual_instruction_shows_itself(lab: Lab, level: str) -> None:
    """In mtval or stval; htinst is zero."""
    if level == "S":
        lab.delegate("S")
    for word in (encode("hlv.w", rs1=10, rd=11), encode("csrrs", csr=0x600, rd=3)):
        assert lab.execute("VS", word) == Taken(level, VIRTUAL, word)


@pytest.mark.norm("H_exception_priority")
def test_priority(guest: Lab) -> None:
    """The virtual instruction comes before what its access would raise, the VS stage before the G
    stage, and translation before alignment of atomics is not asked."""
    assert causes(guest.access("VS", "hlv.d", GVA)) == [VIRTUAL]
    guest.page(0, 0)
    assert causes(guest.access("VS", "ld", GVA)) == [LOAD_PAGE]
    guest.page(RWX, 0)
    assert causes(guest.access("VS", "ld", GVA)) == [LOAD_GUEST]
    guest["a0"] = GVA + 1
    assert causes(guest.do("VS", "lr.d", rs1=10)) == [4]
    # And of a fetch before the instruction.
    taken = guest.jump("VS", GVA)
    assert isinstance(taken, Taken) and (taken.cause, taken.tval2) == (20, GPA >> 2)


@pytest.mark.norm("vstvec_sz", "vstvec_acc", "vstvec_op", "vstvec_sz_acc_op", "VSTVEC_MODE_WARL")
def test_vstvec(lab: Lab) -> None:
    """Shvstvecd: any aligned base, direct mode; exceptions go there in vectored mode as well."""
    lab.delegate("VS")
    for base in (VS_HANDLER + 4, VS_HANDLER + 0xC):
        lab.csrw("VS", "stvec", base)
        assert lab["vstvec"] == base and lab["stvec"] == HS_HANDLER
        lab.execute("VS", 0)
        assert lab["pc"] == base
    lab["vstvec"] = VS_HANDLER | 1
    lab.execute("VS", 0)
    assert lab["pc"] == VS_HANDLER
    lab["hideleg"], lab["mie"], lab["hvip"] = 0x444, 0x444, 0x40
    assert lab.interrupted("VU") == ("VS", 5)
    assert lab["pc"] == VS_HANDLER + 4 * 5 + 4


@pytest.mark.norm("vstval_sz", "vstval_acc", "vstval_op", "vstval_sz_acc_op", "VSTVAL_WARL")
def test_shvstvala(guest: Lab) -> None:
    """vstval is written in all the cases that stval is."""
    guest.delegate("VS")
    guest.page(0)
    assert guest.access("VS", "ld", GVA + 8) == Taken("VS", LOAD_PAGE, GVA + 8)
    assert guest.jump("VS", GVA) == Taken("VS", 12, GVA)
    assert guest.execute("VS", 0xFFFF_FFFF) == Taken("VS", ILLEGAL, 0xFFFF_FFFF)
    assert guest.do("VU", "ecall") == Taken("VS", 8)
    address = guest.code_address("VS")
    assert guest.do("VS", "ebreak") == Taken("VS", 3, address)
    guest["a0"] = GVA + 1
    assert guest.do("VS", "lr.w", rs1=10) == Taken("VS", 4, GVA + 1)
    guest.map("vsatp", GVA, GPA)
    guest.map("hgatp", GPA, 0x7000_0000, RWX | U)
    assert guest.access("VS", "sd", GVA) == Taken("VS", 7, GVA)


@pytest.mark.norm("htval_val", "mtval2_val", "HTVAL_WARL", "MTVAL2_WARL", "HTVAL_TRAPVAL")
def test_shtvala(guest: Lab) -> None:
    """htval and mtval2 hold every guest-physical address, also that of a 16-bit HLVX."""
    for name in ("htval", "mtval2"):
        for value in (0, 0x3FFF_FFFF_FFFF_FFFF, (1 << 59) - 1):
            guest.csrw("M", name, value)
            assert guest[name] == value
    guest["vsatp"] = 0
    guest["hstatus.SPVP"] = 1
    for gpa in (0xFFFF_FFFF_FFFF_FFFE, 0x1_FFFF_FFFE, 0x200_0000_0000):
        taken = guest.access("S", "hlvx.hu", gpa)
        assert isinstance(taken, Taken) and (taken.cause, taken.tval2) == (LOAD_GUEST, gpa >> 2)


@pytest.mark.norm("H_vscsrs_v1", "H_vscsrs_sub")
def test_satp_and_stvec_of_hs_do_not_act_at_v1(guest: Lab) -> None:
    guest["satp"] = 8 << 60 | 0x12345  # would fault everything
    guest["stvec"] = 0
    guest.page()
    guest.write(DATA, 3)
    guest.delegate("VS")
    assert guest.access("VS", "ld", GVA) == 3
    assert guest.access("VS", "ld", GVA + PAGE) == Taken("VS", LOAD_PAGE, GVA + PAGE)
    assert guest["pc"] == VS_HANDLER
