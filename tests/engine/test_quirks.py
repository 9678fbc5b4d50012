"""Harts that depart from the architecture, for experiments with virtualization: in U-mode some
sensitive instructions do not trap, and do nothing."""

import pytest

from rvemu import Machine
from rvemu.hart.state import QUIRK_CSR, QUIRK_FENCE, QUIRK_STATUS, QUIRK_XRET
from tests.small_programs import SPIN, csrw, elf, la, op

MTVEC, MEPC, MSTATUS, SSTATUS, MSCRATCH = 0x305, 0x341, 0x300, 0x100, 0x340


def after(engine: str, instruction: bytes, quirks: int) -> Machine:
    """The machine after an instruction of U-mode, with 7 in t0 and a0, and something in mscratch.
    The trap vector is elsewhere."""
    code = op("addi", rd="t0", rs1="zero", imm=0x55) + csrw(MSCRATCH, "t0")
    code += la("t0", len(code), 256) + csrw(MTVEC, "t0")
    code += la("t0", len(code), 128) + csrw(MEPC, "t0") + csrw(MSTATUS, "zero") + op("mret")
    code = code.ljust(128, b"\0") + op("addi", rd="a0", rs1="zero", imm=7) + instruction + SPIN
    machine = Machine(engine=engine, memory=16 << 20, pmp=0, output=lambda _: None)
    machine.load(elf(code.ljust(256, b"\0") + SPIN))
    machine.hart.state.quirks = quirks
    machine.run(budget=30)
    return machine


@pytest.mark.parametrize(
    "instruction, quirk",
    [
        (op("csrrw", rd="zero", csr=SSTATUS, rs1="a0"), QUIRK_STATUS),
        (op("csrrs", rd="a1", csr=MSTATUS, rs1="zero"), QUIRK_STATUS),
        (op("csrrw", rd="a1", csr=MSCRATCH, rs1="a0"), QUIRK_CSR),
        (op("mret"), QUIRK_XRET),
        (op("sret"), QUIRK_XRET),
        (op("sfence.vma", rs1="zero", rs2="zero"), QUIRK_FENCE),
    ],
)
def test_it_does_not_trap_and_does_nothing(engine: str, instruction: bytes, quirk: int) -> None:
    assert after(engine, instruction, 0).hart.mode == "M"
    others = 15 & ~quirk & ~(QUIRK_CSR if quirk == QUIRK_STATUS else 0)
    assert after(engine, instruction, others).hart.mode == "M"
    machine = after(engine, instruction, quirk)
    assert machine.hart.mode == "U"
    assert machine.hart.pc == 0x8000_0000 + 136
    assert machine.hart["mscratch"] == 0x55
    assert (
        machine.hart["mstatus"]
        == after(engine, op("addi", rd="zero", rs1="zero", imm=0), 0).hart["mstatus"]
    )


def test_a_read_gives_the_real_value(engine: str) -> None:
    machine = after(engine, op("csrrs", rd="a1", csr=MSCRATCH, rs1="zero"), QUIRK_CSR)
    assert machine.hart["a1"] == 0x55


def test_what_does_not_exist_traps_all_the_same(engine: str) -> None:
    machine = after(engine, op("csrrs", rd="a1", csr=0x5C0, rs1="zero"), 15)
    assert machine.hart.mode == "M"
