"""Random programs. A program is a row of steps; in each, M-mode sets CSRs, table entries and
registers, goes to a mode with MRET, and has a few instructions executed there. Whatever becomes of
them ends in M-mode's handler, which shows the trap and starts the next step.

All that a step does is decided by a seed and its number.
"""

from dataclasses import dataclass
from random import Random

from rvemu.differential import handlers, tables
from rvemu.differential.assembler import Code, encode
from rvemu.differential.elf import write_elf
from rvemu.differential.layout import (
    DATA,
    GUEST_PAGES,
    HANDLERS,
    HOST,
    MTIMECMP,
    NOTHING,
    PAGE,
    PAGE_COUNT,
    RAM_BASE,
    SCRIPT,
    STAGE,
    STEP_SIZE,
    TABLES,
    USER_ALIAS,
)
from rvemu.differential.snippets import Snippets, landing
from rvemu.differential.values import (
    HS_RESUME,
    HS_VECTOR,
    M_VECTOR,
    VS_RESUME,
    VS_VECTOR,
    any_value,
    delegation,
    hstatus,
    mstatus,
    pmp,
    status,
    translation,
)
from rvemu.hart.csr_table import BY_NAME
from rvemu.hart.fields import MENVCFG, MSTATUS
from rvemu.lang import M64, put

MODES = {"M": (3, 0), "S": (1, 0), "U": (0, 0), "VS": (1, 1), "VU": (0, 1)}
_A, _B = 5, 6  # t0, t1: the script's own

# What is looked at after a step.
_SHOWN = [
    "mip", "hip", "sip", "vsip", "mie", "hie", "sie", "vsie", "hvip", "satp", "vsatp", "hgatp",
    "vsstatus", "hstatus", "mstatus", "vsepc", "vscause", "vstval", "sepc", "scause", "stval",
    "htval", "htinst", "henvcfg", "menvcfg", "hedeleg", "hideleg", "mideleg", "medeleg",
]  # fmt: skip

_GOOD = tables.RWX
_STIP, _VSTIP, _OTHERS = 0x20, 0x40, 0x606


@dataclass(frozen=True)
class Case:
    """A program, as an ELF file."""

    seed: int
    number: int
    steps: int
    elf: bytes


class Generator:
    """Makes the program of a number, always the same for a seed."""

    def __init__(self, seed: int, steps: int) -> None:
        self.seed = seed
        self.steps = steps

    def make(self, number: int) -> Case:
        """One program."""
        rng = Random(f"{self.seed} {number}")
        return Case(self.seed, number, self.steps, _Program(rng, self.steps).build())


class _Program:
    """One program in the making."""

    def __init__(self, rng: Random, steps: int) -> None:
        self.rng = rng
        self.steps = steps
        self.code = Code(SCRIPT)
        self.stage = bytearray()
        self.snippets = Snippets(rng)

    def build(self) -> bytes:
        self._begin()
        for n in range(self.steps):
            self._step(n)
        self.code.label(f"step {self.steps}")
        self._look()
        self._end()
        ecalls = encode("ecall") * (PAGE // 4)
        segments = {
            SCRIPT: self.code.finish(),
            HANDLERS: handlers.build(),
            STAGE: bytes(self.stage),
            TABLES: tables.build(),
            DATA: ecalls * PAGE_COUNT,
            HOST: bytes(16),
        }
        return write_elf(SCRIPT, segments, {"tohost": HOST, "fromhost": HOST + 8})

    # --- The script ------------------------------------------------------------------------------

    def _csrw(self, name: str, value: int) -> None:
        self.code.constant(_A, value)
        self.code.op("csrrw", rd=0, rs1=_A, csr=BY_NAME[name].number)

    def _csrr(self, name: str) -> None:
        self.code.op("csrrs", rd=_B, rs1=0, csr=BY_NAME[name].number)

    def _store(self, address: int, value: int) -> None:
        self.code.constant(_A, address)
        self.code.constant(_B, value)
        self.code.op("sd", rs1=_A, rs2=_B)

    def _load(self, address: int) -> None:
        self.code.constant(_A, address)
        self.code.op("ld", rs1=_A, rd=_B)

    def _begin(self) -> None:
        """The same state in both simulators, whatever was before."""
        self._csrw("mtvec", M_VECTOR)
        self._csrw("mstatus", MSTATUS.FS.mask)
        for n in range(1, 32):
            self.code.op("addi", rd=n, rs1=0, imm=n)
        for n in range(32):
            self.code.op("fmv.d.x", fd=n, rs1=0)
        self._store(MTIMECMP, M64)
        # What no entry matches below may be accessed.
        self._csrw("pmpaddr7", (1 << 54) - 1)
        self._csrw("fcsr", 0)
        for name in ("mcause", "mepc", "mtval", "mtval2", "mtinst", "sscratch", "scause", "stval"):
            self._csrw(name, 0)
        for name in ("vscause", "vstval", "vsscratch", "htval", "htinst", "hgeie", "senvcfg"):
            self._csrw(name, 0)
        # Registers may hold more than is written to them the first time.
        for name in ("menvcfg", "henvcfg", "hedeleg", "hideleg", "hvip", "mie"):
            self._csrw(name, 0)

    def _end(self) -> None:
        self._store(HOST, 1)
        self.code.label("forever")
        self.code.jump("forever")

    def _look(self) -> None:
        """Read what the last step may have changed."""
        rng = self.rng
        for name in rng.sample(_SHOWN, 8):
            self._csrr(name)
        page = rng.randrange(PAGE_COUNT)
        for regime in tables.REGIMES:
            self._load(tables.last_table(regime) + 8 * page)
            self._load(tables.last_table(regime) + 8 * rng.randrange(PAGE_COUNT))
        self._load(DATA + page * PAGE)
        self._load(DATA + page * PAGE + 0xFF8)

    # --- Steps -----------------------------------------------------------------------------------

    def _step(self, n: int) -> None:
        rng = self.rng
        code = self.code
        code.label(f"step {n}")
        if n:
            self._look()
        code.address(_A, f"step {n + 1}")
        code.op("csrrw", rd=0, rs1=_A, csr=BY_NAME["mscratch"].number)
        mode = rng.choices(list(MODES), (3, 5, 2, 5, 4))[0]
        timers = rng.choices(("quiet", "due", "software"), (6, 1, 1))[0]
        snippet = self.snippets.make(mode, rng.randrange(1, 5), timers != "quiet")
        resume = rng.random() < 0.4
        self._set_timers(timers)
        self._set_csrs(mode, snippet.risky, resume, timers)
        self._set_tables()
        registers = {r: any_value(rng) for r in (10, 11)} | snippet.registers
        address = self._stage(n, snippet.code)
        self._csrw("mepc", self._as_seen(address, mode))
        for register, value in registers.items():
            code.constant(register, value)
        code.op("mret")

    def _stage(self, n: int, instructions: bytes) -> int:
        """Put a step's instructions where they are executed; the physical address."""
        assert len(instructions) <= STEP_SIZE - 8
        ecall = encode("ecall")
        self.stage += instructions + ecall * ((STEP_SIZE - len(instructions)) // 4)
        self.stage += bytes(-len(self.stage) % STEP_SIZE)
        return STAGE + n * STEP_SIZE

    def _as_seen(self, address: int, mode: str) -> int:
        """The virtual address of code for a mode: often right, whatever the translation."""
        atp = {"U": self.satp, "VU": self.vsatp}.get(mode, 0)
        return address + USER_ALIAS - RAM_BASE if atp >> 60 else address

    def _set_csrs(self, mode: str, risky: bool, resume: bool, timers: str) -> None:
        rng = self.rng
        self.satp = translation(rng, "satp", sane=True)
        self.vsatp = translation(rng, "vsatp", sane=True)
        stce = MENVCFG.STCE.mask
        environment = MENVCFG.ADUE.mask | MENVCFG.PBMTE.mask | stce | 0xF1
        always = stce if timers == "due" else 0
        never = stce if timers == "software" else 0
        interrupts = rng.random() < 0.3
        software = _VSTIP | _STIP if timers == "software" else 0
        values = {
            "mie": rng.getrandbits(16) if interrupts else 0,
            "menvcfg": (environment & self._mostly_ones() | always) & ~never,
            "henvcfg": (environment & self._mostly_ones() | always) & ~never,
            "medeleg": delegation(rng, risky, resume),
            "hedeleg": delegation(rng, risky),
            "mideleg": rng.choice([M64, 0, rng.getrandbits(16)]),
            "hideleg": rng.choice([M64, 0, rng.getrandbits(16)]),
            "hvip": rng.choice([0, M64, rng.getrandbits(16)]) & (_OTHERS | software),
            "mip": (_OTHERS | software) & rng.getrandbits(16) if interrupts else 0,
            "stvec": (HS_RESUME if resume else HS_VECTOR) | rng.getrandbits(1),
            "vstvec": (VS_RESUME if resume else VS_VECTOR) | rng.getrandbits(1),
            "hstatus": hstatus(rng),
            "vsstatus": status(rng),
            "satp": self.satp,
            "vsatp": self.vsatp,
            "hgatp": translation(rng, "hgatp", sane=True),
            "sepc": landing(rng),
            "vsepc": landing(rng),
            "mcounteren": rng.choice([M64, M64, rng.getrandbits(32)]),
            "hcounteren": rng.choice([M64, 0, rng.getrandbits(32)]),
            "scounteren": rng.choice([M64, rng.getrandbits(32)]),
        }
        for name, value in values.items():
            self._csrw(name, value)
            if rng.random() < 0.1:
                self._csrr(name)
        self._set_pmp()
        priv, v = MODES[mode]
        where = put(put(mstatus(rng), MSTATUS.MPP, priv), MSTATUS.MPV, v)
        where = put(where, MSTATUS.MPIE, rng.getrandbits(1))
        self._csrw("mstatus", where)

    def _set_pmp(self) -> None:
        """One page may not be as free as the rest."""
        rng = self.rng
        page = rng.choice([DATA + rng.randrange(PAGE_COUNT) * PAGE, tables.last_table("vsatp")])
        page = rng.choice([page, tables.last_table(rng.choice(tables.REGIMES))])
        address, cfg = pmp(rng, page) if rng.random() < 0.2 else (0, 0)
        self._csrw("pmpaddr0", address)
        self._csrw("pmpcfg0", 0x1F << 56 | cfg)

    def _mostly_ones(self) -> int:
        return self.rng.choice([M64, self.rng.getrandbits(64)])

    def _set_timers(self, timers: str) -> None:
        """Set the timers, with nothing of them left pending. Spike looks at them, and at no bit of
        software's, when its ACLINT is written to."""
        rng = self.rng
        due = timers == "due"
        switch = MENVCFG.STCE.mask
        self.code.constant(_A, switch)
        for name in ("menvcfg", "henvcfg"):
            self.code.op("csrrs", rd=0, rs1=_A, csr=BY_NAME[name].number)
        self._csrw("hvip", 0)
        self._csrw("mip", 0)
        self._csrw("htimedelta", rng.choice([0, 1 << 40, M64 - (1 << 40)]))
        self._csrw("stimecmp", rng.choice([0, M64]) if due else M64)
        self._csrw("vstimecmp", rng.choice([0, M64]) if due else M64)
        self._store(MTIMECMP, M64)

    def _set_tables(self) -> None:
        """Entries of the pages for tests, and sometimes of the table above them."""
        rng = self.rng
        for regime in tables.REGIMES:
            for page in rng.sample(range(PAGE_COUNT), 3):
                self._store(tables.last_table(regime) + 8 * page, self._entry(regime))
        for regime in tables.REGIMES:
            self._store(tables.middle_entry(regime), self._middle_entry(regime))
        for fence in ("sfence.vma", "hfence.gvma", "hfence.vvma"):
            self.code.op(fence)

    def _entry(self, regime: str) -> int:
        """A leaf for a page."""
        rng = self.rng
        page = rng.randrange(6)
        target = rng.choice([GUEST_PAGES, GUEST_PAGES, DATA]) if regime == "vsatp" else DATA
        target += page * PAGE
        if rng.random() < 0.05:
            target = rng.choice([NOTHING, 1 << 50, (1 << 56) - PAGE])
        flags = _GOOD | (tables.U if regime == "hgatp" or rng.random() < 0.5 else 0)
        if rng.random() < 0.35:
            flags &= ~rng.choice([tables.A | tables.D, tables.D])
        elif rng.random() < 0.4:
            for _ in range(rng.randrange(1, 3)):
                flags ^= 1 << rng.randrange(8)
        if rng.random() < 0.1:
            flags |= 1 << rng.choice([63, 62, 61, 60, 54, 8, 9])
        return tables.pte(target, flags)

    def _middle_entry(self, regime: str) -> int:
        """Mostly the pointer to the last table; to it by way of another page of the guest's; a
        large page; and what is wrong."""
        rng = self.rng
        pointer = tables.pte(tables.last_table(regime), tables.V)
        kind = rng.random()
        if regime == "vsatp" and kind < 0.25:
            page = rng.choice([6, 7])
            # Where it may not be written, A and D of the guest's table can't be updated.
            unwritable = _GOOD & ~rng.choice([tables.W, tables.W, tables.D])
            flags = (
                rng.choice([_GOOD, unwritable, unwritable, _GOOD ^ 1 << rng.randrange(8)])
                | tables.U
            )
            entry = tables.last_table("hgatp") + 8 * page
            self._store(entry, tables.pte(tables.last_table("vsatp"), flags))
            return tables.pte(GUEST_PAGES + page * PAGE, tables.V)
        if kind < 0.8:
            return pointer
        if kind < 0.85:
            target = rng.choice([GUEST_PAGES, RAM_BASE]) if regime == "vsatp" else RAM_BASE
            flags = _GOOD | tables.U * rng.getrandbits(1)
            return tables.pte(target | PAGE * (rng.random() < 0.2), flags)
        if kind < 0.95:
            return pointer ^ 1 << rng.choice([0, 4, 6, 7, 54, 61, 63])
        return tables.pte(NOTHING, tables.V)
