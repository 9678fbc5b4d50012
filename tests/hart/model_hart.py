"""A hart for tests of the model's functions, and ways to call them."""

from collections.abc import Callable

from rvemu.hart.csr_table import BY_NAME
from rvemu.hart.csrs import csr_read, csr_to_modify, csr_write
from rvemu.hart.exceptions import Cause
from rvemu.hart.extensions import DEFAULT_ISA, parse_isa
from rvemu.hart.privilege import set_privilege
from rvemu.hart.reset import reset
from rvemu.hart.state import M_MODE, S_MODE, U_MODE, Hart, Shared
from rvemu.lang import M64, Trap

WITH_H = DEFAULT_ISA
WITHOUT_H = DEFAULT_ISA.replace("rv64imafdch", "rv64imafdc")
PC = 0x8000_0000
CLOCKS_PER_TICK = 10

# Modes, as (priv, v).
M, HS, U, VS, VU = (M_MODE, 0), (S_MODE, 0), (U_MODE, 0), (S_MODE, 1), (U_MODE, 1)


def new_hart(isa: str = WITH_H, pmp_count: int = 16, privilege: str = "msu") -> Hart:
    """A hart after reset, about to execute an instruction, with 1000 more allowed."""
    shared = Shared()
    shared.clock_per_tick = CLOCKS_PER_TICK
    h = Hart(shared)
    reset(h, 0, parse_isa(isa, privilege), pmp_count=pmp_count, pc=PC)
    h.budget = 1000
    h.retire_end = 1000
    h.clock_end = 1000
    h.insn = 0x1234_5073
    h.insn_length = 4
    h.next_pc = PC + 4
    return h


def enter(h: Hart, mode: tuple[int, int]) -> None:
    """Put the hart into a mode."""
    set_privilege(h, *mode)


def complete(h: Hart) -> None:
    """What engines do after an instruction."""
    h.pc = h.next_pc
    h.next_pc = (h.pc + 4) & M64
    h.budget -= 1


def number(name: str) -> int:
    return BY_NAME[name].number


def read(h: Hart, name: str) -> int:
    """csrr: raises Trap."""
    return csr_read(h, number(name))


def write(h: Hart, name: str, value: int) -> None:
    """csrw: raises Trap."""
    csr_write(h, number(name), value & M64)


def set_bits(h: Hart, name: str, bits: int) -> int:
    """csrrs."""
    old = csr_read(h, number(name))
    csr_write(h, number(name), csr_to_modify(h, number(name), old) | bits)
    return old


def cause_of(h: Hart, action: Callable[..., object], *arguments: object) -> Cause | None:
    """The exception that a model function raises, or None."""
    try:
        action(h, *arguments)
    except Trap:
        return Cause(h.trap_cause)
    return None


def cause_of_read(h: Hart, name: str, mode: tuple[int, int]) -> Cause | None:
    """The exception of reading a CSR in a mode."""
    enter(h, mode)
    cause = cause_of(h, read, name)
    enter(h, M)
    return cause


def cause_of_write(h: Hart, name: str, value: int, mode: tuple[int, int]) -> Cause | None:
    """The exception of writing a CSR in a mode."""
    enter(h, mode)
    cause = cause_of(h, write, name, value)
    enter(h, M)
    return cause
