"""CSRs of trap handling: vectors, return addresses, delegation."""

from rvemu.hart.counters import request_poll
from rvemu.hart.csr_status import GEILEN
from rvemu.hart.exceptions import Cause
from rvemu.hart.extensions import Ext
from rvemu.hart.fields import MIP, TVEC
from rvemu.hart.state import Hart
from rvemu.lang import U64, Static

# --- mtvec, stvec, vstvec; mepc, sepc, vsepc -------------------------------------------------


def write_tvec(name: Static[str], h: Hart, value: U64) -> None:
    """Modes 2 and 3 are reserved: only the lower bit of MODE is there."""
    setattr(h, name, value & (TVEC.BASE.mask | 1))


def read_epc(name: Static[str], h: Hart) -> U64:
    """Where IALIGN is 32, bit 1 is masked when read, and comes back with C
    (norm:mepc_bit1_dyn_ialign_op)."""
    value: U64 = getattr(h, name) & ~h.pc_align_mask
    return value


def write_epc(name: Static[str], h: Hart, value: U64) -> None:
    """Bit 0 is always 0."""
    setattr(h, name, value & ~1)


# --- medeleg, hedeleg ------------------------------------------------------------------------


def _bits(*causes: int) -> int:
    return sum(1 << cause for cause in causes)


_MISALIGNED_TARGET = 1 << Cause.INSTRUCTION_ADDRESS_MISALIGNED
_SOFTWARE_CHECK, _HARDWARE_ERROR = 18, 19  # never raised, but delegable

# Of the table "Bits of hedeleg that must be writable".
_HEDELEG = _bits(
    Cause.INSTRUCTION_ACCESS_FAULT,
    Cause.ILLEGAL_INSTRUCTION,
    Cause.BREAKPOINT,
    Cause.LOAD_ADDRESS_MISALIGNED,
    Cause.LOAD_ACCESS_FAULT,
    Cause.STORE_ADDRESS_MISALIGNED,
    Cause.STORE_ACCESS_FAULT,
    Cause.ECALL_FROM_U,
    Cause.INSTRUCTION_PAGE_FAULT,
    Cause.LOAD_PAGE_FAULT,
    Cause.STORE_PAGE_FAULT,
    _SOFTWARE_CHECK,
    _HARDWARE_ERROR,
)
_MEDELEG = _HEDELEG | _bits(Cause.ECALL_FROM_S)
_MEDELEG_GUEST = _bits(
    Cause.ECALL_FROM_VS,
    Cause.INSTRUCTION_GUEST_PAGE_FAULT,
    Cause.LOAD_GUEST_PAGE_FAULT,
    Cause.VIRTUAL_INSTRUCTION,
    Cause.STORE_GUEST_PAGE_FAULT,
)


def write_medeleg(h: Hart, value: U64) -> None:
    """What can never occur is read-only zero (norm:medeleg_when_rd0): misaligned jump targets where
    there are compressed instructions, and guests' exceptions without H."""
    mask: U64 = _MEDELEG
    if h.pc_align_mask:
        mask = mask | _MISALIGNED_TARGET
    if h.extensions & Ext.H:
        mask = mask | _MEDELEG_GUEST
    h.medeleg = value & mask


def write_hedeleg(h: Hart, value: U64) -> None:
    mask: U64 = _HEDELEG
    if h.pc_align_mask:
        mask = mask | _MISALIGNED_TARGET
    h.hedeleg = value & mask


# --- mideleg, hideleg ------------------------------------------------------------------------

VS_INTERRUPTS = MIP.VSSIP.mask | MIP.VSTIP.mask | MIP.VSEIP.mask

_S_INTERRUPTS = MIP.SSIP.mask | MIP.STIP.mask | MIP.SEIP.mask

# norm:mideleg_acc_h: delegated to HS-mode always.
_ALWAYS_DELEGATED = VS_INTERRUPTS | (MIP.SGEIP.mask if GEILEN else 0)


def write_mideleg(h: Hart, value: U64) -> None:
    delegated = value & _S_INTERRUPTS
    if h.extensions & Ext.H:
        delegated = delegated | _ALWAYS_DELEGATED
    h.mideleg = delegated
    request_poll(h)


def write_hideleg(h: Hart, value: U64) -> None:
    """norm:hideleg_acc"""
    h.hideleg = value & VS_INTERRUPTS
    request_poll(h)
