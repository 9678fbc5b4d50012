"""One guest on two machines, on the native and on the reference engine, to find where they differ.

Both run a chunk of instructions and are compared. Where they differ, the guest is run again up to
the last point at which they were equal, on native code alone, for that is fast and runs are
reproducible; from there on, one of the machines goes on with the reference engine, in smaller and
smaller steps, until the instruction is found.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from rvemu.engine import Engine, make_engine
from rvemu.engine.lockstep import Difference, describe_next, differences, memory_differences
from rvemu.machine import Machine, Outcome, Reason

Build = Callable[[str, Callable[[bytes], None]], Machine]

# How long a chunk should take, in seconds; chunks are made longer and shorter accordingly.
_CHUNK_SECONDS = 0.5
_FIRST_CHUNK = 20_000

# Instructions before the one that differs, to be shown.
_SHOWN = 12


@dataclass(frozen=True)
class Report:
    """How it went, and where the engines differ, if they do."""

    instructions: int  # attempted while they were equal, and clocks spent waiting
    retired: int
    outcome: Outcome | None
    differences: tuple[str, ...] = ()
    listing: tuple[str, ...] = ()

    @property
    def equal(self) -> bool:
        """Whether no difference was found."""
        return not self.differences


class _Side:
    """A machine, and what it has printed."""

    def __init__(self, build: Build, engine: str) -> None:
        self.console = bytearray()
        self.machine = build(engine, self.console.extend)
        self.outcome: Outcome | None = None
        self.retired: Engine | None = None

    def run(self, count: int) -> None:
        """Run some instructions, unless the guest has ended."""
        outcome = self.machine.run(budget=count)
        self.outcome = None if outcome.reason is Reason.BUDGET else outcome


class Lockstep:
    """Runs a guest on both engines. `build` makes a machine, loaded and ready, for an engine and
    somewhere to put what the guest prints; each must be like the other."""

    def __init__(self, build: Build) -> None:
        self._build = build

    def run(
        self,
        limit: int | None = None,
        every: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Report:
        """Run until the guest ends, `limit` instructions were compared, or the engines differ.

        every: instructions between comparisons; by default what takes about half a second.
        progress: called after each with the instructions compared."""
        left, right = _Side(self._build, "reference"), _Side(self._build, "native")
        done = retired = 0
        chunk = every or _FIRST_CHUNK
        while limit is None or done < limit:
            count = chunk if limit is None else min(chunk, limit - done)
            began = time.monotonic()
            found = self._advance(left, right, count)
            if found:
                return self._narrow(done, count, retired, found)
            done = left.machine.now
            retired = sum(hart.instret for hart in left.machine.harts)
            if progress is not None:
                progress(done)
            if left.outcome is not None:
                return Report(done, retired, left.outcome)
            if every is None:
                seconds = max(time.monotonic() - began, 0.001)
                chunk = max(1000, int(chunk * min(4.0, _CHUNK_SECONDS / seconds)))
        return Report(done, retired, None)

    def _advance(self, left: _Side, right: _Side, count: int) -> list[str]:
        """Run both for some instructions; what differs then."""
        for side in (left, right):
            side.run(count)
        return compare(left, right)

    def _narrow(self, equal: int, count: int, retired: int, found: list[str]) -> Report:
        """Find the instruction that differs: after `equal` ones they did not, `count` later they
        did."""
        history: deque[str] = deque(maxlen=_SHOWN)
        step = count
        while step > 1:
            step = max(1, step // 50)
            left, right = self._both_at(equal)
            for passed in range(0, count, step):
                before = _next_instructions(left.machine) if step == 1 else []
                now = self._advance(left, right, min(step, count - passed))
                history.extend(
                    f"{equal + passed + 1:>12} {text}"
                    for (text, clock), h in zip(before, left.machine.harts, strict=False)
                    if clock != (h.pc, h.state.clock_end - h.state.budget)
                )
                if now:
                    found = now
                    break
            else:  # it shows only where the chunk is run in one piece
                return Report(equal, retired, None, tuple(found), tuple(history))
            equal, count = equal + passed, step
        return Report(equal, retired, None, tuple(found), tuple(history))

    def _both_at(self, instructions: int) -> tuple[_Side, _Side]:
        """Two machines that have run some instructions natively, of which one goes on with the
        reference engine."""
        left, right = _Side(self._build, "native"), _Side(self._build, "native")
        for side in (left, right):
            if instructions:
                side.run(instructions)
        machine = left.machine
        states = [hart.state for hart in machine.harts]
        # The old engine is kept: its decoded instructions may still be named by the harts.
        left.retired = machine.engine
        machine.engine = make_engine("reference", machine.shared, states)
        machine.scheduler.engine = machine.engine
        return left, right


def _next_instructions(machine: Machine) -> list[tuple[str, tuple[int, int]]]:
    """What each hart executes next, and what tells whether it has."""
    return [
        (
            f"hart {n} {describe_next(hart.state)}",
            (hart.pc, hart.state.clock_end - hart.state.budget),
        )
        for n, hart in enumerate(machine.harts)
    ]


def compare(left: _Side, right: _Side) -> list[str]:
    """All in which two machines differ, as lines of name, value on the left and on the right."""
    found: list[str] = []
    several = len(left.machine.harts) > 1
    for n, (a, b) in enumerate(zip(left.machine.harts, right.machine.harts, strict=True)):
        found += [_line(f"hart {n} " if several else "", d) for d in differences(a.state, b.state)]
    for ram, other in (
        (left.machine.board.ram, right.machine.board.ram),
        (left.machine.board.rom, right.machine.board.rom),
    ):
        words = memory_differences(ram.base, ram.view, other.view)
        found += [_line("memory ", word) for word in words]
    if left.machine.now != right.machine.now:
        found.append(_line("", Difference("now", left.machine.now, right.machine.now)))
    if left.console != right.console:
        pairs = enumerate(zip(left.console, right.console, strict=False))
        shorter = min(len(left.console), len(right.console))
        at = next((n for n, (x, y) in pairs if x != y), shorter)
        found.append(
            f"console, from byte {at}: {bytes(left.console[at : at + 20])!r} and "
            f"{bytes(right.console[at : at + 20])!r}"
        )
    if left.outcome != right.outcome:
        found.append(f"outcome: {left.outcome} and {right.outcome}")
    return found


def _line(where: str, pair: Difference) -> str:
    return f"{where + pair.name:<28} {pair.left:#018x} {pair.right:#018x}"
