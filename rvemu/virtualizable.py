"""Is the instruction set virtualizable? Popek and Goldberg's theorem (1974), its premise decided by
experiment on the model.

*A VMM can be built by trap-and-emulate if every sensitive instruction is privileged.*

Each instruction, and each read and write of a CSR, is executed on the real model from states that
differ in what a guest must not notice or change: the mode (M, S, U), where memory is (the same
virtual memory at other physical addresses), and resources (interrupts, trap vectors, counters, the
hart's id...). From what happens follows its class:

    privileged           traps in U-mode, and does not in a more privileged mode
    control-sensitive    changes the mode or a resource somewhere, without a trap
    behaviour-sensitive  its result, as its program sees it, depends on mode, place or resources
    innocuous            neither

The hart is set up as a VMM does it: counters are withheld from U-mode, and FS is dirty. What
that hides is what `SUBTLETIES` is about.
"""

import ctypes
import struct
from dataclasses import dataclass, field

from rvemu.engine.reference import ReferenceEngine
from rvemu.hart.csr_table import BY_NAME, CSRS
from rvemu.hart.extensions import DEFAULT_ISA, isa_string, parse_isa
from rvemu.hart.fields import HSTATUS, MISA, MSECCFG, MSTATUS, PTE, SSTATUS
from rvemu.hart.privilege import set_privilege
from rvemu.hart.state import (
    CONTEXT_S_SUM,
    CONTEXT_VS_SUM,
    DATA_ENTRIES,
    DATA_WORDS,
    FILL_LOG,
    LOAD_TAG,
    M_MODE,
    QUIRK_CSR,
    QUIRK_FENCE,
    QUIRK_STATUS,
    QUIRK_XRET,
    S_MODE,
    STOP_OWNED,
    STOP_WFI,
    U_MODE,
    Hart,
)
from rvemu.hart.tlb import flush_all
from rvemu.isa import ILLEGAL, INSTRUCTIONS
from rvemu.isa.decoder import row_of
from rvemu.lang import M64
from rvemu.machine import Machine

# The program's memory as it sees it, and where that is: first at the same physical addresses.
_CODE, _DATA, _TABLES = 0x8001_0000, 0x8002_0000, 0x8010_0000
_ELSEWHERE = 0x8_0000
_CONTENT = bytes(n * 7 & 0xFF for n in range(4096))

# Translations that are in nobody's use, so that fences have something to take away: of this context
# of the TLB each, in this entry.
_WITNESSES = (CONTEXT_S_SUM, CONTEXT_VS_SUM)
_WITNESS_ENTRY = _DATA >> 12 & (DATA_ENTRIES - 1)


def _tag(context: int) -> int:
    return context * DATA_WORDS + 4 * _WITNESS_ENTRY + LOAD_TAG


# Registers: a0 is an address of the data, a1 and a2 are values, t0 takes the result.
_T0, _A0, _A1, _A2 = 5, 10, 11, 12
_OPERANDS = {
    "rd": _T0,
    "fd": _T0,
    "rs1": _A0,
    "rs2": _A1,
    "fs1": _A1,
    "fs2": _A2,
    "fs3": _A2,
    "shamt": 3,
    "zimm": 3,
    # Jumps and branches lead to themselves, loads and stores to where a0 points.
}

# CSRs that belong to the program itself.
_OWN = frozenset(["fflags", "frm", "fcsr"])

# What resources are, where they are others than after a reset. (Counters are still withheld from
# U-mode: what mcounteren opens, scounteren does not.)
_OTHER = (
    *((name, 0x5A5A) for name in ("mscratch", "mepc", "mcause", "mtval", "mtval2", "mtinst")),
    *((name, 0x5A5A) for name in ("sscratch", "sepc", "scause", "stval", "htval", "htinst")),
    *((name, 0x5A5A) for name in ("vsscratch", "vsepc", "vscause", "vstval", "htimedelta")),
    *(("mtvec", 0x8000_0100), ("stvec", 0x8000_0200), ("vstvec", 0x8000_0300)),
    *(("medeleg", 0x222), ("mideleg", 0x222), ("hedeleg", 0x222), ("hideleg", 0x444)),
    *(("mie", 0xEEC), ("mip", 0x002), ("hvip", 0x040), ("hgeie", 2)),
    *(("mcounteren", 2), ("scounteren", 5), ("hcounteren", 3), ("mcountinhibit", 4)),
    *(("menvcfg", 1), ("senvcfg", 1), ("henvcfg", 1), ("mseccfg", MSECCFG.RLB.mask)),
    *(("stimecmp", 0x1000_0000), ("vstimecmp", 0x1000_0000)),
    *(("hstatus", HSTATUS.VTW.mask), ("vsstatus", SSTATUS.SPIE.mask)),
    *(("vsatp", 8 << 60 | 5), ("hgatp", 8 << 60 | 4), ("misa", M64 & ~MISA.C.mask)),
    *(("pmpaddr1", 0x55), ("pmpaddr2", 0x66), ("pmpaddr3", 0x77), ("pmpcfg0", 0x1100_001F)),
)

# The privileged state: the hart's fields from mstatus to vstimecmp, and these.
_FIELDS = [name for name, *_ in Hart._fields_]
_RESOURCES = (
    *_FIELDS[_FIELDS.index("mstatus") : _FIELDS.index("fflags")],
    *("priv", "v", "extensions"),
)
# Of PMP: arrays, compared whole.
_PMP_START, _PMP_END = Hart._pmpaddr.offset, Hart._mhpmcounter.offset


@dataclass(frozen=True)
class State:
    """Where an experiment starts. moved: the program's memory is at other physical addresses.
    other: resources are others."""

    priv: int
    moved: bool = False
    other: bool = False

    def __str__(self) -> str:
        name = {M_MODE: "M", S_MODE: "S", U_MODE: "U"}[self.priv]
        return (
            name
            + (" with memory elsewhere" if self.moved else "")
            + (" with other resources" if self.other else "")
        )


STATES = tuple(
    State(priv, moved, other)
    for priv in (M_MODE, S_MODE, U_MODE)
    for moved in ((False,) if priv == M_MODE else (False, True))
    for other in (False, True)
)


@dataclass(frozen=True)
class Outcome:
    """What one execution came to: a trap; or a result, as the program sees it, and the resources
    that were changed."""

    trapped: bool
    result: bytes = b""
    changed: tuple[str, ...] = ()


@dataclass
class Finding:
    """An instruction's class, and what shows it."""

    name: str
    privileged: bool
    control: str = ""  # a counter-example, or nothing
    behaviour: str = ""
    unprotected: list[str] = field(default_factory=list)  # U-mode states in which it did not trap

    @property
    def sensitive(self) -> bool:
        """Whether it is control- or behaviour-sensitive."""
        return bool(self.control or self.behaviour)

    @property
    def offends(self) -> bool:
        """Whether it is sensitive, and U-mode executes it: the theorem's premise fails."""
        return self.sensitive and bool(self.unprotected)

    @property
    def classes(self) -> list[str]:
        """Its classes, by name."""
        names = [
            ("privileged", self.privileged),
            ("control-sensitive", bool(self.control)),
            ("behaviour-sensitive", bool(self.behaviour)),
            ("innocuous", not self.sensitive),
        ]
        return [name for name, holds in names if holds]


class Laboratory:
    """A hart to try instructions on. counters: whether they are open to lesser modes. fs: FS of
    mstatus. quirks: QUIRK_* of rvemu.hart.state."""

    def __init__(
        self, isa: str = DEFAULT_ISA, *, counters: bool = False, fs: int = 3, quirks: int = 0
    ) -> None:
        self.extensions = parse_isa(isa)
        self._counters = counters
        self._fs = fs
        self._quirks = quirks
        self._machine = Machine(
            memory=4 << 20, isa=isa_string(self.extensions), engine="reference", pmp=4
        )
        self._hart = self._machine.hart.state
        self._model = ReferenceEngine(self._machine.shared, [self._hart])
        for user in (False, True):
            self._make_tables(user)
        self._starts = {state: self._prepare(state) for state in STATES}

    # --- States ------------------------------------------------------------------------------

    def _make_tables(self, user: bool) -> None:
        """Tables under which the program's memory is elsewhere."""
        root = self._root(user)
        leaf = PTE.V.mask | PTE.R.mask | PTE.W.mask | PTE.X.mask | PTE.A.mask | PTE.D.mask
        leaf |= PTE.U.mask if user else 0
        write = self._machine.write_physical
        write(root + 8 * 2, struct.pack("<Q", (root + 0x1000) >> 2 | PTE.V.mask))
        write(root + 0x1000, struct.pack("<Q", (root + 0x2000) >> 2 | PTE.V.mask))
        for page in (_CODE, _DATA):
            target = page + _ELSEWHERE
            entry = root + 0x2000 + 8 * (page >> 12 & 0x1FF)
            write(entry, struct.pack("<Q", target >> 2 | leaf))

    @staticmethod
    def _root(user: bool) -> int:
        return _TABLES + (0x4000 if user else 0)

    def _prepare(self, state: State) -> bytes:
        """The hart in a state, as bytes to go back to."""
        machine, h = self._machine, self._hart
        machine.reset()
        hart = machine.hart
        hart["pmpaddr0"], hart["pmpcfg0"] = M64, 0x1F
        hart["mstatus"] = self._fs << MSTATUS.FS.low
        hart["mtvec"] = hart["stvec"] = 0x8000_0000
        hart["mcounteren"] = hart["scounteren"] = 7 if self._counters else 0
        if state.moved:
            hart["satp"] = 8 << 60 | self._root(state.priv == U_MODE) >> 12
        if state.other:
            self._change_resources(hart["mstatus"])
        for n in range(32):
            h.f[n] = struct.unpack("<Q", struct.pack("<d", 1.5 + n))[0]
        h.x[_A0], h.x[_A1], h.x[_A2] = _DATA + 64, 0x1234_5678_9ABC, 3
        h.pc = _CODE
        h.owned_levels = 0xFF
        h.quirks = self._quirks
        set_privilege(h, state.priv, 0)
        return self._head()

    def _change_resources(self, status: int) -> None:
        """Resources whose values are nobody's business but the owner's."""
        hart = self._machine.hart
        hart["mstatus"] = status | MSTATUS.SPIE.mask | MSTATUS.SPP.mask | MSTATUS.MPIE.mask
        for name, value in _OTHER:
            if not BY_NAME[name].requires & ~self.extensions:
                hart[name] = value
        self._hart.hartid = 1
        self._hart.mcycle_offset += 1000
        self._hart.minstret_offset += 1000
        self._hart.mhpmcounter[3] = 5

    def _head(self) -> bytes:
        h = self._hart
        return ctypes.string_at(ctypes.addressof(h), Hart._dtlb.offset)

    # --- Experiments -------------------------------------------------------------------------

    def execute(self, raw: int, state: State) -> Outcome:
        """Execute an instruction, given by its bits, from a state."""
        h, machine = self._hart, self._machine
        flush_all(h)
        start = self._starts[state]
        ctypes.memmove(ctypes.addressof(h), start, len(start))
        place = _ELSEWHERE if state.moved else 0
        machine.write_physical(_DATA + place, _CONTENT)
        machine.write_physical(_DATA + _ELSEWHERE - place, bytes(len(_CONTENT)))
        machine.write_physical(_CODE + place, raw.to_bytes(4, "little"))
        machine.shared.time_offset = 100 if state.other else 0
        for context in _WITNESSES:
            h.dtlb_filled[context] = 1
            h.dtlb_log[context * FILL_LOG] = _WITNESS_ENTRY
            h.dtlb[_tag(context)] = _DATA
        before = [getattr(h, name) for name in _RESOURCES]
        h.stop_reason = 0
        self._model.step(h, raw)
        if h.stop_reason == STOP_OWNED:
            return Outcome(True)
        changed = [
            name for name, old in zip(_RESOURCES, before, strict=True) if getattr(h, name) != old
        ]
        if self._head()[_PMP_START:_PMP_END] != start[_PMP_START:_PMP_END]:
            changed.append("PMP")
        if any(h.dtlb[_tag(context)] != _DATA for context in _WITNESSES):
            changed.append("the TLB")
        if h.stop_reason == STOP_WFI:
            changed.append("the hart: it waits")
        registers = b"".join(
            ctypes.string_at(ctypes.addressof(array), 8 * 32) for array in (h.x, h.f)
        )
        own = struct.pack("<QQQ", h.pc, h.fflags, h.frm)
        memory = machine.read_physical(_DATA + place, 4096)
        return Outcome(False, registers + own + memory, tuple(changed))

    def classify(self, name: str, words: list[int]) -> Finding:
        """The class of an instruction, tried with several operands."""
        finding = Finding(name, False)
        for raw in words:
            outcomes = {state: self.execute(raw, state) for state in STATES}
            self._judge(finding, outcomes)
        return finding

    def _judge(self, finding: Finding, outcomes: dict[State, Outcome]) -> None:
        ran = {state: o for state, o in outcomes.items() if not o.trapped}
        users = [state for state in ran if state.priv == U_MODE]
        if not users and ran:
            finding.privileged = True
        finding.unprotected += [str(state) for state in users]
        for state, outcome in ran.items():
            if outcome.changed and not finding.control:
                finding.control = f"in {state}: changes {', '.join(outcome.changed)}"
        first = next(iter(ran), None)
        for state in ran:
            if first is not None and ran[state].result != ran[first].result:
                finding.behaviour = finding.behaviour or f"differs between {first}, and {state}"
        if users:
            finding.privileged = False

    def instructions(self) -> dict[str, list[int]]:
        """What is tried, by name: each instruction with some operands."""
        found: dict[str, list[int]] = {}
        for number, instruction in enumerate(INSTRUCTIONS):
            encoding = instruction.encoding
            if number == ILLEGAL or encoding.operand("csr") is not None:
                continue
            operands = {n: v for n, v in _OPERANDS.items() if encoding.operand(n) is not None}
            raw = encoding.encode(**operands)
            row = row_of(raw, self.extensions)
            if row is not None and row.name == instruction.name:
                found[instruction.name] = [raw]
        csrrw = next(i for i in INSTRUCTIONS if i.name == "csrrw").encoding
        csrrs = next(i for i in INSTRUCTIONS if i.name == "csrrs").encoding
        for csr in CSRS:
            if csr.requires & ~self.extensions:
                continue
            found[f"read {csr.name}"] = [csrrs.encode(rd=_T0, rs1=0, csr=csr.number)]
            if not csr.read_only:
                found[f"write {csr.name}"] = [
                    csrrw.encode(rd=0, rs1=source, csr=csr.number) for source in (_A1, _A2, 0)
                ]
        return found

    def survey(self) -> list[Finding]:
        """All findings."""
        return [self.classify(name, words) for name, words in self.instructions().items()]


@dataclass(frozen=True)
class Subtlety:
    """What the theorem's terms do not settle by themselves: instructions, a setting of the hart in
    which they are sensitive and not privileged, and what VMMs make of it."""

    names: tuple[str, ...]
    setting: str
    meaning: str
    counters: bool = False
    fs: int = 3


SUBTLETIES = (
    Subtlety(
        ("read cycle", "read time", "read instret"),
        "mcounteren and scounteren open the counters to U-mode",
        "their values are a resource, and nothing traps. A VMM that cares withholds counters "
        "(mcounteren = 0), and they trap.",
        counters=True,
    ),
    Subtlety(
        ("fadd.d", "fld", "write fcsr"),
        "FS is not off, and not dirty",
        "mstatus.FS becomes dirty without a trap. It only records that the program's own registers "
        "changed: the VMM looks after each run, and gives its guest's FS the same value.",
        fs=1,
    ),
)


def examine(subtlety: Subtlety, isa: str = DEFAULT_ISA) -> list[Finding]:
    """The findings about its instructions, in its setting."""
    laboratory = Laboratory(isa, counters=subtlety.counters, fs=subtlety.fs)
    words = laboratory.instructions()
    return [laboratory.classify(name, words[name]) for name in subtlety.names if name in words]


# Quirks by the names that users give them.
QUIRKS = {
    "status": QUIRK_STATUS,
    "csr": QUIRK_CSR,
    "xret": QUIRK_XRET,
    "fence": QUIRK_FENCE,
}
