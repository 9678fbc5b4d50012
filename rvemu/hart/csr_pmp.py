"""pmpcfg, pmpaddr and mseccfg.

Where there are PMP entries at all, the CSRs of those beyond pmp_count exist and are read-only zero,
as Spike has it (norm:pmp_csrs_warl_access allows it, and firmware counts entries so). Where there
are none, the CSRs do not exist.
"""

from rvemu.hart.fields import MSECCFG, PMP_TOR, PMPCFG
from rvemu.hart.pmp import pmp_update
from rvemu.hart.state import PMP_MAX, Hart
from rvemu.lang import U1, U2, U6, U8, U64, Static, get

_PMPCFG_WRITABLE = PMPCFG.R.mask | PMPCFG.W.mask | PMPCFG.X.mask | PMPCFG.A.mask | PMPCFG.L.mask
_PMPADDR_WRITABLE = (1 << 54) - 1  # bits 55:2 of an address


def permit_pmp(h: Hart, priv: U2, v: U1) -> U1:  # noqa: ARG001
    if h.pmp_count:
        return 1
    return 0


def _locked(h: Hart, n: U6) -> U1:
    """Whether an entry cannot be written (norm:pmp_l_bit_write_protection), unless RLB is set
    (norm:mseccfg_rlb_op_warl)."""
    if get(h.pmpcfg[n], PMPCFG.L) and not get(h.mseccfg, MSECCFG.RLB):
        return 1
    return 0


# --- pmpcfg ----------------------------------------------------------------------------------


def read_pmpcfg(first: Static[int], h: Hart) -> U64:
    """The configurations of eight entries, from `first` on."""
    value: U64 = 0
    for n in range(8):
        value = value | (h.pmpcfg[first + n] << (8 * n))
    return value


def write_pmpcfg(first: Static[int], h: Hart, value: U64) -> None:
    for n in range(8):
        _write_entry(h, first + n, (value >> (8 * n)) & 0xFF)
    pmp_update(h)


def _write_entry(h: Hart, n: U6, value: U8) -> None:
    """Change one entry's configuration, if it may be."""
    if n >= h.pmp_count or _locked(h, n):
        return
    cfg: U64 = value & _PMPCFG_WRITABLE
    readable = get(cfg, PMPCFG.R)
    writable = get(cfg, PMPCFG.W)
    executable = get(cfg, PMPCFG.X)
    if not get(h.mseccfg, MSECCFG.MML):
        # norm:pmp_rwx_warl: R=0 with W=1 is reserved.
        if writable and not readable:
            cfg = cfg & ~PMPCFG.W.mask
    elif get(cfg, PMPCFG.L) and not get(h.mseccfg, MSECCFG.RLB):
        # norm:mseccfg_mml_X_restrict: no more code for M-mode, alone or shared. (RWX is shared
        # data, and RW=01 shared code.)
        shared_code = writable and not readable
        shared_data = readable and writable and executable
        if (executable or shared_code) and not shared_data:
            return
    h.pmpcfg[n] = cfg


# --- pmpaddr ---------------------------------------------------------------------------------


def read_pmpaddr(n: Static[int], h: Hart) -> U64:
    value: U64 = h.pmpaddr[n]
    return value


def write_pmpaddr(n: Static[int], h: Hart, value: U64) -> None:
    _write_address(h, n, value)


def _write_address(h: Hart, n: U6, value: U64) -> None:
    """A locked entry that ends at its address (TOR) locks the one that it begins at."""
    if n >= h.pmp_count or _locked(h, n):
        return
    if n + 1 < PMP_MAX:
        following = (n + 1) & (PMP_MAX - 1)
        if _locked(h, following) and get(h.pmpcfg[following], PMPCFG.A) == PMP_TOR:
            return
    h.pmpaddr[n] = value & _PMPADDR_WRITABLE
    pmp_update(h)


# --- mseccfg ---------------------------------------------------------------------------------


def write_mseccfg(h: Hart, value: U64) -> None:
    """MML and MMWP stay set once set (norm:mseccfg_mml_sticky, norm:mseccfg_mmwp_op_warl). RLB can
    not be set while an entry is locked (norm:mseccfg_rlb_op_warl)."""
    legal = h.mseccfg | (value & (MSECCFG.MML.mask | MSECCFG.MMWP.mask))
    if get(h.mseccfg, MSECCFG.RLB) or not _any_lock_bit(h):
        legal = (legal & ~MSECCFG.RLB.mask) | (value & MSECCFG.RLB.mask)
    h.mseccfg = legal
    pmp_update(h)


def _any_lock_bit(h: Hart) -> U1:
    """Whether L is set in any entry, be it off."""
    for n in range(h.pmp_count):
        if get(h.pmpcfg[n], PMPCFG.L):
            return 1
    return 0
