"""Levels that the host owns: a trap into one ends in the host, and not in a trap vector."""

import pytest

from rvemu import Machine, Outcome, Reason
from rvemu.engine import make_engine
from rvemu.hart.exceptions import Cause
from rvemu.hart.state import M_MODE, S_MODE
from tests.small_programs import SPIN, csrw, elf, exit_with, la, li, op

MTVEC, STVEC, MEDELEG, MEPC, MSTATUS = 0x305, 0x105, 0x302, 0x341, 0x300
OWN_M, OWN_HS, OWN_VS = 1 << M_MODE, 1 << S_MODE, 1 << (4 | S_MODE)


def calling(engine: str, delegated: int = 0) -> Machine:
    """A guest that makes an environment call from U-mode and, if it goes on, ends with status 7.
    Trap vectors lead to an end with status 9."""
    handler_at, user_at = 200, 300
    code = la("t0", 0, handler_at)
    code += csrw(MTVEC, "t0") + csrw(STVEC, "t0")
    code += li("t0", delegated) + csrw(MEDELEG, "t0")
    code += la("t0", len(code), user_at) + csrw(MEPC, "t0") + csrw(MSTATUS, "zero") + op("mret")
    code = code.ljust(handler_at, b"\0") + exit_with(9)
    code = code.ljust(user_at, b"\0") + op("ecall") + exit_with(7)
    machine = Machine(engine=engine, memory=16 << 20, pmp=0, output=lambda _: None)
    machine.load(elf(code + SPIN))
    return machine


def test_a_trap_into_an_owned_level_is_the_hosts(engine: str) -> None:
    machine = calling(engine)
    hart = machine.hart
    hart.state.owned_levels = OWN_M
    seen: list[tuple[int, int, int, str]] = []

    def owner(number: int) -> None:
        seen.append((number, hart["mcause"], hart["mepc"], hart.mode))
        assert hart.pc == hart["mtvec"], "before the vector's first instruction"
        hart.mode = "U"
        hart["pc"] = hart["mepc"] + 4

    machine.hooks.owner = owner
    assert machine.run() == Outcome(Reason.EXITED, 7)
    assert [s[:2] + s[3:] for s in seen] == [(0, Cause.ECALL_FROM_U, "M")]
    assert seen[0][2] == hart["mepc"] == 0x8000_0000 + 300


@pytest.mark.parametrize("owned", [OWN_HS, OWN_VS])
def test_a_trap_into_another_level_is_the_guests(engine: str, owned: int) -> None:
    machine = calling(engine)
    machine.hart.state.owned_levels = owned
    assert machine.run() == Outcome(Reason.EXITED, 9)


def test_a_delegated_trap_is_that_levels(engine: str) -> None:
    machine = calling(engine, delegated=1 << Cause.ECALL_FROM_U)
    machine.hart.state.owned_levels = OWN_HS
    causes: list[int] = []

    def owner(number: int) -> None:
        causes.append(machine.harts[number]["scause"])
        machine.stop()

    machine.hooks.owner = owner
    assert machine.run().reason is Reason.INTERRUPTED
    assert causes == [Cause.ECALL_FROM_U]
    assert machine.hart.mode == "S"


def test_trap_hooks_see_owned_traps_as_well(engine: str) -> None:
    machine = calling(engine)
    machine.hart.state.owned_levels = OWN_M
    seen: list[str] = []
    machine.hooks.trap.append(lambda _: seen.append("hook"))
    machine.hooks.owner = lambda _: (seen.append("owner"), machine.stop())[1]
    machine.run()
    assert seen == ["hook", "owner"]


def test_an_instruction_stepped_by_the_host(engine: str) -> None:
    """`Stepper.step`: one instruction, its trap delivered, and none of it twice; by the engine of
    another machine."""
    machine, other = calling("reference"), Machine(memory=1 << 20, engine=engine)
    machine.run(budget=1)
    hart = machine.hart
    before = hart.pc
    stepper = make_engine(engine, other.shared, [other.hart.state])
    stepper.adopt(hart.state)
    for n in (1, 2):
        stepper.step(hart.state)
        assert (hart.pc, hart.instret) == (before + 4 * n, 1 + n)
    stepper.step(hart.state, 0x73)  # ecall, whatever is at pc: it does not retire
    assert (hart["mcause"], hart.instret) == (Cause.ECALL_FROM_M, 3)
