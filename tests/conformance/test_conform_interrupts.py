"""Interrupts: which is taken, where to, and when not; timers; WFI."""

import itertools

import pytest

from rvemu.machine import Reason
from tests.assembler import A0, csr_number, encode
from tests.conformance.probe import CODE, MTVEC, STVEC, Probe, Trap

SSI, MSI, STI, MTI, SEI, MEI = 1, 3, 5, 7, 9, 11
INTERRUPT = 1 << 63
# norm: MEI, MSI, MTI, SEI, SSI, STI is the order in which they are taken ("mip and mie").
PRIORITY = (MEI, MSI, MTI, SEI, SSI, STI)
NOP = 0x13


def raise_interrupts(probe: Probe, *numbers: int) -> None:
    """Make interrupts pending: the machine's by their lines, the supervisor's by mip."""
    hart = probe.hart
    for number in numbers:
        if number == MTI:
            hart.mtimecmp = 0
        elif number in (MSI, MEI):
            hart.set_interrupt(number, True)
        else:
            hart["mip"] |= 1 << number


def quiet(probe: Probe) -> None:
    """No timer interrupt until one is asked for."""
    probe.hart.mtimecmp = (1 << 64) - 1


def taken(probe: Probe, mode: str) -> Trap | None:
    """Execute a nop in a mode: the interrupt that was taken before it."""
    probe.put(CODE, NOP, NOP)
    probe.enter(mode)
    return probe.step()


@pytest.mark.parametrize("number", PRIORITY)
@pytest.mark.parametrize("mode", ["M", "S", "U"])
def test_each_interrupt_is_taken_to_m_mode(probe: Probe, mode: str, number: int) -> None:
    """norm:mstatus_xie_intr_en_dis: MIE matters in M-mode only."""
    quiet(probe)
    probe.hart["mie"] = 1 << number
    raise_interrupts(probe, number)
    assert probe.hart["mip"] >> number & 1
    if mode == "M":
        assert taken(probe, mode) is None
        probe.hart["pc"] = CODE
        probe.hart["mstatus.MIE"] = 1
        trap = probe.step()
    else:
        trap = taken(probe, mode)
    assert trap == Trap("M", INTERRUPT | number, CODE, 0)


@pytest.mark.parametrize(("first", "second"), [*itertools.pairwise(PRIORITY)])
def test_priority(probe: Probe, first: int, second: int) -> None:
    quiet(probe)
    probe.hart["mie"] = 1 << first | 1 << second
    raise_interrupts(probe, second, first)
    trap = taken(probe, "U")
    assert trap is not None
    assert trap.cause == INTERRUPT | first


@pytest.mark.parametrize("number", [SSI, STI, SEI])
@pytest.mark.parametrize(("mode", "enabled"), [("U", 0), ("S", 0), ("S", 1), ("M", 0), ("M", 1)])
def test_delegated_interrupts(probe: Probe, number: int, mode: str, enabled: int) -> None:
    """norm:medeleg_mideleg_op2: never in M-mode, in S-mode if SIE, in U-mode always."""
    quiet(probe)
    hart = probe.hart
    hart["mideleg"] = hart["mie"] = 1 << number
    raise_interrupts(probe, number)
    probe.put(CODE, NOP)
    hart["mstatus.MPIE"] = 0
    hart["mstatus.SIE"] = enabled
    trap = taken(probe, mode)
    if mode == "U" or (mode == "S" and enabled):
        assert trap == Trap("S", INTERRUPT | number, CODE, 0)
    else:
        assert trap is None


def test_vectored(probe: Probe) -> None:
    """norm:mtvec_mode_vectored_op: base + 4 * cause"""
    quiet(probe)
    hart = probe.hart
    hart["mtvec"], hart["mie"] = MTVEC | 1, 1 << MEI
    raise_interrupts(probe, MEI)
    taken(probe, "U")
    assert (hart.pc, hart["mcause"]) == (MTVEC + 4 * MEI, INTERRUPT | MEI)
    hart.set_interrupt(MEI, False)
    hart["mideleg"] = hart["mie"] = 1 << SSI
    hart["stvec"] = STVEC | 1
    raise_interrupts(probe, SSI)
    taken(probe, "U")
    assert (hart.pc, hart["scause"]) == (STVEC + 4 * SSI, INTERRUPT | SSI)


def test_sip_and_sie_show_what_is_delegated(probe: Probe) -> None:
    """norm:sip_sie: the rest reads zero and can't be written."""
    quiet(probe)
    hart = probe.hart
    hart["mie"] = 0xAAA
    raise_interrupts(probe, SSI, STI, SEI)
    hart["mideleg"] = 1 << SSI | 1 << SEI
    assert probe.csrr("M", "sie") == 1 << SSI | 1 << SEI
    assert probe.csrr("M", "sip") == 1 << SSI | 1 << SEI
    probe.csrw("M", "sie", 0)
    assert hart["mie"] == 0xAAA & ~(1 << SSI | 1 << SEI)
    probe.csrw("M", "sip", 0)  # of these, only SSIP is S-mode's to clear (norm:sip_ssip_sie_ssie)
    assert hart["mip"] == 1 << STI | 1 << SEI


def test_seip_is_the_line_or_the_bit(probe: Probe) -> None:
    """norm:mip_seip_rdcsr: a read gives both, and a read-modify-write keeps them apart."""
    hart = probe.hart
    quiet(probe)
    hart.set_interrupt(SEI, True)
    assert hart["mip"] >> SEI & 1
    hart["a1"] = 0
    probe.do("M", "csrrs", rd=A0, csr=csr_number("mip"), rs1=11)
    hart.set_interrupt(SEI, False)
    assert not hart["mip"] >> SEI & 1


def test_the_machine_timer(probe: Probe) -> None:
    """norm:mtime_intr_pending: pending while mtime >= mtimecmp; a write clears it."""
    hart = probe.hart
    hart["mie"] = 1 << MTI
    probe.put(CODE, encode("jal", imm=0))
    hart.mtimecmp = 50
    probe.enter("U")
    outcome = probe.machine.run(100_000, until=None)
    assert outcome.reason is Reason.BUDGET
    assert hart["mcause"] == INTERRUPT | MTI
    assert hart["mepc"] == CODE
    assert hart["mip"] >> MTI & 1
    hart.mtimecmp = 1 << 60
    probe.machine.run(1)
    assert not hart["mip"] >> MTI & 1


@pytest.mark.parametrize("enabled", [0, 1])
def test_stimecmp(probe: Probe, enabled: int) -> None:
    """norm:menvcfg_stce_op1, norm:mip_stip_stimecmp_acc: with STCE, STIP is time >= stimecmp,
    and S-mode may write it; without, it is M-mode's bit, and the access is illegal."""
    quiet(probe)
    hart = probe.hart
    hart["menvcfg"] = enabled << 63
    hart["mcounteren"] = 2
    trap = probe.csrw("S", "stimecmp", 0)
    assert (trap is None) == bool(enabled)
    probe.machine.run(1)
    assert hart["mip"] >> STI & 1 == enabled
    probe.csrw("M", "mip", 0)
    assert hart["mip"] >> STI & 1 == enabled  # norm:mip_stip_stimecmp_clr
    if enabled:
        assert probe.csrw("S", "stimecmp", 1 << 60) is None
        assert not hart["mip"] >> STI & 1
        hart["mcounteren"] = 0
        assert probe.csrw("S", "stimecmp", 0) is not None


def test_wfi_waits_for_an_interrupt_that_is_enabled_alone(probe: Probe) -> None:
    """norm: WFI ends for an interrupt in mie even where mstatus keeps it from being taken."""
    hart = probe.hart
    hart["mie"] = 1 << MTI
    probe.put(CODE, encode("wfi"), encode("jal", imm=0))
    hart.mtimecmp = 1000
    probe.enter("M")
    assert probe.machine.run(500_000).reason is Reason.BUDGET
    assert hart.pc == CODE + 4
    assert hart["time"] >= 1000
    assert hart["mip"] >> MTI & 1


def test_wfi_for_nothing_is_idle(probe: Probe) -> None:
    probe.put(CODE, encode("wfi"))
    probe.enter("M")
    assert probe.machine.run(1_000_000).reason is Reason.IDLE


def test_an_interrupt_enabled_by_csrw_is_taken_before_the_next_instruction(probe: Probe) -> None:
    quiet(probe)
    hart = probe.hart
    hart["mie"] = 1 << MSI
    hart.set_interrupt(MSI, True)
    probe.put(CODE, encode("csrrsi", csr=csr_number("mstatus"), zimm=8), encode("addi", rd=A0))
    hart["a0"] = 5
    probe.enter("M")
    hart["mstatus.MIE"] = 0
    probe.machine.run(2)
    assert probe.trap() == Trap("M", INTERRUPT | MSI, CODE + 4, 0)
    assert hart["a0"] == 5
