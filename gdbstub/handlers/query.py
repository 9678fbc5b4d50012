"""What the two ends agree on, and monitor commands: `qSupported`, `QStartNoAckMode`, `qRcmd`.

Source: GDB manual, "General Query Packets".
"""

from gdbstub import fields, stops
from gdbstub.errors import PacketError, TargetError
from gdbstub.handlers import transfer
from gdbstub.state import State


def supported(state: State, rest: bytes) -> bytes:
    """`qSupported[:feature;...]`: takes in the client's features, answers with ours."""
    theirs = set(rest[1:].split(b";"))
    client = state.client
    client.multiprocess = b"multiprocess+" in theirs
    client.error_messages = b"error-message+" in theirs
    client.software_breaks = b"swbreak+" in theirs
    client.hardware_breaks = b"hwbreak+" in theirs
    target = state.target
    ours = [
        b"PacketSize=%x" % state.packet_size,
        b"QStartNoAckMode+",
        b"QNonStop+",
        b"QThreadEvents+",
        b"vContSupported+",
        b"binary-upload+",
    ]
    ours += [b"qXfer:%b:read+" % name for name in transfer.OBJECTS if transfer.offered(state, name)]
    if client.multiprocess:
        ours.append(b"multiprocess+")
    if client.error_messages:
        ours.append(b"error-message+")
    if target.signals is not None:
        ours.append(b"QPassSignals+")
    if target.breakpoints is not None:
        ours += [b"swbreak+", b"hwbreak+", b"ConditionalBreakpoints+", b"BreakpointCommands+"]
    return b";".join(ours)


def no_acknowledgements(state: State, _rest: bytes) -> bytes:
    """`QStartNoAckMode`: the client still acknowledges this reply, which does no harm."""
    state.wire.acknowledging = False
    state.wire.all_acknowledged()
    return b"OK"


def must_reply_empty(_state: State, _rest: bytes) -> bytes:
    """`vMustReplyEmpty`: the same as any unknown packet, by its definition."""
    return b""


def monitor(state: State, rest: bytes) -> bytes:
    """`qRcmd,command`: the output goes out in `O` packets while the command works."""
    target = state.target
    if target.monitor is None:
        return b""
    if not rest.startswith(b","):
        raise PacketError("qRcmd lacks its command")
    line = fields.string(rest[1:])

    def write(text: str) -> None:
        stops.print_packets(state, text.encode("utf-8", "replace"))

    try:
        thread = state.current()
    except TargetError as error:  # as text: gdb 13 has none of its own for a command that fails
        write(f"error: {error}\n")
    else:
        target.monitor.command(line, thread, write)
    return b"OK"
