"""Virtual machines that are stuck are said to be; those that are not, never."""

import pytest

from rvemu.machine import Reason
from rvemu.vmm import sbi
from rvemu.vmm.virtual_machine import TRANSPARENT, VirtualMachine
from tests.assembler import A0, A7, ZERO, Assembler
from tests.vmm.paravirtual_programs import BASE
from tests.vmm.programs import virtual_machine

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


# --- Calls of firmware ---------------------------------------------------------------------------


@pytest.mark.parametrize("mode", TRANSPARENT)
def test_who_prints_for_ever_by_firmware(mode: str) -> None:
    """Each round is as the one before, and the host prints one more."""
    code = Assembler(BASE).label("again").li(A0, ord("x")).li(A7, sbi.PUTCHAR).op("ecall")
    machine, output = virtual_machine(mode, code.jal(ZERO, "again").elf(), sbi=True)
    assert run(machine)[0] is Reason.CONDITION
    assert machine.machine.stuck._looks > 0
    assert len(output) > 10_000
