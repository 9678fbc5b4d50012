"""Where conformance tests run their programs: in M-mode on bare memory (form "p"), or in U-mode
under Sv39 paging, whose pages are scattered over memory and mapped when they are first touched
(form "v"). A program does not notice which.
"""

from collections.abc import Sequence

from rvemu.hart.fields import FS_INITIAL
from rvemu.machine import Machine, Outcome, Reason
from tests.assembler import T0, T1, T2, T5, T6, Assembler
from tests.elf_builder import Elf, Load

RAM = 0x8000_0000
HANDLER = RAM
TOHOST = RAM + 0x1000
SAVED = RAM + 0x1800
TABLES = RAM + 0x10000  # root, middle and last page table, and what the last one shall hold
AREA = RAM + 0x100000  # the program's memory
PAGES = 64
VIRTUAL = 0x15_5560_0000  # all of a last-level table's reach, from its first entry

PAGE = 4096
CODE = 0
DATA = 0x20000  # offset in the area; code stands before it
MEMORY = 4 << 20

USER_RWX = 0xDF  # V R W X U A D


def scattered(page: int) -> int:
    """Where page number `page` of a "v" program is, in the area."""
    return (page * 37 + 11) % PAGES


class Rig:
    """A machine for one program."""

    def __init__(self, engine: str, form: str, isa: str | None = None) -> None:
        extra = {} if isa is None else {"isa": isa}
        self.machine = Machine(memory=MEMORY, engine=engine, **extra)
        self.form = form
        #: The program's memory, as it sees it: code at `base`, data at `data`.
        self.base = (AREA if form == "p" else VIRTUAL) + CODE
        self.data = self.base + DATA

    def assembler(self) -> Assembler:
        """The start of a program."""
        return Assembler(self.base)

    def physical(self, address: int) -> int:
        """Where an address of the program is."""
        offset = address - self.base
        if self.form == "v":
            offset = scattered(offset // PAGE) * PAGE + offset % PAGE
        return AREA + offset

    def write(self, address: int, content: bytes) -> None:
        """Put bytes into the program's memory."""
        for at in range(0, len(content), 8):
            for n, byte in enumerate(content[at : at + 8]):
                self.machine.write_physical(self.physical(address + at + n), bytes((byte,)))

    def read(self, address: int, length: int) -> bytes:
        """Bytes of the program's memory."""
        parts = []
        while length:
            part = min(length, PAGE - address % PAGE)
            parts.append(self.machine.read_physical(self.physical(address), part))
            address, length = address + part, length - part
        return b"".join(parts)

    def write_words(self, address: int, values: Sequence[int]) -> None:
        """Put 64-bit words into the program's memory, page by page."""
        content = b"".join((v & (1 << 64) - 1).to_bytes(8, "little") for v in values)
        self._write_pages(address, content)

    def read_words(self, address: int, number: int) -> list[int]:
        """64-bit words of the program's memory."""
        content = self.read(address, 8 * number)
        return [int.from_bytes(content[i : i + 8], "little") for i in range(0, 8 * number, 8)]

    def _write_pages(self, address: int, content: bytes) -> None:
        while content:
            part = min(len(content), PAGE - address % PAGE)
            self.machine.write_physical(self.physical(address), content[:part])
            address, content = address + part, content[part:]

    def run(self, program: Assembler, limit: int = 300_000) -> None:
        """Run a program to its end, which it has with an `ecall`. Fails if it does anything else
        that traps and is not the first touch of a page. t5 and t6 are lost."""
        code = program.assemble() + (0x73).to_bytes(4, "little")
        assert len(code) <= DATA - CODE
        machine = self.machine
        handler = _handler()
        symbols = [("tohost", TOHOST, 8, 0x11)]
        machine.load(Elf([Load(RAM, handler, memsz=0x100000)], symbols=symbols).build())
        self._write_pages(self.base, code)
        hart = machine.hart
        hart["mtvec"] = HANDLER
        hart["mscratch"] = SAVED
        hart["mstatus.FS"] = FS_INITIAL
        hart["pc"] = self.base
        if self.form == "v":
            self._enter_user()
        outcome = machine.run(limit)
        assert outcome == Outcome(Reason.EXITED, 0), (
            f"{outcome}: cause {hart['mcause']} at {hart['mepc'] - self.base:#x}, "
            f"value {hart['mtval']:#x}, pc {hart['pc']:#x}"
        )

    def _enter_user(self) -> None:
        """Make page tables in which nothing is mapped yet, and have the program start in U-mode."""
        machine = self.machine
        levels = [VIRTUAL >> shift & 511 for shift in (30, 21)]
        for n, index in enumerate(levels):
            entry = (TABLES + (n + 1) * PAGE) >> 12 << 10 | 1
            machine.write_physical(TABLES + n * PAGE + 8 * index, entry.to_bytes(8, "little"))
        wanted = b"".join(
            (((AREA + scattered(i) * PAGE) >> 12 << 10) | USER_RWX).to_bytes(8, "little")
            for i in range(PAGES)
        )
        machine.write_physical(TABLES + 3 * PAGE, wanted)
        hart = machine.hart
        hart["satp"] = 8 << 60 | TABLES >> 12
        hart["pmpaddr0"] = (1 << 54) - 1
        hart["pmpcfg0"] = 0x1F
        hart["mepc"] = self.base
        hart["mstatus.MPP"] = 0
        # Code that enters U-mode, behind the handler.
        start = HANDLER + 0x800
        machine.write_physical(start, (0x3020_0073).to_bytes(4, "little"))
        hart["pc"] = start


def _handler() -> bytes:
    """M-mode's trap handler: maps the page of a page fault, ends the run for an ecall, and reports
    failure for the rest."""
    p = Assembler(HANDLER)
    p.op("csrrw", rd=T6, csr=0x340, rs1=T6)
    for n, register in enumerate((T0, T1, T2)):
        p.op("sd", rs1=T6, rs2=register, imm=8 * n)
    p.csrr(T0, "mcause")
    for cause, label in ((8, "end"), (11, "end"), (12, "map"), (13, "map"), (15, "map")):
        p.li(T1, cause).branch("beq", T0, T1, label)
    p.label("fail").li(T0, TOHOST).li(T1, 1337 << 1 | 1).op("sd", rs1=T0, rs2=T1)
    # The page's entry, from the table of what shall be there.
    p.label("map").csrr(T0, "mtval").li(T1, VIRTUAL).op("sub", rd=T0, rs1=T0, rs2=T1)
    p.li(T1, PAGES * PAGE).branch("bgeu", T0, T1, "fail")
    p.op("srli", rd=T0, rs1=T0, shamt=12).op("slli", rd=T0, rs1=T0, shamt=3)
    p.li(T1, TABLES + 2 * PAGE).op("add", rd=T0, rs1=T0, rs2=T1)
    p.op("ld", rd=T1, rs1=T0).branch("bne", T1, 0, "fail")
    p.li(T2, PAGE).op("add", rd=T2, rs1=T0, rs2=T2).op("ld", rd=T1, rs1=T2)
    p.op("sd", rs1=T0, rs2=T1).csrr(T0, "mtval").op("sfence.vma", rs1=T0)
    _restore(p).op("csrrw", rd=T6, csr=0x340, rs1=T6).op("mret")
    p.label("end")
    _restore(p).li(T6, TOHOST).li(T5, 1).op("sd", rs1=T6, rs2=T5)
    code = p.assemble()
    assert len(code) < 0x800
    return code


def _restore(p: Assembler) -> Assembler:
    for n, register in enumerate((T0, T1, T2)):
        p.op("ld", rd=register, rs1=T6, imm=8 * n)
    return p
