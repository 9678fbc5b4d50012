"""Harts that are not virtualizable: trap-and-emulate breaks, and scan-and-patch mends it."""

import pytest

from rvemu.cli.main import main
from rvemu.guests import expected_output
from rvemu.hart.state import QUIRK_CSR, QUIRK_FENCE, QUIRK_STATUS, QUIRK_XRET
from rvemu.vmm.exits import ExitReason
from rvemu.vmm.virtual_machine import EMULATE
from tests.assembler import A0, S0, T5, T6, ZERO, Assembler, encode
from tests.vmm.privileged_programs import PrivilegedProgram
from tests.vmm.programs import bundled, virtual_machine, visible

CLASSIC = "trap-and-emulate"
ALL_QUIRKS = QUIRK_STATUS | QUIRK_CSR | QUIRK_XRET | QUIRK_FENCE
BASE = 0x8000_0000


@pytest.mark.parametrize("quirk", [QUIRK_STATUS, QUIRK_XRET])
def test_trap_and_emulate_breaks(quirk: int) -> None:
    path, sbi = bundled("tinyos-s")
    machine, output = virtual_machine(CLASSIC, path, sbi=sbi, quirks=quirk)
    run = machine.run(200_000)
    assert not run.passed
    assert not expected_output("tinyos-s").startswith(bytes(output)) or len(output) < 1000


@pytest.mark.parametrize("quirks", [QUIRK_XRET | QUIRK_FENCE, ALL_QUIRKS])
@pytest.mark.parametrize("guest", ["tinyos", "tinyos-s"])
def test_patching_mends_it(guest: str, quirks: int) -> None:
    """The same as the quirky machine without a VMM. (Its processes may notice quirks.)"""
    path, sbi = bundled(guest)
    real, expected = virtual_machine(EMULATE, path, sbi=sbi, quirks=quirks)
    patched, output = virtual_machine(CLASSIC, path, sbi=sbi, quirks=quirks, patch=True)
    for machine in (real, patched):
        assert machine.run(100_000_000).passed
    assert output == expected
    assert visible(real.machine.hart.state) == visible(patched.machine.hart.state)
    if not quirks & QUIRK_STATUS:
        assert bytes(output) == expected_output(guest)
    exits = patched.accounting.exits
    assert exits[ExitReason.PATCHED] > 1000
    assert 0 < exits[ExitReason.SCAN] < exits[ExitReason.PATCHED], "blocks are scanned once"


@pytest.mark.parametrize("seed", range(8))
def test_random_privileged_programs(seed: int) -> None:
    """(Not with quirks of reads: what a process reads so is the physical hart's.)"""
    elf = PrivilegedProgram(1000 + seed).elf
    quirks = QUIRK_XRET | QUIRK_FENCE
    real, _ = virtual_machine(EMULATE, elf, memory=4 << 20, quirks=quirks)
    patched, _ = virtual_machine(CLASSIC, elf, memory=4 << 20, quirks=quirks, patch=True)
    for clocks in (100, 500, 2_000):
        real.run(clocks)
        patched.run(clocks)
        assert visible(real.machine.hart.state) == visible(patched.machine.hart.state)


def test_code_that_reads_and_writes_itself() -> None:
    """The guest sees its own code, without patches; and what it writes there is what runs."""
    p = Assembler(BASE)
    p.la(A0, "site").op("lwu", rd=S0, rs1=A0, imm=0)  # a CSR instruction, as the guest wrote it
    p.li(T6, 7).csrw("mscratch", T6)
    p.label("again").label("site").csrr(T5, "mscratch")
    p.li(T6, encode("addi", rd=T5, rs1=ZERO, imm=99)).la(A0, "site")
    p.branch("bge", T5, T6, "end")
    p.op("sw", rs1=A0, rs2=T6, imm=0).op("fence.i")
    p.li(T6, 99).branch("bne", T5, T6, "again")
    p.label("end").jal(ZERO, "end")
    elf = p.elf()
    states = []
    for mode, patch in ((EMULATE, False), (CLASSIC, True)):
        machine, _ = virtual_machine(mode, elf, memory=4 << 20, quirks=QUIRK_CSR, patch=patch)
        machine.run(200)
        states.append(visible(machine.machine.hart.state))
    assert states[0] == states[1]
    assert machine.machine.hart["t5"] == 99
    assert machine.machine.hart["s0"] == encode("csrrs", rd=T5, rs1=ZERO, csr=0x340)


def test_the_command(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    words = ["vm", "--guest", "tinyos-s", "--mode", CLASSIC, "--quirk", "xret"]
    assert main([*words, "--patch"]) == 0
    assert capfdbinary.readouterr().out == expected_output("tinyos-s")
    assert main([*words, "--max-instructions", "100k"]) != 0
    capfdbinary.readouterr()
    assert main(["vm", "--guest", "hello", "--mode", "hardware", "--patch"]) == 2
    assert b"a variant of mode trap-and-emulate" in capfdbinary.readouterr().err
