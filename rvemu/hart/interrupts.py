"""Which interrupts are pending, which one is taken, and when the engine has to look again.

Sources: "Machine Interrupt (mip and mie) Registers" (machine.adoc), "Hypervisor Interrupt
Registers" (hypervisor.adoc), "Supervisor Timer" (supervisor.adoc).
"""

from rvemu.hart.counters import clock, request_poll, set_budget, time
from rvemu.hart.extensions import Ext
from rvemu.hart.fields import HSTATUS, MENVCFG, MIP, MSTATUS, SSTATUS
from rvemu.hart.state import (
    M_MODE,
    PASS_NEXT,
    PASS_NEXT_WATCHED,
    PASS_NONE,
    STOP_BUDGET,
    STOP_HOST,
    STOP_WFI,
    U_MODE,
    Hart,
)
from rvemu.hart.traps import enter_hs, enter_m, enter_vs
from rvemu.lang import U6, U64, get, u64

# norm:intr_M_mode_pri and norm:hsint_priority, as one list: the causes by decreasing priority.
_PRIORITY = (11, 3, 7, 9, 1, 5, 12, 10, 2, 6)

_INTERRUPT = 1 << 63

# Bounds of the time to the next poll: 2^40 ticks, 2^62 instructions. Polling early does no harm.
_FAR_TICKS = 1 << 40
_FAR = 1 << 62


def pending_interrupts(h: Hart) -> U64:
    """mip as it is now: what software and devices assert, and what timers say."""
    pending: U64 = h.mip | h.interrupt_lines
    now = time(h)
    if h.mtimecmp <= now:
        pending = pending | MIP.MTIP.mask
    if get(h.menvcfg, MENVCFG.STCE):
        # norm:mip_stip_stimecmp_acc: then software's bit does not count.
        pending = pending & ~MIP.STIP.mask
        if h.stimecmp <= now:
            pending = pending | MIP.STIP.mask
    if h.extensions & Ext.H:
        pending = pending | _pending_for_guest(h, now)
    return pending


def _pending_for_guest(h: Hart, now: U64) -> U64:
    """The bits of mip that H adds."""
    pending: U64 = h.hvip
    # norm:hip_vseip_vseie_op, norm:hip_vstip_vstie_acc_op, norm:hip_sgeip_sgeie_acc_op
    guest: U6 = get(h.hstatus, HSTATUS.VGEIN) & 63
    if (h.hgeip >> guest) & 1:
        pending = pending | MIP.VSEIP.mask
    if get(h.henvcfg, MENVCFG.STCE) and h.vstimecmp <= u64(now + h.htimedelta):
        pending = pending | MIP.VSTIP.mask
    if h.hgeip & h.hgeie:
        pending = pending | MIP.SGEIP.mask
    return pending


def _highest(interrupts: U64) -> U6:
    """The cause of the interrupt to take first; there is one."""
    for cause in _PRIORITY:
        if interrupts & (1 << cause):
            return cause
    return 0


def take_interrupt(h: Hart) -> None:
    """Take the interrupt that is pending, enabled and first in order, if there is one: M before
    HS before VS. A mode's interrupts are enabled in every lesser mode."""
    ready = pending_interrupts(h) & h.mie
    if ready == 0:
        return
    chosen = ready & ~h.mideleg
    if chosen and (h.priv != M_MODE or get(h.mstatus, MSTATUS.MIE)):
        enter_m(h, _INTERRUPT | _highest(chosen), 0, 0, 0, 0)
        return
    if h.priv == M_MODE:
        return
    chosen = ready & h.mideleg & ~h.hideleg
    if chosen and (h.v or h.priv == U_MODE or get(h.mstatus, MSTATUS.SIE)):
        enter_hs(h, _INTERRUPT | _highest(chosen), 0, 0, 0, 0)
        return
    chosen = ready & h.hideleg
    if chosen and h.v and (h.priv == U_MODE or get(h.vsstatus, SSTATUS.SIE)):
        # norm:hideleg_trans: the guest sees its S-level cause, one below.
        enter_vs(h, _INTERRUPT | u64(_highest(chosen) - 1), 0)


def _clocks_until(h: Hart, ticks: U64) -> U64:
    """Clocks until `time` has advanced by some ticks, at least one; no more than far."""
    bounded: U64 = ticks
    if bounded > _FAR_TICKS:
        bounded = _FAR_TICKS
    per_tick = h.shared.clock_per_tick
    return u64(bounded * per_tick - clock(h) % per_tick)


def _sooner(h: Hart, nearest: U64, now: U64, compare: U64) -> U64:
    """The lesser of a number of clocks and that until a compare register is reached. Where it is
    passed already, that is until the time wraps around: then it is ahead again."""
    ticks = u64(compare - now)
    if compare <= now:
        ticks = u64(-now)
        if ticks == 0 or ticks > _FAR_TICKS:
            return nearest
    return min(nearest, _clocks_until(h, ticks))


def clocks_to_timer(h: Hart) -> U64:
    """Clocks until a timer's interrupt that is enabled in mie may become pending; 2^62 if none
    will. A hart that waits in WFI may be woken then."""
    nearest: U64 = _FAR
    now = time(h)
    if h.mie & MIP.MTIP.mask:
        nearest = _sooner(h, nearest, now, h.mtimecmp)
    if h.mie & MIP.STIP.mask and get(h.menvcfg, MENVCFG.STCE):
        nearest = _sooner(h, nearest, now, h.stimecmp)
    if h.mie & MIP.VSTIP.mask and get(h.henvcfg, MENVCFG.STCE):
        nearest = _sooner(h, nearest, u64(now + h.htimedelta), h.vstimecmp)
    return nearest


def poll(h: Hart) -> None:
    """What engines call before an instruction when `budget` is below zero: say why to stop, or take
    an interrupt, and allow as many instructions as can pass before either may happen again.

    If stop_reason is set already (by the last instruction), nothing happens: the engine returns to
    the host at once, and polls again when it goes on. Nor is an interrupt taken where the engine
    stops: the host sees the hart between two instructions, and the trap when it goes on."""
    if h.stop_reason:
        return
    if h.host_request:
        h.stop_reason = STOP_HOST
        return
    if h.clock_stop <= clock(h):
        h.stop_reason = STOP_BUDGET
        return
    if h.point_pass == PASS_NEXT or h.point_pass == PASS_NEXT_WATCHED:
        h.point_pass = (h.point_pass + 1) & 7  # from the next instruction to the current one
        set_budget(h, 0)  # one instruction, and then poll again
        return
    h.point_pass = PASS_NONE
    take_interrupt(h)
    allowed: U64 = u64(h.clock_stop - clock(h))
    timer = clocks_to_timer(h)
    if timer < allowed:
        allowed = timer
    if allowed > _FAR:
        allowed = _FAR
    # The engine polls when the budget is *below* zero, after as many instructions and one more.
    set_budget(h, (allowed & ((1 << 63) - 1)) - 1)


def wait_for_interrupt(h: Hart) -> None:
    """WFI, where it is allowed. It completes; then, if nothing is pending and enabled in mie
    (whatever the global enables and delegation say), the hart waits: STOP_WFI."""
    if pending_interrupts(h) & h.mie == 0:
        h.stop_reason = STOP_WFI
        request_poll(h)
