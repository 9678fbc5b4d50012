"""Random kernels that change their page tables in all ways, and use what these map: whoever keeps
translations has to follow.

The kernel is in S-mode, and fences after each change. Traps go to M-mode, which goes on after the
instruction, and changes PMP or a table where it is called.

Several harts do so with the same tables, and each has a PMP of its own. What another hart has
changed is defined after a fence alone: so they fence before each use, too, and execute no more than
their kernel.
"""

import random

from rvemu.hart.fields import MENVCFG, MSTATUS
from tests.assembler import A1, RA, S0, S1, T3, T4, T5, T6, ZERO, Assembler, csr_number, dispatch

BASE = 0x8000_0000
ROOTS = (0x8010_0000, 0x8010_1000)
MIDDLE = (0x8010_2000, 0x8010_3000)
LAST = (0x8010_4000, 0x8010_5000, 0x8010_6000)
TABLES = (*ROOTS, *MIDDLE, *LAST)
PAGES = tuple(0x8020_0000 + 0x1000 * n for n in range(6))
OUTSIDE = (1 << 36, 2 << 36, 0x1000_0000)  # other guests' memory, and a device
WINDOW = 0x4000_0000

_CODE_END = BASE + 0x2_0000
_KERNEL = 0xCF  # V, R, W, X, A, D
_TABLE = 1
_FLAGS = (
    *(0xCF, 0xC7, 0xC3, 0xC9, 0x4F, 0x47, 0x0F, 0x07, 0x43, 0x03),  # with and without W, X, A, D
    *(0xDF, 0xD7),  # U
    *(0x05, 0xC5, 0, 1, 0xCE),  # reserved, or not valid
)
# The third entry of a root maps the kernel, and is left alone.
_OFFSETS = (0, 8, 24)
_WINDOW_PAGES = (0, 0x1000, 0x2000, 0x3000, 0x20_0000, 0x20_1000)
_WITHIN = (0, 0, 8, 0xFF8, 0xFFC, 0xFFF)
_SWITCHES = (MSTATUS.SUM.mask, MSTATUS.MXR.mask)


class RemappingProgram:
    """A random program of some operations for each hart."""

    def __init__(self, seed: int, operations: int = 60, *, harts: int = 1) -> None:
        self._random = random.Random(seed)
        self._p = Assembler(BASE)
        self._harts = harts
        for hart in dispatch(self._p, harts):
            self._hart = hart
            self._start()
            for _ in range(operations):
                self._random.choices(
                    (self._change, self._use, self._switch, self._call), (36, 44, 12, 8)
                )[0]()
            self._p.label(self._own("end")).jal(ZERO, self._own("end"))
            self._handler()
        self.elf = self._p.elf()

    def _own(self, label: str) -> str:
        """A label of the hart's program."""
        return f"{label} of hart {self._hart}"

    # --- Parts -------------------------------------------------------------------------------

    def _start(self) -> None:
        p, chance = self._p, self._random
        p.la(T5, self._own("trap")).csrw("mtvec", T5).csr_set("pmpaddr0", -1).csr_set(
            "pmpcfg0", 0x1F
        )
        p.csr_set("menvcfg", chance.choice((0, MENVCFG.ADUE.mask)))
        if chance.random() < 0.5:
            self._protect()
        for root in ROOTS:
            self._put(root + 16, BASE >> 2 | _KERNEL)
            self._put(root + 8, chance.choice(MIDDLE) >> 2 | _TABLE)
        for middle in MIDDLE:
            self._put(middle, chance.choice(LAST) >> 2 | _TABLE)
        for last in LAST:
            for n in range(4):
                self._put(last + 8 * n, self._leaf())
        for page in PAGES:
            self._put(page + 16, 0x8067)  # ret
        p.csr_set("satp", 8 << 60 | ROOTS[0] >> 12).op("sfence.vma")
        p.li(T5, 1 << MSTATUS.MPP.low | chance.choice((0, MSTATUS.SUM.mask))).csrs("mstatus", T5)
        p.la(T5, self._own("kernel")).csrw("mepc", T5).op("mret")
        p.align(4).label(self._own("kernel"))

    def _handler(self) -> None:
        """Go on after the instruction, or after the jump to what could not be fetched."""
        p = self._p
        p.align(4).label(self._own("trap")).csrr(T3, "mcause")
        p.op("slli", rd=S1, rs1=S1, shamt=3).op("add", rd=S1, rs1=S1, rs2=T3)
        p.csrr(T4, "mepc").op("addi", rd=T4, rs1=T4, imm=4).li(T6, _CODE_END)
        here, back = self._own("here"), self._own("return")
        p.branch("bltu", T4, T6, here).op("addi", rd=T4, rs1=RA, imm=0).label(here)
        p.csrw("mepc", T4).li(T6, 9).branch("bne", T3, T6, back)
        if self._random.random() < 0.5:
            p.li(T6, MSTATUS.MPRV.mask).csrs("mstatus", T6)
            self._protect()
        else:
            self._put(*self._entry())
            p.op("sfence.vma")
        p.label(back).op("mret")

    def _protect(self) -> None:
        """A region of PMP: a page, or four bytes in the middle of a table."""
        chance = self._random
        region, mode = chance.choice((*LAST, *PAGES)) >> 2 | 0x1FF, 0x18
        if chance.random() < 0.5:
            region, mode = (chance.choice(LAST) + 0x800) >> 2, 0x10
        self._p.csr_set("pmpaddr1", -1).csr_set("pmpaddr0", region)
        permissions = chance.choice((0, 1, 7, 0x81))
        self._p.csr_set("pmpcfg0", 0x1F00 | mode | permissions)

    def _put(self, address: int, value: int) -> None:
        self._p.li(T5, address).li(T6, value).op("sd", rs1=T5, rs2=T6, imm=0)

    # --- Entries -----------------------------------------------------------------------------

    def _leaf(self) -> int:
        target = self._random.choice((*PAGES, *PAGES, *TABLES, *OUTSIDE))
        return target >> 2 | self._random.choice(_FLAGS)

    def _pointer(self) -> int:
        return self._random.choice((*LAST, *LAST, *MIDDLE, PAGES[0], OUTSIDE[0])) >> 2 | _TABLE

    def _entry(self) -> tuple[int, int]:
        """An entry of a table: where it is, and what it is to be."""
        chance = self._random
        table = chance.choices((LAST, MIDDLE, ROOTS), (70, 22, 8))[0]
        if table is LAST:
            return chance.choice(LAST) + chance.choice(_OFFSETS), self._leaf()
        value = self._pointer() if chance.random() < 0.8 else self._leaf()
        offset = 8 if table is ROOTS else chance.choice((0, 8))
        return chance.choice(table) + offset, value

    # --- Operations --------------------------------------------------------------------------

    def _see_others(self) -> None:
        """What other harts have changed counts from here on."""
        if self._harts > 1:
            self._p.op("sfence.vma")

    def _change(self) -> None:
        """Change an entry: where it is, or in the window; as a whole, or in part."""
        p, chance = self._p, self._random
        self._see_others()
        address, value = self._entry()
        how = chance.choice(("whole", "whole", "window", "part", "amo", "across", "sc"))
        if how == "window":
            address = WINDOW + 0x1000 * chance.randrange(4) + chance.choice(_OFFSETS)
            value = self._leaf()
        shift = chance.choice((0, 1, 2, 4)) if how == "part" else 0
        address += shift - (chance.choice((1, 4, 7)) if how == "across" else 0)
        p.li(T5, address).li(T6, value >> 8 * shift)
        if how == "part":
            p.op(chance.choice(("sb", "sh", "sw")), rs1=T5, rs2=T6, imm=0)
        elif how == "amo":
            name = chance.choice(("amoswap.d", "amoor.d", "amoxor.d"))
            p.op(name, rd=T6, rs1=T5, rs2=T6)
        elif how == "sc":
            p.op("lr.d", rd=T4, rs1=T5).op("sc.d", rd=T4, rs1=T5, rs2=T6)
        else:
            p.op("sd", rs1=T5, rs2=T6, imm=0)
        p.op("sfence.vma")

    def _use(self) -> None:
        """Load, store, change or execute what the window shows."""
        p, chance = self._p, self._random
        page = WINDOW + chance.choice(_WINDOW_PAGES)
        address = page + chance.choice(_WITHIN)
        calls = 10 if self._harts == 1 else 0
        how = chance.choices(("load", "store", "amo", "call"), (45, 35, 10, calls))[0]
        self._see_others()
        if how == "load":
            p.li(T5, address).op(chance.choice(("ld", "lw", "lbu")), rd=A1, rs1=T5, imm=0)
            p.op("add", rd=S0, rs1=S0, rs2=A1)
            return
        if how == "store":
            p.li(T5, address).li(T6, chance.getrandbits(64))
            p.op(chance.choice(("sd", "sw", "sb")), rs1=T5, rs2=T6, imm=0)
        elif how == "amo":
            p.li(T5, page + 8).li(T6, 5).op("amoadd.d", rd=T6, rs1=T5, rs2=T6)
        else:
            p.li(T5, page + 16).op("fence.i").op("jalr", rd=RA, rs1=T5, imm=0)
        p.op("sfence.vma")  # what was stored may have been an entry

    def _switch(self) -> None:
        """Another address space, or other permissions."""
        p, chance = self._p, self._random
        if chance.random() < 0.6:
            p.li(T5, 8 << 60 | chance.randrange(3) << 44 | chance.choice(ROOTS) >> 12)
            p.csrw("satp", T5).op("sfence.vma")
        else:
            p.li(T5, chance.choice(_SWITCHES))
            p.op(chance.choice(("csrrs", "csrrc")), rs1=T5, csr=csr_number("sstatus"))

    def _call(self) -> None:
        self._p.op("ecall")
