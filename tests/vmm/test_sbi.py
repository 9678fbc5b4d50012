"""SBI calls that the VMM answers: what the specification (3.0) has a call return."""

import pytest

from rvemu.lang import M64
from rvemu.vmm import sbi
from tests.small_programs import SPIN, elf, li, op
from tests.vmm.programs import virtual_machine

FAILED, NOT_SUPPORTED, INVALID_PARAM, ALREADY_AVAILABLE = -1, -2, -3, -6
NON_RETENTIVE = 1 << 31


@pytest.mark.parametrize(
    ("extension", "function", "a0", "a1", "error", "value"),
    [
        (sbi.BASE, 0, 0, 0, 0, 3 << 24),
        (sbi.BASE, 3, sbi.HSM, 0, 0, 1),
        (sbi.BASE, 3, 0x504D55, 0, 0, 0),  # there is no PMU extension
        (sbi.BASE, 7, 0, 0, NOT_SUPPORTED, None),
        (0x504D55, 0, 0, 0, NOT_SUPPORTED, None),
        (sbi.HSM, 0, 0, 0, ALREADY_AVAILABLE, None),
        (sbi.HSM, 0, 1, 0, INVALID_PARAM, None),
        (sbi.HSM, 1, 5, 0, FAILED, None),  # takes no argument
        (sbi.HSM, 2, 0, 0, 0, 0),
        (sbi.HSM, 2, 1, 0, INVALID_PARAM, None),
        (sbi.HSM, 3, 0, 0, NOT_SUPPORTED, None),
        (sbi.HSM, 3, NON_RETENTIVE, 0, NOT_SUPPORTED, None),
        (sbi.HSM, 3, 1, 0, INVALID_PARAM, None),  # reserved
        (sbi.RESET_EXTENSION, 0, 3, 0, INVALID_PARAM, None),
        (sbi.RESET_EXTENSION, 0, 0, 2, INVALID_PARAM, None),
    ],
)
def test_what_calls_return(
    extension: int, function: int, a0: int, a1: int, error: int, value: int | None
) -> None:
    arguments = li("a0", a0) + li("a1", a1) + li("a6", function) + li("a7", extension)
    machine, _ = virtual_machine("emulate", elf(arguments + op("ecall") + SPIN), sbi=True)
    machine.run(1000)
    hart = machine.machine.hart
    assert hart["a0"] == error & M64
    assert value is None or hart["a1"] == value
