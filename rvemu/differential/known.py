"""Differences from Spike that the specification allows, or where Spike deviates from it.

Each names the rule of the manual that decides. A difference that none of these explains is
reported.
"""

from collections.abc import Callable
from dataclasses import dataclass

from rvemu.hart.csr_view import name_of
from rvemu.hart.fields import MENVCFG, MSTATUS
from rvemu.lang import M64


@dataclass(frozen=True)
class Seen:
    """What differs after an instruction. kind: `register` (what a CSR instruction read, or another
    result), `csr` (what a CSR holds), or `tval` (what a trap reports)."""

    kind: str
    instruction: str
    csr: str  # that was read or written; empty if none
    spike: int
    ours: int
    trapped: str = ""  # the last instruction that trapped


@dataclass(frozen=True)
class Known:
    """An explained difference. rule: the tag of a normative rule of the privileged manual."""

    name: str
    rule: str
    explanation: str
    matches: Callable[[Seen], bool]
    adopt: bool = False  # let rvemu's CSR go on with Spike's value


_SWITCHES = MENVCFG.ADUE.mask | MENVCFG.PBMTE.mask | MENVCFG.STCE.mask
_TRAP_VALUES = {"mtval", "stval", "vstval"}
_TRAP_ADDRESSES = {"mtval2", "htval"}
_COUNTERS = {"cycle", "time", "instret", "mcycle", "minstret"}

KNOWN: tuple[Known, ...] = (
    Known(
        "time-passes-differently",
        "norm:zicntr_rdcycle_op",
        "How fast counters run is up to the implementation.",
        lambda s: s.csr in _COUNTERS,
    ),
    Known(
        "transformed-instruction",
        "norm:H_trap_xtinst",
        "The value written to mtinst or htinst may always be zero, except where a "
        "pseudoinstruction is required. Spike writes zero, rvemu the transformed instruction.",
        lambda s: s.csr in ("mtinst", "htinst") and s.spike == 0 and s.ours & 1 == 1,
    ),
    Known(
        "fiom",
        "norm:menvcfg_fiom_rdonly0_ok",
        "FIOM may be read-only zero only where there is no S-mode or no translation. Spike holds "
        "it at zero all the same.",
        lambda s: s.csr in ("menvcfg", "henvcfg", "senvcfg") and s.spike ^ s.ours == 1,
    ),
    Known(
        "field-comes-back",
        "norm:menvcfg_adue_henvcfg_adue_rdonly0",
        "ADUE, PBMTE and STCE of henvcfg are read-only zero while menvcfg has them off. When they "
        'become writable again, they are unspecified ("CSR Field Modulation"): rvemu\'s are zero, '
        "Spike's are what they were.",
        lambda s: (
            s.csr == "henvcfg"
            and s.spike & _SWITCHES & ~s.ours != 0
            and not (s.spike ^ s.ours) & ~(_SWITCHES | 1)
        ),
        adopt=True,
    ),
    Known(
        "delegation",
        "norm:hedeleg_acc",
        "Bit 18 of hedeleg must be writable, and Spike has it only with Zicfilp or Zicfiss. Bit 0 "
        "need not be where it can't occur, but Spike has it. (norm:medeleg_mideleg_warl: medeleg.)",
        lambda s: s.csr in ("medeleg", "hedeleg") and not (s.spike ^ s.ours) & ~(1 << 18 | 1),
    ),
    Known(
        "cache-block-address",
        "norm:fault_excep_csr",
        "A fault of a cache-block instruction reports the address in rs1. Spike reports that of "
        "the block.",
        lambda s: (
            (s.csr in _TRAP_VALUES and s.spike == s.ours & ~63 & M64)
            or (s.csr in _TRAP_ADDRESSES and s.spike == s.ours & ~15 & M64)
        ),
    ),
    Known(
        "unsupported-mode",
        "norm:vsatp_mode_unsupported_v0",
        "At V=0, a write of an unsupported MODE to vsatp is either ignored, as rvemu does, or the "
        "other fields are written, as Spike does.",
        lambda s: s.kind == "csr" and s.csr == "vsatp" and "vsatp" in s.instruction,
        adopt=True,
    ),
    Known(
        "gva-with-mprv",
        "norm:mstatus_gva_op",
        "GVA is set for any trap that writes a guest virtual address to mtval. For access faults "
        "of atomics and cache-block instructions, Spike asks the current V, not that of the "
        "access, which MPRV sets.",
        lambda s: (
            s.csr == "mstatus"
            and s.ours ^ s.spike == s.ours & MSTATUS.GVA.mask != 0
            and s.trapped.startswith(("lr.", "sc.", "amo", "cbo."))
        ),
        adopt=True,
    ),
    Known(
        "guest-external-interrupts",
        "norm:geilen",
        "GEILEN is unspecified, and may be zero, as Spike's is.",
        lambda s: s.csr in ("hgeie", "hgeip"),
    ),
)


def explain(seen: Seen) -> Known | None:
    """The entry that explains a difference."""
    return next((known for known in KNOWN if known.matches(seen)), None)


def csr_of(bits: int) -> str:
    """The name of the CSR that an instruction accesses; empty for another instruction."""
    if bits & 0x7F == 0x73 and bits >> 12 & 3:
        return name_of(bits >> 20)
    return ""
