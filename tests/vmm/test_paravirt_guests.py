"""One ELF in all modes, paravirt among them: kernels that make hypercalls where there are any."""

import pytest

from rvemu.guests import expected_output
from rvemu.virtualizable import QUIRKS
from rvemu.vmm.exits import Exit, ExitReason
from rvemu.vmm.virtual_machine import MODES, PARAVIRT, VirtualMachine
from tests.vmm.programs import Output, bundled, ram_of, virtual_machine, visible

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


@pytest.mark.parametrize("guest", ["faults", "pager", "processes", "timeslice"])
def test_exits_that_are_answered_at_once_are_exits_like_others(guest: str) -> None:
    """While exits are traced, each comes to the VMM in Python: as many, for the same reasons, and
    nothing that is counted differs."""
    path, sbi = bundled(guest)
    found = []
    for traced in (False, True):
        machine, output = virtual_machine(PARAVIRT, path, sbi=sbi)
        seen: list[Exit] = []
        machine.trace = seen.append if traced else None
        assert machine.run(100_000_000).passed
        accounting, memory = machine.accounting, hash(ram_of(machine))
        found.append(
            (
                (bytes(output), visible(machine.machine.hart.state), memory),
                accounting.exits,
                (accounting.entries, accounting.direct, accounting.switches, accounting.fills),
                (accounting.updates, machine.machine.host_work),
            )
        )
        assert len(seen) == (accounting.total if traced else 0)
        assert (accounting.answered == 0) == traced
    assert found[0] == found[1]
