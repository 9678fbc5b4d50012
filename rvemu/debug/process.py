"""A machine as a process of the debugger's: its harts are the threads."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from gdbstub import Region, TargetError, ThreadId, ThreadInfo
from rvemu.debug.commands import DebugCommands
from rvemu.debug.description import target_description
from rvemu.debug.memory import DebugMemory
from rvemu.debug.motion import Motion
from rvemu.debug.points import DebugPoints
from rvemu.hart.fields import HGATP, SATP
from rvemu.hart.state import M_MODE
from rvemu.harts import HartView
from rvemu.lang import get
from rvemu.machine import Machine


class Process:
    """A machine, and all that a debugger has to do with it.

    path: the guest's ELF file, for a gdb that was given none. number: the process id. name: of the
    machine, where there are several. reboot: has its guest begin anew (default: as the machine
    does). during: is entered while the machine runs.
    """

    def __init__(
        self,
        machine: Machine,
        path: Path | str | None = None,
        *,
        number: int = 1,
        name: str = "",
        reboot: Callable[[], None] | None = None,
        during: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self.machine = machine
        self.number = number
        self.path = Path(path).resolve() if path is not None else None
        self.memory = DebugMemory(machine)
        self.points = DebugPoints(machine.shared, [hart.state for hart in machine.harts])
        self._reboot = reboot or machine.reboot
        self.motion = Motion(machine, self.points, number, self._reboot, during)
        self.commands = DebugCommands(machine, self.memory, self.motion, self.restart)
        self.description = target_description(machine.hart.state)
        self._prefix = f"{name}, " if name else ""

    def threads(self) -> list[ThreadId]:
        """Its harts; none if it has ended."""
        if self.motion.ended:
            return []
        return [self.motion.thread(n) for n in range(len(self.machine.harts))]

    def hart(self, thread: ThreadId) -> HartView:
        """The hart that a thread is. TargetError if there is none."""
        if not 1 <= thread.thread <= len(self.machine.harts):
            raise TargetError(f"there is no thread {thread.process}.{thread.thread}")
        return self.machine.harts[thread.thread - 1]

    def info(self, thread: ThreadId) -> ThreadInfo:
        """What `info threads` says: the hart, its mode, its address space, whether it waits."""
        number = thread.thread - 1
        name = f"{self._prefix}hart {number}"
        return ThreadInfo(name, describe(self.hart(thread)), number)

    def regions(self) -> Sequence[Region]:
        """All addresses: what there is at a virtual address is the guest's affair. Memory is a
        region of its own."""
        ram = self.machine.board.ram
        return [
            Region(0, ram.base),
            Region(ram.base, ram.size),
            Region(ram.end, (1 << 64) - 1 - ram.end),
        ]

    def kill(self) -> None:
        """End the machine."""
        self.motion.forget()
        self.motion.ended = True

    def restart(self) -> None:
        """Reset the machine, and load its guest again."""
        self.motion.forget()
        self._reboot()

    def close(self) -> None:
        """Leave the machine as it is without a debugger."""
        self.points.clear()
        self.points.apply(exact=True)
        self.commands.close()
        self.motion.release()


def describe(hart: HartView) -> str:
    """A hart's mode and address space, as in `VS-mode, VMID 1, ASID 0, waiting (WFI)`."""
    h = hart.state
    parts = [f"{hart.mode}-mode"]
    if h.v:
        parts.append(f"VMID {get(h.hgatp, HGATP.VMID)}")
    if h.priv != M_MODE:
        parts.append(f"ASID {get(h.vsatp if h.v else h.satp, SATP.ASID)}")
    parts.append(hart.activity)
    return ", ".join(parts)
