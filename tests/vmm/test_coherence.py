"""Random kernels that change their tables: what the VMM has made of them follows, however they do
it. Registers, time and memory are those of a real hart, and no table of the VMM's leads out of the
guest's memory."""

import pytest

from rvemu.vmm.exits import ExitReason
from tests.vmm.alike import check_alike, twins
from tests.vmm.programs import DIRECT, PATCHED, virtual_machine
from tests.vmm.remapping_programs import RemappingProgram

PROGRAMS = 24
_POINTS = (700, 1, 300, 2_000)


@pytest.mark.parametrize("mode", (*DIRECT, PATCHED))
@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_translations_are_those_of_the_tables(seed: int, mode: str) -> None:
    check_alike(*twins(RemappingProgram(seed).elf, mode, memory=4 << 20), _POINTS)


def test_the_programs_reach_what_they_are_for() -> None:
    """Shadows that are filled, followed, and refuse; and interpreted instructions."""
    exits = dict.fromkeys(ExitReason, 0)
    for seed in range(PROGRAMS):
        machine, _ = virtual_machine("trap-and-emulate", RemappingProgram(seed).elf)
        machine.run(3_000)
        for reason, count in machine.accounting.exits.items():
            exits[reason] += count
    assert exits[ExitReason.SHADOW_FILL] > 300
    assert exits[ExitReason.PAGE_TABLE_WRITE] > 20
    assert exits[ExitReason.GUEST_FAULT] > 300
    assert exits[ExitReason.MMIO] > 5
