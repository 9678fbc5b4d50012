"""A machine with a small program of machine code, for tests that need to know each instruction."""

from collections.abc import Sequence

from rvemu.machine import Machine

BASE = 0x8000_0000
DATA = BASE + 0x2000

ADDI_T0 = 0x0012_8293  # addi t0, t0, 1
STORE_T0 = 0x0055_3023  # sd   t0, 0(a0)
LOAD_T1 = 0x0005_3303  # ld   t1, 0(a0)
WFI = 0x1050_0073
ECALL = 0x0000_0073
NOP = 0x0000_0013


def jump(distance: int) -> int:
    """`j` by a distance in bytes."""
    d = distance & 0x1F_FFFF
    return (
        (d >> 20 & 1) << 31 | (d >> 1 & 0x3FF) << 21 | (d >> 11 & 1) << 20 | (d >> 12 & 0xFF) << 12
    ) | 0x6F


# t0 counts up in a word of memory.
COUNTING = (ADDI_T0, STORE_T0, LOAD_T1, jump(-12))


def small_machine(engine: str, program: Sequence[int] = COUNTING, harts: int = 1) -> Machine:
    """A machine about to run a program at BASE, with a0 at DATA."""
    machine = Machine(memory=1 << 20, engine=engine, harts=harts)
    place(machine, program)
    for hart in machine.harts:
        hart["pc"] = BASE
        hart["a0"] = DATA
    return machine


def place(machine: Machine, program: Sequence[int], address: int = BASE) -> None:
    """Put machine code at a physical address."""
    machine.write_physical(address, b"".join(word.to_bytes(4, "little") for word in program))
