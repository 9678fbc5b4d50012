"""Traps that the user wants to see: `monitor traps` and `monitor stop-on`."""

from collections.abc import Callable

from rvemu.debug.motion import Motion
from rvemu.errors import RvemuError
from rvemu.machine import Machine
from rvemu.trace import trap_line
from rvemu.traps import last_trap

KINDS = ("trap", "exception", "interrupt", "mode", "vm-exit")


class TrapStops:
    """Shows traps, and stops harts for them or for changes of mode."""

    def __init__(self, machine: Machine, motion: Motion) -> None:
        self._machine = machine
        self._motion = motion
        self._modes: dict[int, str] = {}
        #: Whether each trap is printed.
        self.shown = False
        #: What to stop for: some of KINDS.
        self.kinds: frozenset[str] = frozenset()

    def show(self, on: bool) -> None:
        """Print each trap, or no longer."""
        self.shown = on
        self._install()

    def stop_on(self, kind: str, on: bool = True) -> None:
        """Stop for one of KINDS, or no longer."""
        if kind not in KINDS:
            raise RvemuError(f"{kind!r} is nothing to stop on; there are: {', '.join(KINDS)}")
        self.kinds = self.kinds | {kind} if on else self.kinds - {kind}
        self._install()

    def clear(self) -> None:
        """Show nothing, and stop for nothing."""
        self.shown = False
        self.kinds = frozenset()
        self._install()

    def _install(self) -> None:
        """Have the machine call us, only if we are needed: traps then leave the engine, and a
        look at each change of mode means that harts are stepped."""
        hooks = self._machine.hooks
        _set(hooks.trap, self._on_trap, self.shown or bool(self.kinds))
        _set(hooks.after, self._after, "mode" in self.kinds)
        self._modes = {n: hart.mode for n, hart in enumerate(self._machine.harts)}

    def _on_trap(self, number: int) -> None:
        trap = last_trap(self._machine.harts[number].state)
        self._motion.listen()
        text = trap_line(self._machine, number, trap)
        if self.shown:
            self._motion.emit(text + "\n")
        kind = "interrupt" if trap.is_interrupt else "exception"
        left_guest = bool(trap.origin[1]) and not self._machine.harts[number].state.v
        if self.kinds & {"trap", kind} or ("vm-exit" in self.kinds and left_guest):
            self._say(f"stopped by a trap: hart {text}\n")
            self._motion.stop(number)

    def _after(self, number: int) -> None:
        mode = self._machine.harts[number].mode
        before = self._modes.get(number, mode)
        self._modes[number] = mode
        if mode != before:
            self._say(f"stopped by a change of mode: hart {number} {before}->{mode}\n")
            self._motion.stop(number)

    def _say(self, text: str) -> None:
        if not self.shown:
            self._motion.emit(text)


def _set(hooks: list[Callable[[int], None]], hook: Callable[[int], None], on: bool) -> None:
    if on and hook not in hooks:
        hooks.append(hook)
    elif not on and hook in hooks:
        hooks.remove(hook)
