"""Cycles, retired instructions and time, all from the countdown of `budget`; see state.py.

Guest time is deterministic: a clock for each instruction attempted, and `clock_per_tick` clocks
for each tick of `time`.
"""

from rvemu.hart.extensions import Ext
from rvemu.hart.fields import COUNTEREN, COUNTINHIBIT
from rvemu.hart.state import Hart
from rvemu.lang import I64, U64, u64


def clock(h: Hart) -> U64:
    """Instructions attempted before the current one, and clocks spent waiting."""
    return u64(h.clock_end - h.budget)


def instret(h: Hart) -> U64:
    """Instructions retired before the current one."""
    return u64(h.retire_end - h.budget)


def time(h: Hart) -> U64:
    """`time` at V=0, and mtime: in ticks."""
    return u64(clock(h) // h.shared.clock_per_tick + h.shared.time_offset)


def set_budget(h: Hart, budget: I64) -> None:
    """Change when the engine polls next, and neither instret nor clock."""
    h.retire_end = u64(h.retire_end - h.budget + budget)
    h.clock_end = u64(h.clock_end - h.budget + budget)
    h.budget = budget


def request_poll(h: Hart) -> None:
    """Have the engine call `poll` before the next instruction. To be called after whatever may
    have made an interrupt pending or enabled, and after setting stop_reason."""
    if h.budget > 0:
        set_budget(h, 0)


# --- mcycle, minstret, mcountinhibit ---------------------------------------------------------


def read_mcycle(h: Hart) -> U64:
    """mcycle and cycle."""
    if h.mcountinhibit & COUNTINHIBIT.CY.mask:
        return u64(h.mcycle_offset)
    return u64(clock(h) + h.mcycle_offset)


def read_minstret(h: Hart) -> U64:
    """minstret and instret. An instruction that reads it does not count itself."""
    if h.mcountinhibit & COUNTINHIBIT.IR.mask:
        return u64(h.minstret_offset)
    return u64(instret(h) + h.minstret_offset)


def write_mcycle(h: Hart, value: U64) -> None:
    """The value is what the next instruction reads: the write replaces the current instruction's
    increment ("CSR Side Effects", norm:mcycle_minstret_wr)."""
    if h.mcountinhibit & COUNTINHIBIT.CY.mask:
        h.mcycle_offset = value
    else:
        h.mcycle_offset = u64(value - clock(h) - 1)


def write_minstret(h: Hart, value: U64) -> None:
    """As `write_mcycle`."""
    if h.mcountinhibit & COUNTINHIBIT.IR.mask:
        h.minstret_offset = value
    else:
        h.minstret_offset = u64(value - instret(h) - 1)


def write_mcountinhibit(h: Hart, value: U64) -> None:
    """Stop counters, or let them go on from where they stood. The new setting holds for the
    writing instruction already."""
    legal: U64 = value & (COUNTINHIBIT.CY.mask | COUNTINHIBIT.IR.mask)
    if h.extensions & Ext.ZIHPM:
        legal = value & (COUNTINHIBIT.CY.mask | COUNTINHIBIT.IR.mask | COUNTINHIBIT.HPM.mask)
    changed = h.mcountinhibit ^ legal
    if changed & COUNTINHIBIT.CY.mask:
        if legal & COUNTINHIBIT.CY.mask:
            h.mcycle_offset = u64(h.mcycle_offset + clock(h))
        else:
            h.mcycle_offset = u64(h.mcycle_offset - clock(h))
    if changed & COUNTINHIBIT.IR.mask:
        if legal & COUNTINHIBIT.IR.mask:
            h.minstret_offset = u64(h.minstret_offset + instret(h))
        else:
            h.minstret_offset = u64(h.minstret_offset - instret(h))
    h.mcountinhibit = legal


# --- What the unprivileged counters read -----------------------------------------------------


def read_time(h: Hart) -> U64:
    """The CSR `time`; in VS- and VU-mode, with htimedelta (norm:htimedelta_sz_acc_op)."""
    if h.v:
        return u64(time(h) + h.htimedelta)
    return time(h)


def counter_enable_mask(h: Hart) -> U64:
    """The bits of mcounteren, scounteren and hcounteren that can be set: of counters that are
    there."""
    mask: U64 = 0
    if h.extensions & Ext.ZICNTR:
        mask = COUNTEREN.CY.mask | COUNTEREN.TM.mask | COUNTEREN.IR.mask
    if h.extensions & Ext.ZIHPM:
        mask = mask | COUNTEREN.HPM.mask
    return mask
