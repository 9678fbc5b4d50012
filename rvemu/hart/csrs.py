"""Access to CSRs by number, as the CSR instructions make it.

One rule decides what an access that is not allowed raises: a virtual-instruction exception if the
same access would be allowed in HS-mode, else an illegal-instruction exception
(norm:H_cause_virtual_instruction). Only that FS is off is always illegal
(norm:H_illegalinst_xstatus_fs_vs).
"""

from rvemu.hart.csr_interrupt import software_mip
from rvemu.hart.csr_row import read_zero, write_nothing
from rvemu.hart.csr_table import BY_NAME, BY_NUMBER, CSRS
from rvemu.hart.exceptions import illegal_instruction, virtual_instruction
from rvemu.hart.extensions import Ext
from rvemu.hart.floating import check_fp
from rvemu.hart.state import QUIRK_CSR, QUIRK_STATUS, S_MODE, U_MODE, Hart
from rvemu.lang import U1, U2, U12, U64, Static, Switch

_READ_ONLY = 3  # bits 11:10
_HS_LEVEL = 2  # bits 9:8 of CSRs that HS-mode may access and VS-mode may not

# By number: the extensions that it needs; 0 where there is no CSR.
_REQUIRES = tuple(BY_NUMBER[n].requires if n in BY_NUMBER else 0 for n in range(4096))

# By the low byte of an S-level number: what to add to reach the VS CSR that takes its place at V=1
# (norm:H_vscsrs_sub).
_SUBSTITUTE = tuple(
    0x100 if 0x100 + n in BY_NUMBER and 0x200 + n in BY_NUMBER else 0 for n in range(256)
)

_MIP = BY_NAME["mip"].number
_MSTATUS = BY_NAME["mstatus"].number


def _permit_all(h: Hart, priv: U2, v: U1) -> U1:  # noqa: ARG001
    return 1


_PERMIT = Switch({c.number: c.permit for c in CSRS if c.permit is not None}, _permit_all)
_READ = Switch({c.number: c.read for c in CSRS}, read_zero)
_WRITE = Switch({c.number: c.write for c in CSRS if c.write is not None}, write_nothing)


def _permitted(h: Hart, number: U12, write: Static[int], priv: U2, v: U1) -> U1:
    """Whether an access is allowed in a mode."""
    required = _REQUIRES[number]
    if required == 0 or h.extensions & required != required:
        return 0
    if write and number >> 10 == _READ_ONLY:
        return 0
    level: U64 = priv
    if priv == S_MODE and not v:
        level = _HS_LEVEL
    if (number >> 8) & 3 > level:
        return 0
    permitted: U1 = _PERMIT(number, h, priv, v)
    return permitted


def _quirky(h: Hart, number: U12) -> U1:
    """Whether the hart's quirks let U-mode access a CSR of a higher level without a trap."""
    if h.quirks == 0 or h.priv != U_MODE or number >> 8 & 3 == 0:
        return 0
    if h.extensions & _REQUIRES[number] != _REQUIRES[number] or _REQUIRES[number] == 0:
        return 0
    if h.quirks & QUIRK_CSR:
        return 1
    # 0x300 is mstatus, 0x100 its view sstatus.
    return int(h.quirks & QUIRK_STATUS != 0 and number | 0x200 == _MSTATUS)


def csr_check(h: Hart, number: U12, write: Static[int]) -> None:
    """Raise the exception of a read (write=0) or write (1) of a CSR, if it is not allowed."""
    if not _permitted(h, number, write, h.priv, h.v):
        if _quirky(h, number):
            return
        if h.v and _permitted(h, number, write, S_MODE, 0):
            raise virtual_instruction(h)
        raise illegal_instruction(h)
    if _REQUIRES[number] & Ext.F:
        check_fp(h)


def _effective(h: Hart, number: U12) -> U64:
    """The number of the CSR that an allowed access reaches."""
    if h.v and number >> 8 == 1:
        return number + _SUBSTITUTE[number & 0xFF]
    return number


def csr_read(h: Hart, number: U12) -> U64:
    """The value of a CSR. Has no side effects."""
    csr_check(h, number, 0)
    value: U64 = _READ(_effective(h, number), h)
    return value


def csr_write(h: Hart, number: U12, value: U64) -> None:
    """Write a CSR: each field takes a legal value, and what depends on it follows."""
    csr_check(h, number, 1)
    if _quirky(h, number):
        return
    _WRITE(_effective(h, number), h, value)


def csr_to_modify(h: Hart, number: U12, value: U64) -> U64:
    """What csrrs and csrrc set or clear bits of, after reading `value`. It differs in mip alone:
    a device's SEIP is read, but is not written back as software's."""
    if number == _MIP:
        return software_mip(h, value)
    return value
