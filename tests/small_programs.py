"""Programs for tests, put together from instructions by their names.

Programs are bytes to be joined, and small enough to need no labels: branch offsets count bytes.
Larger ones are for `tests.assembler`.
"""

from rvemu.hart.registers import INTEGER_REGISTERS
from tests.assembler import ENCODINGS, encode
from tests.elf_builder import Elf, Load

BASE = 0x8000_0000
FINISHER = 0x10_0000
UART = 0x1000_0000

_REGISTERS = {name: number for number, name in enumerate(INTEGER_REGISTERS)}


def op(name: str, **operands: int | str) -> bytes:
    """An instruction; registers may be given by their ABI names."""
    values = {k: _REGISTERS[v] if isinstance(v, str) else v for k, v in operands.items()}
    return encode(name, **values).to_bytes(ENCODINGS[name].length, "little")


def li(rd: str, value: int) -> bytes:
    """Load a value of 32 bits, sign-extended, in two instructions."""
    low = ((value & 0xFFF) ^ 0x800) - 0x800
    high = (value - low) & 0xFFFF_FFFF
    high = (high ^ 0x8000_0000) - 0x8000_0000
    return op("lui", rd=rd, imm=high) + op("addiw", rd=rd, rs1=rd, imm=low)


def la(rd: str, here: int, to: int) -> bytes:
    """The address of the code at offset `to`, from offset `here`, in two instructions."""
    return op("auipc", rd=rd, imm=0) + op("addi", rd=rd, rs1=rd, imm=to - here)


def csrw(csr: int, rs1: str) -> bytes:
    """Write a CSR."""
    return op("csrrw", rd="zero", csr=csr, rs1=rs1)


def exit_with(code: int) -> bytes:
    """End by the test finisher, with a code of 0 to 0xffff."""
    value = code << 16 | 0x3333 if code else 0x5555
    return li("t5", FINISHER) + li("t6", value) + op("sw", rs1="t5", rs2="t6", imm=0) + SPIN


def put(text: str) -> bytes:
    """Print text on the UART."""
    code = li("t5", UART)
    for character in text.encode():
        code += op("addi", rd="t6", rs1="zero", imm=character)
        code += op("sb", rs1="t5", rs2="t6", imm=0)
    return code


SPIN = op("jal", rd="zero", imm=0)
WFI = op("wfi")


def elf(code: bytes, **symbols: int) -> bytes:
    """An ELF file with the code at BASE, 8 KiB of zeros after it, and functions of these names at
    these offsets."""
    return Elf(
        loads=[Load(BASE, code, memsz=len(code) + 0x2000)],
        symbols=[(name, BASE + offset, 0, 0x12) for name, offset in symbols.items()],
    ).build()


def echo_guest(init: bytes = b"") -> bytes:
    """Sends back what it receives on the UART, polling, until `q` comes: then it ends with 0."""
    start = li("t0", UART) + init
    poll = op("lbu", rd="t1", rs1="t0", imm=5) + op("andi", rd="t1", rs1="t1", imm=1)
    poll += op("beq", rs1="t1", rs2="zero", imm=-8)
    poll += op("lbu", rd="a0", rs1="t0", imm=0) + op("sb", rs1="t0", rs2="a0", imm=0)
    poll += op("addi", rd="t2", rs1="zero", imm=ord("q"))
    return start + poll + op("bne", rs1="a0", rs2="t2", imm=-len(poll)) + exit_with(0)


def sleepy_echo_guest() -> bytes:
    """The same, but it waits in WFI for the UART's interrupt, taking none."""
    start = li("t0", UART) + op("addi", rd="t1", rs1="zero", imm=1)
    start += op("sb", rs1="t0", rs2="t1", imm=1)  # IER: received data
    start += li("t3", 0xC00_0000 + 4 * 10) + op("sw", rs1="t3", rs2="t1", imm=0)  # priority
    start += li("t3", 0xC00_2000) + op("addi", rd="t1", rs1="zero", imm=1 << 10)
    start += op("sw", rs1="t3", rs2="t1", imm=0)  # enabled in hart 0's M context
    start += li("t1", 0x800) + csrw(0x304, "t1") + li("t4", 0xC20_0004)
    loop = WFI + op("lw", rd="a1", rs1="t4", imm=0)  # claim
    loop += op("lbu", rd="a0", rs1="t0", imm=0) + op("sb", rs1="t0", rs2="a0", imm=0)
    loop += op("sw", rs1="t4", rs2="a1", imm=0)  # complete
    loop += op("addi", rd="t2", rs1="zero", imm=ord("q"))
    return start + loop + op("bne", rs1="a0", rs2="t2", imm=-len(loop)) + exit_with(0)
