"""Serves one debugger at a time over TCP, a Unix-domain socket, or standard input and output.

The server has no thread of its own. Whoever runs the guest calls `poll` between slices of it:

    server = Server(target, ":1234")
    while not server.finished:
        if server.running:
            for event in run_slice():       # 10-50 ms of guest time
                server.report(event)
            server.poll(0)
        else:
            server.poll(None)

`serve` is that loop.
"""

import contextlib
import select
import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

from gdbstub.channel import Channel, PipeChannel, SocketChannel
from gdbstub.endpoint import Endpoint, Stdio, Unix, listen, parse
from gdbstub.errors import TargetError
from gdbstub.packet import frame
from gdbstub.session import HIGH_WATER, PACKET_SIZE, Session
from gdbstub.state import Status
from gdbstub.target import Event, Target

OUTPUT_LIMIT = 16 << 20  # bytes that may wait for a client before it is dropped
_LINGER = 1.0  # seconds that a refused or leaving client has to take what was sent
_MAX_REFUSED = 8

_REFUSAL = b"+" + frame(b"E.another debugger is connected")

OnLoss = Literal["continue", "stop", "kill"]


class Server:
    """Listens from the beginning; raises EndpointError if it cannot.

    `address` says where (`str(server.address)` for the user). `on_loss` is what becomes of the
    guest when a debugger vanishes without detaching. With `wait` the guest does not run before
    the first debugger has come.
    """

    def __init__(
        self,
        target: Target,
        endpoint: Endpoint | str,
        *,
        on_loss: OnLoss = "continue",
        wait: bool = False,
        packet_size: int = PACKET_SIZE,
        output_limit: int = OUTPUT_LIMIT,
    ) -> None:
        self.address: Endpoint = parse(endpoint) if isinstance(endpoint, str) else endpoint
        self.finished = False  # the debugger has killed the guest, or standard input has ended
        self.status: Status | None = None  # how the last session stands, or ended
        self._target = target
        self._on_loss = on_loss
        self._held = wait  # whether the guest stands still while nobody is attached
        self._packet_size = packet_size
        self._output_limit = output_limit
        self._session: Session | None = None
        self._channel: Channel | None = None
        self._listener: socket.socket | None = None
        self._refused: dict[int, tuple[socket.socket, float]] = {}
        self._watched: dict[int, int] = {}
        self._poller = select.poll()
        if isinstance(self.address, Stdio):
            self._attach(PipeChannel(0, 1))
        else:
            self._listener, self.address = listen(self.address)
            self._watch(self._listener.fileno(), select.POLLIN)

    @property
    def attached(self) -> bool:
        """Whether a debugger is connected."""
        return self._session is not None

    @property
    def processes(self) -> list[int]:
        """The processes that a debugger is attached to."""
        return self._session.processes if self._session is not None else []

    @property
    def extended(self) -> bool:
        """Whether a debugger is connected that may start anew what has ended."""
        return self._session is not None and self._session.extended

    @property
    def running(self) -> bool:
        """Whether the guest is to be given time."""
        return self._session.running if self._session is not None else not self._held

    def report(self, event: Event) -> None:
        """Passes on what the target did, to the debugger if there is one."""
        if self._session is not None:
            self._session.report(event)
            self._send()

    def poll(self, timeout: float | None = 0) -> None:
        """Serves whatever is ready; waits for it up to `timeout` seconds (None: for ever).

        Never waits for a client to take its output.
        """
        if self._refused:
            self._expire()
            timeout = _LINGER if timeout is None else min(timeout, _LINGER)
        busy = self._session is not None and self._session.busy and not self._congested
        ready = self._poller.poll(0 if busy else None if timeout is None else timeout * 1000)
        if busy:
            self._receive(b"")
        heard = False
        for fd, events in ready:
            channel = self._channel
            if channel is not None and fd in (channel.reader, channel.writer):
                self._serve(channel, fd, events)
                heard = True
            elif fd in self._refused:
                self._drain(fd)
        # A client that comes is seen to after the one that is there, which may just have gone.
        listener = self._listener
        if listener is not None and not heard and any(fd == listener.fileno() for fd, _ in ready):
            self._accept(listener)

    def serve(self, run_slice: Callable[[], Iterable[Event]]) -> None:
        """Runs the guest and serves debuggers until the guest has ended.

        `run_slice` runs what may run for 10-50 ms and returns what happened. It returns when the
        debugger has killed the guest, or when no thread is left and `linger` was in vain.
        """
        while not self.finished and (self._target.threads() or self.linger()):
            if self.running:
                for event in run_slice():
                    self.report(event)
                self.poll(0)
            else:
                self.poll(None)

    def linger(self, enough: Callable[[], bool] = lambda: False) -> bool:
        """Serves a debugger after everything has ended; whether something was started anew.

        A debugger that can do that is waited for until it leaves, or it is `enough` (asked now
        and then); another one has a second to take in what happened.
        """
        until = time.monotonic() + _LINGER
        while self.attached and not self._target.threads() and not enough():
            if not self.extended and time.monotonic() >= until:
                break
            self.poll(0.1)
        return bool(self._target.threads())

    def close(self) -> None:
        """Drops the debugger and stops listening; the guest is left as it is."""
        self._part()
        for fd in list(self._refused):
            self._forget(fd)
        if self._listener is not None:
            self._unwatch(self._listener.fileno())
            self._listener.close()
            self._listener = None
            if isinstance(self.address, Unix):
                with contextlib.suppress(OSError):
                    Path(self.address.path).unlink()

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # The client.

    def _attach(self, channel: Channel) -> None:
        self._session = Session(self._target, self._packet_size)
        self._channel = channel
        self.status = self._session.status
        self._watch_channel()

    def _serve(self, channel: Channel, fd: int, events: int) -> None:
        if fd == channel.writer and events & select.POLLOUT:
            channel.flush()
        # With its output congested, a client's commands wait; but its going away is seen.
        if fd == channel.reader and events & ~select.POLLOUT:
            data = channel.receive()
            if data == b"":
                self._lost()
                return
            if data:
                self._receive(data)
                return
        self._send()

    def _receive(self, data: bytes) -> None:
        assert self._session is not None
        self._session.receive(data)
        self._send()

    def _send(self) -> None:
        """Sends the session's output, and looks whether the client can go on."""
        session, channel = self._session, self._channel
        if session is None or channel is None:
            return
        channel.send(session.take())
        self.status = session.status
        if channel.broken or len(channel.pending) > self._output_limit:
            self._lost()
        elif not session.open:
            self._end(session.status)
        else:
            self._watch_channel()

    def _end(self, status: Status) -> None:
        """The debugger has left in good order, or the target is beyond use."""
        self._part()
        if status is Status.KILLED or isinstance(self.address, Stdio):
            self.finished = True
        self._held = status is Status.FAILED

    def _lost(self) -> None:
        """The debugger has vanished."""
        session = self._session
        assert session is not None
        on_loss = self._on_loss
        if not session.spoken:  # it was no debugger: all is as it was before
            on_loss = "stop" if self._held else "continue"
        elif not session.processes:  # it has detached from all, and so left in good order
            on_loss = "continue"
        try:
            session.lose(resume=on_loss == "continue")
            if on_loss == "kill" and self._target.lifecycle is not None:
                for process in sorted({thread.process for thread in self._target.threads()}):
                    self._target.lifecycle.kill(process)
                self.finished = True
        except TargetError:
            pass  # the guest cannot be helped, and there is nobody to tell
        self._held = on_loss != "continue"
        self._part()
        self.status = Status.LOST
        if isinstance(self.address, Stdio):
            self.finished = True

    def _part(self) -> None:
        """Closes the connection, after a moment for what is still to be sent."""
        session, channel = self._session, self._channel
        if session is None or channel is None:
            return
        self._session = self._channel = None
        for fd in {channel.reader, channel.writer}:
            self._unwatch(fd)
        until = time.monotonic() + _LINGER
        writable = select.poll()
        writable.register(channel.writer, select.POLLOUT)
        while channel.pending and not channel.broken and session.status is not Status.LOST:
            left = until - time.monotonic()
            if left <= 0 or not writable.poll(left * 1000):
                break
            channel.flush()
        channel.close()

    # Clients that come while one is there.

    def _accept(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return  # it has gone again
        if self._session is None and not self.finished:
            try:
                self._attach(SocketChannel(connection))
            except TargetError:
                connection.close()
            return
        if len(self._refused) >= _MAX_REFUSED:
            self._forget(next(iter(self._refused)))
        connection.setblocking(False)
        with contextlib.suppress(OSError):
            connection.send(_REFUSAL)
            # Half closed: the reason is lost if what the client sent is never read.
            connection.shutdown(socket.SHUT_WR)
        self._refused[connection.fileno()] = (connection, time.monotonic() + _LINGER)
        self._watch(connection.fileno(), select.POLLIN)

    def _drain(self, fd: int) -> None:
        try:
            if self._refused[fd][0].recv(1 << 16):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._forget(fd)

    def _expire(self) -> None:
        now = time.monotonic()
        for fd, (_, deadline) in list(self._refused.items()):
            if deadline < now:
                self._forget(fd)

    def _forget(self, fd: int) -> None:
        self._unwatch(fd)
        self._refused.pop(fd)[0].close()

    # File descriptors.

    @property
    def _congested(self) -> bool:
        return self._channel is not None and len(self._channel.pending) > HIGH_WATER

    def _watch_channel(self) -> None:
        channel = self._channel
        assert channel is not None
        reading = 0 if self._congested else select.POLLIN
        writing = select.POLLOUT if channel.pending else 0
        if channel.reader == channel.writer:
            self._watch(channel.reader, reading | writing)
        else:
            self._watch(channel.reader, reading)
            self._watch(channel.writer, writing)

    def _watch(self, fd: int, events: int) -> None:
        if self._watched.get(fd) != events:
            self._watched[fd] = events
            self._poller.register(fd, events)

    def _unwatch(self, fd: int) -> None:
        if self._watched.pop(fd, None) is not None:
            self._poller.unregister(fd)
