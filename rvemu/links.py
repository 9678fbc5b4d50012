"""Cables for the guest's network card that are file descriptors of the host's."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from rvemu.errors import RvemuError
from rvemu.outside import READABLE, WRITABLE

try:
    import fcntl
except ImportError:  # a host without them
    fcntl = None  # type: ignore[assignment]

_MAX_FRAME = 65535 + 18
#: Frames that wait for the guest, before the other side has to wait; and bytes for that side.
_MAX_WAITING = 256
_MAX_UNSENT = 4 << 20
_CHUNK = 1 << 18
_LENGTH = struct.Struct(">I")

_TUN = "/dev/net/tun"
_TUNSETIFF = 0x4004_54CA
_IFF_TAP, _IFF_NO_PI = 0x0002, 0x1000
_IFREQ = struct.Struct("16sH22x")


class StreamLink:
    """Frames over a stream socket, each behind its length in 32 bits, high byte first: the
    protocol of QEMU's `-netdev stream`."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        #: None after the other side has gone, or has sent what is no frame: the cable is cut.
        self.connection: socket.socket | None = connection
        self._received = bytearray()
        self._frames: deque[bytes] = deque()
        self._unsent = bytearray()

    @staticmethod
    def connect(address: str | tuple[str, int]) -> StreamLink:
        """Connect to a Unix socket's path, or to host and port. Raises `RvemuError`."""
        where = address if isinstance(address, str) else f"{address[0]}:{address[1]}"
        try:
            if isinstance(address, str):
                connection = socket.socket(socket.AF_UNIX)
                try:
                    connection.connect(address)
                except BaseException:
                    connection.close()
                    raise
            else:
                connection = socket.create_connection(address, timeout=10)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            raise RvemuError(
                f"--netdev stream: no connection to {where}: {error.strerror or error}"
            ) from error
        return StreamLink(connection)

    def send(self, frame: bytes) -> None:
        """Take a frame from the guest. It is lost if too many wait already."""
        if self.connection is not None and len(self._unsent) < _MAX_UNSENT:
            self._unsent += _LENGTH.pack(len(frame)) + frame
            self._send()

    def receive(self) -> bytes | None:
        """The next frame for the guest."""
        return self._frames.popleft() if self._frames else None

    def descriptors(self) -> Sequence[tuple[int, int]]:
        """The socket."""
        if self.connection is None:
            return ()
        wanted = 0 if len(self._frames) >= _MAX_WAITING else READABLE
        if self._unsent:
            wanted |= WRITABLE
        return ((self.connection.fileno(), wanted),)

    def timeout(self) -> float | None:
        """There are no timers."""
        return None

    def poll(self) -> None:
        """Send and receive what can be, unless too many frames wait for the guest."""
        self._send()
        if self.connection is None or len(self._frames) >= _MAX_WAITING:
            return
        try:
            data = self.connection.recv(_CHUNK)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._received += data
        self._divide()

    def _divide(self) -> None:
        start = 0
        received = self._received
        while len(received) >= start + _LENGTH.size:
            (length,) = _LENGTH.unpack_from(received, start)
            if length > _MAX_FRAME:
                self.close()
                return
            end = start + _LENGTH.size + length
            if len(received) < end:
                break
            self._frames.append(bytes(received[start + _LENGTH.size : end]))
            start = end
        del received[:start]

    def _send(self) -> None:
        if self.connection is None or not self._unsent:
            return
        try:
            count = self.connection.send(self._unsent)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.close()
            return
        del self._unsent[:count]

    def close(self) -> None:
        """Cut the cable."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None


class TapLink:
    """A TAP interface, which exists or may be made. Raises `RvemuError` where it cannot be had."""

    def __init__(self, name: str) -> None:
        if fcntl is None or not Path(_TUN).exists():
            raise RvemuError(
                "--netdev tap: this host has no TAP interfaces; --netdev user would do"
            )
        self._frames: deque[bytes] = deque()
        if not 0 < len(name.encode()) < 16:
            raise RvemuError(f"--netdev tap: '{name}' is no name of an interface, as tap0 is")
        try:
            self._descriptor = os.open(_TUN, os.O_RDWR | os.O_NONBLOCK)
            try:
                request = _IFREQ.pack(name.encode(), _IFF_TAP | _IFF_NO_PI)
                fcntl.ioctl(self._descriptor, _TUNSETIFF, request)
            except OSError:
                os.close(self._descriptor)
                raise
        except OSError as error:
            hint = ""
            if error.errno in (errno.EPERM, errno.EACCES):
                hint = f"; `ip tuntap add {name} mode tap user $USER`, as root, permits it"
            raise RvemuError(f"--netdev tap: {name}: {error.strerror}{hint}") from error

    def send(self, frame: bytes) -> None:
        """Take a frame from the guest. It is lost while the interface is down."""
        with contextlib.suppress(OSError):
            os.write(self._descriptor, frame)

    def receive(self) -> bytes | None:
        """The next frame for the guest."""
        return self._frames.popleft() if self._frames else None

    def descriptors(self) -> Sequence[tuple[int, int]]:
        """The interface."""
        if len(self._frames) >= _MAX_WAITING:
            return ()
        return ((self._descriptor, READABLE),)

    def timeout(self) -> float | None:
        """There are no timers."""
        return None

    def poll(self) -> None:
        """Receive what there is, unless too many frames wait for the guest."""
        with contextlib.suppress(OSError):
            while len(self._frames) < _MAX_WAITING:
                self._frames.append(os.read(self._descriptor, _MAX_FRAME))

    def close(self) -> None:
        """Give the interface back."""
        os.close(self._descriptor)
