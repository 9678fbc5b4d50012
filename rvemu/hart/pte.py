"""What a page-table entry says about an access: the rules of Sv39, Sv48 and Sv57, of Svnapot and
Svpbmt, and of their x4 forms.

Sources: "Virtual Address Translation Process" (norm:sv32algorithm, steps 2 to 9) and "Sv39" in
supervisor.adoc, svnapot.adoc, svpbmt.adoc. Nothing here reads or writes a hart or memory, so the
walk (rvemu.hart.walk) and its explanation (rvemu.hart.explain) go by the same rules.
"""

from enum import IntEnum

from rvemu.hart.exceptions import FETCH, LOAD, STORE
from rvemu.hart.fields import PTE
from rvemu.hart.pmp import LOAD_EXECUTABLE, MANAGE, Kind
from rvemu.lang import U6, U8, U64, get

# What a walk goes by, besides the table: a set of these.
AS_USER = 1  # the access is U-mode's, or VU-mode's; G-stage accesses always are
SUM = 2  # S-mode may load from and store to user pages
MXR = 4  # what is executable may be loaded from
NAPOT = 8  # Svnapot is implemented
PBMT = 16  # Svpbmt is implemented and enabled
ADUE = 32  # A and D are set by the walk, instead of by software (Svadu instead of Svade)


class Verdict(IntEnum):
    """What an entry means for a walk. Those from INVALID on refuse the access: a page fault."""

    LEAF = 0
    POINTER = 1  # to the table of the next level
    UPDATE = 2  # a leaf that allows the access once A (and D) are set
    INVALID = 3  # V=0
    WRITE_ONLY = 4  # R=0 and W=1 is reserved
    RESERVED = 5  # bits 60:54
    MEMORY_TYPE = 6  # PBMT without Svpbmt, or 3
    CONTIGUOUS = 7  # N without Svnapot, on a large page, or of a size that is not defined
    POINTER_RESERVED = 8  # D, A, U, N or PBMT in an entry that is not a leaf
    NO_LEAF = 9  # a pointer at the last level
    MISALIGNED = 10  # a large page whose PPN is not aligned to its size
    SUPERVISOR_PAGE = 11  # U=0, for U-mode
    USER_PAGE = 12  # U=1, for S-mode without SUM, or fetching
    NOT_READABLE = 13
    NOT_WRITABLE = 14
    NOT_EXECUTABLE = 15
    NOT_ACCESSED = 16  # A=0 (Svade)
    NOT_DIRTY = 17  # D=0 (Svade)


_RWX = PTE.R.mask | PTE.W.mask | PTE.X.mask
_UNUSUAL = PTE.RESERVED.mask | PTE.PBMT.mask | PTE.N.mask
_NOT_IN_POINTER = PTE.D.mask | PTE.A.mask | PTE.U.mask | PTE.N.mask | PTE.PBMT.mask

# PPN[3:0] of an entry with N=1: the 64 KiB region of the only size defined.
_NAPOT_64K = 8 << PTE.PPN.low
_NAPOT_SIZE = 15 << PTE.PPN.low

# What each kind of access needs of R, W and X, and what the refusal is called.
_NEEDED = {
    LOAD: PTE.R.mask,
    STORE: PTE.W.mask,
    FETCH: PTE.X.mask,
    LOAD_EXECUTABLE: PTE.X.mask,
    MANAGE: PTE.R.mask,
}
_NEEDED_TABLE = tuple(_NEEDED[kind] for kind in range(5))
_REFUSED_TABLE = tuple(
    {
        PTE.R.mask: int(Verdict.NOT_READABLE),
        PTE.W.mask: int(Verdict.NOT_WRITABLE),
        PTE.X.mask: int(Verdict.NOT_EXECUTABLE),
    }[needed]
    for needed in _NEEDED_TABLE
)
_MXR_TABLE = tuple(PTE.X.mask if kind in (LOAD, MANAGE) else 0 for kind in range(5))
_STATUS_TABLE = tuple(PTE.A.mask | (PTE.D.mask if kind == STORE else 0) for kind in range(5))


def judge(pte: U64, level: U8, access: Kind, rules: U64) -> U8:
    """The verdict on an entry found at a level (0: the last) by a walk for an access, under rules
    (AS_USER...)."""
    if pte & PTE.V.mask == 0:
        return Verdict.INVALID
    if pte & _RWX == 0:
        return _judge_pointer(pte, level)
    if pte & (PTE.R.mask | PTE.W.mask) == PTE.W.mask:
        return Verdict.WRITE_ONLY
    if pte & _UNUSUAL != 0:
        verdict = _judge_unusual(pte, level, rules)
        if verdict != Verdict.LEAF:
            return verdict
    if pte & PTE.PPN.mask & ((1 << ((PTE.PPN.low + 9 * level) & 63)) - 1) != 0:
        return Verdict.MISALIGNED
    if rules & AS_USER != 0:
        if pte & PTE.U.mask == 0:
            return Verdict.SUPERVISOR_PAGE
    elif pte & PTE.U.mask != 0 and (rules & SUM == 0 or access == FETCH):
        return Verdict.USER_PAGE
    sufficient: U64 = _NEEDED_TABLE[access]
    if rules & MXR != 0:
        sufficient = sufficient | _MXR_TABLE[access]
    if pte & sufficient == 0:
        return _REFUSED_TABLE[access]
    if missing_status(pte, access) != 0:
        if rules & ADUE != 0:
            return Verdict.UPDATE
        if pte & PTE.A.mask == 0:
            return Verdict.NOT_ACCESSED
        return Verdict.NOT_DIRTY
    return Verdict.LEAF


def _judge_pointer(pte: U64, level: U8) -> U8:
    """The verdict on an entry with R=W=X=0."""
    if pte & PTE.RESERVED.mask != 0:
        return Verdict.RESERVED
    # norm:Svpbmt_nonleaf_pte_pbmt_must_be_zero, and "the D, A, and U bits are reserved" (Sv39)
    if pte & _NOT_IN_POINTER != 0:
        return Verdict.POINTER_RESERVED
    if level == 0:
        return Verdict.NO_LEAF
    return Verdict.POINTER


def _judge_unusual(pte: U64, level: U8, rules: U64) -> U8:
    """The verdict on bits 63:54 of a leaf; LEAF if there is nothing against them."""
    if pte & PTE.RESERVED.mask != 0:
        return Verdict.RESERVED
    memory_type = get(pte, PTE.PBMT)  # norm:Svpbmt_leaf_pte_pbmt_reserved_3_fault
    if memory_type != 0 and (rules & PBMT == 0 or memory_type == 3):
        return Verdict.MEMORY_TYPE
    napot_64k = rules & NAPOT != 0 and level == 0 and pte & _NAPOT_SIZE == _NAPOT_64K
    if pte & PTE.N.mask != 0 and not napot_64k:  # norm:Svnapot_reserved_encoding_fault
        return Verdict.CONTIGUOUS
    return Verdict.LEAF


def missing_status(pte: U64, access: Kind) -> U64:
    """Which of A and D an access still has to set in a leaf."""
    return ~pte & _STATUS_TABLE[access]


def page_bits(pte: U64, level: U8) -> U6:
    """Log2 of the size in bytes of the page that a leaf maps."""
    if pte & PTE.N.mask != 0:
        return 16
    return (12 + 9 * level) & 63


def leaf_target(pte: U64, level: U8, address: U64) -> U64:
    """Where a leaf maps an address to."""
    rest = low_bits(page_bits(pte, level))
    return (pte & PTE.PPN.mask) << 2 & ~rest | address & rest


def table_of(pte: U64) -> U64:
    """Where the table is that a pointer points to."""
    return (pte & PTE.PPN.mask) << 2


def low_bits(bits: U6) -> U64:
    """That many one bits."""
    return (1 << bits) - 1
