"""`monitor` commands: those that only a debugger needs, and else the monitor's (rvemu.monitor)."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from rvemu.debug.memory import DebugMemory
from rvemu.debug.motion import Motion
from rvemu.debug.trap_stops import KINDS, TrapStops
from rvemu.errors import RvemuError
from rvemu.hart.exceptions import FETCH, LOAD, STORE
from rvemu.hart.explain import explain
from rvemu.machine import Machine
from rvemu.monitor import Monitor
from rvemu.trace import CommitTrace

# The monitor's commands that move harts or choose one: gdb has its own.
_GDBS = {
    "step": "stepi", "s": "stepi", "continue": "continue", "c": "continue",
    "quit": "kill", "q": "kill", "hart": "thread",
}  # fmt: skip

_ACCESSES = {"load": LOAD, "store": STORE, "fetch": FETCH}

_HELP = """\
with a debugger:
phys on|off        addresses are physical, whatever the harts translate
guest on|off       addresses are those of the guest (vsatp, hgatp), though V=0; `walk`'s, too
devices on|off     memory accesses reach devices, with their side effects
traps on|off       print each trap
stop-on KIND [off] stop at each: trap, exception, interrupt, mode (slow), vm-exit
step-interrupts on|off  whether a step may begin with an interrupt (default: off)
trace on|off|FILE  a line for each instruction (slow), here or to a file
settings           what is switched on

everywhere:"""


class DebugCommands:
    """Answers `monitor` commands (`gdbstub.target.Monitor`)."""

    def __init__(
        self,
        machine: Machine,
        memory: DebugMemory,
        motion: Motion,
        on_reset: Callable[[], None],
    ) -> None:
        self._machine = machine
        self._memory = memory
        self._motion = motion
        self._on_reset = on_reset
        self._traps = TrapStops(machine, motion)
        self._monitor = Monitor(machine)
        self._trace: CommitTrace | None = None
        self._trace_file: TextIO | None = None
        self._commands: dict[str, Callable[[list[str]], str]] = {
            "help": self._help,
            "phys": self._phys,
            "guest": self._guest,
            "devices": self._devices,
            "traps": self._show_traps,
            "stop-on": self._stop_on,
            "step-interrupts": self._step_interrupts,
            "trace": self._set_trace,
            "settings": self._settings,
            "reset": self._reset,
            "walk": self._walk,
            "w": self._walk,
        }

    def command(self, line: str, hart: int) -> str:
        """Do a command for a hart; the text to show."""
        self._monitor.current = hart
        try:
            words = shlex.split(line)
            own = self._commands.get(words[0]) if words else self._help
            if own is not None:
                return own(words[1:])
            if words[0] in _GDBS:
                return f"error: use gdb's own `{_GDBS[words[0]]}`"
        except (RvemuError, ValueError) as error:
            return f"error: {error}"
        return self._monitor.execute(line)

    def close(self) -> None:
        """Switch all off, and leave nothing behind in the machine."""
        self._traps.clear()
        self._stop_trace()
        self._motion.step_interrupts = False
        self._memory.physical = self._memory.guest = self._memory.devices = False

    def _help(self, words: list[str]) -> str:
        everywhere = self._monitor.execute("help").splitlines()
        lines = [*_HELP.splitlines(), *(n for n in everywhere if _names(n)[0] not in _GDBS)]
        if not words:
            return "\n".join(lines)
        found = [line for line in lines if words[0] in _names(line)]
        return "\n".join(found) or f"error: no command {words[0]!r}; `help` lists them"

    def _phys(self, words: list[str]) -> str:
        self._memory.physical = _switch(words, "phys", self._memory.physical)
        return f"addresses are {'physical' if self._memory.physical else 'virtual'}"

    def _guest(self, words: list[str]) -> str:
        self._memory.guest = _switch(words, "guest", self._memory.guest)
        return f"addresses are {'the guest' if self._memory.guest else 'the hart'}'s"

    def _devices(self, words: list[str]) -> str:
        if not words:
            return self._monitor.execute("devices")
        self._memory.devices = _switch(words, "devices", self._memory.devices)
        return f"memory accesses {'reach' if self._memory.devices else 'spare'} devices"

    def _walk(self, words: list[str]) -> str:
        if not self._memory.guest or len(words) not in (1, 2):
            return self._monitor.execute(shlex.join(["walk", *words]))
        kind = words[1] if len(words) > 1 else "load"
        if kind not in _ACCESSES:
            raise RvemuError(f"{kind!r} is no access; there are: {', '.join(_ACCESSES)}")
        h = self._monitor.hart.state
        address = self._monitor.value(words[0])
        return str(explain(h, address, _ACCESSES[kind], self._memory.guest_mode(h), 1))

    def _show_traps(self, words: list[str]) -> str:
        self._traps.show(_switch(words, "traps", self._traps.shown))
        return f"traps are {'printed' if self._traps.shown else 'not printed'}"

    def _stop_on(self, words: list[str]) -> str:
        if len(words) not in (1, 2) or words[1:] not in ([], ["on"], ["off"]):
            raise RvemuError(f"usage: stop-on {'|'.join(KINDS)} [off]")
        if words == ["off"]:
            for kind in self._traps.kinds:
                self._traps.stop_on(kind, False)
        else:
            self._traps.stop_on(words[0], words[1:] != ["off"])
        return f"stops on: {', '.join(sorted(self._traps.kinds)) or 'nothing'}"

    def _step_interrupts(self, words: list[str]) -> str:
        self._motion.step_interrupts = _switch(
            words, "step-interrupts", self._motion.step_interrupts
        )
        come = "may begin with an interrupt" if self._motion.step_interrupts else "holds interrupts"
        return f"a step {come}"

    def _settings(self, words: list[str]) -> str:
        _need_nothing(words, "settings")
        state = {
            "phys": self._memory.physical,
            "guest": self._memory.guest,
            "devices": self._memory.devices,
            "traps": self._traps.shown,
            "step-interrupts": self._motion.step_interrupts,
            "trace": self._trace is not None,
        }
        lines = [f"{name:<16} {'on' if on else 'off'}" for name, on in state.items()]
        return "\n".join([*lines, f"{'stop-on':<16} {' '.join(sorted(self._traps.kinds)) or '-'}"])

    def _reset(self, words: list[str]) -> str:
        _need_nothing(words, "reset")
        self._on_reset()
        pc = self._machine.lookup(self._machine.hart.pc)
        return f"pc {pc} (`maintenance flush register-cache` has gdb look again)"

    # --- The trace -------------------------------------------------------------------------------

    def _set_trace(self, words: list[str]) -> str:
        if len(words) != 1:
            raise RvemuError("usage: trace on|off|FILE")
        self._stop_trace()
        if words[0] == "off":
            return "instructions are not traced"
        write = self._print
        if words[0] != "on":
            try:
                self._trace_file = Path(words[0]).open("w", encoding="utf-8")  # noqa: SIM115
            except OSError as error:
                raise RvemuError(f"{words[0]}: {error.strerror}") from None
            write = self._write_to_file
        self._trace = CommitTrace(self._machine, write)
        return "instructions are traced"

    def _print(self, line: str) -> None:
        self._motion.emit(line + "\n")

    def _write_to_file(self, line: str) -> None:
        if self._trace_file is not None:
            self._trace_file.write(line + "\n")

    def _stop_trace(self) -> None:
        if self._trace is not None:
            self._trace.detach()
            self._trace = None
        if self._trace_file is not None:
            self._trace_file.close()
            self._trace_file = None


def _names(line: str) -> list[str]:
    """What a command is called, by its line of help: `walk, w ADDR ...`."""
    return re.split("(?<!,) ", line, maxsplit=1)[0].split(", ")


def _need_nothing(words: list[str], name: str) -> None:
    if words:
        raise RvemuError(f"{name} takes no arguments")


def _switch(words: list[str], name: str, now: bool) -> bool:
    """What `on`, `off`, or nothing (leave it) means."""
    if not words:
        return now
    if len(words) != 1 or words[0] not in ("on", "off"):
        raise RvemuError(f"usage: {name} on|off")
    return words[0] == "on"
