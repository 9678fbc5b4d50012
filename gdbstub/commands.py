"""The table of packets: name -> handler.

A name is one character, or for `q`, `Q` and `v` packets everything up to the first separator.
Adding a packet is one function in `gdbstub.handlers` and one line here.
"""

import re
from collections.abc import Callable

from gdbstub.handlers import (
    execution,
    files,
    lifecycle,
    memory,
    points,
    query,
    registers,
    threads,
    transfer,
)
from gdbstub.state import State

Handler = Callable[[State, bytes], bytes | None]

_LONG_NAME = re.compile(rb"[qQv][A-Za-z0-9]+")


def _v_cont(state: State, rest: bytes) -> bytes | None:
    """`vCont?` and `vCont;...` share a name."""
    return execution.resume_actions(state) if rest == b"?" else execution.v_cont(state, rest)


COMMANDS: dict[bytes, Handler] = {
    b"!": lifecycle.extended,
    b"?": execution.why,
    b"C": execution.go_with_signal,
    b"D": lifecycle.detach,
    b"G": registers.write_all,
    b"H": threads.select,
    b"M": memory.write_hex,
    b"P": registers.write_one,
    b"R": lifecycle.restart,
    b"S": execution.step_with_signal,
    b"T": threads.alive,
    b"X": memory.write_binary,
    b"Z": points.insert,
    b"c": execution.go,
    b"g": registers.read_all,
    b"k": lifecycle.kill,
    b"m": memory.read_hex,
    b"p": registers.read_one,
    b"s": execution.step,
    b"x": memory.read_binary,
    b"z": points.remove,
    b"QNonStop": execution.non_stop,
    b"QPassSignals": threads.pass_signals,
    b"QStartNoAckMode": query.no_acknowledgements,
    b"QThreadEvents": threads.events,
    b"qAttached": threads.attached,
    b"qC": threads.current,
    b"qCRC": memory.crc,
    b"qRcmd": query.monitor,
    b"qSearch": memory.search,
    b"qSupported": query.supported,
    b"qThreadExtraInfo": threads.extra,
    b"qXfer": transfer.transfer,
    b"qfThreadInfo": threads.first,
    b"qsThreadInfo": threads.following,
    b"vAttach": lifecycle.attach,
    b"vCont": _v_cont,
    b"vCtrlC": execution.ctrl_c,
    b"vFile": files.host_io,
    b"vKill": lifecycle.kill_one,
    b"vMustReplyEmpty": query.must_reply_empty,
    b"vRun": lifecycle.run,
    b"vStopped": execution.stopped,
}


def find(packet: bytes) -> tuple[Handler, bytes] | None:
    """The handler of a packet, and what follows the packet's name; None: not supported."""
    first = packet[:1]
    if first in b"qQv" and (name := _LONG_NAME.match(packet)):
        handler = COMMANDS.get(name[0])
        return None if handler is None else (handler, packet[name.end() :])
    handler = COMMANDS.get(first)
    return None if handler is None else (handler, packet[1:])
