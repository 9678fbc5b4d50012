"""Guests that are stuck are said to be; guests that are not, never."""

import re

import pytest

from rvemu import Machine, Reason
from rvemu.devices.virtio.console import Console
from rvemu.devices.virtio.mmio import MmioTransport, Status
from tests.small_programs import SPIN, UART, WFI, csrw, elf, exit_with, la, li, op
from tests.test_machine import MEPC, MIE, MSTATUS, MTVEC, Output, machine_with, timer_program

LIMIT = 100_000


def run(engine: str, code: bytes, harts: int = 1, **symbols: int) -> tuple[Reason, str]:
    machine = machine_with(engine, code, harts, **symbols)
    # In place of a test that hangs: a guest which nobody calls stuck ends here.
    outcome = machine.run(until=lambda: machine.now > LIMIT)
    return outcome.reason, outcome.detail


@pytest.fixture(autouse=True)
def look_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rvemu.stuck._FIRST", 20_000)
    monkeypatch.setattr("rvemu.machine.SLICES", {"native": 10_000, "reference": 10_000})


def test_a_jump_to_itself(engine: str) -> None:
    reason, detail = run(engine, op("addi", rd="a0", rs1="zero", imm=1) + SPIN, start=0)
    assert reason is Reason.STUCK
    assert detail == (
        "hart 0 loops forever at 0x80000004 <start+0x4> in M-mode, with interrupts disabled"
    )


def test_traps_at_one_address(engine: str) -> None:
    # mtvec is 0, where nothing is.
    reason, detail = run(engine, op("ecall"))
    assert reason is Reason.STUCK
    assert detail == (
        "hart 0 traps forever at 0x0 in M-mode: instruction access fault, tval 0x0, "
        "and the trap vector leads there again"
    )


def test_a_handler_that_returns_to_what_trapped(engine: str) -> None:
    handler = csrw(0x340, "t0") + op("sd", rs1="sp", rs2="t1", imm=0)
    handler += op("csrrs", rd="t0", csr=MEPC, rs1="zero") + op("addi", rd="t1", rs1="t0", imm=0)
    handler += op("sd", rs1="sp", rs2="t1", imm=8) + op("ld", rd="t1", rs1="sp", imm=0)
    handler += op("csrrs", rd="t0", csr=0x340, rs1="zero") + op("mret")
    code = la("t0", 0, 64) + csrw(MTVEC, "t0") + la("sp", 12, 1024) + op("ebreak")
    reason, detail = run(engine, code.ljust(64, b"\0") + handler)
    assert reason is Reason.STUCK
    assert "hart 0 traps forever at 0x80000014 in M-mode: breakpoint, tval 0x80000014" in detail
    assert detail.endswith("the handler is at 0x80000040")


def test_a_word_that_nobody_reads(engine: str) -> None:
    code = la("t0", 0, 1024) + op("addi", rd="t1", rs1="zero", imm=1)
    code += op("sd", rs1="t0", rs2="t1", imm=0) + op("jal", rd="zero", imm=-4)
    reason, detail = run(engine, code)
    assert reason is Reason.STUCK
    assert "from 0x8000000c to 0x80000010 in M-mode, storing the same to 0x80000400" in detail
    assert "no symbol tohost" in detail


def test_a_spin_with_interrupts_that_nothing_raises(engine: str) -> None:
    code = li("t0", 0x800) + csrw(MIE, "t0") + op("csrrsi", rd="zero", csr=MSTATUS, zimm=8)
    reason, detail = run(engine, code + SPIN)
    assert reason is Reason.STUCK
    assert detail.endswith("and no interrupt that it would take will come")


def test_the_same_spin_where_input_may_come(engine: str) -> None:
    code = li("t0", 0x800) + csrw(MIE, "t0") + op("csrrsi", rd="zero", csr=MSTATUS, zimm=8)
    machine = machine_with(engine, code + SPIN)
    machine.hooks.input_open = lambda: True
    assert machine.run(until=lambda: machine.now > LIMIT).reason is Reason.CONDITION


def test_harts_that_all_spin_or_wait(engine: str) -> None:
    code = op("bne", rs1="a0", rs2="zero", imm=8) + WFI + SPIN
    reason, detail = run(engine, code, harts=2)
    assert reason is Reason.STUCK
    assert re.search(r"hart 1 loops .*; hart 0 waits \(WFI\) at 0x80000004", detail)


LOOP = op("jal", rd="zero", imm=-4)


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(op("addi", rd="a0", rs1="a0", imm=1) + LOOP, id="counts"),
        pytest.param(
            la("t0", 0, 1024)
            + op("amoadd.d", rd="zero", rs1="t0", rs2="t0")
            + op("jal", rd="zero", imm=-4),
            id="counts in memory",
        ),
        pytest.param(op("csrrs", rd="a0", csr=0xC01, rs1="zero") + LOOP, id="reads the time"),
        pytest.param(op("csrrs", rd="a0", csr=0x344, rs1="zero") + LOOP, id="reads mip"),
        pytest.param(
            li("t0", UART) + op("lbu", rd="a0", rs1="t0", imm=5) + LOOP, id="polls a device"
        ),
        pytest.param(timer_program(5000)[:44] + SPIN * 6, id="waits for the timer"),
    ],
)
def test_progress(engine: str, code: bytes) -> None:
    assert run(engine, code)[0] is Reason.CONDITION


def test_a_hart_that_another_will_free(engine: str) -> None:
    """Hart 0 spins on a word that hart 1 sets after long, and both end well."""
    wait = la("t0", 4, 1024) + op("lw", rd="t1", rs1="t0", imm=0)
    wait += op("beq", rs1="t1", rs2="zero", imm=-4) + exit_with(3)
    count = la("t0", 256, 1024) + li("t2", 30_000)
    count += op("addi", rd="t2", rs1="t2", imm=-1) + op("bne", rs1="t2", rs2="zero", imm=-4)
    count += op("sw", rs1="t0", rs2="t2", imm=0) + op("addi", rd="t2", rs1="zero", imm=1)
    count += op("sw", rs1="t0", rs2="t2", imm=0) + SPIN
    code = op("bne", rs1="a0", rs2="zero", imm=256) + wait
    machine = machine_with(engine, code.ljust(256, b"\0") + count, harts=2)
    assert (machine.run().reason, machine.run().code) == (Reason.EXITED, 3)


def polling_a_word(engine: str) -> tuple[Machine, MmioTransport]:
    """A guest that reads a word for ever, whose driver has started a console."""
    code = la("t0", 0, 1024) + op("lhu", rd="t1", rs1="t0", imm=0) + LOOP
    machine = machine_with(engine, code)
    machine.stuck._per_step = 0  # look all the time
    machine.plug(Console())
    (slot,) = (slot for slot in machine.board.virtio if slot.device is not None)
    slot.status = Status.DRIVER_OK
    return machine, slot


def test_a_poll_of_memory_in_which_a_device_puts_input(engine: str) -> None:
    machine, slot = polling_a_word(engine)
    machine.hooks.input_open = lambda: True
    assert machine.run(until=lambda: machine.now > LIMIT).reason is Reason.CONDITION
    slot.status = 0  # there is no driver any more
    assert machine.run(until=lambda: machine.now > 2 * LIMIT).reason is Reason.STUCK


def test_a_poll_of_memory_for_work_that_a_device_has_left(engine: str) -> None:
    machine, slot = polling_a_word(engine)
    slot.backlog.add(0)
    assert machine.run(until=lambda: machine.now > LIMIT).reason is Reason.CONDITION
    slot.backlog.clear()  # it is done, and nothing comes from outside
    assert machine.run(until=lambda: machine.now > 2 * LIMIT).reason is Reason.STUCK


def test_a_budget_is_not_cut_short(engine: str) -> None:
    machine = machine_with(engine, SPIN)
    assert machine.run(200_000).reason is Reason.BUDGET
    assert machine.now == 200_000
    assert machine.run(200_000, detect_stuck=True).reason is Reason.STUCK


def test_looking_changes_nothing(engine: str) -> None:
    """A guest that counts, looked at again and again, and the same one left alone."""
    code = op("addi", rd="a0", rs1="a0", imm=3) + op("xor", rd="a1", rs1="a1", rs2="a0")
    code += op("jal", rd="zero", imm=-8)
    alone = Machine(engine=engine, memory=1 << 20, output=Output())
    alone.load(elf(code))
    watched = Machine(engine=engine, memory=1 << 20, output=Output())
    watched.load(elf(code))
    alone.run(123_456)
    watched.stuck._per_step = 0
    watched.run(123_456, detect_stuck=True)
    assert watched.stuck._looks > 1
    for name in ("pc", "a0", "a1", "minstret"):
        assert watched.hart[name] == alone.hart[name]
