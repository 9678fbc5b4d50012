"""Small paravirtual kernels, put together from instructions.

A kernel begins with START and an entry for traps. Its handler writes down each trap, and goes on
after the instruction that trapped: where it was, or for a fetch, at s11. What hypercalls answer is
written down as well.
"""

import struct

from rvemu.vmm.hypercalls import (
    EXTENSION,
    NOTE_NAME,
    NOTE_TYPE,
    SHARED_PAGE,
    UPDATE,
    VERSION,
    Call,
    What,
)
from rvemu.vmm.virtual_machine import PARAVIRT, VirtualMachine
from tests.assembler import A0, A1, A6, A7, S8, S9, S10, S11, T4, T5, T6, ZERO, Assembler
from tests.elf_builder import Elf, Load

BASE, MEMORY = 0x8000_0000, 4 << 20
END = BASE + MEMORY
# What tests have in memory, behind the program and its data. Tables, pages, then lists of updates,
# and what was written down of answers and of traps.
SHARED = BASE + 0x10_0000
RING = BASE + 0x10_1000
LISTS = BASE + 0x10_2000
ANSWERS = BASE + 0x12_0000
TRAPS = BASE + 0x14_0000
ROOT, MIDDLE, LAST, OTHER = (BASE + 0x18_0000 + 0x1000 * n for n in range(4))
PAGE = BASE + 0x20_0000

V, R, W, X, U, G, A, D = (1 << n for n in range(8))
RWX = V | R | W | X | A | D
SET, PIN, UNPIN = What.SET_ENTRY, What.PIN_TABLE, What.UNPIN_TABLE
WORD = {field.name: 8 * n for n, field in enumerate(SHARED_PAGE.subcons)}

Update = tuple[int, int, int]


def entry(target: int, flags: int) -> int:
    return target >> 2 | flags


def note(version: int = VERSION) -> bytes:
    """An ELF note that says which version of the interface a guest knows."""
    name = NOTE_NAME.encode() + b"\0"
    description = struct.pack("<I", version)
    header = struct.pack("<III", len(name), len(description), NOTE_TYPE)
    return header + name.ljust(-(-len(name) // 4) * 4, b"\0") + description


class Kernel(Assembler):
    """A kernel to be. `elf` ends it, in a loop. s8: the shared page; s9 and s10: where the next
    trap and the next answer are written down."""

    def __init__(self) -> None:
        super().__init__(BASE)
        self._lists: list[tuple[int, bytes]] = []
        self._next_list = LISTS
        self.li(S8, SHARED).li(S9, TRAPS).li(S10, ANSWERS)
        self.la(T5, "trap").op("sd", rs1=S8, rs2=T5, imm=WORD["entry"])
        self.call(Call.START, SHARED)

    def call(self, function: int, a0: int = 0, a1: int = 0) -> "Kernel":
        """A hypercall, whose answer is written down."""
        self.li(A0, a0).li(A1, a1).li(A6, function).li(A7, EXTENSION).op("ecall")
        self.op("sd", rs1=S10, rs2=A0, imm=0).op("sd", rs1=S10, rs2=A1, imm=8)
        self.op("addi", rd=S10, rs1=S10, imm=16)
        return self

    def update(self, *updates: Update) -> "Kernel":
        """UPDATE, with a list that is in memory from the start."""
        data = b"".join(
            UPDATE.build({"what": what, "address": address, "value": value})
            for what, address, value in updates
        )
        self._lists.append((self._next_list, data))
        self.call(Call.UPDATE, self._next_list, len(updates))
        self._next_list += len(data)
        return self

    def paging(self, *more: Update) -> "Kernel":
        """Tables of its own for kernel and processes alike: memory is where it is, the tables for
        loads alone; and more changes."""
        self.update(
            (PIN, LAST, 0),
            (PIN, MIDDLE, 1),
            (PIN, ROOT, 2),
            *((SET, LAST + 8 * n, entry(BASE + 0x1000 * n, RWX)) for n in range(0x180)),
            *(
                (SET, LAST + 8 * n, entry(BASE + 0x1000 * n, V | R | A))
                for n in range(0x180, 0x190)
            ),
            (SET, MIDDLE, entry(LAST, V)),
            (SET, MIDDLE + 8, entry(PAGE, RWX)),
            (SET, ROOT + 8 * (BASE >> 30), entry(MIDDLE, V)),
        )
        if more:
            self.update(*more)
        self.call(Call.SET_ROOTS, ROOT, ROOT)
        return self

    def put(self, address: int, value: int) -> "Kernel":
        """Store a 64-bit value."""
        self.li(T5, address).li(T6, value).op("sd", rs1=T5, rs2=T6, imm=0)
        return self

    def shared(self, word: str, value: int) -> "Kernel":
        """Store a word of the shared page."""
        return self.put(SHARED + WORD[word], value)

    def load(self, address: int) -> "Kernel":
        """Load from an address, and write that down as an answer (and the address)."""
        self.li(A1, address).li(A0, 0).op("ld", rd=A0, rs1=A1, imm=0)
        self.op("sd", rs1=S10, rs2=A0, imm=0).op("sd", rs1=S10, rs2=A1, imm=8)
        self.op("addi", rd=S10, rs1=S10, imm=16)
        return self

    def to_user(self, status: int = 1 << 5) -> "Kernel":
        """Go on in a process, by RETURN."""
        name = f"user{self.here:x}"
        self.la(T5, name).op("sd", rs1=S8, rs2=T5, imm=WORD["epc"])
        self.shared("status", status).shared("kernel_sp", BASE + 0x8_0000)
        self.li(A6, Call.RETURN).li(A7, EXTENSION).op("ecall")
        self.label(name)
        return self

    def elf(self, memsz: int = 0x10000) -> bytes:
        """The ELF file, with the note."""
        self.label("end").jal(ZERO, "end").align(4).label("trap")
        for n, word in enumerate(("cause", "tval", "epc", "status")):
            self.op("ld", rd=T5, rs1=S8, imm=WORD[word]).op("sd", rs1=S9, rs2=T5, imm=8 * n)
        self.op("addi", rd=S9, rs1=S9, imm=32)
        self.op("ld", rd=T5, rs1=S8, imm=WORD["epc"]).op("ld", rd=T6, rs1=S8, imm=WORD["tval"])
        self.op("ld", rd=T4, rs1=S8, imm=WORD["cause"])
        self.branch("blt", T4, ZERO, "interrupt")
        self.op("addi", rd=T6, rs1=T4, imm=-12)
        self.branch("bne", T6, ZERO, "skip").op("addi", rd=T5, rs1=S11, imm=-4)
        self.label("skip").op("addi", rd=T5, rs1=T5, imm=4)
        self.op("sd", rs1=S8, rs2=T5, imm=WORD["epc"])
        self.jal(ZERO, "back").label("interrupt")  # seen to, and nothing is skipped
        self.op("sd", rs1=S8, rs2=ZERO, imm=WORD["events"])
        self.label("back").li(A6, Call.RETURN).li(A7, EXTENSION).op("ecall")
        symbols = [(name, address, 0, 0x10) for name, address in self.symbols.items()]
        loads = [Load(BASE, self.assemble(), memsz=memsz)]
        loads += [Load(address, data) for address, data in self._lists]
        loads += [Load(0, note(), type=4)]
        return Elf(loads, entry=BASE, symbols=symbols).build()


def answers(machine: VirtualMachine) -> list[tuple[int, int]]:
    """What hypercalls have answered: error and value. The first is that of START."""
    count = (machine.machine.hart["s10"] - ANSWERS) // 16
    data = machine.machine.board.ram.read(ANSWERS, 16 * count)
    return [(error, value) for error, value in struct.iter_unpack("<qQ", data)]


def traps(machine: VirtualMachine) -> list[tuple[int, int, int, int]]:
    """The traps that the kernel has seen: cause, tval, epc, status."""
    count = (machine.machine.hart["s9"] - TRAPS) // 32
    data = machine.machine.board.ram.read(TRAPS, 32 * count)
    return [tuple(words) for words in struct.iter_unpack("<QQQQ", data)]  # type: ignore[misc]


def run(kernel: Kernel, clocks: int = 50_000) -> VirtualMachine:
    """Run a kernel to its end."""
    machine = VirtualMachine(PARAVIRT, memory=MEMORY, output=lambda _: None)
    machine.load(kernel.elf())
    outcome = machine.run(clocks)
    assert not outcome.failure, outcome.failure
    assert machine.machine.hart["pc"] == machine.machine.symbol("end")
    return machine
