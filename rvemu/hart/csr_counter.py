"""Who may read counters and set timers, and the writes of timers' registers."""

from rvemu.hart.counters import counter_enable_mask, request_poll
from rvemu.hart.extensions import Ext
from rvemu.hart.fields import COUNTEREN, MENVCFG
from rvemu.hart.state import M_MODE, U_MODE, Hart
from rvemu.lang import U1, U2, U64, Static, get


def permit_counter(n: Static[int], h: Hart, priv: U2, v: U1) -> U1:
    """Counter n for a mode: each greater mode must have let it through (norm:mcounteren_op,
    norm:hcounteren_op, norm:scounteren_op)."""
    if priv == M_MODE:
        return 1
    if not (h.mcounteren >> n) & 1:
        return 0
    if v and not (h.hcounteren >> n) & 1:
        return 0
    if priv == U_MODE and h.extensions & Ext.S and not (h.scounteren >> n) & 1:
        return 0
    return 1


def permit_timer(h: Hart, priv: U2, v: U1) -> U1:
    """stimecmp and vstimecmp for a mode (norm:menvcfg_stce_op2, norm:mcounteren_tm_clr,
    norm:henvcfg_stce, norm:hcounteren_acc)."""
    if priv == M_MODE:
        return 1
    if not get(h.menvcfg, MENVCFG.STCE) or not get(h.mcounteren, COUNTEREN.TM):
        return 0
    if v and not (get(h.henvcfg, MENVCFG.STCE) and get(h.hcounteren, COUNTEREN.TM)):
        return 0
    return 1


def write_counteren(name: Static[str], h: Hart, value: U64) -> None:
    """mcounteren, scounteren, hcounteren."""
    setattr(h, name, value & counter_enable_mask(h))


def write_timer(name: Static[str], h: Hart, value: U64) -> None:
    """stimecmp, vstimecmp and htimedelta: an interrupt may become pending, or cease to be."""
    setattr(h, name, value)
    request_poll(h)
