"""Whose turn it is: harts that sleep cost nothing, and wake in time."""

from collections.abc import Iterator

import pytest

from rvemu import Machine, Outcome, Reason
from rvemu.scheduler import QUANTUM
from tests.small_programs import BASE, WFI, csrw, elf, exit_with, li, op

MIE, MENVCFG, STIMECMP = 0x304, 0x30A, 0x14D
MSIP_1, MTIME = 0x200_0004, 0x200_BFF8
FLAG = BASE + 0x1000
LOOPS = 1_000_000


def flag_address() -> bytes:
    """Has s0 point to the flag."""
    clear = op("slli", rd="s0", rs1="s0", shamt=32) + op("srli", rd="s0", rs1="s0", shamt=32)
    return li("s0", FLAG) + clear


def program(busy: bytes, enabled: int) -> bytes:
    """Hart 0 runs `busy`, waits for a flag, and ends the machine; the others sleep until an
    interrupt of those enabled in mie, and then raise the flag."""
    wait = op("lw", rd="t3", rs1="s0", imm=0) + op("beq", rs1="t3", rs2="zero", imm=-4)
    first = flag_address() + busy + wait + exit_with(0)
    sleep = li("t0", enabled) + csrw(MIE, "t0") + WFI + flag_address() + li("t1", 1)
    sleep += op("sw", rs1="s0", rs2="t1", imm=0) + csrw(MIE, "zero") + WFI
    return op("bne", rs1="a0", rs2="zero", imm=len(first) + 4) + first + sleep


def loop(rounds: int) -> bytes:
    """Two instructions, so many times."""
    code = li("t1", rounds) + op("addi", rd="t1", rs1="t1", imm=-1)
    return code + op("bne", rs1="t1", rs2="zero", imm=-4)


def count_runs(machine: Machine) -> list[int]:
    """A list that grows whenever the engine runs a hart."""
    runs: list[int] = []
    run = machine.engine.run

    def counted(hart: object) -> int:
        runs.append(1)
        return run(hart)  # type: ignore[arg-type]

    machine.engine.run = counted  # type: ignore[method-assign]
    return runs


@pytest.fixture
def machine() -> Iterator[Machine]:
    yield Machine(engine="native", memory=16 << 20, harts=4)


def test_a_hart_alone_awake_runs_on_and_wakes_another(machine: Machine) -> None:
    wake = li("t0", MSIP_1) + li("t2", 1) + op("sw", rs1="t0", rs2="t2", imm=0)
    machine.load(elf(program(loop(LOOPS) + wake, enabled=8)))
    runs = count_runs(machine)
    assert machine.run() == Outcome(Reason.EXITED, 0)
    assert 2 * LOOPS < machine.now < 2 * LOOPS + 3 * QUANTUM, "hart 1 was woken at the turn's end"
    assert len(runs) < 2 * LOOPS // QUANTUM // 4, "one long turn, not many"


def test_a_timer_wakes_a_sleeper_in_time(machine: Machine) -> None:
    machine.load(elf(program(b"", enabled=128)))
    machine.harts[2].mtimecmp = 12_345
    due = 12_345 * int(machine.shared.clock_per_tick)
    runs = count_runs(machine)
    assert machine.run() == Outcome(Reason.EXITED, 0)
    assert due < machine.now < due + 2 * QUANTUM
    assert len(runs) < 50


def test_a_sleeper_sees_that_the_time_was_set(machine: Machine) -> None:
    set_clock = li("t0", MTIME) + op("sd", rs1="t0", rs2="t0", imm=0)
    machine.load(elf(program(loop(LOOPS) + set_clock, enabled=128)))
    machine.harts[2].mtimecmp = MTIME  # hours ahead, until hart 0 sets the clock
    assert machine.run(4 * LOOPS) == Outcome(Reason.EXITED, 0)
    assert 2 * LOOPS < machine.now < 2 * LOOPS + 3 * QUANTUM


def test_harts_that_are_awake_take_turns(machine: Machine) -> None:
    spin = op("addi", rd="s1", rs1="s1", imm=1) + op("jal", rd="zero", imm=-4)
    machine.load(elf(spin))
    machine.run(8 * QUANTUM)
    assert [hart["s1"] for hart in machine.harts] == [QUANTUM] * 4


def test_a_second_sleep_is_not_as_long_as_the_first(machine: Machine) -> None:
    """Hart 1 sleeps till a timer that is far off, is woken by hart 0, and sleeps again, till one
    that is near. (Of Sstc's: the host hears nothing of it.)"""
    near, far = 3_000, 30_000
    wake = li("t0", MSIP_1) + li("t2", 1) + op("sw", rs1="t0", rs2="t2", imm=0)
    wait = op("lw", rd="t3", rs1="s0", imm=0) + op("beq", rs1="t3", rs2="zero", imm=-4)
    first = flag_address() + loop(50_000) + wake + wait + exit_with(0)
    second = flag_address() + li("t0", 1) + op("slli", rd="t0", rs1="t0", shamt=63)
    second += csrw(MENVCFG, "t0") + li("t0", 1 << 3 | 1 << 5) + csrw(MIE, "t0")
    second += li("t0", far) + csrw(STIMECMP, "t0") + WFI
    second += li("t0", MSIP_1) + op("sw", rs1="t0", rs2="zero", imm=0)
    second += li("t0", near) + csrw(STIMECMP, "t0") + WFI
    second += op("sw", rs1="s0", rs2="s0", imm=0) + csrw(MIE, "zero") + WFI
    second = op("beq", rs1="a0", rs2="t4", imm=12) + csrw(MIE, "zero") + WFI + second
    machine.load(
        elf(li("t4", 1) + op("bne", rs1="a0", rs2="zero", imm=len(first) + 4) + first + second)
    )
    assert machine.run() == Outcome(Reason.EXITED, 0)
    due = near * int(machine.shared.clock_per_tick)
    assert due < machine.now < due + 3 * QUANTUM


@pytest.mark.parametrize("chunk", [10, 40 * QUANTUM])
def test_what_wakes_a_hart_counts_when_its_turn_comes(machine: Machine, chunk: int) -> None:
    """Hart 0 interrupts hart 1, and takes that back before its turn ends: whether the host looks
    at the machine in between makes no difference. No other hart runs, so a reservation lasts."""
    touch = li("t0", MSIP_1) + li("t2", 1) + op("sw", rs1="t0", rs2="t2", imm=0)
    touch += loop(100) + op("sw", rs1="t0", rs2="zero", imm=0)
    reserve = loop(3 * QUANTUM) + flag_address() + op("lr.w", rd="t4", rs1="s0")
    done = loop(3 * QUANTUM) + li("t2", 1) + op("sc.w", rd="s1", rs1="s0", rs2="t2")
    machine.load(elf(program(reserve + touch + done, enabled=8)))
    while (outcome := machine.run(chunk)).reason is Reason.BUDGET and machine.now < 40 * QUANTUM:
        pass
    assert outcome == Outcome(Reason.EXITED, 0), "the flag is what was stored with the reservation"
    assert [hart["t1"] for hart in machine.harts[1:]] == [0, 0, 0], "nobody woke"
