"""One ELF in all modes, paravirt among them: kernels that make hypercalls where there are any."""

import pytest

from rvemu.guests import expected_output
from rvemu.virtualizable import QUIRKS
from rvemu.vmm.exits import ExitReason
from rvemu.vmm.virtual_machine import MODES, PARAVIRT, VirtualMachine
from tests.vmm.programs import Output, bundled, virtual_machine

GUESTS = ("tinyos-pv", "syscalls", "processes", "pager", "timeslice", "faults")


def run(guest: str, mode: str, **options: int) -> tuple[VirtualMachine, Output]:
    path, sbi = bundled(guest)
    machine, output = virtual_machine(mode, path, sbi=sbi, **options)
    assert machine.run(100_000_000).passed
    return machine, output


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("guest", GUESTS)
def test_a_guest_prints_the_same_in_all_modes(guest: str, mode: str) -> None:
    _, output = run(guest, mode)
    assert bytes(output) == expected_output(guest)


@pytest.mark.parametrize("guest", GUESTS)
def test_nothing_of_it_is_emulated(guest: str) -> None:
    """No privileged instruction, no CSR and no device: hypercalls, and a few calls of firmware."""
    machine, _ = run(guest, PARAVIRT)
    exits = machine.accounting.exits
    assert exits[ExitReason.HYPERCALL] > 0
    for reason in (ExitReason.PRIVILEGED, ExitReason.CSR, ExitReason.MMIO, ExitReason.WFI):
        assert exits[reason] == 0
    assert exits[ExitReason.PAGE_TABLE_WRITE] == exits[ExitReason.INTERPRETED] == 0


def test_a_hart_that_is_not_virtualizable_runs_it() -> None:
    """What sensitive instructions do in U-mode does not matter: its kernel executes none."""
    _, output = run("timeslice", PARAVIRT, quirks=sum(set(QUIRKS.values())))
    assert bytes(output) == expected_output("timeslice")
