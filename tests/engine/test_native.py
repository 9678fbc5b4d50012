"""What engines have in common at their edges: where they stop, what they keep decoded."""

import ctypes
import gc

import pytest

from rvemu.engine import jit, make_engine
from rvemu.errors import RvemuError
from rvemu.fuzz.assembly import assemble, code
from rvemu.hart.csr_table import BY_NAME
from rvemu.lang import STOP, TRAP
from rvemu.machine import Machine, Reason

BASE = 0x8000_0000
MISA = BY_NAME["misa"].number
C = 4


def _machine(engine: str, program: bytes, harts: int = 1) -> Machine:
    machine = Machine(memory=1 << 20, engine=engine, harts=harts)
    machine.write_physical(BASE, program)
    for hart in machine.harts:
        hart["pc"] = BASE
    return machine


def test_budgets_are_exact(engine: str) -> None:
    machine = _machine(
        engine, code(assemble("addi", rd=10, rs1=10, imm=1), assemble("jal", imm=-4))
    )
    total = 0
    for budget in (1, 2, 1, 5, 100, 3):
        assert machine.run(budget=budget).reason is Reason.BUDGET
        total += budget
        assert machine.hart.instret == total
        assert machine.hart["a0"] == (total + 1) // 2


def test_a_store_changes_the_next_instruction(engine: str) -> None:
    wanted = assemble("addi", rd=10, imm=7)
    program = code(
        assemble("auipc", rd=5),
        assemble("lw", rd=6, rs1=5, imm=32),
        assemble("sw", rs2=6, rs1=5, imm=12),
        assemble("addi", rd=10, imm=1),
        assemble("jal", imm=0),
    ).ljust(32, b"\0") + code(wanted)
    machine = _machine(engine, program)
    machine.run(budget=4)
    assert machine.hart["a0"] == 7


def test_the_host_changes_an_instruction_that_has_run(engine: str) -> None:
    machine = _machine(
        engine, code(assemble("addi", rd=10, rs1=10, imm=1), assemble("jal", imm=-4))
    )
    machine.run(budget=10)
    machine.write_physical(BASE, code(assemble("addi", rd=10, rs1=10, imm=100)))
    machine.run(budget=2)
    assert machine.hart["a0"] == 105


def test_harts_with_different_extensions(engine: str) -> None:
    """One hart switches compressed instructions off, the other does not; both execute one."""
    program = (
        code(
            assemble("csrrc", rd=0, rs1=11, csr=MISA),
            assemble("addi", rd=10, imm=1),
        )
        + (0x4515).to_bytes(2, "little") * 2
    )  # c.li a0, 5
    machine = _machine(engine, program + code(assemble("jal", imm=0)), harts=2)
    machine.harts[0]["a1"] = C
    for hart in machine.harts:
        hart["mtvec"] = BASE + 12
    # The harts' turns are long: both have run for a while.
    machine.run(budget=40_000)
    assert [hart["misa"] & C for hart in machine.harts] == [0, C]
    assert [hart["mcause"] for hart in machine.harts] == [2, 0]
    assert [hart["a0"] for hart in machine.harts] == [1, 5]
    # And again, from the start, while what the other one has decoded is there.
    for hart in machine.harts:
        hart["pc"], hart["mcause"], hart["a0"] = BASE + 8, 0, 0
    machine.run(budget=40_000)
    assert [hart["mcause"] for hart in machine.harts] == [2, 0]
    assert [hart["a0"] for hart in machine.harts] == [0, 5]


def test_unknown_engine() -> None:
    with pytest.raises(RvemuError, match="no engine 'fast'; there are: native, reference"):
        make_engine("fast", Machine(memory=1 << 20).shared, [])


@pytest.mark.parametrize(
    "error", [OSError("no executable memory\nmore"), RuntimeError(), ImportError("no llvmlite")]
)
def test_fallback(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr("rvemu.engine.native.engine.library", refuse)
    machine = _machine("native", code(assemble("addi", rd=10, imm=5)))
    assert machine.engine.name == "reference"
    machine.run(budget=1)
    assert machine.hart["a0"] == 5
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "using the reference engine, which is slow" in said
    assert (str(error).splitlines() or ["RuntimeError"])[0] in said


def test_traps_leave_nothing_behind() -> None:
    """There is one Trap and one Stop: their tracebacks would grow with each raise."""
    program = code(assemble("ecall"), assemble("ecall"))
    machine = _machine("reference", program)
    machine.hart["mtvec"] = BASE
    machine.run(budget=100)
    assert machine.hart["mcause"] == 11
    assert TRAP.__traceback__ is None
    machine.write_physical(
        BASE, code(assemble("lui", rd=10, imm=0x1000_0000), assemble("lb", rs1=10))
    )
    machine.hart["pc"] = BASE
    machine.run(budget=2)
    assert STOP.__traceback__ is None


def test_a_library_that_is_dropped_takes_nothing_with_it() -> None:
    text = "define i64 @answer() {\n  ret i64 42\n}"
    for _ in range(20):
        library = jit.Library(jit.compile_module(text))
        answer = ctypes.CFUNCTYPE(ctypes.c_uint64)(library.address("answer"))
        assert answer() == 42
        del library
        gc.collect()
