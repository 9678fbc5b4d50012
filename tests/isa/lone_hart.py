"""A hart with some memory and no engine, to execute single instructions on.

`execute` does what the reference engine does for one instruction: decode, call, move on.
"""

import ctypes

from rvemu.hart.csr_view import poke
from rvemu.hart.extensions import DEFAULT_ISA, parse_isa
from rvemu.hart.fields import FS_CLEAN, MSTATUS
from rvemu.hart.floating import update_fp_fast
from rvemu.hart.reset import reset
from rvemu.hart.state import Hart, Shared
from rvemu.hart.tlb import flush_all
from rvemu.isa import INSTRUCTIONS
from rvemu.isa.decoder import decode
from rvemu.isa.encoding import Instruction
from rvemu.lang import M64, put
from rvemu.memory import Ram

EVERYTHING = parse_isa(DEFAULT_ISA + "_h")
BASE = 0x8000_0000
SIZE = 0x4000
CODE = BASE + 0x3000

BY_NAME: dict[str, Instruction] = {instruction.name: instruction for instruction in INSTRUCTIONS}


class LoneHart(Hart):
    """A hart in M-mode, at CODE, with SIZE bytes of memory at BASE that all modes may access."""

    def __init__(self, extensions: int = EVERYTHING) -> None:
        shared = Shared()
        super().__init__(shared)
        self.ram = Ram(BASE, SIZE)
        self._pages = (ctypes.c_uint32 * (SIZE >> 12))()
        shared.region_base[0] = BASE
        shared.region_size[0] = SIZE
        shared.region_host[0] = self.ram.host_address
        shared.region_writable[0] = 1
        shared.region_pages[0] = ctypes.addressof(self._pages)
        shared.clock_per_tick = 1
        reset(self, 0, extensions, pc=CODE)
        self.mstatus = put(self.mstatus, MSTATUS.FS, FS_CLEAN)
        update_fp_fast(self)
        flush_all(self)
        # One PMP entry that gives everything to everybody.
        poke(self, "pmpaddr0", (1 << 54) - 1)
        poke(self, "pmpcfg0", 0x1F)

    def execute(self, raw: int) -> None:
        """Execute one instruction at the current pc. A trap comes out as an exception."""
        instruction = INSTRUCTIONS[decode(self, raw)]
        self.insn = raw
        self.next_pc = (self.pc + self.insn_length) & M64
        instruction.function(self, *operands_in(self, instruction))
        self.pc = self.next_pc

    def do(self, name: str, **operands: int) -> None:
        """Execute an instruction by its name."""
        self.execute(BY_NAME[name].encoding.encode(**operands))

    def compute(self, name: str, rs1: int = 0, rs2: int = 0, **others: int) -> int:
        """What an instruction puts into its rd, given the values of its sources."""
        self.x[11], self.x[12] = rs1, rs2
        names = {operand.name for operand in BY_NAME[name].operands}
        numbers = {"rd": 10, "rs1": 11, "rs2": 12}
        used = {k: v for k, v in numbers.items() if k in names}
        self.do(name, **used, **others)
        return int(self.x[10])


def operands_in(h: Hart, instruction: Instruction) -> list[int]:
    """The operands that the decoder found, in the order of the function's parameters."""
    code = instruction.function.__code__
    names = code.co_varnames[1 : code.co_argcount]
    found = []
    for name in names:
        operand = instruction.encoding.operand(name)
        assert operand is not None and operand.place is not None, (instruction.name, name)
        found.append(getattr(h, f"decoded_{operand.place}"))
    return found
