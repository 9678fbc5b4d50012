"""Pseudoinstructions: names that assemblers and people use for special cases of instructions
("RISC-V Assembly Programmer's Manual", tables of pseudoinstructions). Only the disassembler asks.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Alias:
    """A name for an instruction whose operands have certain values: numbers, or the value of
    another operand, by its name."""

    instruction: str
    where: dict[str, int | str]
    name: str
    syntax: str


_FENCE_ALL = 0b1111


def _float(width: str) -> tuple[Alias, ...]:
    same: dict[str, int | str] = {"fs2": "fs1"}
    return (
        Alias(f"fsgnj.{width}", same, f"fmv.{width}", "fd, fs1"),
        Alias(f"fsgnjn.{width}", same, f"fneg.{width}", "fd, fs1"),
        Alias(f"fsgnjx.{width}", same, f"fabs.{width}", "fd, fs1"),
    )


# The first that fits is used.
ALIASES: tuple[Alias, ...] = (
    # Constants and moves.
    Alias("addi", {"rd": 0, "rs1": 0, "imm": 0}, "nop", ""),
    Alias("addi", {"rs1": 0}, "li", "rd, imm"),
    Alias("addi", {"imm": 0}, "mv", "rd, rs1"),
    Alias("c.mv", {}, "mv", "rd, rs2"),
    Alias("xori", {"imm": -1}, "not", "rd, rs1"),
    Alias("andi", {"imm": 255}, "zext.b", "rd, rs1"),
    Alias("sub", {"rs1": 0}, "neg", "rd, rs2"),
    Alias("subw", {"rs1": 0}, "negw", "rd, rs2"),
    Alias("addiw", {"imm": 0}, "sext.w", "rd, rs1"),
    Alias("add.uw", {"rs2": 0}, "zext.w", "rd, rs1"),
    # Comparisons.
    Alias("sltiu", {"imm": 1}, "seqz", "rd, rs1"),
    Alias("sltu", {"rs1": 0}, "snez", "rd, rs2"),
    Alias("slt", {"rs2": 0}, "sltz", "rd, rs1"),
    Alias("slt", {"rs1": 0}, "sgtz", "rd, rs2"),
    # Jumps and branches.
    Alias("jal", {"rd": 0}, "j", "target"),
    Alias("jal", {"rd": 1}, "jal", "target"),
    Alias("jalr", {"rd": 0, "rs1": 1, "imm": 0}, "ret", ""),
    Alias("jalr", {"rd": 0, "imm": 0}, "jr", "rs1"),
    Alias("jalr", {"rd": 0}, "jr", "imm(rs1)"),
    Alias("jalr", {"rd": 1, "imm": 0}, "jalr", "rs1"),
    Alias("jalr", {"rd": 1}, "jalr", "imm(rs1)"),
    Alias("jalr", {"imm": 0}, "jalr", "rd, rs1"),
    Alias("beq", {"rs2": 0}, "beqz", "rs1, target"),
    Alias("bne", {"rs2": 0}, "bnez", "rs1, target"),
    Alias("bge", {"rs1": 0}, "blez", "rs2, target"),
    Alias("bge", {"rs2": 0}, "bgez", "rs1, target"),
    Alias("blt", {"rs2": 0}, "bltz", "rs1, target"),
    Alias("blt", {"rs1": 0}, "bgtz", "rs2, target"),
    # Control and status registers.
    Alias("csrrw", {"rd": 0, "csr": 0xC00, "rs1": 0}, "unimp", ""),
    Alias("csrrs", {"rs1": 0, "csr": 0x001}, "frflags", "rd"),
    Alias("csrrs", {"rs1": 0, "csr": 0x002}, "frrm", "rd"),
    Alias("csrrs", {"rs1": 0, "csr": 0x003}, "frcsr", "rd"),
    Alias("csrrs", {"rs1": 0, "csr": 0xC00}, "rdcycle", "rd"),
    Alias("csrrs", {"rs1": 0, "csr": 0xC01}, "rdtime", "rd"),
    Alias("csrrs", {"rs1": 0, "csr": 0xC02}, "rdinstret", "rd"),
    Alias("csrrw", {"rd": 0, "csr": 0x001}, "fsflags", "rs1"),
    Alias("csrrw", {"rd": 0, "csr": 0x002}, "fsrm", "rs1"),
    Alias("csrrw", {"rd": 0, "csr": 0x003}, "fscsr", "rs1"),
    Alias("csrrw", {"csr": 0x001}, "fsflags", "rd, rs1"),
    Alias("csrrw", {"csr": 0x002}, "fsrm", "rd, rs1"),
    Alias("csrrw", {"csr": 0x003}, "fscsr", "rd, rs1"),
    Alias("csrrwi", {"csr": 0x001}, "fsflagsi", "rd, zimm"),
    Alias("csrrwi", {"csr": 0x002}, "fsrmi", "rd, zimm"),
    Alias("csrrs", {"rs1": 0}, "csrr", "rd, csr"),
    Alias("csrrw", {"rd": 0}, "csrw", "csr, rs1"),
    Alias("csrrs", {"rd": 0}, "csrs", "csr, rs1"),
    Alias("csrrc", {"rd": 0}, "csrc", "csr, rs1"),
    Alias("csrrwi", {"rd": 0}, "csrwi", "csr, zimm"),
    Alias("csrrsi", {"rd": 0}, "csrsi", "csr, zimm"),
    Alias("csrrci", {"rd": 0}, "csrci", "csr, zimm"),
    # Fences and hints.
    Alias("fence", {"pred": _FENCE_ALL, "succ": _FENCE_ALL}, "fence", ""),
    Alias("sfence.vma", {"rs1": 0, "rs2": 0}, "sfence.vma", ""),
    Alias("sfence.vma", {"rs2": 0}, "sfence.vma", "rs1"),
    Alias("hfence.vvma", {"rs1": 0, "rs2": 0}, "hfence.vvma", ""),
    Alias("hfence.vvma", {"rs2": 0}, "hfence.vvma", "rs1"),
    Alias("hfence.gvma", {"rs1": 0, "rs2": 0}, "hfence.gvma", ""),
    Alias("hfence.gvma", {"rs2": 0}, "hfence.gvma", "rs1"),
    Alias("add", {"rd": 0, "rs1": 0, "rs2": 2}, "ntl.p1", ""),
    Alias("add", {"rd": 0, "rs1": 0, "rs2": 3}, "ntl.pall", ""),
    Alias("add", {"rd": 0, "rs1": 0, "rs2": 4}, "ntl.s1", ""),
    Alias("add", {"rd": 0, "rs1": 0, "rs2": 5}, "ntl.all", ""),
    # Floating point.
    *_float("h"),
    *_float("s"),
    *_float("d"),
)
