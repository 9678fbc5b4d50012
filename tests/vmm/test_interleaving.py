"""Guests on one host, in turns of a few instructions: each is, at the end, in the state that it has
on a machine of its own. Nothing of a guest stays in the hart for the next."""

import random

import pytest

from rvemu.hart.extensions import DEFAULT_ISA, parse_isa
from rvemu.vmm.host import Host
from rvemu.vmm.virtual_machine import EMULATE
from tests.vmm.privileged_programs import PrivilegedProgram
from tests.vmm.programs import DIRECT, virtual_machine, visible
from tests.vmm.remapping_programs import RemappingProgram

MEMORY = 4 << 20
_TURNS = 120
_LENGTHS = (1, 2, 7, 20, 60)


@pytest.mark.parametrize("seed", range(12))
def test_three_guests_do_not_meet(seed: int) -> None:
    chance = random.Random(seed)
    host = Host(parse_isa(DEFAULT_ISA))
    kinds = (PrivilegedProgram, PrivilegedProgram, RemappingProgram)
    programs = [kind(3 * seed + n).elf for n, kind in enumerate(kinds)]
    modes = [chance.choice(DIRECT) for _ in programs]
    guests = [
        virtual_machine(mode, program, memory=MEMORY, host=host)[0]
        for mode, program in zip(modes, programs, strict=True)
    ]
    clocks = [0] * len(guests)
    for _ in range(_TURNS):
        n, turn = chance.randrange(len(guests)), chance.choice(_LENGTHS)
        guests[n].run(turn)
        clocks[n] += turn
    for guest, program, time in zip(guests, programs, clocks, strict=True):
        alone, _ = virtual_machine(EMULATE, program, memory=MEMORY)
        alone.run(time)
        assert visible(guest.machine.hart.state) == visible(alone.machine.hart.state)
        ram = alone.machine.board.ram
        assert ram.read(ram.base, ram.size) == guest.machine.board.ram.read(ram.base, ram.size)
