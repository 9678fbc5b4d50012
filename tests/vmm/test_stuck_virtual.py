"""Virtual machines that are stuck are said to be; those that are not, never."""

import re
from pathlib import Path

import pytest

from rvemu.cli.main import main
from rvemu.clock import CLOCKS_PER_TICK
from rvemu.hart.extensions import DEFAULT_ISA, parse_isa
from rvemu.machine import Reason
from rvemu.vmm import sbi
from rvemu.vmm.host import Host
from rvemu.vmm.hypercalls import CONSOLE_INPUT, CONSOLE_OUTPUT, EXTENSION, Call
from rvemu.vmm.rounds import run_in_turns
from rvemu.vmm.virtual_machine import PARAVIRT, TRANSPARENT, VirtualMachine
from tests.assembler import A0, A6, A7, S10, ZERO, Assembler
from tests.small_programs import SPIN, elf
from tests.vmm.paravirtual_programs import BASE, MEMORY, RING, SHARED, WORD, Kernel
from tests.vmm.programs import DIRECT, bundled, virtual_machine
from tests.vmm.test_paravirt import set_timer

LIMIT = 100_000


@pytest.fixture(autouse=True)
def look_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rvemu.stuck._FIRST", 20_000)
    monkeypatch.setattr("rvemu.stuck._PER_STEP_OF_VMM", 100)
    monkeypatch.setattr("rvemu.machine.SLICES", {"native": 10_000})


def run(machine: VirtualMachine) -> tuple[Reason, str]:
    # In place of a test that hangs: a guest which nobody calls stuck ends here.
    late = machine.machine.now + LIMIT
    outcome = machine.machine.run(until=lambda: machine.machine.now > late)
    return outcome.reason, outcome.detail


def paravirtual(kernel: Kernel) -> VirtualMachine:
    machine = VirtualMachine(PARAVIRT, memory=MEMORY, output=lambda _: None)
    machine.load(kernel.elf())
    return machine


# --- Calls of firmware ---------------------------------------------------------------------------


@pytest.mark.parametrize("mode", TRANSPARENT)
def test_who_prints_for_ever_by_firmware(mode: str) -> None:
    """Each round is as the one before, and the host prints one more."""
    code = Assembler(BASE).label("again").li(A0, ord("x")).li(A7, sbi.PUTCHAR).op("ecall")
    machine, output = virtual_machine(mode, code.jal(ZERO, "again").elf(), sbi=True)
    assert run(machine)[0] is Reason.CONDITION
    assert machine.machine.stuck._looks > 0
    assert len(output) > 10_000


# --- Exits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", DIRECT)
def test_a_guest_that_has_run_for_a_while_and_traps_for_ever(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked at as soon as one that executes instructions in that time."""
    monkeypatch.setattr("rvemu.stuck._PER_STEP_OF_VMM", 10_000)
    code = Assembler(BASE).li(A0, LIMIT // 4).label("work").op("addi", rd=A0, rs1=A0, imm=-1)
    code.branch("bne", A0, ZERO, "work").op("jalr", rs1=ZERO)
    machine, _ = virtual_machine(mode, code.elf())
    reason, detail = run(machine)
    assert reason is Reason.STUCK
    assert detail.startswith("hart 0 traps forever at 0x0 in M-mode")


# --- Several guests ------------------------------------------------------------------------------


def test_one_of_several_that_only_spins() -> None:
    """It ends, and so do all."""
    host = Host(parse_isa(DEFAULT_ISA))
    spinning, _ = virtual_machine("trap-and-emulate", elf(SPIN), host=host)
    path, _ = bundled("tinyos-pv")
    other, _ = virtual_machine(PARAVIRT, path, host=host)
    runs = run_in_turns(
        [spinning, other],
        until=lambda: spinning.machine.now > 100_000_000,  # in place of a test that hangs
        detect_stuck=True,
    )
    assert runs[0].outcome is not None
    assert runs[0].outcome.reason is Reason.STUCK
    assert runs[0].outcome.detail.startswith("hart 0 loops forever at 0x80000000")
    assert runs[1].passed


def test_several_of_which_one_only_spins_come_to_an_end(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    spinning = tmp_path / "spinning.elf"
    spinning.write_bytes(elf(SPIN))
    guests = ["--guest", "tinyos-s", str(spinning)]
    assert main(["vm", *guests, "--mode", "trap-and-emulate"]) != 0
    assert "spinning] stuck: hart 0 loops forever at 0x80000000" in capfd.readouterr().err
    assert main(["vm", *guests, "--mode", "trap-and-emulate", "--max-instructions", "1M"]) != 0
    assert "stuck" not in capfd.readouterr().err


# --- Paravirtual kernels -------------------------------------------------------------------------


@pytest.mark.parametrize("paging", [False, True])
def test_a_kernel_that_loops(paging: bool) -> None:
    kernel = Kernel()
    reason, detail = run(paravirtual(kernel.paging() if paging else kernel))
    assert reason is Reason.STUCK
    assert re.fullmatch(
        "hart 0 loops forever at 0x[0-9a-f]+ <end> in S-mode, with interrupts disabled", detail
    )


def test_a_kernel_that_waits_for_an_event_that_none_raises() -> None:
    """Though it would take it."""
    reason, detail = run(paravirtual(Kernel().paging().shared("enabled", 1)))
    assert reason is Reason.STUCK
    assert detail.endswith("<end> in S-mode, and no interrupt that it would take will come")


def test_a_kernel_that_can_not_be_entered() -> None:
    reason, detail = run(paravirtual(Kernel().paging().shared("entry", 8).op("ebreak")))
    assert reason is Reason.STUCK
    assert "hart 0 traps forever at 0x8 in S-mode: instruction page fault" in detail


def test_a_kernel_that_looks_whether_it_is_time() -> None:
    """The VMM writes that to the shared page, whether events are enabled or not."""
    kernel = set_timer(Kernel().paging(), 500).li(S10, SHARED).label("look")
    kernel.op("ld", rd=A0, rs1=S10, imm=WORD["timer"]).branch("beq", A0, ZERO, "look")
    machine = paravirtual(kernel)
    reason, detail = run(machine)
    assert machine.machine.now > 500 * CLOCKS_PER_TICK
    assert reason is Reason.STUCK
    assert "<end>" in detail  # and not before


def test_a_kernel_that_looks_for_input() -> None:
    kernel = Kernel().paging().call(Call.CONSOLE, RING)
    kernel.li(S10, RING + CONSOLE_INPUT + CONSOLE_OUTPUT)
    kernel.label("look").op("lw", rd=A0, rs1=S10, imm=4).branch("beq", A0, ZERO, "look")
    machine = paravirtual(kernel)
    assert run(machine)[0] is Reason.CONDITION
    machine.machine.board.uart.receive(b"x")
    assert "<end>" in run(machine)[1]


def test_a_kernel_that_makes_hypercalls_for_ever() -> None:
    kernel = Kernel().paging().label("again").li(A0, 0).li(A6, Call.NOTIFY).li(A7, EXTENSION)
    assert run(paravirtual(kernel.op("ecall").jal(ZERO, "again")))[0] is Reason.CONDITION
