"""Pending interrupts, which is taken where, and when engines look."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rvemu.hart.counters import clock, instret, set_budget
from rvemu.hart.fields import MENVCFG, MIP, MSTATUS, SSTATUS
from rvemu.hart.interrupts import clocks_to_timer, pending_interrupts, poll, wait_for_interrupt
from rvemu.hart.state import (
    STOP_BUDGET,
    STOP_FLUSH,
    STOP_HOST,
    STOP_NONE,
    STOP_TRAP,
    STOP_WFI,
    Hart,
)
from rvemu.hart.traps import return_from_m
from rvemu.lang import M64
from tests.hart.model_hart import (
    CLOCKS_PER_TICK,
    HS,
    VS,
    VU,
    WITHOUT_H,
    M,
    U,
    complete,
    enter,
    new_hart,
    read,
    write,
)

INTERRUPT = 1 << 63
ALL = 0x1EEE
STCE = MENVCFG.STCE.mask


def interrupted_hart(lines: int = 0, delegated: int = 0, to_guest: int = 0) -> Hart:
    """A hart with all interrupts enabled one by one, and some pending."""
    h = new_hart()
    h.mtvec, h.stvec, h.vstvec = 0x1000, 0x2000, 0x3000
    write(h, "mie", M64)
    write(h, "mideleg", delegated)
    write(h, "hideleg", to_guest)
    h.interrupt_lines = lines
    return h


def now(h: Hart) -> tuple[tuple[int, int], int]:
    return (h.priv, h.v), h.pc


# --- Priority and delegation -----------------------------------------------------------------

ORDER_M = [11, 3, 7, 9, 1, 5]  # norm:intr_M_mode_pri
ORDER_HS = [9, 1, 5, 12, 10, 2, 6]  # norm:hsint_priority
ORDER_VS = [10, 2, 6]


@pytest.mark.parametrize("order", [ORDER_M, ORDER_HS, ORDER_VS])
def test_priority(order: list[int]) -> None:
    for first, second in itertools.combinations(order, 2):
        h = interrupted_hart(
            1 << first | 1 << second,
            0 if order is ORDER_M else M64,
            M64 if order is ORDER_VS else 0,
        )
        enter(h, VU)
        poll(h)
        if order is ORDER_M:
            assert (now(h), h.mcause) == ((M, 0x1000), INTERRUPT | first)
        elif order is ORDER_HS:
            assert (now(h), h.scause) == ((HS, 0x2000), INTERRUPT | first)
        else:
            assert (now(h), h.vscause) == ((VS, 0x3000), INTERRUPT | (first - 1))


def test_m_before_hs_before_vs() -> None:
    h = interrupted_hart(1 << 7 | 1 << 9 | 1 << 10, 1 << 9, 1 << 10)
    enter(h, VU)
    poll(h)
    assert h.mcause == INTERRUPT | 7
    h = interrupted_hart(1 << 9 | 1 << 10, 1 << 9, 1 << 10)
    enter(h, VU)
    poll(h)
    assert h.scause == INTERRUPT | 9


@pytest.mark.parametrize(("mie", "sie", "vsie"), list(itertools.product([0, 1], repeat=3)))
@pytest.mark.parametrize("mode", [M, HS, U, VS, VU])
@pytest.mark.parametrize("cause", [7, 9, 10])
def test_global_enables(mode: tuple[int, int], cause: int, mie: int, sie: int, vsie: int) -> None:
    """Each level's enable counts at that level alone (norm:hideleg_hs); at higher levels its
    interrupts are off."""
    h = interrupted_hart(1 << cause, 1 << 9, 1 << 10)
    h.mstatus |= mie * MSTATUS.MIE.mask | sie * MSTATUS.SIE.mask
    h.vsstatus |= vsie * SSTATUS.SIE.mask
    enter(h, mode)
    poll(h)
    taken = {
        7: mode != M or mie,
        9: mode in (U, VS, VU) or (mode == HS and sie),
        10: mode == VU or (mode == VS and vsie),
    }[cause]
    target = {7: (M, 0x1000), 9: (HS, 0x2000), 10: (VS, 0x3000)}[cause]
    assert (now(h) == target) == bool(taken) or now(h)[0] == mode
    assert bool(h.mcause | h.scause | h.vscause) == bool(taken)


def test_an_interrupt_that_is_not_delegated_goes_to_m() -> None:
    h = interrupted_hart(1 << 9)
    enter(h, HS)
    poll(h)
    assert (now(h), h.mcause) == ((M, 0x1000), INTERRUPT | 9)


def test_disabled_in_mie() -> None:
    h = interrupted_hart(1 << 7)
    write(h, "mie", M64 & ~(1 << 7))
    enter(h, U)
    poll(h)
    assert h.priv == 0


def test_vectored() -> None:
    """norm:mtvec_mode_enc; at VS the S-level cause counts (norm:hideleg_trans)."""
    for lines, delegated, to_guest, pc in (
        (1 << 7, 0, 0, 0x1000 + 28),
        (1 << 9, M64, 0, 0x2000 + 36),
        (1 << 10, M64, M64, 0x3000 + 36),
    ):
        h = interrupted_hart(lines, delegated, to_guest)
        h.mtvec |= 1
        h.stvec |= 1
        h.vstvec |= 1
        enter(h, VU)
        poll(h)
        assert h.pc == pc


def test_values_of_an_interrupt_are_zero() -> None:
    """norm:H_trap_xtinst_interrupt"""
    h = interrupted_hart(1 << 9, M64)
    h.stval = h.htval = h.htinst = 5
    enter(h, VU)
    poll(h)
    assert (h.stval, h.htval, h.htinst) == (0, 0, 0)


def test_an_interrupt_is_not_an_instruction() -> None:
    h = interrupted_hart(1 << 7)
    enter(h, U)
    complete(h)
    poll(h)
    assert (clock(h), instret(h)) == (1, 1)
    assert h.mepc == 0x8000_0004


# --- Timers ----------------------------------------------------------------------------------


def run_until_trap(h: Hart, limit: int) -> int:
    """Attempt no-operations as engines do; how many, until a trap."""
    pc = h.pc
    for n in range(limit):
        if h.budget < 0:
            poll(h)
            if h.stop_reason or h.pc != pc:
                return n
        complete(h)
        pc = h.pc
    return limit


@pytest.mark.parametrize("compare", [1, 2, 7])
@pytest.mark.parametrize("start", [0, 3, 9, 10])
def test_timers_fire_at_the_exact_clock(compare: int, start: int) -> None:
    """An interrupt is taken before the instruction at whose start time is the compare value."""
    for which in ("mtimecmp", "stimecmp", "vstimecmp"):
        h = interrupted_hart(0, M64, M64)
        write(h, "menvcfg", STCE)
        write(h, "henvcfg", STCE)
        write(h, "htimedelta", 1)  # the guest's time is one ahead
        for _ in range(start):
            complete(h)
        begun = clock(h)
        setattr(h, which, compare + 1 if which == "vstimecmp" else compare)
        enter(h, VU)
        set_budget(h, -1)
        run_until_trap(h, 1000)
        assert clock(h) == max(begun, compare * CLOCKS_PER_TICK)
        cause = {"mtimecmp": h.mcause, "stimecmp": h.scause, "vstimecmp": h.vscause}[which]
        assert cause == INTERRUPT | (7 if which == "mtimecmp" else 5)


@pytest.mark.parametrize("allowed", [1, 2, 17])
def test_a_budget_is_exact(allowed: int) -> None:
    h = interrupted_hart()
    complete(h)
    h.clock_stop = clock(h) + allowed
    set_budget(h, -1)
    assert run_until_trap(h, 1000) == allowed
    assert h.stop_reason == STOP_BUDGET
    assert clock(h) == h.clock_stop
    poll(h)
    assert h.stop_reason == STOP_BUDGET


@settings(max_examples=100, deadline=None)
@given(
    st.integers(0, M64),
    st.integers(0, M64),
    st.integers(0, M64),
    st.integers(1, 1 << 20),
    st.integers(0, M64),
    st.integers(0, M64),
)
def test_no_timer_overflows(
    mtimecmp: int, stimecmp: int, vstimecmp: int, per_tick: int, offset: int, delta: int
) -> None:
    h = interrupted_hart(0, M64, M64)
    write(h, "menvcfg", STCE)
    write(h, "henvcfg", STCE)
    h.shared.clock_per_tick, h.shared.time_offset, h.htimedelta = per_tick, offset, delta
    h.mtimecmp, h.stimecmp, h.vstimecmp = mtimecmp, stimecmp, vstimecmp
    set_budget(h, -1)
    before = pending_interrupts(h)
    distance = clocks_to_timer(h)
    assert 1 <= distance <= 1 << 62
    poll(h)
    assert h.budget == distance - 1
    if h.budget < 1 << 60:
        # One clock before, nothing has changed.
        h.budget = 0
        assert pending_interrupts(h) == before
    assert h.stop_reason == STOP_NONE


def test_vstip_is_defined_at_v0() -> None:
    """norm:hip_vstip_vstie_acc_op"""
    h = new_hart()
    write(h, "menvcfg", STCE)
    h.vstimecmp = 0
    assert not read(h, "hip") & MIP.VSTIP.mask
    write(h, "henvcfg", STCE)
    assert read(h, "hip") & MIP.VSTIP.mask
    write(h, "vstimecmp", M64)
    assert not read(h, "hip") & MIP.VSTIP.mask
    write(h, "hvip", MIP.VSTIP.mask)
    assert read(h, "hip") & MIP.VSTIP.mask


def test_without_h_nothing_of_it_is_pending() -> None:
    h = new_hart(WITHOUT_H)
    h.hvip = M64
    h.vstimecmp = 0
    assert pending_interrupts(h) == 0


# --- Polling ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mstatus", MSTATUS.MIE.mask),
        ("sstatus", 2),
        ("vsstatus", 2),
        ("mie", 1),
        ("sie", 1),
        ("hie", 1),
        ("vsie", 1),
        ("mip", 2),
        ("sip", 2),
        ("hip", 4),
        ("hvip", 4),
        ("vsip", 2),
        ("mideleg", 2),
        ("hideleg", 4),
        ("stimecmp", 0),
        ("vstimecmp", 0),
        ("htimedelta", 1),
        ("menvcfg", STCE),
        ("henvcfg", STCE),
        ("hgeie", 2),
        ("hstatus", 1 << 12),
    ],
)
def test_writes_that_may_cause_an_interrupt_are_followed_by_a_poll(name: str, value: int) -> None:
    h = new_hart()
    write(h, "hideleg", 4)
    set_budget(h, 1000)
    write(h, name, value)
    assert h.budget == 0
    assert (clock(h), instret(h)) == (0, 0)


def test_enabling_interrupts_takes_one_before_the_next_instruction() -> None:
    h = interrupted_hart(1 << 7)
    write(h, "mstatus", MSTATUS.MIE.mask)
    complete(h)
    assert h.budget < 0
    poll(h)
    assert (h.pc, h.mepc) == (0x1000, 0x8000_0004)


def test_mret_into_pending_interrupts() -> None:
    h = interrupted_hart(1 << 7)
    write(h, "mepc", 0x4000)
    set_budget(h, 1000)
    return_from_m(h)
    complete(h)
    poll(h)
    assert (now(h), h.mepc) == ((M, 0x1000), 0x4000)


def test_reasons_to_stop() -> None:
    h = interrupted_hart(1 << 7)
    enter(h, U)
    h.stop_reason = STOP_FLUSH
    poll(h)
    assert (h.priv, h.stop_reason) == (0, STOP_FLUSH)
    h.stop_reason = STOP_NONE
    h.host_request = 1
    poll(h)
    assert (h.priv, h.stop_reason) == (0, STOP_HOST)
    h.stop_reason = STOP_NONE
    h.host_request = 0
    poll(h)
    assert (h.priv, h.stop_reason) == (3, STOP_NONE)


def test_no_interrupt_is_taken_where_the_engine_stops() -> None:
    h = interrupted_hart(1 << 7)
    enter(h, U)
    h.trap_hooks = 1
    h.clock_stop = clock(h)
    poll(h)
    assert (h.priv, h.stop_reason) == (0, STOP_BUDGET)
    h.stop_reason = STOP_NONE
    h.clock_stop = clock(h) + 1
    poll(h)
    assert (h.priv, h.stop_reason) == (3, STOP_TRAP)


# --- WFI -------------------------------------------------------------------------------------


def test_wfi_waits_for_what_is_enabled_in_mie() -> None:
    h = new_hart()
    wait_for_interrupt(h)
    assert (h.stop_reason, h.budget) == (STOP_WFI, 0)
    h = new_hart()
    h.interrupt_lines = 1 << 7
    wait_for_interrupt(h)
    assert h.stop_reason == STOP_WFI
    h = new_hart()
    h.interrupt_lines = 1 << 7
    write(h, "mie", 1 << 7)  # whatever mstatus.MIE says
    wait_for_interrupt(h)
    assert h.stop_reason == STOP_NONE
