"""A stub for the GDB remote serial protocol, for any target.

`Target` is what a target implements, `Session` the protocol without I/O, `Server` the sockets.
"""

from gdbstub.errors import EndpointError, PacketError, TargetError, TargetFatalError
from gdbstub.server import Server
from gdbstub.session import Session
from gdbstub.state import Status
from gdbstub.target import (
    CONTINUE,
    STEP,
    Event,
    Exited,
    Kind,
    Move,
    Output,
    Point,
    Reason,
    Region,
    Resume,
    Sig,
    Stopped,
    Target,
    Terminated,
    ThreadExited,
    ThreadId,
    ThreadInfo,
)

__all__ = [
    "CONTINUE", "STEP", "EndpointError", "Event", "Exited", "Kind", "Move", "Output",
    "PacketError", "Point", "Reason", "Region", "Resume", "Server", "Session", "Sig",
    "Status", "Stopped", "Target", "TargetError", "TargetFatalError", "Terminated",
    "ThreadExited", "ThreadId", "ThreadInfo",
]  # fmt: skip
