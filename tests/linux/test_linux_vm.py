"""Debian's kernel in a virtual machine: it can't tell, to the byte and the instruction."""

from functools import cache

import pytest

from rvemu.initramfs import GREETING
from rvemu.linux import COMMAND_LINE, MEMORY, Linux
from rvemu.vmm.virtual_machine import EMULATE, VirtualMachine

pytestmark = pytest.mark.slow

LIMIT = 20_000_000_000


@cache
def boot(linux: Linux, mode: str, harts: int) -> tuple[bytes, int]:
    """What it prints, and how many instructions it executes."""
    output = bytearray()
    command = "cat /proc/cpuinfo /proc/interrupts; ls -l /bin | wc -l"
    machine = VirtualMachine(
        mode,
        memory=MEMORY,
        harts=harts,
        sbi=True,
        bootargs=f'{COMMAND_LINE} run="{command}"',
        output=output.extend,
    )
    machine.boot(linux.kernel, linux.initrd)
    run = machine.run(LIMIT)
    assert run.passed, bytes(output[-2000:]) + str(run).encode()
    return bytes(output), machine.instructions


@pytest.mark.parametrize("mode", ["hardware", "trap-and-emulate"])
@pytest.mark.parametrize("harts", [1, 4])
def test_linux_is_the_same_in_a_virtual_machine(linux: Linux, mode: str, harts: int) -> None:
    output, instructions = boot(linux, mode, harts)
    assert GREETING.encode() in output
    assert output.count(b"\nprocessor\t: ") == harts
    assert (output, instructions) == boot(linux, EMULATE, harts)
