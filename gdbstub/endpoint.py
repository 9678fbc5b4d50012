"""Where to listen: addresses as users write them, and listening sockets.

`HOST:PORT`, `:PORT` and `PORT` (loopback), `[IPV6]:PORT`, the same with `tcp:` before it,
`unix:PATH`, and `-` for standard input and output (`target remote | ...`).
"""

import errno
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from gdbstub.errors import EndpointError

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Tcp:
    """A TCP address; port 0 lets the system choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Unix:
    """The path of a Unix-domain socket."""

    path: str

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class Stdio:
    """Standard input and output of this process."""

    def __str__(self) -> str:
        return "standard input and output"


Endpoint = Tcp | Unix | Stdio


def parse(text: str) -> Endpoint:
    """The endpoint that `text` means. Raises EndpointError."""
    if text == "-":
        return Stdio()
    if text.startswith("unix:"):
        if not text[5:]:
            raise EndpointError("unix: lacks the path of the socket")
        return Unix(text[5:])
    host, _, port = text.removeprefix("tcp:").rpartition(":")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 0xFFFF):
        raise EndpointError(
            f"cannot listen for gdb at {text!r}: say HOST:PORT, :PORT (0-65535) or unix:PATH"
        )
    return Tcp(host.removeprefix("[").removesuffix("]") or LOOPBACK, int(port))


def listen(endpoint: Tcp | Unix) -> tuple[socket.socket, Tcp | Unix]:
    """A listening socket that never blocks, and where it listens. Raises EndpointError."""
    try:
        if isinstance(endpoint, Unix):
            return _listen_unix(endpoint), endpoint
        return _listen_tcp(endpoint)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise EndpointError(f"cannot listen for gdb at {endpoint}: already in use") from None
        reason = error.strerror or str(error)
        raise EndpointError(f"cannot listen for gdb at {endpoint}: {reason}") from None


def _listen_tcp(endpoint: Tcp) -> tuple[socket.socket, Tcp]:
    family, _, _, _, address = socket.getaddrinfo(
        endpoint.host, endpoint.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(8)
        listener.setblocking(False)
        host, port = listener.getsockname()[:2]
    except OSError:
        listener.close()
        raise
    return listener, Tcp(host, port)


def _listen_unix(endpoint: Unix) -> socket.socket:
    _remove_stale(endpoint)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o177)
        try:
            listener.bind(endpoint.path)
        finally:
            os.umask(before)
        listener.listen(8)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _remove_stale(endpoint: Unix) -> None:
    """Removes a socket of ours that nobody listens at; refuses to touch anything else."""
    path = Path(endpoint.path)
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise EndpointError(f"cannot listen for gdb at {endpoint}: it exists and is no socket")
    if status.st_uid != os.geteuid():
        raise EndpointError(f"cannot listen for gdb at {endpoint}: it belongs to another user")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(endpoint.path)
        except ConnectionRefusedError:
            path.unlink()
            return
        except OSError:
            pass
    raise EndpointError(f"cannot listen for gdb at {endpoint}: already in use")
