"""A connection to a client that never blocks: a socket, or a pair of pipes."""

import os
import socket

_READ = 1 << 18  # bytes taken in at a time


class Channel:
    """Bytes to and from one client, over two file descriptors (equal for a socket).

    Output that the client does not take waits in `pending`; the owner bounds it.
    """

    def __init__(self, reader: int, writer: int) -> None:
        self.reader = reader
        self.writer = writer
        self.pending = bytearray()
        self.broken = False

    def receive(self) -> bytes | None:
        """What has arrived; None if nothing has, b"" at the end of the stream."""
        try:
            return os.read(self.reader, _READ)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return b""

    def send(self, data: bytes) -> None:
        """Sends what fits at once, and keeps the rest for `flush`."""
        if self.pending:
            self.pending += data
            self.flush()
        elif data:
            sent = self._write(data)
            if sent < len(data):
                self.pending += memoryview(data)[sent:]

    def flush(self) -> None:
        """Sends what waits, as far as the client takes it."""
        while self.pending:
            with memoryview(self.pending) as view, view[:_READ] as piece:
                sent = self._write(piece)
            if not sent:
                return
            del self.pending[:sent]

    def close(self) -> None:
        """Ends the connection; what waits is lost."""

    def _write(self, data: bytes | memoryview) -> int:
        try:
            return os.write(self.writer, data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            self.broken = True
            return 0


class SocketChannel(Channel):
    """A TCP or Unix-domain socket, which it owns."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        if connection.family != socket.AF_UNIX:
            # A step is one small packet each way: waiting to fill segments would ruin it.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        super().__init__(connection.fileno(), connection.fileno())
        self._connection = connection

    def close(self) -> None:
        self._connection.close()


class PipeChannel(Channel):
    """Two pipes (standard input and output), which get their blocking mode back at the end."""

    def __init__(self, reader: int, writer: int) -> None:
        super().__init__(reader, writer)
        self._blocking = {fd: os.get_blocking(fd) for fd in (reader, writer)}
        for fd in self._blocking:
            os.set_blocking(fd, False)

    def close(self) -> None:
        for fd, blocking in self._blocking.items():
            os.set_blocking(fd, blocking)
