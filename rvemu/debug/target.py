"""A machine as a target of the stub: each hart is a thread of process 1."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from gdbstub import (
    Event,
    Point,
    Region,
    Resume,
    Target,
    TargetError,
    ThreadId,
    ThreadInfo,
    agent,
)
from rvemu.debug import registers
from rvemu.debug.commands import DebugCommands
from rvemu.debug.description import target_description
from rvemu.debug.memory import DebugMemory
from rvemu.debug.motion import PROCESS, Motion, thread_of
from rvemu.debug.points import DebugPoints
from rvemu.hart.fields import HGATP, SATP
from rvemu.hart.state import M_MODE
from rvemu.harts import HartView
from rvemu.lang import get
from rvemu.machine import Machine


class DebugTarget(Target):
    """What a debugger sees of a machine.

    path: the guest's ELF file, for a gdb that was given none. existed: whether the guest was there
    before the debugger, which then leaves it running when it quits.
    """

    expedited = registers.EXPEDITED
    range_stepping = True

    def __init__(
        self, machine: Machine, path: Path | str | None = None, *, existed: bool = True
    ) -> None:
        self.machine = machine
        self.existed = existed
        self.memory = DebugMemory(machine)
        self.points = DebugPoints(machine.shared, [hart.state for hart in machine.harts])
        self.motion = Motion(machine, self.points, self._hit)
        self.commands = DebugCommands(machine, self.memory, self.motion, self.restart)
        self._path = Path(path).resolve() if path is not None else None
        self._description = target_description(machine.hart.state)
        # The stub's capabilities.
        self.breakpoints = self.points
        self.description = self.lifecycle = self.memory_map = self
        self.monitor = self.thread_names = self
        if self._path is not None:
            self.exec_file = self.files = self

    # --- The core --------------------------------------------------------------------------------

    def threads(self) -> Sequence[ThreadId]:
        return [] if self.motion.ended else [thread_of(n) for n in range(len(self.machine.harts))]

    def read_registers(self, thread: ThreadId) -> bytes:
        return registers.read_general(self._hart(thread))

    def write_registers(self, thread: ThreadId, data: bytes) -> None:
        registers.write_general(self._hart(thread), data)

    def read_register(self, thread: ThreadId, number: int) -> bytes | None:
        return registers.read(self._hart(thread), number)

    def write_register(self, thread: ThreadId, number: int, data: bytes) -> None:
        registers.write(self._hart(thread), number, data)

    def read_memory(self, thread: ThreadId, address: int, length: int) -> bytes:
        return self.memory.read(self._hart(thread), address, length)

    def write_memory(self, thread: ThreadId, address: int, data: bytes) -> None:
        self.memory.write(self._hart(thread), address, data)

    def resume(self, actions: Mapping[ThreadId, Resume]) -> None:
        self.motion.resume({thread.thread - 1: action for thread, action in actions.items()})

    def halt(self, threads: Sequence[ThreadId]) -> None:
        self.motion.halt(thread.thread - 1 for thread in threads)

    def run_slice(self) -> list[Event]:
        """Give the guest some time; what happened."""
        return self.motion.run_slice()

    def close(self) -> None:
        """Leave the machine as it is without a debugger."""
        self.points.clear()
        self.points.apply(exact=True)
        self.commands.close()
        self.motion.release()

    # --- Capabilities ----------------------------------------------------------------------------

    def document(self, process: int, name: str) -> str | None:
        """The target description."""
        del process
        return self._description if name == "target.xml" else None

    def regions(self, process: int) -> Sequence[Region]:
        """All addresses: what there is at a virtual address is the guest's affair. Memory is a
        region of its own."""
        del process
        ram = self.machine.board.ram
        return [
            Region(0, ram.base),
            Region(ram.base, ram.size),
            Region(ram.end, (1 << 64) - 1 - ram.end),
        ]

    def info(self, thread: ThreadId) -> ThreadInfo:
        """What `info threads` says: the hart, its mode, its address space, whether it waits."""
        hart = self._hart(thread)
        return ThreadInfo(f"hart {thread.thread - 1}", describe(hart), thread.thread - 1)

    def command(self, line: str, thread: ThreadId, write: Callable[[str], None]) -> None:
        """A `monitor` command."""
        text = self.commands.command(line, thread.thread - 1)
        if text:
            write(text + "\n")

    def kill(self, process: int) -> None:
        """End the machine."""
        del process
        self.motion.forget()
        self.motion.ended = True

    def restart(self) -> None:
        """Reset the machine, and load its guest again."""
        self.motion.forget()
        self.machine.reboot()

    def path(self, process: int) -> str | None:
        """The guest's ELF file."""
        del process
        return str(self._path) if self._path is not None else None

    def contents(self, name: str) -> bytes | None:
        """The guest's ELF file is all that is offered."""
        if self._path is None or name != str(self._path):
            return None
        try:
            return self._path.read_bytes()
        except OSError:
            return None

    # --- Helpers ---------------------------------------------------------------------------------

    def _hart(self, thread: ThreadId) -> HartView:
        if thread.process != PROCESS or not 1 <= thread.thread <= len(self.machine.harts):
            raise TargetError(f"there is no thread {thread.process}.{thread.thread}")
        return self.machine.harts[thread.thread - 1]

    def _hit(self, point: Point, number: int) -> bool:
        """Whether a hart that meets a point is to stop."""
        if not point.conditions and not point.commands:
            return True

        def write(text: bytes) -> None:
            self.motion.emit(text.decode("utf-8", "replace"))

        return agent.hit(point, agent.TargetEnvironment(self, thread_of(number), write))


def describe(hart: HartView) -> str:
    """A hart's mode and address space, as in `VS-mode, VMID 1, ASID 0, waiting (WFI)`."""
    h = hart.state
    parts = [f"{hart.mode}-mode"]
    if h.v:
        parts.append(f"VMID {get(h.hgatp, HGATP.VMID)}")
    if h.priv != M_MODE:
        parts.append(f"ASID {get(h.vsatp if h.v else h.satp, SATP.ASID)}")
    parts.append("waiting (WFI)" if hart.waiting else "running")
    return ", ".join(parts)
