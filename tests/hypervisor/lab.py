"""A machine on which one instruction at a time is executed in a chosen mode, to see what becomes of
it: that is how the rules of the hypervisor extension are tested, on each engine.

The guest of `Lab.guest` sees RAM through gigabyte pages of both stages:

    physical   0x8000_0000
    GPA        0x4000_0000
    GVA        0xC000_0000 for VS-mode, 0x1_0000_0000 for VU-mode

so that no two of the addresses of a byte are the same, and single pages where tests put them.
"""

from dataclasses import dataclass

from rvemu.board import RAM_BASE
from rvemu.hart.csr_table import BY_NAME as CSRS
from rvemu.hart.extensions import DEFAULT_ISA, isa_string, parse_isa
from rvemu.hart.fields import HGATP, MODE_SV39, MODE_SV48, MODE_SV57, PTE, SATP
from rvemu.hart.tlb import flush_all
from rvemu.isa import INSTRUCTIONS
from rvemu.isa.compressed import COMPRESSED
from rvemu.lang import M64, put
from rvemu.machine import Machine

WITH_H = isa_string(parse_isa(DEFAULT_ISA + "_h"))
BY_NAME = {instruction.name: instruction for instruction in INSTRUCTIONS}
ENCODINGS = {row.name: row.encoding for row in (*COMPRESSED, *INSTRUCTIONS)}
PAGE = 0x1000

CODE = RAM_BASE + 0x1000
M_HANDLER, HS_HANDLER, VS_HANDLER = (RAM_BASE + 0x2000 + 0x100 * n for n in range(3))
DATA = RAM_BASE + 0x1_0000  # pages for tests
TABLES = RAM_BASE + 0x10_0000
RAM_SIZE = 0x20_0000

GPA_OF_RAM = 0x4000_0000
GVA_OF_RAM = {"VS": 0xC000_0000, "VU": 0x1_0000_0000}
TO_GPA = GPA_OF_RAM - RAM_BASE

# Where tests map single pages.
GVA = 0x2_0000_0000
GPA = 0x1_2340_0000

V, R, W, X, U, G, A, D = (1 << n for n in range(8))
RW = V | R | W | A | D
RWX = RW | X

LEVELS = {MODE_SV39: 3, MODE_SV48: 4, MODE_SV57: 5}

ILLEGAL, VIRTUAL = 2, 22
FETCH_ACCESS, LOAD_ACCESS, STORE_ACCESS = 1, 5, 7
FETCH_PAGE, LOAD_PAGE, STORE_PAGE = 12, 13, 15
FETCH_GUEST, LOAD_GUEST, STORE_GUEST = 20, 21, 23
INTERRUPT = 1 << 63


@dataclass(frozen=True)
class Taken:
    """A trap, as its handler finds it. At VS level only cause and tval are written."""

    level: str  # M, S (HS) or VS
    cause: int
    tval: int = 0
    tval2: int = 0  # mtval2, htval
    tinst: int = 0
    gva: int = 0


def encode(name: str, **operands: int) -> int:
    """An instruction's bits."""
    return ENCODINGS[name].encode(**operands)


class Lab:
    """A machine with H, its PMP open and nothing delegated, without translation."""

    def __init__(self, engine: str, isa: str = WITH_H) -> None:
        self.machine = Machine(memory=RAM_SIZE, isa=isa, engine=engine)
        self.hart = self.machine.hart
        self.h = self.hart.state
        self.tables = TABLES
        self["pmpaddr15"] = (1 << 54) - 1
        self["pmpcfg2"] = 0x1F << 56
        self["mtvec"] = M_HANDLER
        if self.has("h"):
            self["vstvec"] = VS_HANDLER
        self["stvec"] = HS_HANDLER
        for handler in (M_HANDLER, HS_HANDLER, VS_HANDLER):
            self.put(handler, *[encode("addi")] * 64)

    def has(self, letter: str) -> bool:
        """Whether misa has a letter's bit."""
        return bool(self["misa"] >> (ord(letter) - ord("a")) & 1)

    # --- Registers and memory --------------------------------------------------------------------

    def __getitem__(self, name: str) -> int:
        return self.hart[name]

    def __setitem__(self, name: str, value: int) -> None:
        self.hart[name] = value & M64

    def delegate(self, level: str) -> None:
        """Have all exceptions that can be go to HS ("S") or VS."""
        self["medeleg"] = M64
        self["hedeleg"] = M64 if level == "VS" else 0

    def put(self, physical: int, *words: int) -> None:
        """Put instructions into memory."""
        data = b"".join(w.to_bytes(4 if w & 3 == 3 else 2, "little") for w in words)
        self.machine.write_physical(physical, data)

    def read(self, physical: int, size: int = 8) -> int:
        """A value in physical memory."""
        return int.from_bytes(self.machine.read_physical(physical, size), "little")

    def write(self, physical: int, value: int, size: int = 8) -> None:
        """Put a value into physical memory."""
        self.machine.write_physical(physical, (value & M64).to_bytes(8, "little")[:size])

    # --- Translation -----------------------------------------------------------------------------

    def guest(self, vs: int = MODE_SV39, g: int = MODE_SV39) -> None:
        """Turn both stages on, with RAM mapped as said above (unless `vs` is Bare)."""
        self.turn_on("hgatp", g)
        self.map("hgatp", GPA_OF_RAM, RAM_BASE, RWX | U, level=2)
        if vs:
            self.turn_on("vsatp", vs)
            self.map("vsatp", GVA_OF_RAM["VS"], GPA_OF_RAM, RWX, level=2)
            self.map("vsatp", GVA_OF_RAM["VU"], GPA_OF_RAM, RWX | U, level=2)

    def page(
        self, vs_flags: int = RWX, g_flags: int = RWX | U, gva: int = GVA, gpa: int = GPA
    ) -> tuple[int, int]:
        """Map a page for tests, GVA to GPA to DATA; the physical addresses of both entries."""
        return self.map("vsatp", gva, gpa, vs_flags), self.map("hgatp", gpa, DATA, g_flags)

    def turn_on(self, register: str, mode: int) -> None:
        """Point satp, vsatp or hgatp to a new root table."""
        root = self._new_table(4 if register == "hgatp" else 1)
        where = root + (TO_GPA if register == "vsatp" else 0)
        self[register] = put(put(0, SATP.MODE, mode), SATP.PPN, where >> 12)
        assert HGATP.MODE == SATP.MODE

    def _new_table(self, pages: int = 1) -> int:
        size = pages * PAGE
        table = (self.tables + size - 1) // size * size
        self.tables = table + size
        return table

    def map(
        self, register: str, address: int, target: int, flags: int = RWX, level: int = 0
    ) -> int:
        """Map a page of a level; the entry's physical address. Tables on the way are made as
        needed. TLBs are emptied."""
        offset = TO_GPA if register == "vsatp" else 0
        atp = self[register]
        table = ((atp & SATP.PPN.mask) << 12) - offset
        top = LEVELS[atp >> 60] - 1
        for n in range(top, -1, -1):
            wide = register == "hgatp" and n == top
            entry = table + 8 * (address >> (12 + 9 * n) & (0x7FF if wide else 0x1FF))
            if n == level:
                break
            if not self.read(entry) & V:
                self.write(entry, self._new_table() + offset >> 12 << 10 | V)
            table = ((self.read(entry) & PTE.PPN.mask) << 2) - offset
        self.write(entry, target >> 12 << 10 | flags)
        flush_all(self.h)
        return entry

    def pmp(self, physical: int, cfg: int, size: int = PAGE) -> None:
        """Have PMP entry 0 rule a range: cfg is R=1, W=2, X=4."""
        self["pmpaddr0"] = physical >> 2 | (size // 8 - 1)
        self["pmpcfg0"] = 0x18 | cfg

    # --- Executing -------------------------------------------------------------------------------

    def code_address(self, mode: str) -> int:
        """The virtual address at which a mode finds CODE."""
        if mode in ("VS", "VU"):
            if self["vsatp"] >> 60:
                return CODE - RAM_BASE + GVA_OF_RAM[mode]
            if self["hgatp"] >> 60:
                return CODE + TO_GPA
        return CODE

    def execute(self, mode: str, *words: int) -> Taken | None:
        """Execute instructions in a mode, until one traps: that trap, or None."""
        self.put(CODE, *words)
        self.hart.mode = mode
        self["pc"] = self.code_address(mode)
        for _ in words:
            if taken := self.step():
                return taken
        return None

    def do(self, mode: str, name: str, **operands: int) -> Taken | None:
        """Execute one instruction in a mode: its trap, or None."""
        return self.execute(mode, encode(name, **operands))

    def step(self) -> Taken | None:
        """Execute the next instruction: its trap, or None."""
        retired = self.hart.instret
        self.machine.run(budget=1)
        return self.taken() if self.hart.instret == retired else None

    def taken(self) -> Taken:
        """The trap that was just taken."""
        level = self.hart.mode
        if level == "VS":
            return Taken("VS", self["vscause"], self["vstval"])
        if level == "S":
            return Taken(
                "S",
                self["scause"],
                self["stval"],
                self["htval"],
                self["htinst"],
                self["hstatus.GVA"],
            )
        return Taken(
            "M",
            self["mcause"],
            self["mtval"],
            self["mtval2"],
            self["mtinst"],
            self["mstatus.GVA"],
        )

    def access(self, mode: str, name: str, address: int, value: int = 0) -> int | Taken:
        """Execute a load or store of any kind at an address: the value loaded (a1), or the trap."""
        self["a0"], self["a1"] = address, value
        names = {operand.name for operand in BY_NAME[name].operands}
        numbers = {"rd": 11, "rs1": 10, "rs2": 11}
        taken = self.do(mode, name, **{k: v for k, v in numbers.items() if k in names})
        return taken if taken is not None else self["a1"]

    def jump(self, mode: str, address: int) -> int | Taken:
        """Fetch and execute a NOP that stands at an address: 0, or the trap."""
        self.hart.mode = mode
        self["pc"] = address
        taken = self.step()
        return taken if taken is not None else 0

    def csrr(self, mode: str, name: str) -> int | Taken:
        """Read a CSR in a mode: its value, or the trap."""
        taken = self.do(mode, "csrrs", rd=11, csr=number(name))
        return taken if taken is not None else self["a1"]

    def csrw(self, mode: str, name: str, value: int = 0) -> Taken | None:
        """Write a CSR in a mode: the trap, or None."""
        self["a0"] = value
        return self.do(mode, "csrrw", csr=number(name), rs1=10)

    def interrupted(self, mode: str) -> tuple[str, int] | None:
        """Go on in a mode, at a NOP: which level took which interrupt (without bit 63), if any."""
        causes = {"M": "mcause", "S": "scause", "VS": "vscause"}
        for name in causes.values():
            self[name] = 0
        self.put(CODE, encode("addi"))
        self.hart.mode = mode
        self["pc"] = self.code_address(mode)
        self.machine.run(budget=1)
        found = [(level, self[name]) for level, name in causes.items() if self[name]]
        assert len(found) <= 1
        if not found:
            return None
        level, cause = found[0]
        assert cause & INTERRUPT and self.hart.mode == level
        return level, cause & ~INTERRUPT


def number(name: str) -> int:
    """A CSR's number."""
    return CSRS[name].number


def illegal(mode_level: str, word: int) -> Taken:
    """An illegal-instruction exception."""
    return Taken(mode_level, ILLEGAL, word)


def causes(*results: object) -> list[object]:
    """The causes of traps among results; other results as they are."""
    return [r.cause if isinstance(r, Taken) else r for r in results]
