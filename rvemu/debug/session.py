"""A run of a guest with a debugger beside its console."""

import contextlib
import select
from collections.abc import Callable
from pathlib import Path

from gdbstub import CONTINUE
from gdbstub.endpoint import Stdio
from gdbstub.server import OnLoss
from rvemu.board import TIMEBASE_FREQUENCY
from rvemu.debug.process import Process
from rvemu.debug.pump import NAP, listen, serve
from rvemu.debug.target import DebugTarget
from rvemu.machine import Machine, Outcome
from rvemu.session import Session, Signalled

STDERR = 2


class DebugSession(Session):
    """Runs a machine whose guest has been loaded, for a debugger at an endpoint (`HOST:PORT`,
    `:PORT`, `unix:PATH`) and a user at the console.

    wait: do not run before the debugger has come. path: the guest's file, for the debugger.
    on_loss: what becomes of the guest when the debugger vanishes. restart: has the guest begin anew
    (default: as the machine does). Raises `RvemuError` where the endpoint can't be listened on.
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
        restart: Callable[[], None] | None = None,
    ) -> None:
        process = Process(machine, path, reboot=restart)
        self.motion = process.motion
        self.target = DebugTarget(process, existed=existed)
        self.server = listen(self.target, endpoint, wait=wait, on_loss=on_loss)
        super().__init__(machine, say, reboot=reboot)
        self.motion.reboot = reboot
        if isinstance(self.server.address, Stdio):
            self.console.source, self.console.sink = None, STDERR
        self._console_idle = machine.hooks.idle
        machine.hooks.idle = self._idle
        # Nobody is attached: all harts run.
        self.target.resume(dict.fromkeys(self.target.threads(), CONTINUE))

    def _run(self, budget: int | None) -> Outcome | None:
        self.motion.budget = budget
        self.say(f"gdb: waiting at {self.server.address}")
        try:
            serve(self.server, self.target, enough=self._enough, idle=self._poll_console)
        finally:
            self.server.close()
            self.target.close()
        if self.motion.failure is not None:
            raise self.motion.failure
        return self.motion.outcome

    def _enough(self) -> bool:
        if self._signal is not None:
            raise Signalled(self._signal)
        return self._quit

    def _poll_console(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self.console.poll()

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
