"""A page walk, explained: each table entry that was read, in both stages, and what refused the
access. For people and debuggers; the walk itself is rvemu.hart.walk, watched and without effect.

    print(explain(h, 0x1000, STORE))
"""

from dataclasses import dataclass, field

from rvemu.hart.exceptions import FETCH, LOAD, STORE
from rvemu.hart.fields import (
    HGATP,
    MODE_BARE,
    MODE_SV39,
    MODE_SV48,
    MODE_SV57,
    PMP_NA4,
    PMP_NAPOT,
    PMP_TOR,
    PMPCFG,
    PTE,
    SATP,
)
from rvemu.hart.pmp import (
    CUT,
    LOAD_EXECUTABLE,
    MANAGE,
    pmp_allows,
    pmp_match,
    pmp_permissions,
)
from rvemu.hart.pte import Verdict, leaf_target, page_bits, table_of
from rvemu.hart.regions import find_region
from rvemu.hart.state import M_MODE, PMP_MAX, S_MODE, Hart
from rvemu.hart.walk import (
    ACCESS_FAULT,
    BARE,
    GUEST_PAGE_FAULT,
    OK,
    PAGE_BITS,
    PAGE_FAULT,
    STAGE_G,
    STAGE_S,
    STAGE_VS,
    WRITE_TABLE,
    root_of,
    translate_stages,
)
from rvemu.lang import get

ACCESS_NAMES = {
    LOAD: "load",
    STORE: "store",
    FETCH: "fetch",
    LOAD_EXECUTABLE: "load of instructions (HLVX)",
    MANAGE: "cache-block management",
}
_FAULT_NAMES = {
    LOAD: "load",
    STORE: "store/AMO",
    FETCH: "instruction",
    LOAD_EXECUTABLE: "load",
    MANAGE: "store/AMO",
}
_STAGE_REGISTERS = {STAGE_S: "satp", STAGE_VS: "vsatp", STAGE_G: "hgatp"}
_MODE_NAMES = {MODE_BARE: "Bare", MODE_SV39: "Sv39", MODE_SV48: "Sv48", MODE_SV57: "Sv57"}
_PMP_MODES = {PMP_TOR: "TOR", PMP_NA4: "NA4", PMP_NAPOT: "NAPOT"}

REASONS = {
    Verdict.INVALID: "V=0: the entry is not valid",
    Verdict.WRITE_ONLY: "W=1 with R=0 is reserved",
    Verdict.RESERVED: "one of the reserved bits 60:54 is set",
    Verdict.MEMORY_TYPE: "PBMT is 3, or set while Svpbmt is not enabled for this stage",
    Verdict.CONTIGUOUS: "N=1, but not a 64 KiB NAPOT leaf at the last level (or no Svnapot)",
    Verdict.POINTER_RESERVED: "D, A, U, N or PBMT is set in an entry that is not a leaf",
    Verdict.NO_LEAF: "R=W=X=0 at the last level: a pointer, but there is no further level",
    Verdict.MISALIGNED: "a large page whose PPN is not aligned to its size",
    Verdict.SUPERVISOR_PAGE: "U=0: the page is not accessible from U-mode",
    Verdict.USER_PAGE: "U=1: S-mode never executes user pages, and accesses them only with SUM=1",
    Verdict.NOT_READABLE: "R=0: the page is not readable (nor executable with MXR=1)",
    Verdict.NOT_WRITABLE: "W=0: the page is not writable",
    Verdict.NOT_EXECUTABLE: "X=0: the page is not executable",
    Verdict.NOT_ACCESSED: "A=0, and hardware does not set it (ADUE=0)",
    Verdict.NOT_DIRTY: "D=0, and hardware does not set it (ADUE=0)",
}


@dataclass(frozen=True)
class Step:
    """One table entry that the walk read."""

    stage: int  # STAGE_S, STAGE_VS, STAGE_G
    level: int  # 0 is the last
    entry: int  # the entry's address: guest-physical in STAGE_VS
    physical: int  # the entry's physical address
    pte: int
    verdict: Verdict

    @property
    def flags(self) -> str:
        """The entry's low bits by letter, as in `VR-X--A-`."""
        names = ("V", "R", "W", "X", "U", "G", "A", "D")
        return "".join(n if self.pte & getattr(PTE, n).mask else "-" for n in names)

    def describe(self) -> str:
        """The entry and what it means, in one line."""
        where = f"{self.entry:#x}"
        if self.physical != self.entry:
            where += f" (at {self.physical:#x})"
        extra = ""
        if self.pte & PTE.N.mask:
            extra += " N"
        if get(self.pte, PTE.PBMT):
            extra += f" PBMT={get(self.pte, PTE.PBMT)}"
        line = f"level {self.level}: [{where}] = {self.pte:#018x} {self.flags}{extra}"
        if self.verdict == Verdict.POINTER:
            return f"{line} -> table {table_of(self.pte):#x}"
        if self.verdict in REASONS:
            return f"{line} REFUSED: {REASONS[self.verdict]}"
        bits = page_bits(self.pte, self.level)
        line += f" -> {size_name(bits)} page {leaf_target(self.pte, self.level, 0):#x}"
        if self.verdict == Verdict.UPDATE:
            line += ", A or D to be set by hardware (ADUE=1)"
        return line


@dataclass(frozen=True)
class Walk:
    """How an address is translated for an access, or why it is not."""

    address: int
    access: int  # LOAD, STORE, FETCH, LOAD_EXECUTABLE, MANAGE
    priv: int
    v: int
    outcome: int  # OK, PAGE_FAULT, ACCESS_FAULT, GUEST_PAGE_FAULT of rvemu.hart.walk
    physical: int | None  # where it leads to, if it does
    guest_physical: int | None  # at V=1: what the first stage gave, or what the second refused
    page_bits: int  # log2 of the first stage's page size
    steps: list[Step] = field(repr=False)
    lines: list[str] = field(repr=False)

    @property
    def refused(self) -> Step | None:
        """The entry that refused the access, if one did."""
        if self.steps and self.steps[-1].verdict in REASONS:
            return self.steps[-1]
        return None

    def __str__(self) -> str:
        return "\n".join(self.lines)


def explain(
    h: Hart, address: int, access: int, priv: int | None = None, v: int | None = None
) -> Walk:
    """The walk that an access of one byte makes now; without effect on hart and memory.

    access: LOAD, STORE or FETCH of rvemu.hart.exceptions, LOAD_EXECUTABLE or MANAGE of
    rvemu.hart.pmp. priv, v: the effective privilege; where not given, the hart's own, for loads
    and stores with MPRV."""
    if priv is None:
        priv = h.priv if access == FETCH else h.data_priv
    if v is None:
        v = h.v if access == FETCH else h.data_v
    if priv == M_MODE:
        v = 0
    steps: list[Step] = []

    def watch(
        _: Hart, stage: int, level: int, entry: int, physical: int, pte: int, verdict: int
    ) -> None:
        steps.append(Step(stage, level, entry, physical, pte, Verdict(verdict)))

    outcome, found, extra = translate_stages(h, address, access, priv, v, watch)
    writer = _Writer(h, address, access, priv, v, steps)
    writer.write(outcome, found, extra)
    guest_physical = writer.guest_physical
    if outcome == GUEST_PAGE_FAULT:
        guest_physical = found
    return Walk(
        address,
        access,
        priv,
        v,
        outcome,
        found if outcome == OK else None,
        guest_physical,
        extra & PAGE_BITS if outcome == OK else BARE & PAGE_BITS,
        steps,
        writer.lines,
    )


def describe_stage(h: Hart, stage: int) -> str:
    """What a stage's register says: `satp: Sv39, ASID 6, root table 0x8020e000`."""
    register, root = _STAGE_REGISTERS[stage], root_of(h, stage)
    mode = get(root, SATP.MODE)
    if mode == MODE_BARE:
        return f"{register}: Bare, not translated"
    name = _MODE_NAMES.get(mode, f"reserved mode {mode}")
    space = f"ASID {get(root, SATP.ASID)}"
    if stage == STAGE_G:
        name, space = f"{name}x4", f"VMID {get(root, HGATP.VMID)}"
    return f"{register}: {name}, {space}, root table {get(root, SATP.PPN) << 12:#x}"


def describe_space(h: Hart) -> list[str]:
    """The stages of translation of a hart's current mode; none in M-mode."""
    if h.priv == M_MODE:
        return []
    if h.v:
        return [describe_stage(h, STAGE_VS), describe_stage(h, STAGE_G)]
    return [describe_stage(h, STAGE_S)]


class _Writer:
    """Makes lines of a walk's steps."""

    def __init__(
        self, h: Hart, address: int, access: int, priv: int, v: int, steps: list[Step]
    ) -> None:
        self.h = h
        self.address = address
        self.access = access
        self.priv = priv
        self.v = v
        self.steps = steps
        self.lines: list[str] = []
        self.guest_physical: int | None = None

    def write(self, outcome: int, found: int, extra: int) -> None:
        access = ACCESS_NAMES[self.access]
        self.lines.append(f"{access} at {self.address:#x} in {mode_name(self.priv, self.v)}")
        if self.priv == M_MODE:
            self.lines.append("M-mode: not translated")
        else:
            self._write_steps()
        fault = _FAULT_NAMES[self.access]
        if outcome == OK:
            self._write_physical(found)
        elif outcome == PAGE_FAULT:
            if not any(s.stage != STAGE_G for s in self.steps):
                self.lines.append("  REFUSED: the address is not canonical: its high bits differ")
            self.lines.append(f"=> {fault} page fault, xtval {self.address:#x}")
        elif outcome == GUEST_PAGE_FAULT:
            if not self.steps or self.steps[-1].verdict not in REASONS:
                self.lines.append(f"  REFUSED: guest-physical {found:#x} is too wide for hgatp")
            note = f", while a VS-stage table was accessed, xtinst {extra:#x}" if extra else ""
            if extra == WRITE_TABLE:
                note += " (to set A or D)"
            values = f"xtval {self.address:#x}, xtval2 {found >> 2:#x}"
            self.lines.append(f"=> {fault} guest-page fault, {values}{note}")
        elif outcome == ACCESS_FAULT:
            self.lines.append(f"  REFUSED: table entry at {found:#x}: {self._why(found, 8)}")
            self.lines.append(f"=> {fault} access fault, xtval {self.address:#x}")

    def _write_steps(self) -> None:
        first = STAGE_VS if self.v else STAGE_S
        self._head(first)
        if self.v:
            self._head(STAGE_G)
            if get(root_of(self.h, STAGE_VS), SATP.MODE) == MODE_BARE:
                self.guest_physical = self.address
        previous: Step | None = None
        for i, step in enumerate(self.steps):
            if step.stage != STAGE_G:
                self.lines.append("  " + step.describe())
                if self.v and step.verdict in (Verdict.LEAF, Verdict.UPDATE):
                    self.guest_physical = leaf_target(step.pte, step.level, self.address)
            else:
                if previous is None or previous.stage != STAGE_G or previous.level <= step.level:
                    self.lines.append(f"    G stage of {self._purpose(i, previous)}")
                self.lines.append("      " + step.describe())
            previous = step

    def _purpose(self, start: int, previous: Step | None) -> str:
        """What a run of G-stage steps is for."""
        following = [s for s in self.steps[start:] if s.stage == STAGE_VS]
        if following:
            return f"the table entry at {following[0].entry:#x}"
        if (
            previous is not None
            and previous.stage == STAGE_VS
            and previous.verdict == Verdict.UPDATE
        ):
            return f"a write to the table entry at {previous.entry:#x}"
        if self.guest_physical is None:
            return "a table entry"
        return f"guest-physical {self.guest_physical:#x}"

    def _head(self, stage: int) -> None:
        self.lines.append(describe_stage(self.h, stage))

    def _write_physical(self, physical: int) -> None:
        h = self.h
        where = "memory" if find_region(h, physical, 1) else "no memory (a device, or nothing)"
        if pmp_allows(h, physical, 1, self.access, self.priv):
            self.lines.append(f"=> physical {physical:#x}, {where}; {self._pmp(physical, 1)}")
        else:
            self.lines.append(f"  REFUSED: physical {physical:#x}: {self._pmp(physical, 1)}")
            fault = _FAULT_NAMES[self.access]
            self.lines.append(f"=> {fault} access fault, xtval {self.address:#x}")

    def _why(self, physical: int, size: int) -> str:
        """Why a table entry can't be accessed."""
        if not find_region(self.h, physical, size):
            return "there is no memory"
        return f"{self._pmp(physical, size, S_MODE)}, or memory is read-only"

    def _pmp(self, physical: int, size: int, priv: int | None = None) -> str:
        """What PMP says about an address."""
        h = self.h
        if h.pmp_count == 0:
            return "no PMP"
        granted = pmp_permissions(h, physical, size, self.priv if priv is None else priv)
        if granted == CUT:
            allows = "matches only a part"
        else:
            allows = "allows " + ("".join("RWX"[i] for i in range(3) if granted >> i & 1) or "none")
        n = pmp_match(h, physical, size)
        if n == PMP_MAX:
            return f"no PMP entry matches, which {allows}"
        mode = _PMP_MODES[get(h.pmpcfg[n], PMPCFG.A)]
        return f"PMP entry {n} ({mode} {h.pmp_low[n]:#x}..{h.pmp_high[n]:#x}) {allows}"


def mode_name(priv: int, v: int) -> str:
    """A privilege mode's name: M, S (HS), U, VS, VU."""
    if priv == M_MODE:
        return "M-mode"
    return ("V" if v else "") + ("S" if priv == S_MODE else "U") + "-mode"


def size_name(bits: int) -> str:
    """A page size, by its log2, as in `2 MiB`."""
    for unit, name in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if bits >= unit:
            return f"{1 << (bits - unit)} {name}"
    return f"{1 << bits} bytes"
