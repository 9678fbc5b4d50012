"""What each instruction does: one file per extension, and the decoder made from them.

INSTRUCTIONS is every instruction in a fixed order. An instruction's index in it is what the decoder
returns and what engines choose handlers by. Index 0 is what is not an instruction.

To add an instruction, write its function in the file of its extension; for a new extension, add a
file, its name in _MODULES, and its bit in rvemu.hart.extensions.
"""

from rvemu.isa import (
    a,
    d,
    f,
    hypervisor,
    m,
    rv64i,
    system,
    zawrs,
    zba,
    zbb,
    zbc,
    zbs,
    zfh,
    zicbo,
    zicond,
    zicsr,
)
from rvemu.isa.encoding import Encoding, Instruction, instructions_of

ILLEGAL = 0

_MODULES = (
    *(rv64i, zicsr, system, m, a, f, d, zfh),
    *(zba, zbb, zbc, zbs, zicond, zicbo, zawrs, hypervisor),
)

INSTRUCTIONS: tuple[Instruction, ...] = (
    Instruction("illegal", Encoding(4, 0, 0, ()), (), rv64i.illegal, slow=True, syntax=""),
    *(instruction for module in _MODULES for instruction in instructions_of(module)),
)

__all__ = ["ILLEGAL", "INSTRUCTIONS", "Instruction"]
