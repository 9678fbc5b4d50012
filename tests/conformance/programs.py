"""Small programs that end as conformance tests do."""

from tests.assembler import A0, A1, T0, Assembler

BASE = 0x8000_0000
TOHOST = BASE + 0x2000
FROMHOST = TOHOST + 64
DATA = BASE + 0x4000


def program() -> Assembler:
    """The start of a program."""
    p = Assembler(BASE)
    p.symbols |= {"tohost": TOHOST, "fromhost": FROMHOST}
    return p.label("start")


def report(p: Assembler, value: int) -> Assembler:
    """Store a value to tohost."""
    return p.li(T0, TOHOST).li(A0, value).op("sd", rs1=T0, rs2=A0)


def exits_with(code: int, p: Assembler | None = None) -> bytes:
    """A program that reports a code, after what it does already."""
    p = report(p or program(), code << 1 | 1).label("end")
    return p.jal(0, "end").elf()


def hangs() -> bytes:
    """A program that never ends."""
    return program().label("forever").jal(0, "forever").elf()


def traps() -> bytes:
    """A program that reports a trap, as riscv-tests report those that they did not expect."""
    p = program().la(T0, "handler").csrw("mtvec", T0)
    p.label("culprit").word(0xFFFF_FFFF)
    p.align(4).label("handler")
    return exits_with((2 | 1337) >> 1, p)


def prints(text: bytes) -> bytes:
    """A program that prints through HTIF's write system call."""
    p = program().li(T0, DATA)
    for n, value in enumerate((64, 1, DATA + 64, len(text))):
        p.li(A1, value).op("sd", rs1=T0, rs2=A1, imm=8 * n)
    for n, byte in enumerate(text):
        p.li(A1, byte).op("sb", rs1=T0, rs2=A1, imm=64 + n)
    report(p, DATA)
    p.li(T0, FROMHOST).label("wait").op("ld", rd=A1, rs1=T0).branch("beq", A1, 0, "wait")
    return exits_with(0, p.op("sd", rs1=T0))
