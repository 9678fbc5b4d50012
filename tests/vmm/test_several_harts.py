"""Guests with several virtual harts, which take turns on the physical one: they can't tell, and do
the same in all modes, to the instruction."""

import random

import pytest

from rvemu import scheduler
from rvemu.errors import RvemuError
from rvemu.guests import expected_output, list_guests
from rvemu.hart.extensions import DEFAULT_ISA, parse_isa
from rvemu.hart.fields import MSTATUS
from rvemu.harts import HartView
from rvemu.vmm import rounds
from rvemu.vmm.exits import ExitReason
from rvemu.vmm.host import MOST_HARTS, Host
from rvemu.vmm.rounds import run_in_turns
from rvemu.vmm.virtual_machine import EMULATE, PARAVIRT, TRANSPARENT, VirtualMachine
from tests.assembler import A0, A1, A2, A3, S0, S1, T5, ZERO, Assembler, dispatch
from tests.vmm.alike import check_alike, twins
from tests.vmm.firmware_programs import FirmwareProgram
from tests.vmm.privileged_programs import BASE, PrivilegedProgram
from tests.vmm.programs import DIRECT, PATCHED, bundled, ram_of, virtual_machine, visible_harts
from tests.vmm.remapping_programs import RemappingProgram

GUESTS = [guest.name for guest in list_guests() if guest.harts > 1]
MEMORY = 4 << 20
PROGRAMS = 10
_POINTS = (150, 77, 1, 600, 500, 3_000)


def short_turns(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Harts have many turns, of an odd number of instructions."""
    length = random.Random(seed).choice((7, 23, 61, 199))
    monkeypatch.setattr(scheduler, "QUANTUM", length)


@pytest.mark.parametrize("harts", [2, 4, MOST_HARTS])
@pytest.mark.parametrize("name", GUESTS)
def test_guests_print_the_same_in_as_many_instructions(name: str, harts: int) -> None:
    path, sbi = bundled(name)
    counts = []
    for mode in TRANSPARENT:
        machine, output = virtual_machine(mode, path, sbi=sbi, harts=harts)
        assert machine.run(50_000_000).passed
        assert bytes(output) == expected_output(name)
        counts.append((machine.instructions, machine.machine.now))
    assert len(set(counts)) == 1


@pytest.mark.parametrize("mode", (*DIRECT, PATCHED))
@pytest.mark.parametrize("kind", [PrivilegedProgram, RemappingProgram])
@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_the_same_state_at_any_time(
    seed: int, kind: type, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As tests of one hart have it; and the VMM's tables lead nowhere else."""
    short_turns(monkeypatch, seed)
    harts = 2 + seed % 2
    program = kind(1000 + seed, harts=harts)
    check_alike(*twins(program.elf, mode, memory=MEMORY, harts=harts), _POINTS)


@pytest.mark.parametrize("mode", DIRECT)
@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_harts_that_firmware_starts_stops_and_wakes(
    seed: int, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the host looks at them in between, as often as it likes."""
    short_turns(monkeypatch, seed)
    harts = 2 + seed % 3
    program = FirmwareProgram(seed, harts)
    real, virtual, looked_at = (
        virtual_machine(each, program.elf, memory=MEMORY, harts=harts, sbi=True)[0]
        for each in (EMULATE, mode, mode)
    )
    chance = random.Random(seed)
    for end in (300, 1_000, 5_000, 20_000):
        for machine in (real, virtual):
            machine.run(end - machine.machine.now)
        while looked_at.machine.now < end:
            clocks = chance.choice((13, 101, 977))
            looked_at.run(min(clocks, end - looked_at.machine.now))
        assert visible_harts(real) == visible_harts(virtual) == visible_harts(looked_at)
    assert ram_of(real) == ram_of(virtual) == ram_of(looked_at)
    assert real.machine.hart["s2"] > 0, "interrupts that were taken"
    assert sum(hart.instret > 0 for hart in real.machine.harts) > 1


@pytest.mark.parametrize("mode", DIRECT)
def test_what_the_vmm_has_compiled_is_what_it_says(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_turns(monkeypatch, 5)
    program = RemappingProgram(1005, harts=2)
    found = []
    for engine in ("native", "reference"):
        machine, _ = virtual_machine(mode, program.elf, memory=MEMORY, harts=2, engine=engine)
        machine.run(2_500)
        found.append((visible_harts(machine), machine.accounting.exits))
    assert found[0] == found[1]


@pytest.mark.parametrize("mode", TRANSPARENT)
def test_a_hart_that_spins_exits_where_it_is_to_wait(mode: str) -> None:
    """With hardware, at each wrs.nto, which is trapped as wfi is. They are answered at once."""
    p = Assembler(BASE)
    for hart in dispatch(p, 2):
        p.li(A1, _PAGE)
        if hart:
            p.li(A2, 30_000).label("work").op("addi", rd=A2, rs1=A2, imm=-1)
            p.branch("bne", A2, ZERO, "work").li(A2, 1).op("sd", rs1=A1, rs2=A2, imm=0)
            p.label("worked").jal(ZERO, "worked")
        else:
            p.csr_set("pmpaddr0", -1).csr_set("pmpcfg0", 0x1F).la(T5, "spin").csrw("mepc", T5)
            p.li(T5, 1 << MSTATUS.MPP.low).csrs("mstatus", T5).op("mret").align(4)
            p.label("spin").op("lr.d", rd=A0, rs1=A1).op("wrs.nto").branch("beq", A0, ZERO, "spin")
            p.label("spun").op("addi", rd=S0, rs1=S0, imm=1).jal(ZERO, "spun")
    machine, _ = virtual_machine(mode, p.elf(), memory=MEMORY, harts=2)
    machine.run(200_000)
    assert machine.machine.hart["s0"] > 10_000
    exits = machine.accounting.exits[ExitReason.PRIVILEGED]
    assert exits > 10_000 if mode == "hardware" else exits < 10
    assert machine.accounting.total - machine.accounting.answered < 100


# --- Memory protection ---------------------------------------------------------------------------

_PAGE = 0x8020_0000


def _own_protections() -> bytes:
    """Two harts load from a page for ever, in S-mode; hart 0's PMP forbids it. s0 counts the tries,
    s1 what was refused."""
    p = Assembler(BASE)
    for hart in dispatch(p, 2):
        p.la(T5, f"trap of hart {hart}").csrw("mtvec", T5)
        p.csr_set("pmpaddr0", _PAGE >> 2 | 0x1FF).csr_set("pmpaddr1", -1)
        p.csr_set("pmpcfg0", 0x1F18 if hart == 0 else 0x1F1F)
        p.li(T5, MSTATUS.MPP.mask).csrc("mstatus", T5).li(T5, 1 << MSTATUS.MPP.low)
        p.csrs("mstatus", T5).la(T5, f"loop of hart {hart}").csrw("mepc", T5).li(A1, _PAGE)
        p.op("mret").align(4).label(f"loop of hart {hart}")
        p.op("ld", rd=A0, rs1=A1, imm=0).op("addi", rd=S0, rs1=S0, imm=1)
        p.jal(ZERO, f"loop of hart {hart}").align(4).label(f"trap of hart {hart}")
        p.op("addi", rd=S1, rs1=S1, imm=1).csrr(T5, "mepc").op("addi", rd=T5, rs1=T5, imm=4)
        p.csrw("mepc", T5).op("mret")
    return p.elf()


@pytest.mark.parametrize("mode", TRANSPARENT)
def test_each_hart_has_its_own_memory_protection(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    short_turns(monkeypatch, 0)
    machine, _ = virtual_machine(mode, _own_protections(), memory=MEMORY, harts=2)
    first, second = machine.machine.harts
    machine.run(5_000)
    _check_that_all_is_refused(first)
    _check_that_nothing_is_refused(second)
    # Now the host turns it round.
    for hart, permissions in ((first, 0x1F1F), (second, 0x1F18)):
        hart["pmpcfg0"], hart["s0"], hart["s1"] = permissions, 0, 0
    machine.run(5_000)
    _check_that_nothing_is_refused(first)
    _check_that_all_is_refused(second)


def _check_that_all_is_refused(hart: HartView) -> None:
    assert hart["s0"] > 100
    assert abs(hart["s0"] - hart["s1"]) <= 1


def _check_that_nothing_is_refused(hart: HartView) -> None:
    """(But for what was so as its PMP was changed.)"""
    assert hart["s0"] > 100
    assert hart["s1"] <= 1


@pytest.mark.parametrize("mode", DIRECT)
def test_harts_of_the_same_protection_share_what_was_made(mode: str) -> None:
    """Of two harts that load from the same pages, the second finds them mapped."""
    p = Assembler(BASE).op("addi", rd=S1, rs1=A0, imm=0).li(A1, _PAGE).li(A2, 20).li(A3, 4096)
    p.label("loop").op("ld", rd=A0, rs1=A1, imm=0).op("add", rd=A1, rs1=A1, rs2=A3)
    p.op("addi", rd=A2, rs1=A2, imm=-1).branch("bne", A2, ZERO, "loop")
    p.label("end").jal(ZERO, "end")
    counts = []
    for harts in (1, 2):
        machine, _ = virtual_machine(mode, p.elf(), memory=MEMORY, harts=harts)
        machine.run(harts * scheduler.QUANTUM)
        assert [hart["a2"] for hart in machine.machine.harts] == [0] * harts
        counts.append(machine.accounting.exits[ExitReason.SHADOW_FILL])
    assert counts[0] == counts[1] > 20


# --- Several machines, and limits ----------------------------------------------------------------


@pytest.mark.parametrize("mode", DIRECT)
def test_two_machines_of_two_harts(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each ends as on a host of its own."""
    monkeypatch.setattr(rounds, "QUANTUM", 30_000)
    path, sbi = bundled("atomics")
    alone, _ = virtual_machine(mode, path, sbi=sbi, harts=2)
    assert alone.run(50_000_000).passed
    host = Host(parse_isa(DEFAULT_ISA))
    both = [virtual_machine(mode, path, sbi=sbi, harts=2, host=host) for _ in range(2)]
    assert all(run.passed for run in run_in_turns([machine for machine, _ in both]))
    for machine, output in both:
        assert bytes(output) == expected_output("atomics")
        assert visible_harts(machine) == visible_harts(alone)
        assert ram_of(machine) == ram_of(alone)


@pytest.mark.parametrize("seed", range(6))
def test_guests_of_several_harts_do_not_meet(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In turns of a few instructions, of machines and of harts."""
    short_turns(monkeypatch, seed)
    chance = random.Random(seed)
    host = Host(parse_isa(DEFAULT_ISA))
    programs = [PrivilegedProgram(seed, harts=2).elf, RemappingProgram(seed, harts=3).elf]
    guests = [
        virtual_machine(chance.choice(DIRECT), program, memory=MEMORY, host=host, harts=harts)[0]
        for program, harts in zip(programs, (2, 3), strict=True)
    ]
    clocks = [0, 0]
    for _ in range(120):
        n, turn = chance.randrange(2), chance.choice((1, 2, 7, 20, 60))
        guests[n].run(turn)
        clocks[n] += turn
    for guest, program, time, harts in zip(guests, programs, clocks, (2, 3), strict=True):
        alone, _ = virtual_machine(EMULATE, program, memory=MEMORY, harts=harts)
        alone.run(time)
        assert visible_harts(guest) == visible_harts(alone)
        assert ram_of(guest) == ram_of(alone)


@pytest.mark.parametrize("mode", TRANSPARENT)
def test_a_guest_of_several_harts_begins_anew(mode: str) -> None:
    path, sbi = bundled("atomics")
    machine, output = virtual_machine(mode, path, sbi=sbi, harts=3)
    machine.run(60_000)
    machine.reboot()
    output.clear()
    assert machine.run(50_000_000).passed
    assert bytes(output) == expected_output("atomics")


@pytest.mark.parametrize("harts", [0, -1, MOST_HARTS + 1])
def test_there_are_one_to_eight(harts: int) -> None:
    with pytest.raises(RvemuError, match=rf"^{harts} harts: a virtual machine has 1 to 8$"):
        VirtualMachine("hardware", harts=harts)


def test_a_paravirtual_guest_has_one() -> None:
    with pytest.raises(RvemuError, match="2 harts: a paravirtual guest has one"):
        VirtualMachine(PARAVIRT, harts=2)
