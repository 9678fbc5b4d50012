"""Serving a debugger: the guests' turn, then the debugger's."""

from collections.abc import Callable

from gdbstub import EndpointError, Server
from gdbstub.server import OnLoss
from rvemu.debug.target import DebugTarget
from rvemu.errors import RvemuError

# Seconds for which nothing but the debugger is listened to while there is nothing to run.
NAP = 0.05


def listen(
    target: DebugTarget, endpoint: str, *, wait: bool = False, on_loss: OnLoss = "continue"
) -> Server:
    """A server for a debugger at an endpoint (`HOST:PORT`, `:PORT`, `unix:PATH`). Raises
    `RvemuError` where that can't be listened on."""
    try:
        return Server(target, endpoint, wait=wait, on_loss=on_loss)
    except EndpointError as error:
        raise RvemuError(f"--gdb: {error}") from None


def serve_once(server: Server, target: DebugTarget) -> bool:
    """Give the guests a slice of time if they may run, and answer the debugger; whether they
    ran. What a debugger has switched on with `monitor` ends when it leaves."""
    running = server.running and bool(target.threads())
    if running:
        for event in target.run_slice():
            server.report(event)
    server.poll(0 if running and not target.idle else NAP)
    target.forget_settings(but=server.processes)
    return running


def serve(
    server: Server,
    target: DebugTarget,
    *,
    enough: Callable[[], bool] = lambda: False,
    idle: Callable[[], None] = lambda: None,
) -> None:
    """Serve until all guests have ended, or the debugger has killed them, and it has not started
    one anew; or until it is enough. idle: called where no guest may run."""

    def look() -> bool:
        idle()
        return enough()

    while not server.finished and not enough() and (target.threads() or server.linger(look)):
        if not serve_once(server, target):
            idle()
