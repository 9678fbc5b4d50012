"""fflags, frm and fcsr. That FS is not off has been checked."""

from rvemu.hart.fields import FCSR
from rvemu.hart.floating import mark_fp_dirty
from rvemu.hart.state import Hart
from rvemu.lang import U64, get


def write_fflags(h: Hart, value: U64) -> None:
    h.fflags = value & 31
    mark_fp_dirty(h)


def write_frm(h: Hart, value: U64) -> None:
    """Reserved rounding modes are held; instructions refuse them (norm:roundingmode_rsv)."""
    h.frm = value & 7
    mark_fp_dirty(h)


def read_fcsr(h: Hart) -> U64:
    value: U64 = (h.frm << FCSR.FRM.low) | h.fflags
    return value


def write_fcsr(h: Hart, value: U64) -> None:
    h.frm = get(value, FCSR.FRM) & 7
    h.fflags = value & 31
    mark_fp_dirty(h)
