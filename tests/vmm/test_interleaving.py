"""Guests on one host, in turns of a few instructions: each is, at the end, in the state that it has
on a machine of its own. Nothing of a guest stays in the hart for the next."""

import random

import pytest

from rvemu.hart.exceptions import Cause
from rvemu.hart.extensions import DEFAULT_ISA, parse_isa
from rvemu.hart.fields import MSTATUS
from rvemu.vmm.host import Host
from rvemu.vmm.virtual_machine import EMULATE
from tests.assembler import A0, A1, A2, S0, T5, ZERO, Assembler
from tests.vmm.privileged_programs import PrivilegedProgram
from tests.vmm.programs import DIRECT, ram_of, virtual_machine, visible
from tests.vmm.remapping_programs import RemappingProgram
from tests.vmm.wild_programs import MEMORY, WildProgram

_TURNS = 120
_LENGTHS = (1, 2, 7, 20, 60, 500)


@pytest.mark.parametrize("seed", range(12))
def test_three_guests_do_not_meet(seed: int) -> None:
    chance = random.Random(seed)
    host = Host(parse_isa(DEFAULT_ISA))
    wild = WildProgram(seed)
    programs = [
        (PrivilegedProgram(2 * seed).elf, DEFAULT_ISA),
        (RemappingProgram(2 * seed + 1).elf, DEFAULT_ISA),
        (wild.elf, wild.isa),
    ]
    guests = [
        virtual_machine(chance.choice(DIRECT), elf, memory=MEMORY, host=host, isa=isa)[0]
        for elf, isa in programs
    ]
    clocks = [0] * len(guests)
    for _ in range(_TURNS):
        n, turn = chance.randrange(len(guests)), chance.choice(_LENGTHS)
        guests[n].run(turn)
        clocks[n] += turn
    for guest, (elf, isa), time in zip(guests, programs, clocks, strict=True):
        alone, _ = virtual_machine(EMULATE, elf, memory=MEMORY, isa=isa)
        alone.run(time)
        assert visible(guest.machine.hart.state) == visible(alone.machine.hart.state)
        assert ram_of(guest) == ram_of(alone)


def _in_supervisor_mode(misa: int, medeleg: int = 0) -> Assembler:
    """A program that goes to S-mode. Traps go to its label "machine"."""
    p = Assembler(0x8000_0000).csr_set("medeleg", medeleg)
    p.csr_set("pmpaddr0", -1).csr_set("pmpcfg0", 0x1F).csr_set("misa", misa)
    p.la(T5, "machine").csrw("mtvec", T5).li(T5, 1 << MSTATUS.MPP.low).csrs("mstatus", T5)
    return p.la(T5, "loop").csrw("mepc", T5).op("mret").align(4).label("loop")


@pytest.mark.parametrize("mode", DIRECT)
def test_a_guest_without_compressed_instructions_beside_one_with_them(mode: str) -> None:
    """Only the first meets misaligned jumps; and the last exit was the other's."""
    first = _in_supervisor_mode(misa=0).op("addi", rd=S0, rs1=S0, imm=1).li(A2, 20)
    first.branch("bne", S0, A2, "loop").la(T5, "machine").op("jalr", rs1=T5, imm=2)
    first.align(4).label("machine").csrr(A0, "mcause").csrr(A1, "mtval")
    first.label("end").jal(ZERO, "end")
    second = _in_supervisor_mode(misa=-1).word(0)
    second.align(4).label("machine").op("mret")
    host = Host(parse_isa(DEFAULT_ISA))
    jumping, trapping = (
        virtual_machine(mode, program.elf(), host=host, memory=MEMORY)[0]
        for program in (first, second)
    )
    while jumping.machine.hart["s0"] < 10:
        jumping.run(1)
    trapping.run(100)
    jumping.run(100)
    assert jumping.machine.hart["pc"] == first.symbols["end"]
    assert jumping.machine.hart["a0"] == Cause.INSTRUCTION_ADDRESS_MISALIGNED
    assert jumping.machine.hart["a1"] == first.symbols["machine"] + 2


@pytest.mark.parametrize("mode", DIRECT)
def test_a_guest_that_waits_beside_one_whose_waits_trap(mode: str) -> None:
    """TW is the other's alone."""
    waiting = _in_supervisor_mode(misa=-1, medeleg=1 << Cause.ILLEGAL_INSTRUCTION)
    waiting.op("addi", rd=S0, rs1=S0, imm=1).li(A2, 20)
    waiting.branch("bne", S0, A2, "loop").la(A1, "machine")
    waiting.op("lr.d", rd=A2, rs1=A1).op("wrs.nto").label("end").jal(ZERO, "end")
    waiting.align(4).label("machine").jal(ZERO, "machine")
    trapping = Assembler(0x8000_0000).li(T5, MSTATUS.TW.mask).csrs("mstatus", T5)
    trapping.label("end").jal(ZERO, "end")
    host = Host(parse_isa(DEFAULT_ISA))
    first, _ = virtual_machine(mode, waiting.elf(), host=host, memory=MEMORY)
    second, _ = virtual_machine("trap-and-emulate", trapping.elf(), host=host, memory=MEMORY)
    while first.machine.hart["s0"] < 10:
        first.run(1)
    second.run(100)
    first.run(100)
    assert first.machine.hart["pc"] == waiting.symbols["end"]
