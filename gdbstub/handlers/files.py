"""`vFile`: files that the target offers, for reading (`target:` paths, `remote get`).

Source: GDB manual, "Host I/O Packets", "Host I/O" (error numbers, `struct stat`, flags). A
client can read what `Target.files` knows by name, and nothing else of this machine.
"""

import struct
from collections.abc import Callable

from gdbstub import fields
from gdbstub.errors import PacketError
from gdbstub.packet import escape
from gdbstub.state import State

_ENOENT, _EBADF, _EINVAL, _EMFILE, _EROFS = 2, 9, 22, 24, 30
_WRITING = 0x1 | 0x2 | 0x8 | 0x200 | 0x400  # O_WRONLY, O_RDWR, O_APPEND, O_CREAT, O_TRUNC
_REGULAR, _READABLE = 0o100000, 0o444
_STAT = struct.Struct(">7I3Q3I")
MAX_OPEN = 64


class _HostError(Exception):
    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def host_io(state: State, rest: bytes) -> bytes:
    """`vFile:operation:parameters`: `F result[;data]`, or `F-1,errno`."""
    if state.target.files is None:
        return b""
    operation, _, parameters = rest[1:].partition(b":")
    handler = _OPERATIONS.get(operation)
    if handler is None:
        return b""
    try:
        return handler(state, parameters)
    except _HostError as failure:
        return b"F-1,%x" % failure.number


def _open(state: State, text: bytes) -> bytes:
    parts = text.split(b",")
    if len(parts) != 3:
        raise PacketError("open takes a name, flags and a mode")
    if fields.number(parts[1]) & _WRITING:
        raise _HostError(_EROFS)
    if len(state.open_files) >= MAX_OPEN:
        raise _HostError(_EMFILE)
    contents = _contents(state, parts[0])
    number = next(n for n in range(3, MAX_OPEN + 4) if n not in state.open_files)
    state.open_files[number] = contents
    return b"F%x" % number


def _close(state: State, text: bytes) -> bytes:
    _file(state, text)
    del state.open_files[fields.number(text)]
    return b"F0"


def _pread(state: State, text: bytes) -> bytes:
    number, count, offset = text.split(b",") if text.count(b",") == 2 else (b"", b"", b"")
    contents = _file(state, number)
    start = fields.number(offset)
    # Half the packet is kept for escapes.
    count_ = min(fields.number(count), max(1, state.packet_size // 2 - 16))
    return _with_data(bytes(contents[start : start + count_]))


def _fstat(state: State, text: bytes) -> bytes:
    return _with_data(_status(_file(state, text)))


def _stat(state: State, text: bytes) -> bytes:
    return _with_data(_status(_contents(state, text)))


def _readlink(state: State, text: bytes) -> bytes:
    _contents(state, text)
    raise _HostError(_EINVAL)  # it is there, and no symbolic link


def _setfs(_state: State, text: bytes) -> bytes:
    fields.number(text)
    return b"F0"  # every process sees the same files


def _read_only(_state: State, _text: bytes) -> bytes:
    raise _HostError(_EROFS)


def _contents(state: State, name: bytes) -> bytes | memoryview:
    assert state.target.files is not None
    contents = state.target.files.contents(fields.string(name))
    if contents is None:
        raise _HostError(_ENOENT)
    return contents


def _file(state: State, text: bytes) -> bytes | memoryview:
    contents = state.open_files.get(fields.number(text))
    if contents is None:
        raise _HostError(_EBADF)
    return contents


def _status(contents: bytes | memoryview) -> bytes:
    """`struct stat` of the protocol: 64 bytes, big-endian, times unknown."""
    size = len(contents)
    mode = _REGULAR | _READABLE
    return _STAT.pack(0, 0, mode, 1, 0, 0, 0, size, 512, (size + 511) // 512, 0, 0, 0)


def _with_data(data: bytes) -> bytes:
    return b"F%x;%b" % (len(data), escape(data))


_OPERATIONS: dict[bytes, Callable[[State, bytes], bytes]] = {
    b"open": _open,
    b"close": _close,
    b"pread": _pread,
    b"fstat": _fstat,
    b"stat": _stat,
    b"lstat": _stat,
    b"readlink": _readlink,
    b"setfs": _setfs,
    b"pwrite": _read_only,
    b"unlink": _read_only,
}
