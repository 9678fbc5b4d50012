"""A guest twice, emulated and in another mode: the second is in the state of the first, to the bit,
at any time."""

from collections.abc import Iterable
from typing import Any

from rvemu.vmm.virtual_machine import EMULATE, VirtualMachine
from tests.vmm.audit import check_reach
from tests.vmm.programs import PATCHED, ram_of, virtual_machine, visible_harts


def twins(elf: bytes, mode: str, **options: Any) -> tuple[VirtualMachine, VirtualMachine]:
    """The guest emulated, and in a mode, or PATCHED. options: of both machines."""
    real, _ = virtual_machine(EMULATE, elf, **options)
    name, patch = mode.removesuffix(" --patch"), mode == PATCHED
    virtual, _ = virtual_machine(name, elf, patch=patch, **options)
    return real, virtual


def check_alike(real: VirtualMachine, virtual: VirtualMachine, clocks: Iterable[int]) -> None:
    """Run both for so many clocks, again and again: the harts are alike whenever they stop, and at
    last memory is; and meanwhile the VMM's tables lead nowhere else."""
    for budget in clocks:
        real.run(budget)
        virtual.run(budget)
        for expected, found in zip(visible_harts(real), visible_harts(virtual), strict=True):
            different = {n: (expected[n], found[n]) for n in expected if expected[n] != found[n]}
            assert not different
        check_reach(virtual)
    assert ram_of(real) == ram_of(virtual)
