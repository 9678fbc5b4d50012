"""A run of a guest at somebody's console: the terminal, Ctrl-A commands, the monitor, signals."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import TYPE_CHECKING

from rvemu.console import HELP, Command, Console
from rvemu.machine import Machine, Outcome, Reason
from rvemu.statistics import Statistics
from rvemu.terminal import Terminal

if TYPE_CHECKING:
    from rvemu.monitor import Monitor

STDIN, STDOUT = 0, 1

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signalled(Exception):  # noqa: N818 - not an error
    """A signal asks the process to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Session:
    """Runs a machine whose guest has been loaded, with its console on stdin and stdout.

    say: takes messages for the user, a line each. reboot: whether a guest that asks for a reset
    is started again. SIGUSR1 has it say what the machine has done so far.
    """

    def __init__(
        self, machine: Machine, say: Callable[[str], None], *, reboot: bool = True
    ) -> None:
        self.machine = machine
        self.say = say
        self.reboot = reboot
        interactive = Terminal.is_ours(STDIN)
        self.terminal = Terminal(STDIN) if interactive else None
        # A terminal on which another job is in the foreground is not for us to read.
        source = STDIN if interactive or _is_file(STDIN) else None
        self.console = Console(
            machine, source, STDOUT, interactive=interactive, on_command=self._command
        )
        #: What the machine has done.
        self.statistics = Statistics(machine)
        self._wants_status = False
        machine.hooks.between.append(self._say_status)
        self._monitor: Monitor | None = None
        self._quit = False
        self._signal: int | None = None

    def run(self, budget: int | None = None) -> Outcome | None:
        """Run the guest; None if the user quits. Raises `Signalled` where a signal ends it. The
        terminal is restored in any case."""
        with self._signals():
            try:
                if self.terminal is not None:
                    self.terminal.raw()
                return self._run(budget)
            finally:
                if self.terminal is not None:
                    self.terminal.restore()

    def _run(self, budget: int | None) -> Outcome | None:
        machine = self.machine
        detect_stuck = True
        while True:
            before = machine.now
            outcome = machine.run(budget, detect_stuck=detect_stuck)
            if budget is not None:
                budget = max(budget - (machine.now - before), 0)
            if self._signal is not None:
                raise Signalled(self._signal)
            if self._quit:
                return None
            if outcome.reason is Reason.STUCK and self.terminal is not None:
                # The user may want to look around.
                self.say(f"the guest is stuck: {outcome.detail} (Ctrl-A x quits)")
                detect_stuck = False
            elif outcome.reason is Reason.RESET and self.reboot:
                self.say("the guest resets the machine")
                self.statistics.forget()
                machine.reboot()
            elif outcome.reason is not Reason.INTERRUPTED:
                return outcome

    # --- Signals -------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """End in good order on signals, and give the terminal back when stopped."""
        wanted = {
            **dict.fromkeys(_SIGNALS, self._on_signal),
            signal.SIGTSTP: self._on_stop,
            signal.SIGWINCH: self._on_resize,
            signal.SIGUSR1: self._on_status,
        }
        # What whoever started us has chosen to ignore (nohup does) stays ignored.
        before = {
            number: signal.signal(number, handler)
            for number, handler in wanted.items()
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        if number == signal.SIGINT and self.console.paused:
            return  # the monitor's line is discarded, no more
        self._signal = number
        self.machine.stop()
        if self.console.blocking:
            raise Signalled(number)

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        was_raw = self.terminal is not None and self.terminal.is_raw
        if self.terminal is not None:
            self.terminal.restore()
        os.kill(os.getpid(), signal.SIGSTOP)
        if was_raw and self.terminal is not None:
            self.terminal.raw()

    def _on_resize(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self.console.resized = self.terminal is not None

    def _on_status(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._wants_status = True
        if self.console.blocking:
            self._say_status()  # between slices anyway, and who knows for how long

    def _say_status(self) -> None:
        """Say what the machine has done, if somebody has asked."""
        if self._wants_status:
            self._wants_status = False
            self.say(f"{self.statistics.line()}; {self.statistics.places()}")

    # --- Commands ------------------------------------------------------------------------------

    def _command(self, command: Command) -> None:
        if command is Command.QUIT:
            self._quit = True
            self.machine.stop()
        elif command is Command.HELP:
            sys.stderr.write("\n" + HELP)
            sys.stderr.flush()
        else:
            self._ask()

    def _ask(self) -> None:
        """The monitor: read commands and answer them."""
        # Most runs come without it, and without what it knows of instructions.
        from rvemu.monitor import Monitor, Wish

        assert self.terminal is not None
        monitor = self._monitor = self._monitor or Monitor(self.machine)
        self.terminal.restore()
        self.console.paused = True
        try:
            sys.stderr.write("\nrvemu monitor: `help` lists commands, `continue` goes on\n")
            while True:
                line = self._read_line()
                text = monitor.execute("continue" if line is None else line)
                if text:
                    sys.stderr.write(text + "\n")
                if monitor.wish is Wish.QUIT:
                    self._quit = True
                    self.machine.stop()
                if monitor.wish is not Wish.NOTHING:
                    return
        finally:
            self.console.paused = False
            self.terminal.raw()

    def _read_line(self) -> str | None:
        """A line from the terminal, which edits it; None at its end (Ctrl-D)."""
        sys.stderr.write("(rvemu) ")
        sys.stderr.flush()
        line = b""
        self.console.blocking = True
        try:
            while not line.endswith(b"\n"):
                data = os.read(STDIN, 4096)
                if not data:
                    return line.decode("utf-8", "replace") if line else None
                line += data
        finally:
            self.console.blocking = False
        return line.decode("utf-8", "replace")


def _is_file(descriptor: int) -> bool:
    """Whether a descriptor is open, and no terminal."""
    try:
        os.fstat(descriptor)
        return not os.isatty(descriptor)
    except OSError:
        return False
