"""Random privileged programs: the virtual hart is in the state of a real one, to the bit, at any
time, and so is memory (Popek and Goldberg's *equivalence*, timing included)."""

import pytest

from rvemu.hart.exceptions import Cause
from rvemu.hart.extensions import DEFAULT_ISA, parse_isa
from rvemu.hart.fields import COUNTINHIBIT, MENVCFG, MIP, MSTATUS, SATP
from rvemu.vmm.exits import Exit
from rvemu.vmm.host import Host
from rvemu.vmm.virtual_machine import EMULATE, VirtualMachine
from tests.assembler import A0, A1, A2, S0, T5, ZERO, Assembler
from tests.vmm.alike import check_alike, twins
from tests.vmm.privileged_programs import PrivilegedProgram
from tests.vmm.programs import DIRECT, PATCHED, virtual_machine, visible
from tests.vmm.wild_programs import ISA_STRINGS, MEMORY, WildProgram

PROGRAMS = 24
_POINTS = (150, 77, 1, 300, 500, 2_000)


@pytest.mark.parametrize("mode", DIRECT)
@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_the_same_state_at_any_time(seed: int, mode: str) -> None:
    check_alike(*twins(PrivilegedProgram(seed).elf, mode, memory=4 << 20), _POINTS)


@pytest.mark.parametrize("mode", (*DIRECT, PATCHED))
@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_the_same_whatever_a_guest_does(seed: int, mode: str) -> None:
    """And what it reaches meanwhile is its own."""
    program = WildProgram(seed)
    guests = twins(program.elf, mode, memory=MEMORY, isa=program.isa)
    check_alike(*guests, (2_000, 1, 500, 77, 1, 1_000, 3_000))


def _in_supervisor_mode(**csrs: int) -> Assembler:
    """A program that sets CSRs, and goes to S-mode. Traps to M-mode go to its label "machine"."""
    p = Assembler(0x8000_0000)
    p.la(T5, "machine").csrw("mtvec", T5).csr_set("pmpaddr0", -1).csr_set("pmpcfg0", 0x1F)
    for name, value in csrs.items():
        p.csr_set(name, value)
    p.li(T5, 1 << MSTATUS.MPP.low).csrs("mstatus", T5)
    return p.la(T5, "supervisor").csrw("mepc", T5).op("mret").align(4).label("supervisor")


def _same_at_end(program: Assembler, mode: str, isa: str = DEFAULT_ISA) -> VirtualMachine:
    """Run a program, to its label "end", in a mode and on a real hart, which is the same."""
    found = []
    for each in (mode, EMULATE):
        host = Host(parse_isa(DEFAULT_ISA))  # which may have more than the guest
        machine, _ = virtual_machine(each, program.elf(), host=host, memory=4 << 20, isa=isa)
        machine.run(500)
        assert machine.machine.hart["pc"] == machine.machine.symbol("end")
        found.append(visible(machine.machine.hart.state))
    assert found[0] == found[1]
    return machine


@pytest.mark.parametrize("mode", DIRECT)
@pytest.mark.parametrize("isa", ["rv64ima_zicsr_sv39", "rv64ima_zicsr_zicntr_sv48"])
def test_a_guest_has_no_more_than_its_isa_string_names(isa: str, mode: str) -> None:
    """In S-mode as well, where mode hardware lets the hart itself execute accesses of CSRs."""
    p = _in_supervisor_mode()
    p.csr_set("scounteren", -1).csr_set("sstatus", MSTATUS.FS.mask)
    for table in (11, 10, 9, 8):
        p.csr_set("satp", table << SATP.MODE.low).op("addi", rd=S0, rs1=S0, imm=1)
    p.align(4).label("machine").csrr(A0, "satp").csrr(A1, "mcause").csrr(A2, "sstatus")
    _same_at_end(p.label("end").jal(ZERO, "end"), mode, isa)


@pytest.mark.parametrize("mode", DIRECT)
def test_a_counter_that_stands_still_does_so_in_all_modes(mode: str) -> None:
    still = COUNTINHIBIT.CY.mask
    p = _in_supervisor_mode(mcounteren=-1, mcountinhibit=still, mcycle=1237)
    p.csrr(A0, "cycle").csrr(A1, "instret").label("machine")
    machine = _same_at_end(p.label("end").jal(ZERO, "end"), mode)
    assert machine.machine.hart["a0"] == 1237


@pytest.mark.parametrize("mode", DIRECT)
def test_a_timer_that_is_m_mode_s_interrupts_s_mode_as_it_is_set(mode: str) -> None:
    """The guest's S-mode may set it, but its interrupt is not delegated."""
    p = _in_supervisor_mode(
        mcounteren=-1, menvcfg=MENVCFG.STCE.mask, stimecmp=-1, mie=MIP.STIP.mask
    )
    p.csrw("stimecmp", ZERO)
    for _ in range(9):
        p.op("addi", rd=S0, rs1=S0, imm=1)
    p.align(4).label("machine").csrr(A0, "mepc").csrr(A1, "mcause")
    machine = _same_at_end(p.label("end").jal(ZERO, "end"), mode)
    assert machine.machine.hart["s0"] == 0


@pytest.mark.parametrize("mode", DIRECT)
def test_waits_that_m_mode_does_not_let_through(mode: str) -> None:
    """Zawrs's among them, which are no privileged instructions."""
    p = _in_supervisor_mode(mstatus=MSTATUS.TW.mask)
    p.la(A0, "machine")
    p.op("lr.d", rs1=A0).op("wrs.nto").align(4).label("machine").csrr(A0, "mcause").csrr(
        A1, "mtval"
    )
    machine = _same_at_end(p.label("end").jal(ZERO, "end"), mode)
    assert machine.machine.hart["a0"] == Cause.ILLEGAL_INSTRUCTION


@pytest.mark.parametrize("mode", DIRECT)
def test_what_the_vmm_has_compiled_is_what_it_says(mode: str) -> None:
    """World switches, lookups and steps, in native code and by CPython: the same exits, and the
    same state at the end."""
    program = PrivilegedProgram(7)
    found = []
    for engine in ("native", "reference"):
        machine, _ = virtual_machine(mode, program.elf, memory=4 << 20, engine=engine)
        machine.run(1_500)
        found.append((visible(machine.machine.hart.state), machine.accounting.exits))
    assert found[0] == found[1]


@pytest.mark.parametrize("mode", DIRECT)
@pytest.mark.parametrize("seed", range(6))
def test_exits_that_are_answered_at_once_are_exits_like_others(seed: int, mode: str) -> None:
    """While exits are traced, each comes to the VMM in Python: as many, for the same reasons, and
    nothing that is counted differs."""
    program = PrivilegedProgram(seed)
    found = []
    for traced in (False, True):
        machine, _ = virtual_machine(mode, program.elf, memory=4 << 20)
        seen: list[Exit] = []
        machine.trace = seen.append if traced else None
        machine.run(3_000)
        accounting = machine.accounting
        found.append(
            (
                visible(machine.machine.hart.state),
                accounting.exits,
                (accounting.entries, accounting.direct, accounting.switches, accounting.fills),
            )
        )
        assert len(seen) == (accounting.total if traced else 0)
    assert found[0] == found[1]
    assert accounting.guest_seconds > 0


def test_the_programs_reach_what_they_are_for() -> None:
    """All modes, several causes, returns, and translation on."""
    modes, causes, translated = set(), set(), 0
    for seed in range(PROGRAMS):
        machine, _ = virtual_machine(EMULATE, PrivilegedProgram(seed).elf, memory=4 << 20)
        hart = machine.machine.hart
        for _ in range(300):
            machine.run(5)
            modes.add(hart.mode)
            causes |= {hart["mcause"], hart["scause"]}
            translated += hart.mode != "M" and hart["satp"] != 0
    assert modes == {"M", "S", "U"}
    assert {2, 3, 8, 12, 13, 15} <= causes
    assert translated > 100


def test_wild_programs_reach_what_they_are_for() -> None:
    """All modes and formats of tables, most causes, and all harts."""
    modes, formats, causes, isas = set(), set(), set(), set()
    for seed in range(PROGRAMS):
        program = WildProgram(seed)
        machine, _ = virtual_machine(EMULATE, program.elf, memory=MEMORY, isa=program.isa)
        hart = machine.machine.hart
        for _ in range(300):
            machine.run(20)
            modes.add(hart.mode)
            formats.add(hart["satp"] >> 60)
            causes |= {hart["mcause"], hart["scause"]}
        isas.add(program.isa)
    assert modes == {"M", "S", "U"}
    assert formats == {0, 8, 9, 10}
    assert {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15} <= causes
    assert {1 << 63 | code for code in (3, 5)} <= causes
    assert isas == set(ISA_STRINGS)
