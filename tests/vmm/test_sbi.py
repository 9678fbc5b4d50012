"""SBI calls that the VMM answers: what the specification (3.0) has a call return, and what it has
harts do."""

import pytest

from rvemu.hart.fields import MIP
from rvemu.lang import M64
from rvemu.machine import Outcome, Reason
from rvemu.vmm import sbi
from rvemu.vmm.virtual_machine import TRANSPARENT
from tests.assembler import A0, A1, A2, A6, A7, S0, S1, S2, S3, T0, T1, ZERO, Assembler
from tests.vmm.programs import virtual_machine

NOT_SUPPORTED, INVALID_PARAM, INVALID_ADDRESS, ALREADY_AVAILABLE = -2, -3, -5, -6
BASE = 0x8000_0000
NON_RETENTIVE = 1 << 31
STARTED, STOPPED, SUSPENDED = 0, 1, 4


def call(p: Assembler, extension: int, function: int, *arguments: int) -> None:
    """An SBI call."""
    for register, value in zip((A0, A1, A2), arguments, strict=False):
        p.li(register, value)
    p.li(A6, function).li(A7, extension).op("ecall")


@pytest.mark.parametrize(
    ("extension", "function", "a0", "a1", "error", "value"),
    [
        (sbi.BASE, 0, 0, 0, 0, 3 << 24),
        (sbi.BASE, 3, sbi.HSM, 0, 0, 1),
        (sbi.BASE, 3, 0x504D55, 0, 0, 0),  # there is no PMU extension
        (sbi.BASE, 7, 0, 0, NOT_SUPPORTED, None),
        (0x504D55, 0, 0, 0, NOT_SUPPORTED, None),
        (sbi.HSM, 0, 0, BASE, ALREADY_AVAILABLE, None),
        (sbi.HSM, 0, 1, BASE + 1, INVALID_ADDRESS, None),
        (sbi.HSM, 0, 1, 1 << 40, INVALID_ADDRESS, None),
        (sbi.HSM, 0, 2, BASE, INVALID_PARAM, None),
        (sbi.HSM, 2, 0, 0, 0, STARTED),
        (sbi.HSM, 2, 1, 0, 0, STOPPED),
        (sbi.HSM, 2, 2, 0, INVALID_PARAM, None),
        (sbi.HSM, 3, NON_RETENTIVE, BASE + 1, INVALID_ADDRESS, None),
        (sbi.HSM, 3, 1, 0, INVALID_PARAM, None),  # reserved
        (sbi.HSM, 4, 0, 0, NOT_SUPPORTED, None),
        (sbi.IPI, 0, 1, 0, 0, None),
        (sbi.IPI, 0, 1, 1, 0, None),  # a hart that is stopped
        (sbi.IPI, 0, 0, M64, 0, None),  # all
        (sbi.IPI, 0, 1, 2, INVALID_PARAM, None),
        (sbi.IPI, 0, 1 << 63, 0, INVALID_PARAM, None),
        (sbi.IPI, 1, 1, 0, NOT_SUPPORTED, None),
        (sbi.RFENCE, 0, 3, 0, 0, None),
        (sbi.RFENCE, 2, 3, 0, 0, None),
        (sbi.RFENCE, 1, 4, 0, INVALID_PARAM, None),
        (sbi.RFENCE, 3, 1, 0, NOT_SUPPORTED, None),  # hfence.gvma.vmid
        (sbi.RESET_EXTENSION, 0, 3, 0, INVALID_PARAM, None),
        (sbi.RESET_EXTENSION, 0, 0, 2, INVALID_PARAM, None),
    ],
)
def test_what_calls_return(
    extension: int, function: int, a0: int, a1: int, error: int, value: int | None
) -> None:
    p = Assembler(BASE)
    call(p, extension, function, a0, a1)
    p.label("end").jal(ZERO, "end")
    machine, _ = virtual_machine("emulate", p.elf(), sbi=True, harts=2)
    machine.run(1000)
    hart = machine.machine.hart
    assert hart["a0"] == error & M64
    assert value is None or hart["a1"] == value


# --- Harts ---------------------------------------------------------------------------------------

_SSIE = MIP.SSIP.mask
_STIE = MIP.STIP.mask


def start(p: Assembler, hart: int, label: str, opaque: int) -> None:
    """Start another hart at a label."""
    p.li(A0, hart).la(A1, label).li(A2, opaque).li(A6, 0).li(A7, sbi.HSM).op("ecall")


def store(p: Assembler, name: str, register: int) -> None:
    """Store a register to a word of memory."""
    p.la(T0, name).op("sd", rs1=T0, rs2=register, imm=0)


def wait_until(p: Assembler, name: str, label: str) -> None:
    """Wait until a word of memory is not zero."""
    p.la(T0, name).label(label).op("ld", rd=T1, rs1=T0, imm=0).branch("beq", T1, ZERO, label)


def words(p: Assembler, *names: str) -> bytes:
    """The program, with words of memory."""
    p.align(8)
    for name in names:
        p.label(name).word(0, 8)
    return p.elf()


def shut_down(p: Assembler) -> None:
    """End the machine, well."""
    call(p, sbi.RESET_EXTENSION, 0, 0, 0)


def state_of(p: Assembler, hart: int, register: int) -> None:
    """What the firmware says of a hart."""
    call(p, sbi.HSM, 2, hart)
    p.op("addi", rd=register, rs1=A1, imm=0)


@pytest.mark.parametrize("mode", TRANSPARENT)
def test_harts_are_started_stopped_and_started_again(mode: str) -> None:
    p = Assembler(BASE)
    start(p, 1, "second", 77)
    wait_until(p, "came", "coming")
    state_of(p, 1, S1)
    p.li(T1, 1)
    store(p, "may stop", T1)
    p.label("stopping")
    state_of(p, 1, S2)
    p.branch("beq", S2, ZERO, "stopping")
    start(p, 1, "third", 78)
    wait_until(p, "came again", "coming again")
    shut_down(p)
    p.align(4).label("second").op("addi", rd=S0, rs1=A1, imm=0).op("addi", rd=S1, rs1=A0, imm=0)
    p.csrr(S2, "satp").csrr(S3, "sstatus").csr_set("sie", 0xFFF).csr_set("satp", 0)
    store(p, "came", S0)
    wait_until(p, "may stop", "standing")
    call(p, sbi.HSM, 1)
    p.label("never").jal(ZERO, "never")
    p.align(4).label("third").csrr(S3, "sie").op("addi", rd=S2, rs1=A1, imm=0)
    store(p, "came again", S2)
    p.label("end").jal(ZERO, "end")
    program = words(p, "came", "may stop", "came again")
    machine, _ = virtual_machine(mode, program, sbi=True, harts=3)
    assert machine.run(1_000_000).passed
    first, second, third = machine.machine.harts
    assert (first["s1"], first["s2"]) == (STARTED, STOPPED)
    assert (second["s0"], second["s1"]) == (77, 1)
    assert (second["s2"], second["s3"]) == (78, 0)  # no interrupt was enabled
    assert (third.instret, third.activity) == (0, "stopped")
    assert second.activity == "running"


@pytest.mark.parametrize("mode", TRANSPARENT)
def test_harts_interrupt_each_other(mode: str) -> None:
    """Also one that sleeps, while another runs alone."""
    p = Assembler(BASE)
    start(p, 1, "second", 0)
    wait_until(p, "came", "coming")
    p.li(S0, 50_000).label("alone").op("addi", rd=S0, rs1=S0, imm=-1)
    p.branch("bne", S0, ZERO, "alone")
    call(p, sbi.IPI, 0, 1, 1)
    wait_until(p, "woken", "waking")
    shut_down(p)
    p.align(4).label("second").csr_set("sie", _SSIE).la(S0, "handler").csrw("stvec", S0)
    p.csr_set("sstatus", 2).li(S1, 1)
    store(p, "came", S1)
    p.label("sleeping").op("wfi").jal(ZERO, "sleeping")
    p.align(4).label("handler").csrr(S2, "scause").csr_set("sip", 0)
    store(p, "woken", S2)
    p.label("end").jal(ZERO, "end")
    machine, _ = virtual_machine(mode, words(p, "came", "woken"), sbi=True, harts=2)
    assert machine.run(1_000_000).passed
    assert machine.machine.hart["s0"] == 0
    assert machine.machine.harts[1]["s2"] == 1 << 63 | 1
    assert 100_000 < machine.machine.now < 140_000, "woken at the end of the turn"


@pytest.mark.parametrize("mode", TRANSPARENT)
@pytest.mark.parametrize("kind", [0, NON_RETENTIVE])
def test_harts_are_suspended(kind: int, mode: str) -> None:
    """Until their timer's time: then they go on, or start anew."""
    p = Assembler(BASE)
    start(p, 1, "second", 0)
    p.li(S0, 1_000).label("alone").op("addi", rd=S0, rs1=S0, imm=-1)
    p.branch("bne", S0, ZERO, "alone")
    call(p, sbi.HSM, 3, 0)  # nothing is enabled: for ever
    p.label("asleep").jal(ZERO, "asleep")
    p.align(4).label("second")
    p.label("suspending")
    state_of(p, 0, S1)
    p.branch("beq", S1, ZERO, "suspending")
    call(p, sbi.TIME, 0, 2_000)
    p.csr_set("sie", _STIE).csr_set("sstatus", 2)
    p.li(S2, 5).la(A1, "anew").li(A2, 33).li(A0, kind).li(A6, 3).li(A7, sbi.HSM).op("ecall")
    if kind:
        p.label("never").jal(ZERO, "never")
    else:
        p.jal(ZERO, "woken")
    p.align(4).label("anew").op("addi", rd=S2, rs1=A1, imm=0).op("addi", rd=S3, rs1=A0, imm=0)
    p.label("woken").csrr(S0, "time")
    shut_down(p)
    p.align(4).label("trap").jal(ZERO, "trap")
    program = p.elf()
    machine, _ = virtual_machine(mode, program, sbi=True, harts=2)
    # Not retentive: interrupts are off where it starts. Retentive: the handler is at 0, which is
    # nowhere, so that it is looked at before.
    if not kind:
        machine.machine.harts[1]["stvec"] = p.symbols["woken"]
    assert machine.run(1_000_000).passed
    second = machine.machine.harts[1]
    assert second["s1"] == SUSPENDED
    assert (second["s2"], second["s3"]) == ((33, 1) if kind else (5, 0))
    assert 2_000 <= second["s0"] < 2_100


@pytest.mark.parametrize("mode", TRANSPARENT)
def test_a_fence_of_another_hart(mode: str) -> None:
    """One hart changes an entry of the table that another has used, and has it fence."""
    p = Assembler(BASE)
    root, middle, table, pages = 0x8010_0000, 0x8010_1000, 0x8010_2000, (0x8020_0000, 0x8020_1000)
    entry = table + 8 * 5  # not 0, whose place in the TLB is the program's, too
    for address, value in (
        (root + 16, BASE >> 2 | 0xCF),
        (root + 8, middle >> 2 | 1),
        (middle, table >> 2 | 1),
        (entry, pages[0] >> 2 | 0xC7),
        (pages[0], 11),
        (pages[1], 22),
    ):
        p.li(T0, address).li(T1, value).op("sd", rs1=T0, rs2=T1, imm=0)
    start(p, 1, "second", 0)
    wait_until(p, "used", "using")
    p.li(T0, entry).li(T1, pages[1] >> 2 | 0xC7).op("sd", rs1=T0, rs2=T1, imm=0)
    call(p, sbi.RFENCE, 1, 2, 0)
    p.li(T1, 1)
    store(p, "changed", T1)
    wait_until(p, "used again", "using again")
    shut_down(p)
    p.align(4).label("second").csr_set("satp", 8 << 60 | root >> 12).op("sfence.vma")
    p.li(S0, 0x4000_5000).op("ld", rd=S1, rs1=S0, imm=0)
    store(p, "used", S1)
    wait_until(p, "changed", "changing")
    p.op("ld", rd=S2, rs1=S0, imm=0)
    store(p, "used again", S2)
    p.label("end").jal(ZERO, "end")
    program = words(p, "used", "changed", "used again")
    machine, _ = virtual_machine(mode, program, sbi=True, harts=2)
    assert machine.run(1_000_000).passed
    second = machine.machine.harts[1]
    assert (second["s1"], second["s2"]) == (11, 22)


def test_a_machine_whose_harts_are_all_stopped_is_idle() -> None:
    p = Assembler(BASE)
    call(p, sbi.HSM, 1)
    machine, _ = virtual_machine("hardware", p.elf(), sbi=True, harts=2)
    outcome = machine.run(1_000_000).outcome
    assert outcome == Outcome(Reason.IDLE, detail="hart 0 is stopped; hart 1 is stopped")
