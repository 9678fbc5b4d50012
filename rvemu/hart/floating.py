"""Floating-point state: rounding modes, exception flags, and whether it is in use (mstatus.FS).

`h.fp_fast` is derived from mstatus, vsstatus, V, fflags and frm. It answers in one test what the
straight path of a floating-point instruction must know, so whatever changes one of those five
calls `update_fp_fast`. Zero is always a right value: then every instruction takes its slow path,
which looks at the state itself.

Sources: "Floating-Point Control and Status Register" (f-st-ext.adoc), "Extension Context Status in
mstatus" (machine.adoc), norm:vsstatus_fs_op (hypervisor.adoc).
"""

from rvemu.hart.exceptions import illegal_instruction
from rvemu.hart.fields import FFLAGS, FS_DIRTY, FS_OFF, MSTATUS, SSTATUS
from rvemu.hart.state import Hart
from rvemu.lang import U1, U3, U5, U64, cold, get, put

# Rounding modes, in an instruction's rm field and in frm (norm:dyn_round_enc). 5 and 6 are
# reserved, and so is 7 in frm.
RNE, RTZ, RDN, RUP, RMM, DYN = 0, 1, 2, 3, 4, 7

# Accrued exceptions: inexact, underflow, overflow, division by zero, invalid operation.
NX, UF, OF, DZ, NV = (
    FFLAGS.NX.mask,
    FFLAGS.UF.mask,
    FFLAGS.OF.mask,
    FFLAGS.DZ.mask,
    FFLAGS.NV.mask,
)

# Bits of h.fp_fast. The first three are rows of eight bits, one for each value of an rm field:
#     (h.fp_fast >> (FAST_LEGAL + rm)) & 1

# The registers are writable as they are (FS is dirty), rm means round-to-nearest-even, and NX is
# set. The host's unit rounds so; and it need not be asked whether it was exact.
FAST_NEAREST = 0
# FS is not off, rm means round-toward-zero, and NX is set.
FAST_TRUNCATE = 8
# The registers are writable, and rm is legal: for operations that are exact.
FAST_LEGAL = 16
# FS is not off: what floating-point instructions that write no floating-point register need.
FAST_ON = 1 << 24
# The registers are writable.
FAST_WRITABLE = 1 << 25


def fp_is_on(h: Hart) -> U1:
    """Whether floating-point instructions are enabled. At V=1 both mstatus.FS and vsstatus.FS
    count (norm:vsstatus_fs_op)."""
    on = get(h.mstatus, MSTATUS.FS) != FS_OFF
    if h.v:
        return int(on and get(h.vsstatus, SSTATUS.FS) != FS_OFF)
    return int(on)


def fp_is_dirty(h: Hart) -> U1:
    """Whether a change of floating-point state leaves mstatus and vsstatus as they are."""
    dirty = get(h.mstatus, MSTATUS.FS) == FS_DIRTY
    if h.v:
        return int(dirty and get(h.vsstatus, SSTATUS.FS) == FS_DIRTY)
    return int(dirty)


def update_fp_fast(h: Hart) -> None:
    """Derive h.fp_fast anew. To be called after any change of mstatus, vsstatus, V, fflags, frm."""
    fast: U64 = 0
    if fp_is_on(h):
        fast = FAST_ON
        inexact = get(h.fflags, FFLAGS.NX)
        if inexact:
            fast = fast | (1 << (FAST_TRUNCATE + RTZ))
            if h.frm == RTZ:
                fast = fast | (1 << (FAST_TRUNCATE + DYN))
        if fp_is_dirty(h):
            fast = fast | FAST_WRITABLE | (0b0001_1111 << FAST_LEGAL)
            if h.frm <= RMM:
                fast = fast | (1 << (FAST_LEGAL + DYN))
            if inexact:
                fast = fast | (1 << (FAST_NEAREST + RNE))
                if h.frm == RNE:
                    fast = fast | (1 << (FAST_NEAREST + DYN))
    h.fp_fast = fast


@cold
def check_fp(h: Hart) -> None:
    """Raise the exception of a floating-point instruction or CSR where FS is off."""
    if not fp_is_on(h):
        raise illegal_instruction(h)


@cold
def mark_fp_dirty(h: Hart) -> None:
    """Note that a floating-point register or fcsr changes: FS becomes dirty, and at V=1 that of
    vsstatus as well (norm:vsstatus_fs_op). FS is not off."""
    h.mstatus = put(h.mstatus, MSTATUS.FS, FS_DIRTY)
    if h.v:
        h.vsstatus = put(h.vsstatus, SSTATUS.FS, FS_DIRTY)
    update_fp_fast(h)


@cold
def raise_flags(h: Hart, flags: U5) -> None:
    """Accrue exceptions in fflags."""
    if flags & ~h.fflags:
        h.fflags = h.fflags | flags
        mark_fp_dirty(h)


@cold
def rounding_mode(h: Hart, rm: U3) -> U3:
    """The rounding mode that an instruction's rm field means. Reserved ones are illegal, which is
    what software has come to rely on (norm:roundingmode_rsv leaves it open)."""
    mode: U64 = rm
    if rm == DYN:
        mode = h.frm
    if mode > RMM:
        raise illegal_instruction(h)
    return mode & 7
