"""Machines as a target of the stub: each is a process, and its harts are the threads.

Where there are several, they run in turns, of which whoever made the machines decides.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Protocol

from gdbstub import (
    Event,
    Exited,
    Kind,
    Point,
    Region,
    Resume,
    Stopped,
    Target,
    TargetError,
    Terminated,
    ThreadId,
    ThreadInfo,
    agent,
)
from rvemu.debug import registers
from rvemu.debug.process import Process
from rvemu.harts import HartView

# Seconds that the guests run before the debugger is listened to.
SLICE = 0.02


class Turn(Protocol):
    """Whose turn it is, and for how long."""

    @property
    def number(self) -> int:
        """Of the process, in the order in which they were given."""

    @property
    def clocks(self) -> int | None:
        """How many it may run at most; None: as long as there is time."""

    def over(self) -> bool:
        """Whether it is over: asked meanwhile."""


class Alone:
    """The turn of a process that is alone."""

    number = 0
    clocks = None

    def over(self) -> bool:
        """There is no other's."""
        return False


class DebugTarget(Target):
    """What a debugger sees of one or more machines.

    turns: whose turn it is, for ever. existed: whether the guests were there before the debugger,
    which then leaves them running when it quits.
    """

    expedited = registers.EXPEDITED
    range_stepping = True
    kinds = frozenset(Kind)

    def __init__(
        self,
        *processes: Process,
        turns: Iterator[Turn] | None = None,
        existed: bool = True,
    ) -> None:
        self.processes = processes
        self.existed = existed
        self._turns = turns if turns is not None else repeat(Alone())
        self._by_number = {process.number: process for process in processes}
        self._ended: list[Process] = []  # the last one is the latest
        for process in processes:
            process.motion.hit = self._hit_of(process)
        # The stub's capabilities.
        self.breakpoints = self
        self.description = self.lifecycle = self.memory_map = self
        self.monitor = self.thread_names = self
        if any(process.path is not None for process in processes):
            self.exec_file = self.files = self

    # --- The core --------------------------------------------------------------------------------

    def threads(self) -> Sequence[ThreadId]:
        return [thread for process in self.processes for thread in process.threads()]

    def read_registers(self, thread: ThreadId) -> bytes:
        return registers.read_general(self._hart(thread))

    def write_registers(self, thread: ThreadId, data: bytes) -> None:
        registers.write_general(self._hart(thread), data)

    def read_register(self, thread: ThreadId, number: int) -> bytes | None:
        return registers.read(self._hart(thread), number)

    def write_register(self, thread: ThreadId, number: int, data: bytes) -> None:
        registers.write(self._hart(thread), number, data)

    def read_memory(self, thread: ThreadId, address: int, length: int) -> bytes:
        return self._process(thread.process).memory.read(self._hart(thread), address, length)

    def write_memory(self, thread: ThreadId, address: int, data: bytes) -> None:
        self._process(thread.process).memory.write(self._hart(thread), address, data)

    def resume(self, actions: Mapping[ThreadId, Resume]) -> None:
        for process, asked in self._by_process(actions):
            process.motion.check(asked)
        for process, asked in self._by_process(actions):
            process.motion.resume(asked)

    def halt(self, threads: Sequence[ThreadId]) -> None:
        for thread in threads:
            self._process(thread.process).motion.halt(thread.thread - 1)

    # --- Running ---------------------------------------------------------------------------------

    def run_slice(self) -> list[Event]:
        """Give the guests some time; what happened."""
        deadline = time.monotonic() + SLICE
        events: list[Event] = []
        while True:
            turn = next(self._turns)
            motion = self.processes[turn.number].motion
            if motion.moving:
                events += motion.run_turn(deadline, turn.clocks, turn.over)
            ended = [e.process for e in events if isinstance(e, Exited | Terminated)]
            self._ended += map(self._process, ended)
            if ended or any(isinstance(event, Stopped) for event in events):
                return events
            if turn.clocks is None or self.idle or time.monotonic() >= deadline:
                return events

    @property
    def idle(self) -> bool:
        """Whether all that may run wait, and nothing in their machines will wake them."""
        return all(p.motion.idle or not p.motion.moving for p in self.processes)

    def forget_settings(self, but: Collection[int]) -> None:
        """Switch off what a debugger has switched on with `monitor`, but for those processes that
        it is attached to, and those that it may start anew."""
        for process in self.processes:
            if process.number not in but and not process.motion.ended:
                process.commands.close()

    def close(self) -> None:
        """Leave the machines as they are without a debugger."""
        for process in self.processes:
            process.close()

    # --- Capabilities ----------------------------------------------------------------------------

    def insert(self, point: Point) -> None:
        """Put a point in, or replace its expressions."""
        self._process(point.process).points.insert(point)

    def remove(self, point: Point) -> None:
        """Take a point out, if it is there."""
        self._process(point.process).points.remove(point)

    def document(self, process: int, name: str) -> str | None:
        """The target description."""
        return self._process(process).description if name == "target.xml" else None

    def regions(self, process: int) -> Sequence[Region]:
        """What addresses there are."""
        return self._process(process).regions()

    def info(self, thread: ThreadId) -> ThreadInfo:
        """What `info threads` says."""
        return self._process(thread.process).info(thread)

    def command(self, line: str, thread: ThreadId, write: Callable[[str], None]) -> None:
        """A `monitor` command."""
        text = self._process(thread.process).commands.command(line, thread.thread - 1)
        if text:
            write(text + "\n")

    def kill(self, process: int) -> None:
        """End a machine."""
        self._process(process).kill()
        self._ended.append(self._process(process))

    def run(self, name: str) -> int:
        """Have a machine that has ended begin anew: the latest, or the latest with such a guest."""
        fitting = [p for p in self._ended if name in ("", str(p.path))] or self._ended
        if not fitting:
            raise TargetError("no machine has ended")
        process = fitting[-1]
        self._ended = [p for p in self._ended if p is not process]
        process.restart()
        return process.number

    def restart(self) -> None:
        """Have all begin anew."""
        self._ended.clear()
        for process in self.processes:
            process.restart()

    def path(self, process: int) -> str | None:
        """A guest's ELF file."""
        path = self._process(process).path
        return str(path) if path is not None else None

    def contents(self, name: str) -> bytes | None:
        """The guests' ELF files are all that is offered."""
        for process in self.processes:
            if process.path is not None and name == str(process.path):
                try:
                    return process.path.read_bytes()
                except OSError:
                    return None
        return None

    # --- Helpers ---------------------------------------------------------------------------------

    def _process(self, number: int) -> Process:
        try:
            return self._by_number[number]
        except KeyError:
            raise TargetError(f"there is no process {number}") from None

    def _hart(self, thread: ThreadId) -> HartView:
        return self._process(thread.process).hart(thread)

    def _by_process(
        self, actions: Mapping[ThreadId, Resume]
    ) -> Iterator[tuple[Process, dict[int, Resume]]]:
        """What each process's harts are asked to do, by their numbers."""
        for process in self.processes:
            asked = {t.thread - 1: a for t, a in actions.items() if t.process == process.number}
            if asked:
                yield process, asked

    def _hit_of(self, process: Process) -> Callable[[Point, int], bool]:
        """Whether a hart of a process that meets a point is to stop."""

        def write(text: bytes) -> None:
            process.motion.emit(text.decode("utf-8", "replace"))

        def hit(point: Point, number: int) -> bool:
            if not point.conditions and not point.commands:
                return True
            thread = process.motion.thread(number)
            return agent.hit(point, agent.TargetEnvironment(self, thread, write))

        return hit
