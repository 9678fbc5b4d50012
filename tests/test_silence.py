"""A guest that prints nothing, and what its user is told."""

import pytest

from rvemu.errors import RvemuError
from rvemu.machine import Machine
from rvemu.silence import SilenceNote, linux_advice
from rvemu.statistics import Statistics
from tests.small_programs import csrw, elf, exit_with, la, li, op, put


def busy(rounds: int) -> bytes:
    """Two instructions, so many times."""
    count = li("t0", rounds) + op("addi", rd="t0", rs1="t0", imm=-1)
    return count + op("bne", rs1="t0", rs2="zero", imm=-4)


def enter_supervisor(here: int) -> bytes:
    """From M-mode, at an offset of the program, to what follows in S-mode."""
    everything = op("addi", rd="t0", rs1="zero", imm=-1) + csrw(0x3B0, "t0")  # pmpaddr0
    everything += op("addi", rd="t0", rs1="zero", imm=0x1F) + csrw(0x3A0, "t0")  # pmpcfg0
    to = li("t0", 1 << 11) + op("csrrs", rd="zero", csr=0x300, rs1="t0")  # mstatus.MPP
    last = 8 + len(csrw(0x341, "t0") + op("mret"))
    code = everything + to
    code += la("t0", here + len(code), here + len(code) + last) + csrw(0x341, "t0")  # mepc
    return code + op("mret")


def notes(code: bytes, *, firmware: bool = False, reboot: bool = False) -> tuple[list[str], bytes]:
    """What the user is told of a guest in more than 30 M instructions, and what it prints."""
    said: list[str] = []
    printed = bytearray()
    machine = Machine(output=printed.extend)
    machine.load(elf(code))
    statistics = Statistics(machine)
    SilenceNote(
        machine, statistics, said.append, firmware=firmware, advice="do this", many=30_000_000
    )
    machine.run()
    if reboot:
        statistics.forget()
        machine.reboot()
        machine.run()
    return said, bytes(printed)


def test_a_silent_guest() -> None:
    said, _ = notes(busy(40_000_000) + exit_with(0))
    assert len(said) == 1
    assert said[0].startswith("the guest has printed nothing in 3")
    assert " M instructions; hart 0 is at 0x8000" in said[0]
    assert said[0].endswith(" in M-mode; do this")


def test_a_guest_that_prints() -> None:
    said, printed = notes(put("!") + busy(40_000_000) + put("?") + exit_with(0))
    assert (said, printed) == ([], b"!?")


def test_what_firmware_prints_does_not_count() -> None:
    firmware = put("!") + busy(20_000_000) + put("!")
    firmware += enter_supervisor(len(firmware))
    said, printed = notes(firmware + busy(20_000_000) + exit_with(0), firmware=True)
    assert (len(said), printed) == (1, b"!!")
    said, printed = notes(
        firmware + busy(5_000_000) + put("?") + busy(20_000_000) + exit_with(0), firmware=True
    )
    assert (said, printed) == ([], b"!!?")


def test_what_firmware_runs_does_not_count() -> None:
    firmware = busy(20_000_000)
    firmware += enter_supervisor(len(firmware))
    assert notes(firmware + busy(5_000_000) + exit_with(0), firmware=True) == ([], b"")


def test_a_short_guest() -> None:
    assert notes(exit_with(0)) == ([], b"")


def test_resets_do_not_start_the_count_again() -> None:
    said, _ = notes(busy(10_000_000) + exit_with(0), reboot=True)
    assert len(said) == 1


def test_without_a_console() -> None:
    machine = Machine()
    with pytest.raises(RvemuError, match="without a console"):
        SilenceNote(machine, Statistics(machine), print)


@pytest.mark.parametrize(
    "line, advice",
    [
        ("", "the kernel's command line has no console=: try --append console=ttyS0"),
        ("root=/dev/vda noconsole=1", "the kernel's command line has no console="),
        ("console=tty1", "this machine has no console=tty1: try"),
        ("console=tty1 console=hvc0 earlycon", ""),
        ("console=ttyS0", "earlycon on the kernel's command line"),
        ("console=ttyS0 earlycon=sbi", ""),
        ("console=ttyS0 quiet", None),
    ],
)
def test_advice(line: str, advice: str | None) -> None:
    found = linux_advice(line)
    if not advice:
        assert found == advice
    else:
        assert found is not None and found.startswith(advice)
