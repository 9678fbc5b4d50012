"""Random kernels on several harts that ask firmware for what concerns harts: to start, stop,
suspend and interrupt them, and have them fence; for timers, and for what there is not.

Each hart has a program of its own, in S-mode, and may be started anew at its beginning. Handlers
take back what has interrupted, and go on. A hart that waits is woken by its timer at the latest.
"""

import random

from rvemu.vmm import sbi
from tests.assembler import (
    A0,
    A1,
    A2,
    A6,
    A7,
    S0,
    S1,
    S2,
    T5,
    T6,
    ZERO,
    Assembler,
    csr_number,
    dispatch,
)

BASE = 0x8000_0000
DATA = 0x8010_0000
_SSIE, _STIE = 1 << 1, 1 << 5
_SIE = 1 << 1
_NON_RETENTIVE = 1 << 31


class FirmwareProgram:
    """A random program of some operations for each hart."""

    def __init__(self, seed: int, harts: int, operations: int = 60) -> None:
        self._random = random.Random(seed)
        self._p = Assembler(BASE)
        self._harts = harts
        self._number = 0
        for hart in dispatch(self._p, harts):
            self._begin(hart)
            for _ in range(operations):
                self._number += 1
                self._operation(hart)
            self._p.label(f"end {hart}").jal(ZERO, f"end {hart}")
        self.elf = self._p.elf()

    def _begin(self, hart: int) -> None:
        p = self._p
        p.label(f"again {hart}").la(T5, f"trap {hart}").csrw("stvec", T5)
        p.csr_set("sie", _SSIE | _STIE).csr_set("sstatus", _SIE).jal(ZERO, f"work {hart}")
        p.align(4).label(f"trap {hart}").csrr(T5, "scause")
        p.op("slli", rd=S1, rs1=S1, shamt=3).op("add", rd=S1, rs1=S1, rs2=T5)
        p.branch("blt", T5, ZERO, f"interrupt {hart}")
        p.csrr(T5, "sepc").op("addi", rd=T5, rs1=T5, imm=4).csrw("sepc", T5).op("sret")
        p.label(f"interrupt {hart}").li(T6, _SSIE).csrc("sip", T6)
        p.op("addi", rd=S2, rs1=S2, imm=1).li(T6, -1).csrw("stimecmp", T6).op("sret")
        p.align(4).label(f"work {hart}")

    # --- Operations --------------------------------------------------------------------------

    def _operation(self, hart: int) -> None:
        chance = self._random
        kinds = {
            self._compute: 6,
            self._wait: 4,
            self._start: 5,
            self._interrupt: 5,
            self._fence: 2,
            self._ask: 4,
            self._stop: 1 if hart else 0,
        }
        chance.choices(list(kinds), list(kinds.values()))[0](hart)

    def _call(self, extension: int, function: int, *arguments: int) -> None:
        for register, value in zip((A0, A1, A2), arguments, strict=False):
            self._p.li(register, value)
        self._p.li(A6, function).li(A7, extension).op("ecall")
        self._p.op("add", rd=S1, rs1=S1, rs2=A0)

    def _compute(self, _: int) -> None:
        """Count on shared words, for a while; sometimes with interrupts off."""
        p, chance, label = self._p, self._random, f"loop {self._number}"
        p.li(T5, _SIE).op(chance.choice(("csrrs", "csrrc")), rs1=T5, csr=csr_number("sstatus"))
        p.li(S0, chance.choice((1, 5, 40, 200))).li(A1, DATA + 8 * chance.randrange(3)).label(label)
        p.op("amoadd.d", rd=A0, rs1=A1, rs2=S0).op("addi", rd=S0, rs1=S0, imm=-1)
        p.branch("bne", S0, ZERO, label).op("add", rd=S1, rs1=S1, rs2=A0)

    def _wait(self, _: int) -> None:
        """Until the timer's time, or an interrupt: by wfi, or suspended. It comes afterwards."""
        p, chance = self._p, self._random
        p.li(T5, _SIE).csrc("sstatus", T5).csrr(A0, "time").op(
            "addi", rd=A0, rs1=A0, imm=chance.choice((0, 1, 3, 10, 60))
        )
        p.li(A6, 0).li(A7, sbi.TIME).op("ecall").csr_set("sie", _SSIE | _STIE)
        how = chance.randrange(3)
        if how == 0:
            p.op("wfi")
        elif how == 1:
            self._call(sbi.HSM, 3, 0)
        else:
            here = f"resumed {self._number}"
            p.la(A1, here).li(A2, self._number).li(A0, _NON_RETENTIVE)
            p.li(A6, 3).li(A7, sbi.HSM).op("ecall").label(here)
        p.op("add", rd=S1, rs1=S1, rs2=A1).li(T5, _SIE).csrs("sstatus", T5)

    def _start(self, _: int) -> None:
        other = self._random.randrange(self._harts)
        self._p.li(A0, other).la(A1, f"again {other}").li(A2, self._number)
        self._p.li(A6, 0).li(A7, sbi.HSM).op("ecall").op("add", rd=S1, rs1=S1, rs2=A0)

    def _interrupt(self, _: int) -> None:
        chance = self._random
        self._call(sbi.IPI, 0, chance.randrange(1 << self._harts + 1), chance.choice((0, 0, 1, -1)))

    def _fence(self, _: int) -> None:
        chance = self._random
        self._call(sbi.RFENCE, chance.randrange(4), chance.randrange(1 << self._harts), 0)

    def _ask(self, _: int) -> None:
        chance = self._random
        self._call(sbi.HSM, 2, chance.randrange(self._harts + 1))
        self._p.op("add", rd=S1, rs1=S1, rs2=A1)

    def _stop(self, _: int) -> None:
        self._call(sbi.HSM, 1)
