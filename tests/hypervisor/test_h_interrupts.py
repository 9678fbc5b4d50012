"""Interrupts of guests: who sees which, by what name, and which comes first."""

import pytest

from rvemu.hart.fields import HSTATUS, SSTATUS
from rvemu.lang import M64
from tests.hypervisor.lab import Lab, Taken, causes, number

VSSI, VSTI, VSEI, SGEI = 2, 6, 10, 12
SSI, STI, SEI = 1, 5, 9
VIRTUAL = 22
NEVER = M64


def bits(*causes: int) -> int:
    return sum(1 << cause for cause in causes)


def quiet(lab: Lab) -> None:
    """No timer interrupt, everything enabled and delegated to HS-mode."""
    lab["mie"] = M64
    lab["mideleg"] = M64


def pend(lab: Lab, *causes: int) -> None:
    """Have just these interrupts pending."""
    lab["hgeie"] = bits(1) if SGEI in causes else 0
    lab.h.hgeip = bits(1) if SGEI in causes else 0
    lab["hvip"] = bits(*(c for c in causes if c in (VSSI, VSTI, VSEI)))
    lab["mip"] = bits(*(c for c in causes if c in (SSI, STI, SEI, VSSI)))


# --- Pending bits and their names ----------------------------------------------------------------


@pytest.mark.norm("hvip_sz", "hvip_op", "hvip_sz_op", "hvip_acc", "HVIP_WARL")
def test_27_hvip(lab: Lab) -> None:
    lab.csrw("S", "hvip", M64)
    assert lab["hvip"] == bits(VSSI, VSTI, VSEI)
    assert lab["hip"] == lab["mip"] & bits(VSSI, VSTI, VSEI, SGEI) == bits(VSSI, VSTI, VSEI)
    lab.csrw("S", "hvip", 0)
    assert lab["hip"] == 0


@pytest.mark.norm("hip_vssip_vssie_op", "hip_acc", "mip_mie_alias", "hip_hie_sz_acc", "HIP_WARL")
@pytest.mark.parametrize("name", ["hip", "mip"])
def test_27_vssip_alone_is_written_through_hip(lab: Lab, name: str) -> None:
    mode = "M" if name == "mip" else "S"
    lab.csrw(mode, name, M64 & ~bits(SSI, STI, SEI))
    assert lab["hvip"] == bits(VSSI) and lab["hip"] == bits(VSSI)
    lab["hvip"] = bits(VSTI, VSEI, VSSI)
    lab.csrw(mode, name, 0)
    assert lab["hvip"] == bits(VSTI, VSEI)


@pytest.mark.norm("hip_vseip_vseie_op", "hstatus_vgein_op", "hgeie_op", "hgeip_hgeie_fields")
def test_27_vseip_is_the_or_of_its_sources(lab: Lab) -> None:
    """hvip.VSEIP, or hgeip's bit that VGEIN selects, whatever hgeie says."""
    lab.h.hgeip = bits(3)
    for vgein in (0, 1, 3):
        lab["hstatus.VGEIN"] = vgein
        assert lab["hip"] == (bits(VSEI) if vgein == 3 else 0)
    lab["hstatus.VGEIN"] = 1
    lab["hvip"] = bits(VSEI)
    assert lab["hip"] == bits(VSEI)


@pytest.mark.norm("hip_sgeip_sgeie_acc_op", "hip_sgeip_sgeie_acc", "hip_sgeip_sgeie_op")
@pytest.mark.norm("hgeie_op", "hgeip_sz_acc_op", "hgeip_sz", "hgeip_acc", "hgeip_op")
def test_27_sgeip_is_any_enabled_guest_interrupt(lab: Lab) -> None:
    lab.h.hgeip = bits(1, 5)
    for hgeie, pending in ((0, 0), (bits(2), 0), (bits(5), 1), (bits(1, 5), 1)):
        lab["hgeie"] = hgeie
        assert lab["hip"] == lab["mip"] & bits(SGEI) == bits(SGEI) * pending
    lab.csrw("S", "hip", 0)
    assert lab["hip"] == bits(SGEI)
    assert lab.csrr("S", "hgeip") == bits(1, 5)
    assert causes(lab.csrw("S", "hgeip")) == [2]


@pytest.mark.norm("GEILEN", "HGEIE_WARL", "hgeie_sz", "hgeie_acc", "hgeie_sz_acc_op")
@pytest.mark.norm("hstatus_vgein_op", "HSTATUS_VGEIN_WLRL")
def test_geilen(lab: Lab) -> None:
    """Bits GEILEN:1 of hgeie are writable, and VGEIN holds 0 to GEILEN."""
    lab.csrw("S", "hgeie", M64)
    geilen = lab["hgeie"].bit_length() - 1
    assert geilen > 0 and lab["hgeie"] == (1 << geilen + 1) - 2
    for vgein in range(geilen + 1):
        lab.csrw("S", "hstatus", vgein << HSTATUS.VGEIN.low)
        assert lab["hstatus.VGEIN"] == vgein
    lab.csrw("S", "hstatus", 63 << HSTATUS.VGEIN.low)
    assert lab["hstatus.VGEIN"] <= geilen


@pytest.mark.norm(
    "hip_op", "mip_mie_alias", "mip_mie_vs", "hie_acc", "HIE_WARL", "hie_op", "hip_hie_sz"
)
def test_hie_is_part_of_mie(lab: Lab) -> None:
    lab.csrw("S", "hie", M64)
    assert lab["hie"] == lab["mie"] == bits(VSSI, VSTI, VSEI, SGEI)
    lab.csrw("M", "mie", M64)
    assert lab["hie"] == bits(VSSI, VSTI, VSEI, SGEI)
    lab.csrw("M", "mie", bits(VSTI, SEI))
    assert lab["hie"] == bits(VSTI)
    lab.csrw("S", "hie", 0)
    assert lab["mie"] == bits(SEI)


@pytest.mark.norm("sie_hip_hie_mutex")
def test_sie_and_hie_share_no_bit(lab: Lab) -> None:
    quiet(lab)
    pend(lab, SSI, STI, SEI, VSSI, VSTI, VSEI, SGEI)
    assert lab["sie"] == lab["sip"] == bits(SSI, STI, SEI)
    assert lab["hie"] == lab["hip"] == bits(VSSI, VSTI, VSEI, SGEI)


# --- VS-mode's view ------------------------------------------------------------------------------


@pytest.mark.norm("vsip_vsie_ssi", "vsip_vsie_sti", "vsip_vsie_sei", "vsip_vsie_sz_acc_op")
@pytest.mark.norm("vsip_vsie_sz", "vsip_vsie_acc", "vsip_vsie_op", "VSIP_WARL", "VSIE_WARL")
@pytest.mark.parametrize("delegated", [(), (VSSI,), (VSTI,), (VSEI,), (VSSI, VSTI, VSEI)])
def test_28_vsip_and_vsie_are_shifted(lab: Lab, delegated: tuple[int, ...]) -> None:
    """And zero, and not writable, where not delegated. Not taken here: vsstatus.SIE=0."""
    lab["hideleg"] = bits(*delegated)
    lab["hvip"] = bits(VSSI, VSTI, VSEI)
    seen = bits(*delegated) >> 1
    assert lab.csrr("VS", "sip") == lab["vsip"] == seen
    lab["mie"] = 0
    lab.csrw("VS", "sie", M64)
    assert lab["hie"] == bits(*delegated) and lab["sie"] == 0
    assert lab.csrr("VS", "sie") == lab["vsie"] == seen
    lab["mie"] = bits(VSSI, VSTI, VSEI)
    assert lab["vsie"] == seen
    lab["mie"] = 0
    # Of vsip only SSIP is writable.
    lab.csrw("VS", "sip", 0)
    assert lab["hvip"] == bits(VSTI, VSEI) | (0 if VSSI in delegated else bits(VSSI))
    lab["hvip"] = 0
    lab.csrw("VS", "sip", M64)
    assert lab["hvip"] == bits(VSSI) & bits(*delegated)


@pytest.mark.norm("vsip_vsie_op", "H_vscsrs_v1")
def test_28_sip_of_hs_is_not_seen_by_the_guest(lab: Lab) -> None:
    lab["mideleg"] = M64
    lab["mip"] = bits(SSI, SEI)
    lab["hideleg"] = M64
    assert lab.csrr("VS", "sip") == 0
    lab.csrw("VS", "sip", bits(SSI))
    assert lab["mip"] == bits(SSI, SEI, VSSI)


@pytest.mark.norm("vsip_vsie_lcofi")
def test_28_no_counter_overflow_interrupt(lab: Lab) -> None:
    lab["hideleg"] = M64
    lab.csrw("VS", "sie", M64)
    assert lab.csrr("VS", "sie") == bits(SSI, STI, SEI)


@pytest.mark.norm("hideleg_trans", "hideleg_op", "vscause_sz_acc_op", "H_trap_vs_csrwrites")
@pytest.mark.parametrize(("cause", "seen"), [(VSEI, SEI), (VSTI, STI), (VSSI, SSI)])
def test_28_the_guest_gets_s_level_causes(lab: Lab, cause: int, seen: int) -> None:
    quiet(lab)
    pend(lab, cause)
    lab["hideleg"] = bits(cause)
    for sie in (0, 1):
        lab["vsstatus.SIE"] = sie
        assert lab.interrupted("VS") == (("VS", seen) if sie else None)
        assert lab.interrupted("VU") == ("VS", seen)
        for mode in ("U", "S", "M"):
            assert lab.interrupted(mode) is None
    lab["hideleg"] = 0
    lab["mstatus.SIE"] = 1
    for mode in ("VS", "VU", "U", "S"):
        assert lab.interrupted(mode) == ("S", cause)
        lab["mstatus.SIE"] = 1


# --- Who takes which first -----------------------------------------------------------------------


@pytest.mark.norm("hsint_priority")
def test_29_priority_in_hs(lab: Lab) -> None:
    quiet(lab)
    order = [SEI, SSI, STI, SGEI, VSEI, VSSI, VSTI]
    for n in range(len(order)):
        pend(lab, *order[n:])
        assert lab.interrupted("U") == ("S", order[n])
        assert lab.interrupted("VS") == ("S", order[n])


@pytest.mark.norm("hsint_priority", "hideleg_hs", "hideleg_op")
def test_29_m_over_hs_over_vs(lab: Lab) -> None:
    quiet(lab)
    lab["vsstatus.SIE"] = lab["mstatus.SIE"] = lab["mstatus.MIE"] = 1
    lab["hideleg"] = M64
    pend(lab, VSSI, STI)
    lab.hart.set_interrupt(3, True)  # MSI
    assert lab.interrupted("VS") == ("M", 3)
    lab.hart.set_interrupt(3, False)
    assert lab.interrupted("VS") == ("S", STI)
    pend(lab, VSSI)
    assert lab.interrupted("VS") == ("VS", SSI)
    # The guest's own order is that of S-mode.
    lab["vsstatus.SIE"] = 1
    pend(lab, VSSI, VSTI, VSEI)
    assert lab.interrupted("VU") == ("VS", SEI)
    pend(lab, VSSI, VSTI)
    assert lab.interrupted("VU") == ("VS", SSI)


@pytest.mark.norm("hideleg_hs")
@pytest.mark.parametrize("mode", ["M", "S", "U", "VS", "VU"])
def test_29_enabled_in_lesser_modes(lab: Lab, mode: str) -> None:
    quiet(lab)
    pend(lab, SGEI)
    assert lab.interrupted(mode) == (None if mode in ("M", "S") else ("S", SGEI))
    lab["mstatus.SIE"] = 1
    assert lab.interrupted(mode) == (None if mode == "M" else ("S", SGEI))
    lab["hie"] = 0
    lab["mstatus.SIE"] = 1
    assert lab.interrupted(mode) is None


@pytest.mark.norm("H_trap_xtinst_interrupt", "hstatus_gva_op", "hstatus_spvp_op")
def test_interrupts_clear_what_faults_tell(lab: Lab) -> None:
    quiet(lab)
    pend(lab, SGEI)
    for name in ("htval", "htinst", "stval"):
        lab[name] = 4
    lab["hstatus"] = HSTATUS.GVA.mask
    assert lab.interrupted("VS") == ("S", SGEI)
    assert (lab["htval"], lab["htinst"], lab["stval"], lab["hstatus.GVA"]) == (0, 0, 0, 0)
    assert (lab["hstatus.SPV"], lab["hstatus.SPVP"]) == (1, 1)


# --- Sstc ----------------------------------------------------------------------------------------


@pytest.fixture
def sstc(lab: Lab) -> Lab:
    """menvcfg and henvcfg let the guest have its timer."""
    lab["menvcfg.STCE"] = lab["henvcfg.STCE"] = 1
    lab["vstimecmp"] = lab["stimecmp"] = NEVER
    lab["mcounteren"] = lab["hcounteren"] = M64
    return lab


@pytest.mark.norm("hip_vstip_op", "hip_vstip_clear", "hip_vstip_vstie_acc_op", "vstimecmp_sz")
@pytest.mark.norm("hip_vstip_vstie_acc", "hip_vstip_vstie_op")
def test_30_vstimecmp_compares_with_the_guests_time(sstc: Lab) -> None:
    """time + htimedelta modulo 2^64, at V=0 as well; hvip.VSTIP is another source."""
    delta, when = 1 << 40, (1 << 40) + 1000
    sstc["htimedelta"] = delta
    for vstimecmp, pending in ((when, 0), (delta, 1), (0, 1), (NEVER, 0)):
        sstc["vstimecmp"] = vstimecmp
        assert sstc["hip"] == sstc["mip"] & bits(VSTI) == bits(VSTI) * pending
    # A time before 0 is the greatest of all.
    sstc["htimedelta"] = -(1 << 40)
    for vstimecmp, pending in ((NEVER, 0), (M64 - (1 << 40), 1), (1, 1)):
        sstc["vstimecmp"] = vstimecmp
        assert sstc["hip"] == bits(VSTI) * pending
    sstc["vstimecmp"] = NEVER
    sstc["hvip"] = bits(VSTI)
    assert sstc["hip"] == bits(VSTI)
    sstc["hvip"] = 0
    sstc["vstimecmp"] = 0
    sstc["henvcfg.STCE"] = 0
    assert sstc["hip"] == 0


@pytest.mark.norm("hip_vstip_enable", "hip_vstip_op")
def test_30_it_fires_by_itself(sstc: Lab) -> None:
    """While the guest runs, when its time has come."""
    quiet(sstc)
    sstc["hideleg"] = bits(VSTI)
    sstc["htimedelta"] = 1000
    sstc["vsstatus.SIE"] = 1
    now = sstc.csrr("VS", "time")
    assert isinstance(now, int)
    sstc.csrw("VS", "stimecmp", now + 3)
    assert sstc["vstimecmp"] == now + 3 and sstc["stimecmp"] == NEVER
    sstc.put(sstc.code_address("VS"), 0x0000_006F)  # jump to itself
    sstc.hart.mode = "VS"
    sstc["pc"] = sstc.code_address("VS")
    sstc.machine.run(until=lambda: sstc["pc"] != sstc.code_address("VS"), budget=2000)
    assert sstc["vscause"] == 1 << 63 | STI
    assert sstc.csrr("VS", "time") in range(now + 3, now + 60)


@pytest.mark.norm("henvcfg_stce", "hcounteren_acc", "vstimecmp_acc")
def test_30_who_may_access_stimecmp(lab: Lab) -> None:
    tm = 2
    for m_stce in (0, 1):
        for h_stce in (0, 1):
            for m_tm in (0, tm):
                for h_tm in (0, tm):
                    lab["menvcfg.STCE"] = m_stce
                    lab["henvcfg.STCE"] = h_stce
                    lab["mcounteren"], lab["hcounteren"] = m_tm, h_tm
                    results = (lab.csrr("VS", "stimecmp"), lab.csrw("VS", "stimecmp", NEVER))
                    if not (m_stce and m_tm):
                        assert causes(*results) == [2, 2]
                        assert causes(lab.csrr("S", "vstimecmp")) == [2]
                        assert causes(lab.csrr("VS", "vstimecmp")) == [2]
                    else:
                        assert isinstance(results[0], Taken) == (not (h_stce and h_tm))
                        if not (h_stce and h_tm):
                            assert causes(*results) == [VIRTUAL] * 2
                        assert lab.csrr("S", "vstimecmp") == NEVER
                        assert causes(lab.csrr("VS", "vstimecmp")) == [VIRTUAL]
                        assert causes(lab.csrr("VU", "stimecmp")) == [VIRTUAL]
                    assert lab.csrr("M", "vstimecmp") == NEVER
    assert number("stimecmp") == 0x14D


@pytest.mark.norm("htimedelta_sz_acc_op", "htimedelta_sz", "htimedelta_acc", "htimedelta_op")
@pytest.mark.norm("time_htimedelta_req")
def test_htimedelta(lab: Lab) -> None:
    lab["mcounteren"] = lab["hcounteren"] = lab["scounteren"] = M64
    for delta in (0, 12345, M64 - 10):
        lab.csrw("S", "htimedelta", delta)
        assert lab.csrr("S", "htimedelta") == delta
        now = lab.csrr("S", "time")
        assert isinstance(now, int)
        for mode in ("VS", "VU"):
            guests = lab.csrr(mode, "time")
            assert isinstance(guests, int) and (guests - now - delta) % (1 << 64) <= 1
        later = lab.csrr("U", "time")
        assert isinstance(later, int) and later - now <= 1


@pytest.mark.norm("vsstatus_v0")
def test_vsstatus_sie_does_not_act_at_v0(lab: Lab) -> None:
    quiet(lab)
    lab["vsstatus"] = SSTATUS.SIE.mask
    lab["hideleg"] = M64
    pend(lab, VSEI)
    for mode in ("S", "U"):
        assert lab.interrupted(mode) is None
