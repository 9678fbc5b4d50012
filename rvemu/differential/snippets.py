"""The instructions under test: a few in a row, with what their registers must hold before."""

from dataclasses import dataclass, field
from random import Random

from rvemu.differential.assembler import encode
from rvemu.differential.layout import (
    DATA,
    GUEST_PAGES,
    NOTHING,
    PAGE,
    PAGE_COUNT,
    PAGES,
    RAM_BASE,
    STAGE,
    USER_ALIAS,
)
from rvemu.differential.values import any_value, value_for
from rvemu.hart.csr_table import BY_NAME
from rvemu.hart.fields import MSTATUS
from rvemu.lang import put

# Registers: those that instructions read, and those that they write.
VALUES, ADDRESSES = range(10, 14), range(14, 18)  # a0-a3, a4-a7
RESULTS = range(18, 28)  # s2-s11

_CSRS = [
    "hstatus hedeleg hideleg hie htimedelta hcounteren hgeie henvcfg htval hip hvip htinst hgatp "
    "hgeip vsstatus vsie vstvec vsscratch vsepc vscause vstval vsip vstimecmp vsatp",
    "sstatus sie stvec sscratch sepc scause stval sip stimecmp satp scounteren senvcfg",
    "mstatus medeleg mideleg mie mip mepc mcause mtval mtval2 mtinst menvcfg mcounteren",
    "fcsr frm fflags cycle time instret hpmcounter3 hpmcounter31 misa mhartid mscratch mtvec",
]
CSR_NAMES = [group.split() for group in _CSRS]

# Only read, in modes that may write them: what rules the script, and what counts.
_NOT_WRITTEN = {"mtvec", "mscratch", "misa"}
# Not written in steps where timer interrupts may be pending, whose bits Spike keeps in one place,
# whether a timer has set them or software, and updates only now and then.
_TIMERS = {"stimecmp", "vstimecmp", "htimedelta", "menvcfg", "henvcfg", "hvip", "hip", "mip", "sip"}
_TIMERS |= {"vsip"}
# Written whole or not at all: what they hold may differ.
_WRITTEN_WHOLE = {"mtinst", "htinst"}
_TRANSLATION = {"satp", "vsatp", "hgatp"}

# Numbers without a CSR, or with one of RV32 only.
_NOT_THERE = [0x612, 0x61A, 0x615, 0x25D, 0x15D, 0xC80, 0x5C0, 0x6C0, 0x2FF, 0x10B, 0x601, 0x681]

_LOADS = ("lb", "lbu", "lh", "lhu", "lw", "lwu", "ld")
_STORES = ("sb", "sh", "sw", "sd")
_HYPERVISOR_LOADS = (
    "hlv.b", "hlv.bu", "hlv.h", "hlv.hu", "hlvx.hu", "hlv.w", "hlv.wu", "hlvx.wu", "hlv.d",
)  # fmt: skip
_HYPERVISOR_STORES = ("hsv.b", "hsv.h", "hsv.w", "hsv.d")
_AMOS = ("amoadd.w", "amoswap.d", "amomaxu.w", "amoor.d")
_FENCES = (
    "sfence.vma", "hfence.vvma", "hfence.gvma", "sinval.vma", "hinval.vvma", "hinval.gvma",
)  # fmt: skip
_ALONE = ("sfence.w.inval", "sfence.inval.ir", "sret", "mret", "ecall", "ebreak", "fence.i")
_CBO = ("cbo.zero", "cbo.clean", "cbo.flush", "cbo.inval")
_ILLEGAL = (0, 0xFFFF_FFFF, 0x6220_4073, 0x7020_0073, 0x0000_707F)


@dataclass
class Snippet:
    """Code, the registers that it needs, and whether fetching may go wrong from then on."""

    code: bytes = b""
    registers: dict[int, int] = field(default_factory=dict)
    risky: bool = False


class Snippets:
    """Makes random snippets for a mode: M, S, U, VS or VU."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng

    def make(self, mode: str, count: int, timers: bool) -> Snippet:
        """Up to `count` instructions, fewer than eight. timers: their
        interrupts may be pending."""
        self.read_only = _NOT_WRITTEN | _TIMERS if timers else _NOT_WRITTEN
        snippet = Snippet()
        if mode == "M" and self.rng.random() < 0.5:
            self._as_another(snippet)
        for _ in range(count):
            kind = self.rng.choices(
                (self._csr, self._hypervisor, self._access, self._atomic, self._fence, self._alone,
                 self._compressed, self._jump, self._block, self._float, self._illegal),
                (30, 16, 16, 6, 8, 6, 4, 6, 4, 4, 2),
            )[0]  # fmt: skip
            kind(snippet, mode)
        return snippet

    # --- Parts -----------------------------------------------------------------------------------

    def _add(self, snippet: Snippet, name: str, **operands: int) -> None:
        snippet.code += encode(name, **operands)

    def _value(self, snippet: Snippet, value: int) -> int:
        free = [r for r in VALUES if r not in snippet.registers]
        register = self.rng.choice(free or list(VALUES))
        snippet.registers.setdefault(register, value)
        return register

    def _address(self, snippet: Snippet, value: int | None = None) -> int:
        free = [r for r in ADDRESSES if r not in snippet.registers]
        register = self.rng.choice(free or list(ADDRESSES))
        snippet.registers.setdefault(register, self.address() if value is None else value)
        return register

    def _in_a_page(self, snippet: Snippet) -> int:
        """An aligned address. Of a store across pages that faults in the second, the first part may
        be done or not (norm:rvwmo_misaligned_ldst_memops); atomics that are not aligned may be
        misaligned or access faults."""
        base = self._address(snippet)
        self._add(snippet, "andi", rd=base, rs1=base, imm=-8)
        return base

    def _result(self) -> int:
        register: int = self.rng.choice((0, *RESULTS))
        return register

    def address(self) -> int:
        """The address of an access."""
        rng = self.rng
        offset = rng.choice(
            [8 * rng.randrange(512), 8 * rng.randrange(512), rng.randrange(4096), 0, 0xFFC, 0xFFD]
        )
        page = rng.randrange(PAGE_COUNT) * PAGE
        if rng.random() < 0.75:
            return PAGES + page + offset
        bases = [GUEST_PAGES + page, DATA + page, DATA + page + USER_ALIAS - RAM_BASE]
        bases += [NOTHING, (1 << 38) | page, 1 << 41, M64_PAGE, 1 << 56, 1 << 59, 1 << 63]
        return rng.choice(bases) + offset

    def _as_another(self, snippet: Snippet) -> None:
        """From here on, loads and stores are another mode's (MPRV). After MRET, MPP and MPV are
        zero."""
        value = put(MSTATUS.MPRV.mask, MSTATUS.MPP, self.rng.choice([0, 1, 1, 3]))
        value = put(value, MSTATUS.MPV, int(self.rng.random() < 0.7))
        register = self._value(snippet, value)
        self._add(snippet, "csrrs", rd=0, rs1=register, csr=BY_NAME["mstatus"].number)

    def _csr(self, snippet: Snippet, mode: str) -> None:
        rng = self.rng
        group = rng.choices(CSR_NAMES, (10, 7, 4 if mode == "M" else 1, 6))[0]
        name = rng.choice(group)
        number = BY_NAME[name].number
        if rng.random() < 0.04:
            number = rng.choice(_NOT_THERE)
        instruction = rng.choice(("csrrw", "csrrs", "csrrc", "csrrs", "csrrwi", "csrrsi", "csrrci"))
        if name in _WRITTEN_WHOLE:
            instruction = rng.choice(("csrrw", "csrrwi"))
        if name in self.read_only:
            self._add(snippet, "csrrs", rd=self._result(), rs1=0, csr=number)
            return
        if name in _TRANSLATION:
            snippet.risky = True
        operands = {"rd": self._result(), "csr": number}
        if instruction.endswith("i"):
            zimm = 0 if "timecmp" in name or name in _TRANSLATION else rng.randrange(32)
            self._add(snippet, instruction, zimm=zimm, **operands)
        else:
            write = instruction == "csrrw" or rng.random() < 0.6
            # The register must hold what this CSR may get.
            register = self._value(snippet, value_for(rng, name)) if write else 0
            if write and snippet.registers[register] != 0 and len(snippet.registers) > len(VALUES):
                register = 0 if instruction != "csrrw" else register
            self._add(snippet, instruction, rs1=register, **operands)

    def _hypervisor(self, snippet: Snippet, mode: str) -> None:  # noqa: ARG002
        rng = self.rng
        if rng.random() < 0.7:
            base = self._address(snippet)
            self._add(snippet, rng.choice(_HYPERVISOR_LOADS), rd=self._result(), rs1=base)
        else:
            source = self._value(snippet, harmless(rng))
            base = self._in_a_page(snippet)
            name = rng.choice(_HYPERVISOR_STORES)
            if name != "hsv.d" and rng.random() < 0.3:
                self._add(snippet, "addi", rd=base, rs1=base, imm=rng.randrange(4))
            self._add(snippet, name, rs1=base, rs2=source)

    def _access(self, snippet: Snippet, mode: str) -> None:  # noqa: ARG002
        rng = self.rng
        imm = rng.choice([0, 0, 8, -8, 2047, -2048, 1])
        if rng.random() < 0.6:
            base = self._address(snippet)
            self._add(snippet, rng.choice(_LOADS), rd=self._result(), rs1=base, imm=imm)
        else:
            source = self._value(snippet, harmless(rng))
            base = self._in_a_page(snippet)
            name = rng.choice(_STORES)
            imm = imm if name == "sd" else rng.choice([0, 1, 2, 3])
            self._add(snippet, name, rs1=base, rs2=source, imm=imm & ~7 if name == "sd" else imm)

    def _atomic(self, snippet: Snippet, mode: str) -> None:  # noqa: ARG002
        rng = self.rng
        source = self._value(snippet, harmless(rng))
        # Not aligned, it may be misaligned or an access fault.
        base = self._in_a_page(snippet)
        if rng.random() < 0.5:
            self._add(snippet, rng.choice(_AMOS), rd=self._result(), rs1=base, rs2=source)
        else:
            width = rng.choice("wd")
            self._add(snippet, f"lr.{width}", rd=self._result(), rs1=base)
            self._add(snippet, f"sc.{width}", rd=self._result(), rs1=base, rs2=source)

    def _fence(self, snippet: Snippet, mode: str) -> None:  # noqa: ARG002
        rng = self.rng
        rs1 = rng.choice([0, self._address(snippet)])
        self._add(snippet, rng.choice(_FENCES), rs1=rs1, rs2=rng.choice([0, 0, 10]))

    def _alone(self, snippet: Snippet, mode: str) -> None:
        if mode in ("U", "VU") and self.rng.random() < 0.3:
            self._add(snippet, "wfi")  # it traps there
        else:
            self._add(snippet, self.rng.choice(_ALONE))

    def _compressed(self, snippet: Snippet, mode: str) -> None:  # noqa: ARG002
        rng = self.rng
        base = self._in_a_page(snippet)
        if base > 15:
            return
        name = rng.choice(["c.ld", "c.lw", "c.sd", "c.sw", "c.fld", "c.fsd"])
        kind = {"c.ld": "rd", "c.lw": "rd", "c.fld": "fd", "c.fsd": "fs2"}.get(name, "rs2")
        # a0 is not written to: results go to registers that nothing reads.
        register = {"rd": 9, "fd": 9, "fs2": 9}.get(kind) or self._value(snippet, harmless(rng))
        self._add(snippet, name, rs1=base, uimm=rng.choice([0, 8, 64]), **{kind: register})
        self._add(snippet, "c.nop")

    def _jump(self, snippet: Snippet, mode: str) -> None:  # noqa: ARG002
        """To a page for tests, which is full of environment calls."""
        rng = self.rng
        base = self._address(snippet, self.address() & ~1)
        self._add(snippet, "jalr", rd=0, rs1=base, imm=rng.choice([0, 0, 4, 2]))

    def _block(self, snippet: Snippet, mode: str) -> None:  # noqa: ARG002
        self._add(snippet, self.rng.choice(_CBO), rs1=self._address(snippet))

    def _float(self, snippet: Snippet, mode: str) -> None:  # noqa: ARG002
        rng = self.rng
        name = rng.choice(["fld", "fsd", "fmv.d.x", "fmv.x.d"])
        if name == "fld":
            self._add(snippet, name, fd=1, rs1=self._address(snippet), imm=8)
        elif name == "fsd":
            self._add(snippet, name, fs2=2, rs1=self._in_a_page(snippet), imm=-8)
        elif name == "fmv.d.x":
            self._add(snippet, name, fd=3, rs1=0)
        else:
            self._add(snippet, name, rd=self._result(), fs1=3)

    def _illegal(self, snippet: Snippet, mode: str) -> None:  # noqa: ARG002
        snippet.code += self.rng.choice(_ILLEGAL).to_bytes(4, "little")


M64_PAGE = (1 << 64) - PAGE_COUNT * PAGE


def harmless(rng: Random) -> int:
    """Something to store: what is done to it later, by executing it, stops at once."""
    ecall = int.from_bytes(encode("ecall") * 2, "little")
    return rng.choice([0, ecall, ecall, 0x73 << 32])


def landing(rng: Random) -> int:
    """Where xRET goes to: the ends of steps, in one of the address spaces."""
    base = rng.choice([STAGE, STAGE, STAGE + USER_ALIAS - RAM_BASE])
    return base + 60


def ordinary(rng: Random) -> int:
    """A register's value that is not an address."""
    return any_value(rng)
