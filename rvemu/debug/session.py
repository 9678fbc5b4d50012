"""A run of a guest with a debugger beside its console."""

import contextlib
import select
import time
from collections.abc import Callable
from pathlib import Path

from gdbstub import CONTINUE, EndpointError, Server
from gdbstub.endpoint import Stdio
from gdbstub.server import OnLoss
from rvemu.board import TIMEBASE_FREQUENCY
from rvemu.debug.pump import NAP, serve_once
from rvemu.debug.target import DebugTarget
from rvemu.errors import RvemuError
from rvemu.machine import Machine, Outcome
from rvemu.session import Session, Signalled

STDERR = 2


class DebugSession(Session):
    """Runs a machine whose guest has been loaded, for a debugger at an endpoint (`HOST:PORT`,
    `:PORT`, `unix:PATH`) and a user at the console.

    wait: do not run before the debugger has come. path: the guest's file, for the debugger.
    on_loss: what becomes of the guest when the debugger vanishes. Raises `RvemuError` where the
    endpoint can't be listened on.
    """

    def __init__(
        self,
        machine: Machine,
        say: Callable[[str], None],
        endpoint: str,
        *,
        path: Path | str | None = None,
        wait: bool = False,
        existed: bool = True,
        on_loss: OnLoss = "continue",
        reboot: bool = True,
    ) -> None:
        self.target = DebugTarget(machine, path, existed=existed)
        try:
            self.server = Server(self.target, endpoint, wait=wait, on_loss=on_loss)
        except EndpointError as error:
            raise RvemuError(f"--gdb: {error}") from None
        super().__init__(machine, say, reboot=reboot)
        self.target.motion.reboot = reboot
        if isinstance(self.server.address, Stdio):
            self.console.source, self.console.sink = None, STDERR
        self._console_idle = machine.hooks.idle
        machine.hooks.idle = self._idle
        # Nobody is attached: all harts run.
        self.target.resume(dict.fromkeys(self.target.threads(), CONTINUE))

    def _run(self, budget: int | None) -> Outcome | None:
        self.target.motion.budget = budget
        self.say(f"gdb: waiting at {self.server.address}")
        try:
            return self._serve()
        finally:
            self.server.close()
            self.target.close()

    def _serve(self) -> Outcome | None:
        server, target = self.server, self.target
        while not server.finished:
            if self._signal is not None:
                raise Signalled(self._signal)
            if self._quit:
                return None
            if not target.threads():
                self._say_goodbye()
                return target.motion.outcome
            if not serve_once(server, target):
                with contextlib.suppress(BlockingIOError):
                    self.console.poll()
        return target.motion.outcome

    def _say_goodbye(self) -> None:
        """The guest has ended: the debugger has a moment to take that in, and to start anew."""
        until = time.monotonic() + 1
        while self.server.attached and not self.target.threads() and time.monotonic() < until:
            self.server.poll(0.1)

    def _idle(self, ticks: int | None) -> int | None:
        """All harts wait. The console would wait as long as they, but the debugger must be heard:
        it is given short times to wait."""
        nap = int(NAP * TIMEBASE_FREQUENCY)
        console = self.console
        if ticks is None and not console.interactive and console.source is not None:
            select.select([console.source], [], [], NAP)
            return 0
        assert self._console_idle is not None
        if not console.interactive or (ticks is not None and ticks <= nap):
            return self._console_idle(ticks)
        passed = self._console_idle(nap)
        return 0 if ticks is None else passed
