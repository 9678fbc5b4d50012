"""Compressed instructions: 16-bit encodings of base instructions (unprivileged manual, "Zca" and
"Zcd"; with the lists of "RVC Instruction Set Listings").

Each row says which base instruction an encoding is, and those of its operands that are implied.
Where several rows match, that with the most fixed bits holds. So a reserved encoding is a row of
its own, without a base instruction. A HINT needs nothing: it is an instruction that writes x0.
"""

from dataclasses import dataclass

from rvemu.isa import INSTRUCTIONS
from rvemu.isa.encoding import Encoding, Instruction, extension_bits, parse


@dataclass(frozen=True)
class Compressed:
    """A compressed instruction."""

    name: str
    encoding: Encoding
    extensions: tuple[str, ...]
    instruction: Instruction | None  # the base instruction; None where the encoding is reserved
    implied: dict[str, int]  # those of its operands that the encoding does not have
    syntax: str

    @property
    def needs(self) -> int:
        """The bits of `h.extensions` that must all be on, besides those of the base instruction."""
        return extension_bits(self.extensions)


_BASE = {base.name: base for base in INSTRUCTIONS}


def _row(
    name: str, encoding: str, base: str, syntax: str, extension: str = "zca", **implied: int
) -> Compressed:
    return Compressed(name, parse(encoding), (extension,), _BASE[base], implied, syntax)


def _reserved(encoding: str) -> Compressed:
    return Compressed("reserved", parse(encoding), ("zca",), None, {}, "")


COMPRESSED: tuple[Compressed, ...] = (
    # --- Quadrant 0: with registers x8-x15 ---
    _reserved("000 00000000 --- 00"),  # and all zeros, which is illegal for ever
    _row("c.addi4spn", "000 uimm[5:4|9:6|2|3] rd' 00", "addi", "rd, sp, uimm", rs1=2),
    _row("c.fld", "001 uimm[5:3] rs1' uimm[7:6] fd' 00", "fld", "fd, uimm(rs1)", "zcd"),
    _row("c.lw", "010 uimm[5:3] rs1' uimm[2|6] rd' 00", "lw", "rd, uimm(rs1)"),
    _row("c.ld", "011 uimm[5:3] rs1' uimm[7:6] rd' 00", "ld", "rd, uimm(rs1)"),
    _row("c.fsd", "101 uimm[5:3] rs1' uimm[7:6] fs2' 00", "fsd", "fs2, uimm(rs1)", "zcd"),
    _row("c.sw", "110 uimm[5:3] rs1' uimm[2|6] rs2' 00", "sw", "rs2, uimm(rs1)"),
    _row("c.sd", "111 uimm[5:3] rs1' uimm[7:6] rs2' 00", "sd", "rs2, uimm(rs1)"),
    # --- Quadrant 1: constants, arithmetic, branches ---
    _row("c.addi", "000 imm[5] rd/rs1 imm[4:0] 01", "addi", "rd, imm"),
    _row("c.nop", "000 imm[5] 00000 imm[4:0] 01", "addi", "imm", rd=0, rs1=0),
    _row("c.addiw", "001 imm[5] rd/rs1 imm[4:0] 01", "addiw", "rd, imm"),
    _reserved("001 - 00000 ----- 01"),
    _row("c.li", "010 imm[5] rd imm[4:0] 01", "addi", "rd, imm", rs1=0),
    _row("c.lui", "011 imm[17] rd imm[16:12] 01", "lui", "rd, imm"),
    _row("c.addi16sp", "011 imm[9] 00010 imm[4|6|8:7|5] 01", "addi", "sp, imm", rd=2, rs1=2),
    _reserved("011 0 ----- 00000 01"),
    _row("c.srli", "100 shamt[5] 00 rd'/rs1' shamt[4:0] 01", "srli", "rd, shamt"),
    _row("c.srai", "100 shamt[5] 01 rd'/rs1' shamt[4:0] 01", "srai", "rd, shamt"),
    _row("c.andi", "100 imm[5] 10 rd'/rs1' imm[4:0] 01", "andi", "rd, imm"),
    _row("c.sub", "100 0 11 rd'/rs1' 00 rs2' 01", "sub", "rd, rs2"),
    _row("c.xor", "100 0 11 rd'/rs1' 01 rs2' 01", "xor", "rd, rs2"),
    _row("c.or", "100 0 11 rd'/rs1' 10 rs2' 01", "or", "rd, rs2"),
    _row("c.and", "100 0 11 rd'/rs1' 11 rs2' 01", "and", "rd, rs2"),
    _row("c.subw", "100 1 11 rd'/rs1' 00 rs2' 01", "subw", "rd, rs2"),
    _row("c.addw", "100 1 11 rd'/rs1' 01 rs2' 01", "addw", "rd, rs2"),
    _row("c.j", "101 imm[11|4|9:8|10|6|7|3:1|5] 01", "jal", "target", rd=0),
    _row("c.beqz", "110 imm[8|4:3] rs1' imm[7:6|2:1|5] 01", "beq", "rs1, target", rs2=0),
    _row("c.bnez", "111 imm[8|4:3] rs1' imm[7:6|2:1|5] 01", "bne", "rs1, target", rs2=0),
    # --- Quadrant 2: with all registers, and relative to sp ---
    _row("c.slli", "000 shamt[5] rd/rs1 shamt[4:0] 10", "slli", "rd, shamt"),
    _row("c.fldsp", "001 uimm[5] fd uimm[4:3|8:6] 10", "fld", "fd, uimm(sp)", "zcd", rs1=2),
    _row("c.lwsp", "010 uimm[5] rd uimm[4:2|7:6] 10", "lw", "rd, uimm(sp)", rs1=2),
    _reserved("010 - 00000 ----- 10"),
    _row("c.ldsp", "011 uimm[5] rd uimm[4:3|8:6] 10", "ld", "rd, uimm(sp)", rs1=2),
    _reserved("011 - 00000 ----- 10"),
    _row("c.mv", "100 0 rd rs2 10", "add", "rd, rs2", rs1=0),
    _row("c.jr", "100 0 rs1 00000 10", "jalr", "rs1", rd=0, imm=0),
    _reserved("100 0 00000 00000 10"),
    _row("c.add", "100 1 rd/rs1 rs2 10", "add", "rd, rs2"),
    _row("c.jalr", "100 1 rs1 00000 10", "jalr", "rs1", rd=1, imm=0),
    _row("c.ebreak", "100 1 00000 00000 10", "ebreak", ""),
    _row("c.fsdsp", "101 uimm[5:3|8:6] fs2 10", "fsd", "fs2, uimm(sp)", "zcd", rs1=2),
    _row("c.swsp", "110 uimm[5:2|7:6] rs2 10", "sw", "rs2, uimm(sp)", rs1=2),
    _row("c.sdsp", "111 uimm[5:3|8:6] rs2 10", "sd", "rs2, uimm(sp)", rs1=2),
)
