"""Runs the harts of a machine in turn, on one clock, so that every run repeats exactly.

The clock counts the instructions that all harts attempted, and the clocks that passed while all of
them waited. A hart's turn ends where the clock reaches a multiple of QUANTUM, or where it waits. A
hart that is alone awake takes turn after turn, as one long turn, until another is woken.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rvemu.engine import Engine
from rvemu.hart.counters import clock, request_poll
from rvemu.hart.interrupts import clocks_to_timer, pending_interrupts
from rvemu.hart.state import (
    STOP_BREAKPOINT,
    STOP_BUDGET,
    STOP_HOST,
    STOP_OWNED,
    STOP_READ,
    STOP_TRANSLATION,
    STOP_TRAP,
    STOP_WATCHPOINT,
    STOP_WFI,
    STOP_WRITE,
    Hart,
)
from rvemu.hooks import Hooks

# With several harts, how many instructions each runs before it is the next one's turn.
QUANTUM = 10_000


class _Sleep(NamedTuple):
    """Until when there is no need to ask again whether a hart that waits goes on."""

    until: int  # a clock
    signals: tuple[int, ...]  # and as long as these are so


def _signals(state: Hart) -> tuple[int, ...]:
    """What devices can do to a hart that waits, and firmware of the host's: all else of it stays as
    it is."""
    return (
        *(state.interrupt_lines, state.mtimecmp, state.shared.time_offset),
        *(state.mip, state.waiting),
    )


class Scheduler:
    """Whose turn it is, and what time.

    access_device does the device access that a hart waits for: (hart, whether it is a write).
    """

    def __init__(
        self,
        harts: Sequence[Hart],
        engine: Engine,
        hooks: Hooks,
        access_device: Callable[[int, bool], None],
    ) -> None:
        self.harts = harts
        self.engine = engine
        self.hooks = hooks
        self.access_device = access_device
        #: Harts that do not run, though they could: a debugger holds them.
        self.held: set[int] = set()
        #: Set to have `run` return as soon as possible, within an instruction.
        self.stopping = False
        self._running: Hart | None = None
        self.reset()

    def reset(self) -> None:
        """Start again with the first hart, at clock 0."""
        self._clock = 0
        self._limit = 0
        #: The hart whose turn it is, or was last.
        self.turn = 0
        self._turn_ends = 0
        self._latest: Hart | None = None  # the hart that has run last
        #: The harts that sleep while another takes a long turn, by their numbers.
        self._asleep: list[int] = []
        self._sleeps: dict[int, _Sleep] = {}

    @property
    def now(self) -> int:
        """The clock."""
        return clock(self._running) if self._running is not None else self._clock

    def skip(self, clocks: int) -> None:
        """Let time pass in which no hart runs."""
        assert clocks >= 0
        self._clock += clocks
        self.set_clocks()

    def set_clocks(self) -> None:
        """Let all harts see the time. (Clocks in which a hart did not run retire nothing.)"""
        for state in self.harts:
            state.clock_end = self._clock + state.budget

    def end_by(self, limit: int) -> None:
        """Have the current `run` return when the clock reaches a limit, or sooner."""
        self._limit = min(self._limit, limit)
        if self._running is not None:
            self._running.clock_stop = min(self._running.clock_stop, limit)
            request_poll(self._running)

    def next_hart(self) -> int | None:
        """The hart that runs next; None if all wait for interrupts, or are held."""
        for _ in self.harts:
            if self.turn not in self.held and not self._is_waiting(self.turn):
                self.harts[self.turn].waiting = 0
                return self.turn
            self._pass_turn()
        return None

    @property
    def turn_ends(self) -> int:
        """The clock at which the current turn ends, if the hart does not wait before."""
        return (self._clock // QUANTUM + 1) * QUANTUM

    def _end_of_turn(self, number: int) -> int:
        """The clock at which a hart's turn ends that begins now, if it does not wait before."""
        self._asleep = []
        timer = -1
        for n in range(len(self.harts)):
            if n == number or n in self.held:
                continue
            if not self._is_waiting(n):
                self._asleep = []
                return self.turn_ends
            self._asleep.append(n)
            until = self._sleeps[n].until
            timer = until if timer < 0 else min(timer, until)
        if timer < 0:
            return self._limit
        return max(self.turn_ends, -(-timer // QUANTUM) * QUANTUM)

    def _look_after_sleepers(self, state: Hart) -> None:
        """What the host has done for the running hart may have woken another: then its turn is no
        longer than turns are."""
        if any(_signals(self.harts[n]) != self._sleeps[n].signals for n in self._asleep):
            self._asleep = []
            self._turn_ends = (int(clock(state)) // QUANTUM + 1) * QUANTUM
            state.clock_stop = min(state.clock_stop, self._turn_ends)
            request_poll(state)

    def run(self, limit: int) -> bool:
        """Run harts in turn until the clock reaches a limit, or something ends it sooner
        (`stopping`, `end_by`, a request of the host's). False if all harts wait."""
        self._limit = limit
        self._sleeps.clear()  # the host may have changed anything
        self._set_hooks()
        try:
            while self._clock < self._limit and not self.stopping:
                number = self.next_hart()
                if number is None:
                    return False
                state = self.harts[number]
                self._turn_ends = self._end_of_turn(number)
                going_on = self._run_hart(number)
                if self._clock >= self._turn_ends or state.waiting:
                    self._pass_turn()
                if not going_on and not state.waiting:
                    break
            return True
        finally:
            self.set_clocks()

    def _set_hooks(self) -> None:
        """Have the harts stop for what somebody wants to see."""
        for state in self.harts:
            state.trap_hooks = (state.trap_hooks & ~1) | bool(self.hooks.trap)
            state.mmu_hook = bool(self.hooks.translation)

    def _is_waiting(self, number: int) -> bool:
        """Whether a hart is in WFI, and nothing wakes it. (If something does, that counts when its
        turn comes: it may be gone by then.)"""
        state = self.harts[number]
        if not state.waiting:
            return False
        known = self._sleeps.get(number)
        if known is not None and self._clock < known.until and _signals(state) == known.signals:
            return True
        state.clock_end = self._clock + state.budget
        if pending_interrupts(state) & state.mie:
            return False
        self._sleeps[number] = _Sleep(self._clock + clocks_to_timer(state), _signals(state))
        return True

    def _pass_turn(self) -> None:
        self.turn = (self.turn + 1) % len(self.harts)

    def _run_hart(self, number: int) -> bool:
        """Run one hart until its turn or the run ends (True), or until it waits or the host wants
        the engine back (False)."""
        state = self.harts[number]
        state.clock_end = self._clock + state.budget
        self._sleeps.pop(number, None)  # the next one will be another
        if self._latest is not None and self._latest is not state:
            self._latest.reservation_size = 0  # what this one stores must break it
        self._running = self._latest = state
        hooks = self.hooks
        try:
            if not hooks.before and not hooks.after:
                return self._execute(number, state, self._soonest_end)
            going_on = True
            while going_on and not self.stopping and clock(state) < self._soonest_end:
                for before in hooks.before:
                    before(number)
                going_on = self._execute(number, state, int(clock(state)) + 1)
                for after in hooks.after:
                    after(number)
            return going_on
        finally:
            self._clock = int(clock(state))
            self._running = None

    @property
    def _soonest_end(self) -> int:
        return min(self._turn_ends, self._limit)

    def _execute(self, number: int, state: Hart, limit: int) -> bool:
        """Have the engine run a hart, and do what it stops for."""
        state.clock_stop = limit
        while not self.stopping:
            reason = self.engine.run(state)
            if state.seen_count:
                self._tell_translations(number, state, reason)
            if reason in (STOP_READ, STOP_WRITE):
                self.access_device(number, reason == STOP_WRITE)
                if self._asleep:
                    self._look_after_sleepers(state)
            elif reason in (STOP_TRAP, STOP_OWNED):
                for on_trap in self.hooks.trap:
                    on_trap(number)
                if reason == STOP_OWNED:
                    assert self.hooks.owner is not None, "a level is owned, and by nobody"
                    self.hooks.owner(number)
                    if self._asleep:
                        self._look_after_sleepers(state)
                    if state.waiting:
                        return False
            elif reason in (STOP_BREAKPOINT, STOP_WATCHPOINT):
                for on_point in self.hooks.point:
                    on_point(number)
            elif reason == STOP_WFI:
                state.waiting = 1
                return False
            elif reason == STOP_HOST:
                state.host_request = 0
                return False
            elif reason == STOP_BUDGET:
                return True
            else:
                assert reason == STOP_TRANSLATION, f"stopped for {reason}"
        return True

    def _tell_translations(self, number: int, state: Hart, reason: int) -> None:
        # An instruction that accesses a device starts over, and translates again.
        if reason not in (STOP_READ, STOP_WRITE):
            for on_translation in self.hooks.translation:
                on_translation(number)
        state.seen_count = 0
