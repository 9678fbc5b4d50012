"""Random programs that do what kernels and firmware do: CSRs, traps and returns, page tables.

The program starts in M-mode. Before each operation s11 is set to where the next one begins; trap
handlers of M- and S-mode go on there, in the mode that the trap came from, or in M-mode where the
program could not be fetched. So whatever an operation does, the next one follows.

Harts have programs and tables of their own, and the data in common; they interrupt each other.
"""

import random

from tests.assembler import A0, A1, A2, S0, S11, T5, T6, ZERO, Assembler, csr_number, dispatch

BASE = 0x8000_0000
# Two address spaces: roots, middle and last tables, a page each. Both map the program where it is,
# for S-mode and for U-mode, and a window of eight pages.
TABLES = 0x8010_0000
TABLES_OF_HART = 0x1_0000
DATA = 0x8020_0000
MSIP = 0x200_0000
WINDOW = 0x4000_0000
PAGES = 8

_CSRS = (
    *("mstatus", "sstatus", "mie", "sie", "mip", "sip", "mscratch", "sscratch", "mtval", "stval"),
    *("scause", "mcause", "sepc", "mepc", "mcounteren", "scounteren", "menvcfg", "senvcfg"),
    *("mideleg", "cycle", "instret", "time", "mcycle", "minstret", "fcsr", "frm", "fflags"),
    *("satp", "misa", "mhartid", "mcountinhibit", "hpmcounter3", "stimecmp", "hgatp", "vsstatus"),
)
_READ_ONLY_HERE = frozenset(["satp", "misa", "menvcfg"])
_MPP_M, _MODES = 3 << 11, (0, 1 << 11, 3 << 11)
_INTERRUPT_CODES = 63
# Delegated or not, as it comes; but what can't be fetched is always M-mode's.
_DELEGABLE = 0xB3FD & ~(1 << 12 | 1 << 1)

_V, _R, _W, _X, _U, _A, _D = (1 << n for n in (0, 1, 2, 3, 4, 6, 7))


def root_of(hart: int, space: int) -> int:
    """Where the tables of an address space are, 0 or 1."""
    return TABLES + hart * TABLES_OF_HART + space * 0x4000


def satp(hart: int, space: int) -> int:
    """The value of satp for an address space."""
    return 8 << 60 | (space + 5) << 44 | root_of(hart, space) >> 12


class PrivilegedProgram:
    """A random program of some operations for each hart."""

    def __init__(self, seed: int, operations: int = 120, *, harts: int = 1) -> None:
        self._random = random.Random(seed)
        self._p = Assembler(BASE)
        self._number = 0
        self._harts = harts
        for hart in dispatch(self._p, harts):
            self._hart = hart
            self._start()
            for _ in range(operations):
                self._operation()
            self._p.label(self._own("end"))
            self._p.jal(ZERO, self._own("end"))
            self._handlers()
        self.elf = self._p.elf()

    def _own(self, label: str) -> str:
        """A label of the hart's program."""
        return f"{label} of hart {self._hart}"

    # --- Parts -------------------------------------------------------------------------------

    def _csrw(self, name: str, register: int) -> None:
        self._p.op("csrrw", rd=ZERO, rs1=register, csr=csr_number(name))

    def _start(self) -> None:
        p = self._p
        for name, label in (("mtvec", "machine"), ("stvec", "supervisor")):
            p.la(T5, self._own(label))
            self._csrw(name, T5)
        for name, value in (
            ("medeleg", self._random.getrandbits(16) & _DELEGABLE),
            ("mideleg", self._random.getrandbits(10)),
            ("pmpaddr0", (1 << 54) - 1),
            ("pmpcfg0", 0x1F),
            ("mcounteren", self._random.getrandbits(3)),
            ("menvcfg", self._random.choice([0, 1 << 63, 1 << 61, 5 << 61])),
        ):
            p.li(T5, value)
            self._csrw(name, T5)
        for space in (0, 1):
            root = root_of(self._hart, space)
            user = _U if space else 0
            self._store(root + 8 * 2, BASE >> 2 | _V | _R | _W | _X | _A | _D | user)
            self._store(root + 8 * (WINDOW >> 30), (root + 0x1000) >> 2 | _V)
            self._store(root + 0x1000, (root + 0x2000) >> 2 | _V)
            for page in range(PAGES):
                self._store(root + 0x2000 + 8 * page, self._entry())

    def _entry(self) -> int:
        """An entry for a page of the window: any permissions, and any page of the data."""
        choose = self._random
        flags = choose.choice([_R, _R | _W, _R | _W, _X, _R | _X, _R | _W | _X, _W])
        flags |= sum(bit for bit in (_U, _A, _D) if choose.random() < 0.6)
        flags |= _V if choose.random() < 0.9 else 0
        page = DATA + choose.randrange(PAGES) * 4096
        return page >> 2 | flags

    def _store(self, address: int, value: int) -> None:
        self._p.li(T5, address)
        self._p.li(T6, value)
        self._p.op("sd", rs1=T5, rs2=T6, imm=0)

    def _operation(self) -> None:
        p = self._p
        after = f"op{self._number}"
        self._number += 1
        p.la(S11, after)
        choose = self._random
        kinds = ["csr"] * 6 + ["memory"] * 6 + ["return"] * 3
        kinds += ["call", "fence", "table", "satp"] * 2
        if self._harts > 1:
            kinds += ["interrupt"] * 2
        kind = choose.choice(kinds)
        getattr(self, f"_{kind}")(after)
        p.label(after)

    def _csr(self, _: str) -> None:
        choose = self._random
        name = choose.choice(_CSRS)
        operation = choose.choice(["csrrw", "csrrs", "csrrc"])
        value = choose.choice([choose.getrandbits(64), 1 << choose.randrange(64), 0])
        if name in ("mie", "sie", "mip", "sip", "mideleg"):
            value &= 0xFFF
        source = A0
        if name in _READ_ONLY_HERE:
            operation, source = "csrrs", ZERO
        if name == "mstatus":
            value &= ~_MPP_M
        self._p.li(A0, value)
        self._p.op(operation, rd=A1, rs1=source, csr=csr_number(name))

    def _memory(self, _: str) -> None:
        choose = self._random
        base = choose.choice([WINDOW, WINDOW, WINDOW, DATA, 1 << 40])
        address = base + choose.randrange(PAGES) * 4096 + choose.choice([0, 8, 4090, 2048])
        self._p.li(A0, address)
        name = choose.choice(
            ["ld", "lw", "lbu", "sd", "sd", "sw", "sb", "amoadd.d", "lr.d", "jalr"]
        )
        if name in ("sd", "sw", "sb"):
            self._p.op(name, rs1=A0, rs2=A1, imm=0)
        elif name == "amoadd.d":
            self._p.op(name, rd=A2, rs1=A0, rs2=S0)
        elif name == "lr.d":
            self._p.op(name, rd=A2, rs1=A0)
        elif name == "jalr":
            self._p.op(name, rd=ZERO, rs1=A0, imm=0)
        else:
            self._p.op(name, rd=A2, rs1=A0, imm=0)

    def _return(self, after: str) -> None:
        """mret or sret to the next operation, to any mode."""
        choose = self._random
        self._p.la(A0, after)
        if choose.random() < 0.6:
            self._csrw("mepc", A0)
            self._p.li(A0, _MPP_M)
            self._p.op("csrrc", rd=ZERO, rs1=A0, csr=csr_number("mstatus"))
            self._p.li(A0, choose.choice(_MODES))
            self._p.op("csrrs", rd=ZERO, rs1=A0, csr=csr_number("mstatus"))
            self._p.op("mret")
        else:
            self._csrw("sepc", A0)
            self._p.li(A0, 1 << 8)
            name = choose.choice(["csrrs", "csrrc"])
            self._p.op(name, rd=ZERO, rs1=A0, csr=csr_number("sstatus"))
            self._p.op("sret")

    def _call(self, _: str) -> None:
        self._p.op(self._random.choice(["ecall", "ebreak"]))

    def _fence(self, _: str) -> None:
        self._p.op("sfence.vma", rs1=ZERO, rs2=ZERO)

    def _table(self, _: str) -> None:
        """Change an entry, and fence."""
        choose = self._random
        root = root_of(self._hart, choose.randrange(2))
        self._store(root + 0x2000 + 8 * choose.randrange(PAGES), self._entry())
        self._p.op("sfence.vma", rs1=ZERO, rs2=ZERO)

    def _satp(self, _: str) -> None:
        spaces = [satp(self._hart, space) for space in (0, 1, 1)]
        self._p.li(A0, self._random.choice([0, *spaces]))
        self._csrw("satp", A0)

    def _interrupt(self, _: str) -> None:
        """A software interrupt for another hart, or no more for this one."""
        wanted = self._random.randrange(self._harts)
        self._p.li(A0, MSIP + 4 * wanted)
        self._p.li(A1, int(wanted != self._hart))
        self._p.op("sw", rs1=A0, rs2=A1, imm=0)

    def _handlers(self) -> None:
        """Go on at s11; interrupts are switched off. An interrupt may have come between a change
        of a table and its fence, so handlers fence: else what is seen is not defined. What can't be
        fetched goes on in M-mode, for S-mode may not reach it either."""
        p = self._p
        p.align(4)
        p.label(self._own("machine"))
        self._csrw("mepc", S11)
        p.op("sfence.vma", rs1=ZERO, rs2=ZERO)
        p.op("csrrs", rd=T5, rs1=ZERO, csr=csr_number("mcause"))
        p.branch("bge", T5, ZERO, self._own("exception"))
        self._csrw("mie", ZERO)
        p.label(self._own("exception"))
        for cause in (1, 12):
            p.li(T6, cause)
            p.branch("beq", T5, T6, self._own("to_machine"))
        p.op("mret")
        p.label(self._own("to_machine"))
        p.li(T6, _MPP_M)
        p.op("csrrs", rd=ZERO, rs1=T6, csr=csr_number("mstatus"))
        p.op("mret")
        p.align(4)
        p.label(self._own("supervisor"))
        self._csrw("sepc", S11)
        p.op("sfence.vma", rs1=ZERO, rs2=ZERO)
        self._csrw("sie", ZERO)
        p.op("sret")
