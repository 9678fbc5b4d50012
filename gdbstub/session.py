"""One debugging session: bytes in, bytes out, without I/O.

    session = Session(target)            # halts the target
    session.receive(bytes from the client)
    send(session.take())
    session.report(event)                # whatever the target did while it ran

The session calls the target, never the other way round. It is single-threaded.
"""

from gdbstub import commands, stops
from gdbstub.errors import TargetError, TargetFatalError
from gdbstub.handlers import execution, lifecycle
from gdbstub.packet import Decoder, Signal, escape
from gdbstub.state import OPEN, Cause, State, Status
from gdbstub.target import Event, Target

PACKET_SIZE = 0x20000  # bytes; gdb reads half as many bytes of memory at a time
HIGH_WATER = 1 << 20  # bytes of output that wait, above which no further command is begun
MAX_COMMANDS = 64  # commands carried out before the guest gets its next turn


class Session:
    """A client's hold on a target, from connecting to leaving.

    `packet_size` is the longest payload in bytes, both ways (at least 512).
    """

    def __init__(self, target: Target, packet_size: int = PACKET_SIZE) -> None:
        self._state = State(target, max(packet_size, 512))
        self._decoder = Decoder(self._state.packet_size)
        self._more = False
        #: Whether the client has sent a packet: it may be something else that looks who listens.
        self.spoken = False
        execution.begin(self._state)

    @property
    def status(self) -> Status:
        """Where the connection stands; see `gdbstub.state.TRANSITIONS`."""
        return self._state.status

    @property
    def open(self) -> bool:
        """Whether the client is still there. If not, send what `take` gives, and close."""
        return self._state.status in OPEN

    @property
    def running(self) -> bool:
        """Whether the guest is to be given time. (After `lose`, the caller knows better.)"""
        if self.open:
            return self._state.running
        return self.status is Status.DETACHED

    @property
    def extended(self) -> bool:
        """Whether the client may start anew what has ended (`!`)."""
        return self._state.client.extended

    @property
    def processes(self) -> list[int]:
        """The processes that the client is attached to."""
        return self._state.processes() if self.open else []

    @property
    def backlog(self) -> int:
        """How many bytes `take` would give."""
        return self._state.wire.backlog

    @property
    def busy(self) -> bool:
        """Whether commands have arrived that are not carried out: call `receive` again."""
        return self.open and not self._decoder.empty and self._more

    def take(self) -> bytes:
        """The bytes for the client, each once."""
        return self._state.wire.take()

    def report(self, event: Event) -> None:
        """Tells the session what the target did. Late and repeated stops are ignored."""
        if self.open:
            stops.report(self._state, event)

    def lose(self, *, resume: bool) -> None:
        """The connection broke: breakpoints go; the guest runs on, or stands still."""
        if self.open:
            lifecycle.leave(self._state, resume=resume)

    def receive(self, data: bytes = b"") -> None:
        """Takes in bytes and carries out what they ask.

        At most `MAX_COMMANDS`, and no more while the output is above `HIGH_WATER`: the rest
        waits for the next call.
        """
        self._decoder.feed(data)
        self._more = False
        for _ in range(MAX_COMMANDS):
            if not self.open:
                return
            if self.backlog > HIGH_WATER:
                break
            item = self._decoder.next()
            if item is None:
                return
            if isinstance(item, bytes):
                self._packet(item)
            else:
                self._signal(item)
        self._more = True

    def _signal(self, signal: Signal) -> None:
        wire = self._state.wire
        if signal is Signal.INTERRUPT:
            try:
                execution.interrupt(self._state)
            except TargetFatalError as error:
                self._fail(error)
            except TargetError:
                pass  # there is no reply that could say so; the client sees the guest run on
        elif signal is Signal.OVERSIZE:
            wire.acknowledge(True)
            wire.send(self._error(TargetError("the packet is longer than PacketSize", 7)))
        elif wire.acknowledging:
            if signal is Signal.ACK:
                wire.acknowledged()
            elif signal is Signal.NAK:
                wire.retransmit()
            else:
                wire.acknowledge(False)

    def _packet(self, packet: bytes) -> None:
        self.spoken = True
        wire = self._state.wire
        wire.acknowledge(True)
        wire.all_acknowledged()
        found = commands.find(packet)
        if found is None:
            wire.send(b"")
            return
        handler, rest = found
        try:
            reply = handler(self._state, rest)
        except TargetFatalError as error:
            self._fail(error)
            return
        except TargetError as error:
            reply = self._error(error)
        if reply is not None:
            wire.send(reply)

    def _error(self, error: TargetError) -> bytes:
        """`E.text` for a client that knows it, else `E NN` ("Standard Replies")."""
        if self._state.client.error_messages:
            text = " ".join(error.message.split()) or "error"
            return b"E." + escape(text.encode("utf-8", "replace")[:400])
        return b"E%02x" % (error.number & 0xFF or 1)

    def _fail(self, error: TargetFatalError) -> None:
        self._state.wire.send(self._error(error))
        self._state.move(Cause.FAIL)
