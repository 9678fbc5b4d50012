"""Physical memory protection, with Smepmp. Sources: "Physical Memory Protection" in machine.adoc;
smepmp.adoc.

The granularity is 4 bytes (G=0). Permissions are sets of three bits: R=1, W=2, X=4, as in pmpcfg.
"""

from typing import Annotated

from rvemu.hart.fields import MSECCFG, PMP_NA4, PMP_NAPOT, PMP_TOR, PMPCFG
from rvemu.hart.state import M_MODE, PMP_MAX, Hart
from rvemu.hart.tlb import flush_all
from rvemu.lang import M64, U1, U2, U4, U6, U7, U8, U64, Range, get, u64

# Kinds of access that are checked: LOAD, STORE and FETCH, which faults are reported as, and two
# that differ from how they are reported.
LOAD_EXECUTABLE = 3  # HLVX: a load of what must be executable
MANAGE = 4  # cbo.clean, cbo.flush, cbo.inval: of what may be loaded from or stored to
Kind = Annotated[int, Range(0, 4)]

R, W, X = PMPCFG.R.mask, PMPCFG.W.mask, PMPCFG.X.mask

# What each kind of access needs. (HLVX needs R as well as X: norm:hlsv_u_op. Whatever may be
# written may be read, so R is all that cache-block management needs.)
_NEEDED = (R, W, X, R | X, R)

# What an entry grants while mseccfg.MML is set, by its L, X, W and R bits (from bit 3 down), in
# M-mode and in the others: the table of norm:mml_truth_table.
_MML_MACHINE = (0, 0, R | W, 0, 0, 0, R | W, 0, 0, R, X, R | W, X, R | X, R | X, R)
_MML_OTHERS = (0, R, R, R | W, X, R | X, R | W, R | W | X, 0, 0, X, 0, 0, 0, X, R)

# In place of a permission: the page is not all of one permission.
CUT = 8


def pmp_update(h: Hart) -> None:
    """Bring what is derived from pmpcfg and pmpaddr up to date: to be called after any change of
    them, or of mseccfg."""
    h.pmp_active = 0
    for n in range(h.pmp_count):
        _update_entry(h, n)
    h.pmp_updates = u64(h.pmp_updates + 1)
    flush_all(h)


def _update_entry(h: Hart, n: U6) -> None:
    """Set the first and the last byte that an entry matches (a last before the first: none)."""
    mode = get(h.pmpcfg[n], PMPCFG.A)
    address = h.pmpaddr[n]
    low: U64 = M64
    high: U64 = 0
    if mode == PMP_TOR:
        bottom: U64 = 0
        if n > 0:
            bottom = h.pmpaddr[(n - 1) & (PMP_MAX - 1)]
        if bottom < address:
            low = u64(bottom << 2)
            high = u64((address << 2) - 1)
    elif mode == PMP_NA4:
        low = u64(address << 2)
        high = low | 3
    elif mode == PMP_NAPOT:
        # The lowest zero bit and the ones below it are the size: 8 bytes where it is bit 0.
        mask = u64(address ^ (address + 1))
        low = u64((address & ~mask) << 2)
        high = u64(low | (mask << 2) | 3)
    h.pmp_low[n] = low
    h.pmp_high[n] = high
    if low <= high:
        h.pmp_active = n + 1


def pmp_granted(cfg: U8, priv: U2, mml: U1) -> U4:
    """What an entry grants a privilege mode where it matches; cfg: its byte of pmpcfg."""
    if mml:
        index = (cfg & 7) | get(cfg, PMPCFG.L) << 3
        if priv == M_MODE:
            return _MML_MACHINE[index]
        return _MML_OTHERS[index]
    if priv == M_MODE and get(cfg, PMPCFG.L) == 0:
        return R | W | X
    return cfg & 7


def _granted_unmatched(h: Hart, priv: U2) -> U4:
    """What is granted where no entry matches (norm:pmp_no_entry_match, mseccfg.MMWP and MML)."""
    if h.pmp_count == 0:
        return R | W | X
    if priv != M_MODE or get(h.mseccfg, MSECCFG.MMWP) != 0:
        return 0
    if get(h.mseccfg, MSECCFG.MML) != 0:
        return R | W
    return R | W | X


def pmp_match(h: Hart, physical: U64, size: U64) -> U7:
    """The first entry that matches any of `size` bytes at a physical address; PMP_MAX: none."""
    last = u64(physical + size - 1)
    for n in range(h.pmp_active):
        if physical <= h.pmp_high[n] and h.pmp_low[n] <= last:
            return n
    return PMP_MAX


def pmp_permissions(h: Hart, physical: U64, size: U64, priv: U2) -> U4:
    """What a privilege mode may do with `size` bytes at a physical address, as one operation; CUT
    if the first entry that matches any of the bytes does not match all of them (then the
    operation fails: norm:pmp_full_match_required)."""
    n = pmp_match(h, physical, size)
    if n == PMP_MAX:
        return _granted_unmatched(h, priv)
    entry = n & (PMP_MAX - 1)
    if physical < h.pmp_low[entry] or h.pmp_high[entry] < u64(physical + size - 1):
        return CUT
    return pmp_granted(h.pmpcfg[entry], priv, get(h.mseccfg, MSECCFG.MML))


def pmp_page_permissions(h: Hart, physical: U64, priv: U2) -> U4:
    """The same for the whole 4 KiB page that an address lies in; CUT if the page's parts differ,
    or may differ: then a TLB must not hold it."""
    return pmp_permissions(h, physical & ~0xFFF, 4096, priv)


def pmp_suffices(granted: U4, access: Kind) -> U1:
    """Whether permissions allow an access. (CUT allows none.)"""
    needed = _NEEDED[access]
    if granted & needed == needed:
        return 1
    return 0


def pmp_allows(h: Hart, physical: U64, size: U64, access: Kind, priv: U2) -> U1:
    """Whether a privilege mode may make an access of `size` bytes at a physical address."""
    return pmp_suffices(pmp_permissions(h, physical, size, priv), access)
