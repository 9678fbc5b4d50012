"""One round of serving a debugger: the guest's turn, then the debugger's."""

from gdbstub import Server
from rvemu.debug.target import DebugTarget

# Seconds for which nothing but the debugger is listened to while there is nothing to run.
NAP = 0.05


def serve_once(server: Server, target: DebugTarget) -> bool:
    """Give the guest a slice of time if it may run, and answer the debugger; whether it ran. What
    a debugger has switched on with `monitor` ends when it leaves."""
    running = server.running and bool(target.threads())
    if running:
        for event in target.run_slice():
            server.report(event)
    server.poll(0 if running and not target.motion.idle else NAP)
    if not server.attached:
        target.commands.close()
    return running
