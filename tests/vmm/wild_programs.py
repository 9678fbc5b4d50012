"""Random programs that leave out nothing: every CSR by every instruction, page tables of all
formats whose entries have any bits and lead anywhere (to themselves, too), PMP, misa and delegation
changed at run time, timers, self-modifying code, and words that may be no instructions.

As in tests.vmm.privileged_programs, s11 says where the next operation begins, and handlers go on
there. Each operation ends with a fence, so that what is seen is defined.
"""

import random

from rvemu.hart.csr_table import CSRS
from rvemu.hart.fields import MENVCFG, MIE, MSTATUS, PTE, SSTATUS
from tests.assembler import (
    A0,
    A1,
    A2,
    A3,
    ENCODINGS,
    RA,
    S0,
    S1,
    S11,
    T5,
    T6,
    ZERO,
    Assembler,
    csr_number,
    encode,
)

BASE, MEMORY = 0x8000_0000, 8 << 20
#: What harts it is for: each program is for one of them.
ISA_STRINGS = (
    "rv64imafdc_zicbom_zicboz_zicntr_zihpm_zawrs_zfh_smepmp_sstc_svadu_svinval_svnapot_svpbmt",
    "rv64imafdc_zicbom_zicboz_zicntr_zihpm_sstc_svade_svadu_svinval_svnapot_svpbmt",
    "rv64ima_zicsr_zicntr_zawrs_svade_svpbmt_sv39",
    "rv64imac_zicsr_zifencei_sv48",
)

# Tables, each of a page: roots of Sv39, the tables below them, and roots of Sv48 and Sv57, which no
# leaf leads to. Entry 2 of each root maps the program, and is not touched.
_ROOTS, _MIDDLE, _LAST = (
    tuple(BASE + 0x20_0000 + 0x1000 * n for n in numbers)
    for numbers in (range(2), range(3, 6), range(6, 10))
)
_ROOT_48, _ROOT_57 = BASE + 0x3F_0000, BASE + 0x3F_1000
_TABLES = (*_ROOTS, *_MIDDLE, *_LAST)
_PAGES = tuple(BASE + 0x40_0000 + 0x1000 * n for n in range(8))
_CLINT, _DEVICES = 0x200_0000, (0x200_0000, 0xC00_0000, 0x1000_0000, 0x1000_1000, 0x1000)
_END = BASE + MEMORY
_NOWHERE = (
    0,
    1 << 36,
    1 << 41,
    1 << 55,
    (1 << 56) - 4096,
    (1 << 63) - 4096,
    (1 << 64) - 4096,
    _END,
)
_INDICES = (0, 1, 3, 4, 5, 6, 15)
_WITHIN = (0, 8, 24, 64, 65, 0x7F8, 0xFF8, 0xFF9, 0xFFC, 0xFFE, 0xFFF)
_LEAF = PTE.V.mask | PTE.R.mask | PTE.X.mask | PTE.A.mask | PTE.D.mask

# CSRs that a program would not outlive, if they had any value.
_OWN = frozenset(["mtvec", "stvec", "satp", "misa", "mseccfg", "medeleg", "menvcfg"])
_NAMES = [csr.name for csr in CSRS]
_FREQUENT = [
    *("mstatus", "sstatus", "mstatus", "sstatus", "mie", "sie", "mip", "sip", "mideleg"),
    *("mcounteren", "scounteren", "mcountinhibit", "mcycle", "minstret", "stimecmp", "senvcfg"),
    *("fcsr", "cycle", "time", "instret", "sepc", "stval", "scause"),
]
# What must come to M-mode, which alone is sure to be mapped.
_UNDELEGATED = 1 << 12 | 1 << 1
_OPCODES = (0x73, 0x73, 0x53, 0x33, 0x3B, 0x13, 0x0F, 0x0B, 0x57, 0x43, 0x77)
_ACCESSES = (
    *("ld", "lw", "lbu", "sd", "sd", "sw", "sh", "sb", "amoadd.d", "amoswap.w", "lr.d", "sc.d"),
    *("lr.w", "sc.w", "fld", "fsd", "flw", "fsw", "cbo.clean", "cbo.inval", "cbo.flush"),
)
# Operations, by the names of methods, and how often there are such.
_KINDS, _WEIGHTS = zip(
    *(("access", 34), ("csr", 22), ("return", 20), ("table", 14), ("execute", 8), ("word", 8)),
    *(("satp", 5), ("time", 5), ("call", 4), ("protect", 3), ("delegate", 3), ("wait", 3)),
    *(("environment", 2), ("extensions", 1)),
    strict=True,
)


class WildProgram:
    """A random program of some operations. isa: what it is for."""

    def __init__(self, seed: int, operations: int = 150) -> None:
        self._random = random.Random(seed)
        self._p = Assembler(BASE)
        self.isa = self._random.choice(ISA_STRINGS)
        self._user = self._random.randrange(2)  # whether it is U-mode that it mostly runs in
        self._start()
        for number in range(operations):
            self._after = f"after{number}"
            self._p.la(S11, self._after)
            kind = self._random.choices(_KINDS, _WEIGHTS)[0]
            getattr(self, f"_{kind}")()
            self._p.op("sfence.vma").label(self._after)
        self._p.label("end").jal(ZERO, "end")
        self._handlers()
        self.elf = self._p.elf()

    # --- Parts -------------------------------------------------------------------------------

    def _start(self) -> None:
        p, chance = self._p, self._random
        p.la(S11, "begin").csr_set("pmpaddr0", -1).csr_set("pmpcfg0", 0x1F)
        p.csr_set("mcounteren", chance.getrandbits(32))
        self._vector("mtvec", "machine")
        self._delegate()
        self._environment()
        for root in _ROOTS:
            user = PTE.U.mask if chance.random() < 0.9 * self._user else 0
            self._put(root + 16, BASE >> 2 | _LEAF | user)
            for index in (1, 3, 511):
                self._put(root + 8 * index, self._pointer(_MIDDLE))
        self._put(_ROOT_48, self._pointer(_ROOTS))
        self._put(_ROOT_57, self._pointer((_ROOT_48,)))
        for table in _MIDDLE:
            for index in _INDICES[:3]:
                self._put(table + 8 * index, self._pointer(_LAST))
        for table in _LAST:
            for index in _INDICES:
                self._put(table + 8 * index, self._leaf(0))
        for page in _PAGES:
            p.li(T5, page + 64)
            for n, raw in enumerate((self._small(), self._small(), encode("jalr", rs1=RA))):
                p.li(T6, raw).op("sw", rs1=T5, rs2=T6, imm=4 * n)
        self._satp()
        p.op("fence.i").label("begin")

    def _vector(self, csr: str, label: str) -> None:
        """Direct, or vectored."""
        self._p.la(T5, label).op("addi", rd=T5, rs1=T5, imm=self._random.randrange(2))
        self._p.csrw(csr, T5)

    def _handlers(self) -> None:
        """Note what has trapped, and go on. What can't be fetched goes on in M-mode."""
        p = self._p
        for label, letter, total in (("machine", "m", S0), ("supervisor", "s", S1)):
            p.align(256).label(label)
            for _ in range(64):
                p.jal(ZERO, f"{label}_trap")
            p.label(f"{label}_trap").csrw(f"{letter}epc", S11).op("sfence.vma")
            for name in ("tval", "status", "cause"):
                p.csrr(T5, letter + name).op("slli", rd=T6, rs1=total, shamt=5)
                p.op("sub", rd=total, rs1=T6, rs2=total).op("add", rd=total, rs1=total, rs2=T5)
            p.branch("bge", T5, ZERO, f"{label}_exception").csrw(f"{letter}ie", ZERO)
            p.label(f"{label}_exception")
            if letter == "m":
                for cause in (1, 12):
                    p.li(T6, cause).branch("beq", T5, T6, "unmapped")
            p.op(f"{letter}ret")
        p.label("unmapped").li(T6, MSTATUS.MPP.mask).csrs("mstatus", T6).op("mret")

    # --- Tables ------------------------------------------------------------------------------

    def _leaf(self, level: int) -> int:
        chance = self._random
        targets = (
            (*_PAGES, *_PAGES, *_TABLES, *_DEVICES, *_NOWHERE),
            (_ROOTS[0], _PAGES[0], _PAGES[0], 1 << 36, _END),
            (0, 1 << 36, 0xC000_0000),
        )[level]
        entry = chance.choice(targets) >> 2 | chance.choice((2, 6, 6, 8, 10, 14, 14, 4, 12))
        entry |= chance.choice((0, PTE.U.mask)) | chance.choice((0, 0, PTE.G.mask)) | PTE.V.mask
        entry |= chance.choice((PTE.A.mask | PTE.D.mask, PTE.A.mask, PTE.A.mask, 0))
        odd = chance.random()
        if odd < 0.08:
            entry = entry & ~(0xF << 10) | PTE.N.mask | 8 << 10
        elif odd < 0.14:
            entry |= chance.randrange(4) << PTE.PBMT.low
        elif odd < 0.18:
            entry ^= 1 << chance.randrange(64)
        elif odd < 0.20:
            entry = chance.getrandbits(64)
        return entry

    def _pointer(self, tables: tuple[int, ...]) -> int:
        return self._random.choice(tables) >> 2 | PTE.V.mask

    def _put(self, address: int, value: int) -> None:
        self._p.li(T5, address).li(T6, value).op("sd", rs1=T5, rs2=T6, imm=0)

    def _table(self) -> None:
        """Change an entry: all of it, a part, or single bits."""
        p, chance = self._p, self._random
        level = chance.choices((0, 1, 2), (70, 22, 8))[0]
        index = chance.choice(_INDICES) if level < 2 else chance.choice((1, 3, 511))
        address = chance.choice((_LAST, _MIDDLE, _ROOTS)[level]) + 8 * index
        value = self._leaf(level)
        if chance.random() < (0.05, 0.65, 0.65)[level]:
            value = self._pointer((*_TABLES, _PAGES[0], *_NOWHERE))
        how = chance.choice(("sd", "sd", "sd", "sw", "sb", "amoxor.d", "amoor.d"))
        if how[0] == "a":
            bit = chance.choice((PTE.A, PTE.D, PTE.W, PTE.V, PTE.U))
            p.li(T5, address).li(T6, bit.mask).op(how, rd=T6, rs1=T5, rs2=T6)
        else:
            p.li(T5, address).li(T6, value).op(how, rs1=T5, rs2=T6, imm=0)

    def _satp(self) -> None:
        chance = self._random
        table, mode = chance.choices(
            ((chance.choice(_ROOTS), 8), (_ROOT_48, 9), (_ROOT_57, 10), (0, 0), (_PAGES[0], 8)),
            (85, 5, 4, 3, 3),
        )[0]
        asid = chance.choice((0, 1, 2, 0xFFFF))
        self._p.csr_set("satp", mode << 60 | asid << 44 | table >> 12)

    # --- Operations --------------------------------------------------------------------------

    def _window(self) -> int:
        """A page that last tables may map; or that roots, read as such, do."""
        chance = self._random
        top = chance.choice((1, 1, 1, 3, (1 << 34) - 1))
        page = top << 18 | chance.choice((0, 0, 1, 3)) << 9 | chance.choice(_INDICES)
        return page << 12 ^ (1 << chance.randrange(38, 64) if chance.random() < 0.04 else 0)

    def _access(self) -> None:
        p, chance = self._p, self._random
        where = chance.choices((self._window(), *_PAGES[:2], *_LAST, *_DEVICES, *_NOWHERE), (
            *(60, 4, 4), *(2 for _ in _LAST), *(2 for _ in _DEVICES), *(1 for _ in _NOWHERE)
        ))[0]  # fmt: skip
        p.li(A3, where + (0 if where in _DEVICES else chance.choice(_WITHIN)))
        name = chance.choice(_ACCESSES)
        known = {"rs1": A3, "rs2": chance.choice((A1, A2, S0)), "rd": A2, "fd": 3, "fs2": 4}
        operands = {o.name for o in ENCODINGS[name].operands}
        p.op(name, **{o: register for o, register in known.items() if o in operands})
        p.op("add", rd=S0, rs1=S0, rs2=A2)

    def _csr(self) -> None:
        p, chance = self._p, self._random
        name = chance.choice(_FREQUENT if chance.random() < 0.8 else _NAMES)
        operation = chance.choice(("csrrw", "csrrs", "csrrc"))
        value = chance.choice((chance.getrandbits(64), 1 << chance.randrange(64), 0, -1))
        if name in _OWN or name.startswith("pmp"):
            p.csrr(A1, name)
        elif chance.random() < 0.3:
            p.op(operation + "i", rd=A1, zimm=chance.randrange(32), csr=csr_number(name))
        else:
            p.li(A0, value).op(operation, rd=A1, rs1=A0, csr=csr_number(name))
        p.op("add", rd=S0, rs1=S0, rs2=A1)

    def _return(self) -> None:
        """To the next operation, in any mode, but mostly the program's own."""
        p, chance = self._p, self._random
        p.la(A0, self._after)
        if chance.random() < 0.35:
            p.csrw("sepc", A0).li(A0, SSTATUS.SPP.mask)
            p.op(chance.choice(("csrrs", "csrrc")), rs1=A0, csr=csr_number("sstatus")).op("sret")
            return
        mode = chance.choice((0, 1, 1, 3)) if chance.random() < 0.25 else 1 - self._user
        p.csrw("mepc", A0).li(A0, MSTATUS.MPP.mask).csrc("mstatus", A0)
        p.li(A0, mode << MSTATUS.MPP.low | chance.choice((0, MSTATUS.MPIE.mask)))
        p.csrs("mstatus", A0).op("mret")

    def _small(self) -> int:
        """An instruction for code in the window."""
        csr = csr_number(self._random.choice(_FREQUENT))
        read = encode("csrrs", rd=A1, rs1=ZERO, csr=csr)
        add = encode("addi", rd=S0, rs1=S0, imm=1)
        return self._random.choice((read, add, encode("ecall"), encode("sfence.vma"), 0))

    def _execute(self) -> None:
        """Code in the window, which may just have been changed."""
        p, chance = self._p, self._random
        if chance.random() < 0.4:
            p.li(A3, chance.choice(_PAGES) + 64 + 4 * chance.randrange(2)).li(A1, self._small())
            p.op("sw", rs1=A3, rs2=A1, imm=0).op("fence.i")
        p.li(A3, self._window() + chance.choice((64, 64, 64, 66, 0xFFE, 0)))
        p.op("jalr", rd=RA, rs1=A3, imm=0)

    def _word(self) -> None:
        """Any bits, but for the registers: what this could break is not among them."""
        chance = self._random
        raw = chance.getrandbits(32) & ~(0x7F | 31 << 7 | 31 << 15) | chance.choice(_OPCODES)
        number = raw >> 20
        names = {csr.name for csr in CSRS if csr.number == number}
        if raw >> 12 & 3 and any(name in _OWN or name.startswith("pmp") for name in names):
            raw = 0
        self._p.word(raw | chance.choice((ZERO, A0, A1)) << 7 | chance.choice((ZERO, A0, A1)) << 15)

    def _time(self) -> None:
        """An interrupt soon: the supervisor's timer, the machine's, or one of software."""
        p, chance = self._p, self._random
        kind = chance.randrange(3)
        if kind == 0:
            p.csrr(A0, "time").op("addi", rd=A0, rs1=A0, imm=chance.randrange(-2, 3))
            p.csrw("stimecmp", A0).li(A0, MIE.STIE.mask).csrs("sie", A0).csrs("mie", A0)
        else:
            p.li(A3, _CLINT + 0xBFF8).op("ld", rd=A0, rs1=A3, imm=0)
            p.op("addi", rd=A0, rs1=A0, imm=chance.randrange(-2, 3))
            p.li(A3, _CLINT + (0x4000 if kind == 1 else 0)).op("sw", rs1=A3, rs2=A0, imm=0)
            p.li(A0, MIE.MTIE.mask | MIE.MSIE.mask).csrs("mie", A0)
        p.li(A0, MSTATUS.MIE.mask | MSTATUS.SIE.mask).csrs("mstatus", A0)
        for _ in range(chance.choice((0, 10, 100))):
            p.op("addi", rd=S0, rs1=S0, imm=1)

    def _wait(self) -> None:
        """Zawrs, whose waits here are short; and wfi, where something is pending."""
        p = self._p.la(A0, "end").op("lr.w", rd=A1, rs1=A0)
        if self._random.random() < 0.5:
            p.op(self._random.choice(("wrs.nto", "wrs.sto")))
        else:
            p.li(A0, MIE.SSIE.mask).csrs("mip", A0).csrs("mie", A0).op("wfi")

    def _call(self) -> None:
        self._p.op(self._random.choice(("ecall", "ebreak")))

    def _protect(self) -> None:
        """A region of PMP, from a word to some pages, before the one that is open."""
        p, chance = self._p, self._random
        target = chance.choice((*_PAGES, *_LAST, *_MIDDLE, _ROOTS[0]))
        p.csr_set("pmpaddr7", -1)
        p.csr_set("pmpaddr1", target >> 2 | chance.choice((0, 1, 0x40, 0x1FF, 0x200)))
        p.csr_set("pmpaddr0", target - chance.choice((8, 4096)) >> 2)
        permissions = chance.choice((0, 8, 16, 24)) | chance.choice((0, 1, 3, 4, 5, 7))
        p.csr_set("pmpcfg0", 0x1F << 56 | permissions << 8)

    def _delegate(self) -> None:
        self._p.csr_set("medeleg", self._random.getrandbits(20) & ~_UNDELEGATED)
        self._p.csr_set("mideleg", self._random.getrandbits(14))
        self._vector("stvec", "supervisor")

    def _environment(self) -> None:
        bits = (MENVCFG.ADUE, MENVCFG.PBMTE, MENVCFG.STCE, MENVCFG.CBZE, MENVCFG.CBCFE)
        self._p.csr_set("menvcfg", sum(bit.mask * self._random.randrange(2) for bit in bits))

    def _extensions(self) -> None:
        self._p.csr_set("misa", self._random.getrandbits(26))
