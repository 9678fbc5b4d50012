"""A machine on which privileged tests execute one instruction at a time, in any mode, and look at
what became of it."""

from typing import NamedTuple

from rvemu.hart.fields import FS_INITIAL
from rvemu.hart.privilege import set_privilege
from rvemu.machine import Machine
from tests.assembler import A0, A1, csr_number, encode

RAM = 0x8000_0000
ENTRY = RAM  # an mret
CODE = RAM + 0x1000
MTVEC = RAM + 0x2000
STVEC = RAM + 0x3000
DATA = RAM + 0x4000
TABLES = RAM + 0x10000

U, S, M = 0, 1, 3
MODES = {"U": U, "S": S, "M": M}
PAGE = 4096


class Trap(NamedTuple):
    """A trap that was taken: to which mode, and what its CSRs say."""

    to: str
    cause: int
    epc: int
    tval: int


class Probe:
    """A hart whose PMP lets everything through, with trap vectors for M and S."""

    def __init__(self, engine: str, isa: str | None = None, pmp: int = 16) -> None:
        extra = {} if isa is None else {"isa": isa}
        self.machine = Machine(memory=4 << 20, engine=engine, pmp=pmp, **extra)
        self.hart = self.machine.hart
        self.put(ENTRY, encode("mret"))
        # Handlers that stay where they are, wherever they are entered: an interrupt is taken
        # before an instruction, and the step that shows it executes the handler's first.
        for vector in (MTVEC, STVEC):
            self.put(vector, *[encode("jal", imm=0)] * 16)
        self.hart["mtvec"] = MTVEC
        self.hart["stvec"] = STVEC
        self.hart["mstatus.FS"] = FS_INITIAL
        if pmp:
            self.hart["pmpaddr0"] = (1 << 54) - 1
            self.hart["pmpcfg0"] = 0x1F

    def put(self, address: int, *words: int, width: int = 4) -> None:
        """Write words to physical memory."""
        content = b"".join(word.to_bytes(width, "little") for word in words)
        self.machine.write_physical(address, content)

    def enter(self, mode: str, pc: int = CODE) -> None:
        """Go to a mode with mret. Interrupts stay off in M-mode. MPRV is lost on the way down."""
        hart = self.hart
        hart["mstatus.MPP"] = MODES[mode]
        hart["mstatus.MPIE"] = 0
        hart["mepc"] = pc
        self.to_machine_mode(ENTRY)
        self.machine.run(1)
        assert hart.mode == mode
        assert hart.pc == pc

    def to_machine_mode(self, pc: int = CODE) -> None:
        """Go to M-mode, by the host's hand, and change nothing else."""
        set_privilege(self.hart.state, M, 0)
        self.hart["pc"] = pc

    def step(self) -> Trap | None:
        """Execute one instruction (or take one interrupt and execute nothing of the handler)."""
        self.machine.run(1)
        return self.trap()

    def trap(self) -> Trap | None:
        """The trap that the hart has just taken, if it stands at the start of a handler."""
        hart = self.hart
        for to, vector, x in (("M", MTVEC, "m"), ("S", STVEC, "s")):
            if hart.pc == vector:
                return Trap(to, hart[x + "cause"], hart[x + "epc"], hart[x + "tval"])
        return None

    def raw(self, mode: str, bits: int, pc: int = CODE) -> Trap | None:
        """Execute an instruction in a mode."""
        self.put(pc, bits)
        self.enter(mode, pc)
        return self.step()

    def do(self, mode: str, name: str, **operands: int) -> Trap | None:
        """Execute an instruction by name in a mode."""
        return self.raw(mode, encode(name, **operands))

    def csrr(self, mode: str, csr: int | str) -> int | Trap:
        """Read a CSR with an instruction: its value, or the trap."""
        trap = self.do(mode, "csrrs", rd=A0, csr=csr_number(csr))
        return trap or self.hart["a0"]

    def csrw(self, mode: str, csr: int | str, value: int) -> Trap | None:
        """Write a CSR with an instruction."""
        self.hart["a1"] = value
        return self.do(mode, "csrrw", csr=csr_number(csr), rs1=A1)

    def load(self, mode: str, address: int) -> int | Trap:
        """Load a doubleword: its value, or the trap."""
        self.hart["a1"] = address
        trap = self.do(mode, "ld", rd=A0, rs1=A1)
        return trap or self.hart["a0"]

    def store(self, mode: str, address: int, value: int = 0) -> Trap | None:
        """Store a doubleword."""
        self.hart["a1"], self.hart["a0"] = address, value
        return self.do(mode, "sd", rs1=A1, rs2=A0)
