"""Running a machine for a debugger: which harts run and how, and why they stopped.

A hart that continues runs at full speed. One that steps executes its instruction whatever
breakpoint is there, and no interrupt comes before it, so that stepping through code does not end
in the handler of a timer (`monitor step-interrupts on` lets them come). A step of WFI is done when
the wait is over.

A breakpoint stops a hart before its instruction, and so does a watchpoint before the instruction
that would touch its range: gdb expects that of a RISC-V target, has the hart step once, and tells
the old value from the new one. A hart that goes on from a point for which it stopped does not stop
for it again. Nothing that happens to another hart at the same time is lost: it has not happened
yet, and will when that hart runs again.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext

from gdbstub import (
    Event,
    Exited,
    Kind,
    Move,
    Output,
    Point,
    Reason,
    Resume,
    Sig,
    Stopped,
    Terminated,
    ThreadId,
)
from rvemu import machine as machines
from rvemu.debug.points import DebugPoints
from rvemu.debug.registers import check_pc, set_pc
from rvemu.errors import RvemuError
from rvemu.hart.interrupts import pending_interrupts, take_interrupt
from rvemu.hart.state import (
    PASS_NEXT,
    PASS_NEXT_WATCHED,
    PASS_NONE,
    STOP_BREAKPOINT,
    Hart,
)
from rvemu.machine import Machine, Outcome

# Instructions in a slice if somebody looks at each.
_SLOW_SLICE = 500

# Instructions for which a hart's reservation keeps others from their turns: between lr and sc there
# are hardly more, or sc need not ever succeed.
_RESERVED = 64

_SIGXCPU = 24  # as gdb numbers it: a limit of time is exceeded

# What a hart has been stopped for when it stands before an access.
_BEFORE_ACCESS = (Reason.WRITE, Reason.READ, Reason.ACCESS)

_REASONS = {
    Kind.SOFTWARE: Reason.SOFTWARE_BREAKPOINT,
    Kind.HARDWARE: Reason.HARDWARE_BREAKPOINT,
    Kind.WRITE: Reason.WRITE,
    Kind.READ: Reason.READ,
    Kind.ACCESS: Reason.ACCESS,
}


class Motion:
    """Moves the harts of a machine.

    process: the debugger's number of the machine. restart: has the guest begin anew. during: is
    entered while the machine runs.
    """

    def __init__(
        self,
        machine: Machine,
        points: DebugPoints,
        process: int,
        restart: Callable[[], None],
        during: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.machine = machine
        #: Whether a hart that meets a point is to stop, after the point's expressions were seen to:
        #: (point, hart).
        self.hit: Callable[[Point, int], bool] = lambda _, __: True
        #: The guest has ended, or was killed.
        self.ended = False
        #: All harts wait, and nothing in the machine will wake them.
        self.idle = False
        #: Interrupts are taken before a step, which then ends at their handler.
        self.step_interrupts = False
        #: Whether a guest that resets the machine is started again; else that is its end.
        self.reboot = True
        #: How many clocks the machine may still run, over all starts of its guest.
        self.budget: int | None = None
        #: How the run ended, if it did.
        self.outcome: Outcome | None = None
        #: What ended it, if the machine could not go on.
        self.failure: RvemuError | None = None
        self._points = points
        self._process = process
        self._restart = restart
        self._during = during
        self._moves: dict[int, Resume] = {}
        # Where the client was told that a hart stands, and what it passes there.
        self._stopped_at: dict[int, tuple[int, int]] = {}
        self._waking: set[int] = set()  # harts whose step is a WFI
        self._reserving: dict[int, int] = {}  # for how many instructions harts have kept others off
        self._events: list[Event] = []
        self._stopped = False
        self._deadline = 0.0
        machine.hooks.point.append(self._on_point)

    # --- What the client asks --------------------------------------------------------------------

    def check(self, actions: Mapping[int, Resume]) -> None:
        """Raise TargetError where a hart is to go on at an address that cannot be."""
        for number, action in actions.items():
            if action.address is not None:
                check_pc(self._state(number), action.address)

    def resume(self, actions: Mapping[int, Resume]) -> None:
        """Let harts go, from the next turn on; `check` has seen them."""
        for number, action in actions.items():
            h = self._state(number)
            if action.address is not None:
                set_pc(h, action.address)
            at, passes = self._stopped_at.pop(number, (None, PASS_NONE))
            h.point_pass = passes if at == h.pc else PASS_NONE
            self._moves[number] = action

    def halt(self, number: int) -> None:
        """Make a hart stand still."""
        self._moves.pop(number, None)
        self._waking.discard(number)

    def forget(self) -> None:
        """The machine begins anew: nobody has stopped anywhere. Who moves, goes on."""
        self._stopped_at.clear()
        self._waking.clear()
        self.ended = self.idle = False
        self.outcome = self.failure = None
        for hart in self.machine.harts:
            hart.state.point_pass = PASS_NONE

    def release(self) -> None:
        """Let the machine run as without a debugger."""
        self.machine.scheduler.held = set()
        if self._on_point in self.machine.hooks.point:
            self.machine.hooks.point.remove(self._on_point)

    # --- Running ---------------------------------------------------------------------------------

    @property
    def moving(self) -> bool:
        """Whether any hart is to run."""
        return bool(self._moves) and not self.ended

    def run_turn(
        self, deadline: float, clocks: int | None, over: Callable[[], bool]
    ) -> list[Event]:
        """Give the harts time until a moment (of `time.monotonic`), for so many clocks at most, and
        until it is over; and tell what happened. At most one hart stops."""
        self._events = []
        self._stopped = self.idle = False
        stepping = any(action.move is not Move.CONTINUE for action in self._moves.values())
        self._points.apply(exact=not stepping)
        self._deadline = deadline
        if stepping:
            self._step_all()
        elif self.moving:
            self._run(self._moves, clocks, over)
        return self._events

    def emit(self, text: str) -> None:
        """Print on the debugger's console."""
        self._events.append(Output(text.encode("utf-8", "replace")))

    def listen(self) -> None:
        """End the slice if it has taken its time: for hooks that make the guest slow."""
        if time.monotonic() >= self._deadline:
            self.machine.scheduler.end_by(self.machine.now)

    def stop(
        self, number: int, signal: int = Sig.TRAP, reason: Reason | None = None, address: int = 0
    ) -> None:
        """A hart stops where it is. May be called by hooks."""
        if self._stopped:
            return
        self._stopped = True
        self._moves.pop(number, None)
        self._waking.discard(number)
        passes = PASS_NEXT_WATCHED if reason in _BEFORE_ACCESS else PASS_NEXT
        self._stopped_at[number] = int(self._state(number).pc), passes
        self._events.append(Stopped(self.thread(number), signal, reason, address))
        self.machine.scheduler.end_by(self.machine.now)

    def thread(self, number: int) -> ThreadId:
        """The thread that a hart is."""
        return ThreadId(self._process, number + 1)

    def _state(self, number: int) -> Hart:
        return self.machine.harts[number].state

    def _run(
        self,
        numbers: Iterable[int],
        budget: int | None = None,
        until: Callable[[], bool] = lambda: False,
    ) -> None:
        """Run some harts until a slice's end, or a stop."""
        machine = self.machine
        machine.scheduler.held = set(range(len(machine.harts))).difference(numbers)
        looked_at = bool(machine.hooks.before or machine.hooks.after)
        limits = (budget, self.budget, _SLOW_SLICE if looked_at else None)
        budget = min((limit for limit in limits if limit is not None), default=None)
        before = machine.now
        try:
            with self._during():
                outcome = machine.run(
                    budget, until=lambda: self._enough() or until(), detect_stuck=False
                )
        except RvemuError as error:
            self._fail(error)
            return
        if self.budget is not None:
            self.budget = max(self.budget - (machine.now - before), 0)
        if outcome.reason is machines.Reason.EXITED:
            code = outcome.code & 0xFF or (1 if outcome.code else 0)
            self._end(outcome, Exited(self._process, code))
        elif outcome.reason is machines.Reason.RESET:
            self.emit("the guest has reset the machine\n")
            if self.reboot:
                self._restart()
            else:
                self._end(outcome, Exited(self._process, 0))
        elif outcome.reason is machines.Reason.BUDGET and self.budget == 0:
            self._end(outcome, Terminated(self._process, _SIGXCPU))
        elif outcome.reason is machines.Reason.IDLE:
            self.idle = True

    def _fail(self, error: RvemuError) -> None:
        """The guest did what its machine has no answer to."""
        self.failure = error
        self.emit(f"{error}\n")
        self._end(None, Terminated(self._process, Sig.ABRT))

    def _end(self, outcome: Outcome | None, event: Event) -> None:
        """The run is over."""
        self.ended = True
        self.outcome = outcome
        self._moves.clear()
        self._events.append(event)

    def _enough(self) -> bool:
        return self._stopped or time.monotonic() >= self._deadline

    # --- Stepping --------------------------------------------------------------------------------

    def _step_all(self) -> None:
        """Give each hart an instruction in turn, until one is done. While those that step wait, the
        others just run. Nobody has a turn between an lr and its sc, which would never succeed."""
        going_on = [n for n, action in self._moves.items() if action.move is Move.CONTINUE]
        stepping = [n for n in self._moves if n not in going_on]
        while self._moves and not self.ended:
            if all(map(self._waits, stepping)):
                self._run(going_on, until=lambda: not all(map(self._waits, stepping)))
            else:
                # Those that just go on have their turn first: a step is the end of the round.
                reserving = [n for n in stepping if self._reserves(n)]
                others = [] if reserving else sorted(going_on)
                for number in others + sorted(stepping):
                    if not self._waits(number):
                        self._step(number, self._moves[number])
                    while number in others and not self._stopped and self._reserves(number):
                        self._step(number, self._moves[number])
                    if self._stopped or self.ended:
                        return
            if self._stopped or time.monotonic() >= self._deadline:
                return

    def _waits(self, number: int) -> bool:
        """Whether a hart is in WFI and stays there."""
        h = self._state(number)
        if h.waiting and pending_interrupts(h) & h.mie:
            h.waiting = 0
        return bool(h.waiting)

    def _reserves(self, number: int) -> bool:
        """Whether a hart is between lr and sc, and has not been for long. To be asked before each
        instruction."""
        held = self._state(number).reservation_size != 0
        self._reserving[number] = self._reserving.get(number, 0) + 1 if held else 0
        return 0 < self._reserving[number] <= _RESERVED

    def _step(self, number: int, action: Resume) -> None:
        self.idle = False
        h = self._state(number)
        if number in self._waking:
            self._waking.discard(number)
            self._finish_step(number, action)
            return
        if action.move is not Move.CONTINUE:
            if h.point_pass == PASS_NONE and self._meets_breakpoint(number):
                return
            if self.step_interrupts and self._interrupted(h):
                self._finish_step(number, action)
                return
            if h.point_pass != PASS_NEXT_WATCHED:
                h.point_pass = PASS_NEXT
        before = self.machine.now
        self._run((number,), 1)
        if self._stopped or self.ended or self.machine.now == before:
            return
        if action.move is Move.CONTINUE:
            return
        if h.waiting:
            self._waking.add(number)
        else:
            h.point_pass = PASS_NONE
            self._finish_step(number, action)

    def _finish_step(self, number: int, action: Resume) -> None:
        pc = self._state(number).pc
        if action.move is Move.STEP or not action.start <= pc < action.end:
            self.stop(number)

    def _interrupted(self, h: Hart) -> bool:
        """Take an interrupt, if one would be taken now."""
        before = (int(h.pc), int(h.priv), int(h.mstatus), int(h.vsstatus))
        take_interrupt(h)
        return before != (h.pc, h.priv, h.mstatus, h.vsstatus)

    # --- Points ----------------------------------------------------------------------------------

    def _on_point(self, number: int) -> None:
        """A hart has met a breakpoint or a watchpoint."""
        h = self._state(number)
        if h.stop_reason == STOP_BREAKPOINT:
            met, passes = self._meets_breakpoint(number), PASS_NEXT
        else:
            met, passes = self._meets_watchpoint(number), PASS_NEXT_WATCHED
        if not met:
            h.point_pass = passes
            self.listen()

    def _meets_breakpoint(self, number: int) -> bool:
        """Whether a hart stops for a breakpoint at its pc."""
        return self._meets(self._points.at(int(self._state(number).pc)), number)

    def _meets_watchpoint(self, number: int) -> bool:
        """Whether a hart stops for the watchpoint that its instruction is about to touch."""
        h = self._state(number)
        return self._meets(self._points.watching(h.watch_number), number, int(h.watch_address))

    def _meets(self, points: list[Point], number: int, address: int = 0) -> bool:
        """Whether a hart stops for any of some points. (The expressions of all are seen to: they
        may print.)"""
        met = [point for point in points if self.hit(point, number)]
        if met:
            self.stop(number, reason=_REASONS[met[0].kind], address=address)
        return bool(met)
