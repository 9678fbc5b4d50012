"""A small assembler: programs for a machine, written as Python calls.

    p = Assembler(0x8000_0000)
    p.li(10, 5)
    p.label("loop")
    p.op("addi", rd=10, rs1=10, imm=-1)
    p.branch("bne", 10, 0, "loop")
    code = p.assemble()

Encodings are the model's own, so what it says of them is not tested here. Registers are numbers.
"""

from collections.abc import Callable, Iterator
from typing import Self

from rvemu.hart.csr_table import BY_NAME as CSRS
from rvemu.isa import INSTRUCTIONS
from rvemu.isa.compressed import COMPRESSED
from rvemu.isa.encoding import Encoding
from tests.elf_builder import Elf, Load

ENCODINGS: dict[str, Encoding] = {
    **{i.name: i.encoding for i in INSTRUCTIONS},
    **{c.name: c.encoding for c in COMPRESSED if c.instruction is not None},
}

ZERO, RA, SP, GP, TP, T0, T1, T2, S0, S1, A0, A1, A2, A3, A4, A5, A6, A7 = range(18)
S2, S3, S4, S5, S6, S7, S8, S9, S10, S11, T3, T4, T5, T6 = range(18, 32)


def encode(name: str, **operands: int) -> int:
    """An instruction's bits. Operands that are not given are 0."""
    return ENCODINGS[name].encode(**operands)


def csr_number(csr: int | str) -> int:
    """A CSR's number, by its name."""
    return csr if isinstance(csr, int) else CSRS[csr].number


def signed(value: int, bits: int) -> int:
    """The low bits of a value as a two's-complement number."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def dispatch(p: "Assembler", harts: int) -> Iterator[int]:
    """The harts, by their numbers, each of which goes on where the code for it is made next."""
    for hart in range(1, harts):
        p.li(T5, hart).branch("bne", A0, T5, f"not hart {hart}").jal(ZERO, f"hart {hart}")
        p.label(f"not hart {hart}")
    yield 0
    for hart in range(1, harts):
        p.align(4).label(f"hart {hart}")
        yield hart


class Assembler:
    """Code at an address. Every method that adds to it returns it."""

    def __init__(self, base: int) -> None:
        self.base = base
        #: Addresses by name: labels, and whatever else an ELF file of it should name.
        self.symbols: dict[str, int] = {}
        self._code = bytearray()
        self._fixups: list[tuple[int, Callable[[int, int], int], str]] = []

    @property
    def here(self) -> int:
        """The address of what comes next."""
        return self.base + len(self._code)

    def label(self, name: str) -> Self:
        """Name this address."""
        assert name not in self.symbols, name
        self.symbols[name] = self.here
        return self

    def word(self, raw: int, length: int = 4) -> Self:
        """Any bits."""
        self._code += raw.to_bytes(length, "little")
        return self

    def align(self, to: int) -> Self:
        """Go on at a multiple of a number of bytes."""
        self._code += bytes(-self.here % to)
        return self

    def op(self, name: str, **operands: int) -> Self:
        """An instruction."""
        return self.word(encode(name, **operands), ENCODINGS[name].length)

    def li(self, rd: int, value: int) -> Self:
        """A constant of 64 bits, in as few instructions as come to mind."""
        value = signed(value, 64)
        if -2048 <= value < 2048:
            return self.op("addi", rd=rd, imm=value)
        low = signed(value, 12)
        if -(1 << 31) <= value < 1 << 31:
            self.op("lui", rd=rd, imm=signed(value - low, 32))
            return self.op("addiw", rd=rd, rs1=rd, imm=low) if low else self
        self.li(rd, (value - low) >> 12)
        self.op("slli", rd=rd, rs1=rd, shamt=12)
        return self.op("addi", rd=rd, rs1=rd, imm=low) if low else self

    def _later(self, make: Callable[[int, int], int], label: str, length: int = 4) -> Self:
        self._fixups.append((len(self._code), make, label))
        return self.word(0, length)

    def branch(self, name: str, rs1: int, rs2: int, label: str) -> Self:
        """A conditional branch to a label."""
        return self._later(lambda at, to: encode(name, rs1=rs1, rs2=rs2, imm=to - at), label)

    def jal(self, rd: int, label: str) -> Self:
        """A jump to a label."""
        return self._later(lambda at, to: encode("jal", rd=rd, imm=to - at), label)

    def compressed_branch(self, name: str, label: str, **operands: int) -> Self:
        """c.j, c.beqz or c.bnez to a label."""
        return self._later(lambda at, to: encode(name, imm=to - at, **operands), label, 2)

    def la(self, rd: int, label: str) -> Self:
        """The address of a label."""

        def auipc(at: int, to: int) -> int:
            return encode("auipc", rd=rd, imm=signed(to - at - signed(to - at, 12), 32))

        def addi(at: int, to: int) -> int:
            return encode("addi", rd=rd, rs1=rd, imm=signed(to - (at - 4), 12))

        return self._later(auipc, label)._later(addi, label)

    def csrw(self, csr: int | str, rs1: int) -> Self:
        """Write a CSR."""
        return self.op("csrrw", csr=csr_number(csr), rs1=rs1)

    def csrr(self, rd: int, csr: int | str) -> Self:
        """Read a CSR."""
        return self.op("csrrs", rd=rd, csr=csr_number(csr))

    def csrs(self, csr: int | str, rs1: int) -> Self:
        """Set bits of a CSR."""
        return self.op("csrrs", csr=csr_number(csr), rs1=rs1)

    def csrc(self, csr: int | str, rs1: int) -> Self:
        """Clear bits of a CSR."""
        return self.op("csrrc", csr=csr_number(csr), rs1=rs1)

    def csr_set(self, csr: int | str, value: int, scratch: int = T6) -> Self:
        """Write a constant to a CSR."""
        return self.li(scratch, value).csrw(csr, scratch)

    def assemble(self) -> bytes:
        """The code."""
        code = bytearray(self._code)
        for at, make, label in self._fixups:
            raw = make(self.base + at, self.symbols[label])
            code[at : at + (4 if raw & 3 == 3 else 2)] = raw.to_bytes(
                4 if raw & 3 == 3 else 2, "little"
            )
        return bytes(code)

    def elf(self, memsz: int = 0x10000) -> bytes:
        """An ELF file with the code and its symbols, and zeros behind it."""
        code = self.assemble()
        symbols = [(name, address, 0, 0x10) for name, address in self.symbols.items()]
        load = Load(self.base, code, memsz=max(memsz, len(code)))
        return Elf([load], entry=self.base, symbols=symbols).build()
