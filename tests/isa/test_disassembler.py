"""The disassembler: expected texts, and the same as GNU objdump's where that is installed."""

import random
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from rvemu.hart.extensions import parse_isa
from rvemu.isa import ILLEGAL
from rvemu.isa.decoder import ROWS, row_of
from rvemu.isa.disassembler import disassemble
from rvemu.symbols import Symbol, SymbolTable
from tests.isa.lone_hart import EVERYTHING

PC = 0x8000_0010

# Bits, text with aliases, and without (if that differs).
EXPECTED = [
    (0x12345537, "lui a0,0x12345", ""),
    (0xFFFFF517, "auipc a0,0xfffff", ""),
    (0x0100006F, "j 80000020", "jal zero,80000020"),
    (0xFF1FF0EF, "jal 80000000", "jal ra,80000000"),
    (0x008002EF, "jal t0,80000018", ""),
    (0x00008067, "ret", "jalr zero,0(ra)"),
    (0x000500E7, "jalr a0", "jalr ra,0(a0)"),
    (0x00450067, "jr 4(a0)", "jalr zero,4(a0)"),
    (0x004502E7, "jalr t0,4(a0)", ""),
    (0xFEB508E3, "beq a0,a1,80000000", ""),
    (0xFE0508E3, "beqz a0,80000000", "beq a0,zero,80000000"),
    (0xFEA048E3, "bgtz a0,80000000", "blt zero,a0,80000000"),
    (0xFEA058E3, "blez a0,80000000", "bge zero,a0,80000000"),
    (0xFFF5F5E3, "bgeu a1,t6,7ffffffa", ""),
    (0xFF853503, "ld a0,-8(a0)", ""),
    (0xFE113C23, "sd ra,-8(sp)", ""),
    (0x00100513, "li a0,1", "addi a0,zero,1"),
    (0x00058513, "mv a0,a1", "addi a0,a1,0"),
    (0x00000013, "nop", "addi zero,zero,0"),
    (0xFFF54513, "not a0,a0", "xori a0,a0,-1"),
    (0x0FF57513, "zext.b a0,a0", "andi a0,a0,255"),
    (0x00153513, "seqz a0,a0", "sltiu a0,a0,1"),
    (0x03F51513, "slli a0,a0,0x3f", ""),
    (0x0005051B, "sext.w a0,a0", "addiw a0,a0,0"),
    (0x40A00533, "neg a0,a0", "sub a0,zero,a0"),
    (0x0FF0000F, "fence", "fence iorw,iorw"),
    (0x0310000F, "fence rw,w", ""),
    (0x8330000F, "fence.tso", ""),
    (0x0100000F, "pause", ""),
    (0x0000100F, "fence.i", ""),
    (0x00000073, "ecall", ""),
    (0x00100073, "ebreak", ""),
    (0x30200073, "mret", ""),
    (0x10500073, "wfi", ""),
    (0x12000073, "sfence.vma", "sfence.vma zero,zero"),
    (0x12A00073, "sfence.vma zero,a0", ""),
    (0x22B50073, "hfence.vvma a0,a1", ""),
    (0x6C05C573, "hlv.d a0,(a1)", ""),
    (0x6EA5C073, "hsv.d a0,(a1)", ""),
    (0x30002573, "csrr a0,mstatus", "csrrs a0,mstatus,zero"),
    (0x30051073, "csrw mstatus,a0", "csrrw zero,mstatus,a0"),
    (0x30046073, "csrsi mstatus,8", "csrrsi zero,mstatus,8"),
    (0x18059573, "csrrw a0,satp,a1", ""),
    (0x12301573, "csrrw a0,0x123,zero", ""),
    (0xC0102573, "rdtime a0", "csrrs a0,time,zero"),
    (0x00102573, "frflags a0", "csrrs a0,fflags,zero"),
    (0x02B50533, "mul a0,a0,a1", ""),
    (0x02B5453B, "divw a0,a0,a1", ""),
    (0x1005A52F, "lr.w a0,(a1)", ""),
    (0x18C5B52F, "sc.d a0,a2,(a1)", ""),
    (0x06C5A52F, "amoadd.w.aqrl a0,a2,(a1)", ""),
    (0xE4C5B52F, "amomaxu.d.aq a0,a2,(a1)", ""),
    (0x0805853B, "zext.w a0,a1", "add.uw a0,a1,zero"),
    (0x20C5A533, "sh1add a0,a1,a2", ""),
    (0x60059513, "clz a0,a1", ""),
    (0x6B85D513, "rev8 a0,a1", ""),
    (0x60C5D513, "rori a0,a1,0xc", ""),
    (0x0AC59533, "clmul a0,a1,a2", ""),
    (0x28C59513, "bseti a0,a1,0xc", ""),
    (0x0EC5D533, "czero.eqz a0,a1,a2", ""),
    (0x0EC5F533, "czero.nez a0,a1,a2", ""),
    (0x0045A00F, "cbo.zero (a1)", ""),
    (0x0215E013, "prefetch.r 32(a1)", ""),
    (0x00D00073, "wrs.nto", ""),
    (0x00C5F553, "fadd.s fa0,fa1,fa2", ""),
    (0x00C59553, "fadd.s fa0,fa1,fa2,rtz", ""),
    (0x22B58553, "fmv.d fa0,fa1", "fsgnj.d fa0,fa1,fa1"),
    (0xC2059553, "fcvt.w.d a0,fa1,rtz", ""),
    (0x42058553, "fcvt.d.s fa0,fa1", ""),
    (0x6AC5F543, "fmadd.d fa0,fa1,fa2,fa3", ""),
    (0x0085B507, "fld fa0,8(a1)", ""),
    (0xFFFFFFFF, ".insn 4,0xffffffff", ""),
    # Compressed.
    (0x0000, "unimp", "c.unimp"),
    (0x0001, "nop", "c.nop 0"),
    (0x4505, "li a0,1", "c.li a0,1"),
    (0x852E, "mv a0,a1", "c.mv a0,a1"),
    (0x1141, "addi sp,sp,-16", "c.addi sp,-16"),
    (0x7139, "addi sp,sp,-64", "c.addi16sp sp,-64"),
    (0x0028, "addi a0,sp,8", "c.addi4spn a0,sp,8"),
    (0x757D, "lui a0,0xfffff", "c.lui a0,0xfffff"),
    (0xE406, "sd ra,8(sp)", "c.sdsp ra,8(sp)"),
    (0x60A2, "ld ra,8(sp)", "c.ldsp ra,8(sp)"),
    (0x4188, "lw a0,0(a1)", "c.lw a0,0(a1)"),
    (0x2588, "fld fa0,8(a1)", "c.fld fa0,8(a1)"),
    (0x8082, "ret", "c.jr ra"),
    (0x9502, "jalr a0", "c.jalr a0"),
    (0x9002, "ebreak", "c.ebreak"),
    (0xBFC5, "j 80000000", "c.j 80000000"),
    (0xD965, "beqz a0,80000000", "c.beqz a0,80000000"),
    (0x8D0D, "sub a0,a0,a1", "c.sub a0,a1"),
    (0x9D2D, "addw a0,a0,a1", "c.addw a0,a1"),
    (0x0506, "slli a0,a0,0x1", "c.slli a0,0x1"),
    (0x507D, "c.li zero,-1", ""),
    (0x0B81, "c.addi s7,0", ""),
    (0x8001, "c.srli s0,0x0", ""),
    (0x900A, "ntl.p1", "c.add zero,sp"),
    (0x8002, ".insn 2,0x8002", ""),
]


@pytest.mark.parametrize(("raw", "text", "plain"), EXPECTED, ids=lambda v: str(v))
def test_expected_texts(raw: int, text: str, plain: str) -> None:
    assert disassemble(raw, PC) == text
    assert disassemble(raw, PC, aliases=False) == (plain or text)


def test_targets_without_an_address() -> None:
    assert disassemble(0xFE0508E3) == "beqz a0,-16"
    assert disassemble(0x0100006F) == "j +16"


def test_targets_with_symbols() -> None:
    symbols = SymbolTable([Symbol("main", 0x8000_0000, 64)])
    assert disassemble(0xFF1FF0EF, PC, symbols) == "jal 80000000 <main>"
    assert disassemble(0x0100006F, PC, symbols) == "j 80000020 <main+0x20>"
    assert disassemble(0x0100006F, PC + 64, symbols) == "j 80000060"


def test_extensions_that_are_off() -> None:
    base = parse_isa("rv64i")
    assert disassemble(0x02B50533, extensions=base) == ".insn 4,0x02b50533"
    assert disassemble(0x8082, extensions=base) == ".insn 2,0x8082"
    assert disassemble(0x0100000F, extensions=base) == "fence w,unknown"


# --- Against objdump -------------------------------------------------------------------------

_TOOLS = ("riscv64-unknown-elf-", "riscv64-linux-gnu-", "riscv64-elf-")
PREFIX = next((p for p in _TOOLS if shutil.which(p + "objdump") and shutil.which(p + "as")), None)

MARCH = (
    "rv64imafdch_zba_zbb_zbc_zbs_zfh_zicbom_zicbop_zicboz_zawrs_svinval_zihintpause_zifencei_zicsr"
)
# What binutils of today or of yesterday calls otherwise, or does not know.
UNKNOWN_TO_OLD_VERSIONS = {"czero.eqz", "czero.nez"}
OLD_NAMES = {"c.slli64": "c.slli", "c.srli64": "c.srli", "c.srai64": "c.srai"}


# Values to choose from; other operands take any.
_SOME: dict[str, Sequence[int]] = {
    "pred": range(1, 16),
    "succ": range(1, 16),
    "rm": [0, 1, 2, 3, 4, 7],
    "csr": [0x001, 0x002, 0x003, 0x180, 0x300, 0x305, 0x341, 0x600, 0xC00, 0xC01, 0x7C0],
}
# Conversions that need no rounding: a mode other than 0 is not shown by all versions.
_EXACT = ("fcvt.d.w", "fcvt.d.wu", "fcvt.d.s", "fcvt.d.h", "fcvt.s.h")


def corpus() -> list[int]:
    """Some instructions of each row; reserved values of ignored fields are left out."""
    chosen = random.Random(6)
    words = []
    for row in ROWS:
        for _ in range(12 if row.index != ILLEGAL else 0):
            raw = chosen.getrandbits(8 * row.encoding.length)
            for operand in row.encoding.operands:
                some = _SOME.get(operand.name, range(1 if chosen.random() < 0.25 else 0))
                if row.name in ("fence", "fence.i") and operand.name not in ("pred", "succ"):
                    some = [0]
                if row.name in _EXACT and operand.name == "rm":
                    some = [0]
                if some:
                    raw = raw & ~operand.mask | operand.insert(operand.base + chosen.choice(some))
            raw = row.encoding.match | (raw & ~row.encoding.mask)
            if row_of(raw, EVERYTHING) is row:
                words.append(raw)
    return words


def normal(text: str) -> str:
    """A line of objdump's or of ours, without what may differ."""
    text = re.sub(r" <[^>]*>", "", text.split("#")[0])
    name, _, operands = text.strip().partition("\t" if "\t" in text else " ")
    name = OLD_NAMES.get(name, name)
    operands = operands.strip()
    if name.startswith("c.s") and name in OLD_NAMES.values() and "," not in operands:
        operands += ",0x0"
    return f"{name} {operands}".strip()


def objdump(words: Sequence[int], tmp_path: Path, *options: str) -> list[tuple[int, str]]:
    """What objdump says: an address and a text for each instruction."""
    source, binary = tmp_path / "corpus.s", tmp_path / "corpus.o"
    source.write_text("".join(f".insn {4 if w & 3 == 3 else 2}, {w:#x}\n" for w in words))
    command = [f"{PREFIX}as", f"-march={MARCH}", str(source), "-o", str(binary)]
    subprocess.run(command, check=True)
    command = [f"{PREFIX}objdump", "-d", "-z", *options, str(binary)]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lines = re.findall(r"^ *([0-9a-f]+):\t([0-9a-f]+) *\t(.*)$", listing, re.MULTILINE)
    assert [int(bits, 16) for _, bits, _ in lines] == list(words)
    return [(int(address, 16), text) for address, _, text in lines]


needs_objdump = pytest.mark.skipif(PREFIX is None, reason="no RISC-V objdump is installed")


@needs_objdump
@pytest.mark.parametrize("aliases", [True, False])
def test_against_objdump(tmp_path: Path, aliases: bool) -> None:
    words = corpus()
    lines = objdump(words, tmp_path, *([] if aliases else ["-M", "no-aliases"]))
    different = []
    for raw, (address, text) in zip(words, lines, strict=True):
        theirs = normal(text)
        ours = normal(disassemble(raw, address, aliases=aliases))
        if not same(ours, theirs, aliases):
            different.append((hex(raw), ours, theirs))
    assert not different, "\n".join(map(str, different))


def same(ours: str, theirs: str, aliases: bool) -> bool:
    """Whether two texts agree, but for what versions of objdump print differently."""
    name = ours.split()[0]
    if ours == theirs:
        return True
    if name in UNKNOWN_TO_OLD_VERSIONS and theirs.startswith((".insn", ".4byte")):
        return True
    # Old versions print `add` for `addi`, and so on, as the assembler accepts it.
    if aliases and ours.replace(name, name_without_i(name), 1) == theirs:
        return True
    hints = [
        ("c.nop", "c.addi zero,"),
        ("nop", "c.li zero,0"),
        ("c.addi", "add "),
        ("ntl.", "c.add zero,"),
        ("ntl.", "add zero,zero,"),
    ]
    return any(name.startswith(h) and theirs.startswith(t) for h, t in hints)


def name_without_i(name: str) -> str:
    """`add` of `addi`, `addw` of `addiw`."""
    return name[:-2] + "w" if name.endswith("iw") else name.removesuffix("i")


# Of drafts of the privileged architecture, and of debug mode.
WITHDRAWN = ("uret", "hret", "sfence.vm", "dret")
NOTHING = (".insn", ".4byte", ".2byte", ".word", ".short")


@needs_objdump
def test_every_compressed_encoding_against_objdump(tmp_path: Path) -> None:
    words = [raw for raw in range(1, 1 << 16) if raw & 3 != 3]
    different = []
    for raw, (address, text) in zip(
        words, objdump(words, tmp_path, "-M", "no-aliases"), strict=True
    ):
        theirs, ours = normal(text), normal(disassemble(raw, address, aliases=False))
        if ours.startswith(".insn"):
            # Versions of objdump show these reserved encodings, all with an immediate of 0.
            if not theirs.startswith((*NOTHING, "c.addi16sp sp,0", "c.lui", "c.mop", "c.addi4spn")):
                different.append((hex(raw), ours, theirs))
        elif not same(ours, theirs, False):
            different.append((hex(raw), ours, theirs))
    assert not different, "\n".join(map(str, different[:100]))


@needs_objdump
def test_random_words_against_objdump(tmp_path: Path) -> None:
    """Whether they are instructions at all, and which."""
    chosen = random.Random(7)
    rows = [row for row in ROWS if row.encoding.length == 4]
    words = [chosen.getrandbits(32) | 3 for _ in range(3000)]
    # Words that differ from an instruction in one fixed bit.
    for row in rows:
        for bit in range(7, 32):
            if row.encoding.mask >> bit & 1:
                some = chosen.getrandbits(32) & ~row.encoding.mask
                words.append((row.encoding.match | some) ^ 1 << bit)
    words = [raw for raw in words if raw & 0x1C != 0x1C]  # longer ones
    different = []
    for raw, (_, text) in zip(words, objdump(words, tmp_path, "-M", "no-aliases"), strict=True):
        theirs, ours = normal(text).split()[0], disassemble(raw, 0, aliases=False).split()[0]
        if ours.startswith(".insn") and theirs.startswith((*NOTHING, *WITHDRAWN)):
            continue
        # Reserved fences are fences; old versions know neither these nor Zicond, and no conversion
        # without rounding that has a rounding mode.
        lenient = ("fence", "fence.i", *_EXACT, *UNKNOWN_TO_OLD_VERSIONS)
        if ours != theirs and not (ours in lenient and theirs.startswith(NOTHING)):
            different.append((hex(raw), ours, theirs))
    assert not different, "\n".join(map(str, different[:100]))
