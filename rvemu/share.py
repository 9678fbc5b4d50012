"""A folder of the host's, served read-only by the 9P2000.L protocol.

The client is not trusted. Files are reached from the folder's own descriptor, one name at a time
and without following links, so that nothing outside of it can be; only regular files and folders
are opened. Whatever would change something fails with EROFS.

Source: the protocol's description in diod, and Linux's include/net/9p/9p.h.
"""

# construct is not typed.
# mypy: allow-untyped-calls

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from enum import IntEnum
from typing import Any

from construct import (
    Array,
    ConstructError,
    GreedyBytes,
    Int8ul,
    Int16ul,
    Int32ul,
    Int64ul,
    Prefixed,
    PrefixedArray,
    Struct,
)

from rvemu.errors import RvemuError

VERSION = b"9P2000.L"

#: Bytes of the largest message that is offered, and of the smallest that is accepted.
MAX_MESSAGE = 512 << 10
MIN_MESSAGE = 4096
#: The most files that a client may hold, and may hold open; and the depth of folders.
MAX_FIDS = 1 << 16
MAX_OPEN = 128
MAX_DEPTH = 128
_MAX_NAMES = 16  # of a walk

_LINUX = hasattr(os, "O_PATH")
#: To open a file, if it is no link, only to name it.
_NAMED = getattr(os, "O_PATH", 0) | getattr(os, "O_NOFOLLOW", 0) | os.O_CLOEXEC

_STRING = Prefixed(Int16ul, GreedyBytes)
_HEADER = Struct("size" / Int32ul, "type" / Int8ul, "tag" / Int16ul)
_QID = Struct("type" / Int8ul, "version" / Int32ul, "path" / Int64ul)
_TIME = Struct("seconds" / Int64ul, "nanoseconds" / Int64ul)


class Message(IntEnum):
    """Requests. An answer's type is one more."""

    ERROR = 6  # only its answer exists
    STATFS = 8
    OPEN = 12
    READLINK = 22
    GETATTR = 24
    READDIR = 40
    FSYNC = 50
    VERSION = 100
    ATTACH = 104
    FLUSH = 108
    WALK = 110
    READ = 116
    CLUNK = 120
    REMOVE = 122


# Requests that change something: lcreate, symlink, mknod, rename, setattr, xattrcreate, link,
# mkdir, renameat, unlinkat, write.
_CHANGES = frozenset([14, 16, 18, 20, 26, 32, 70, 72, 74, 76, 118])

_FID = Struct("fid" / Int32ul)
_REQUESTS = {
    Message.STATFS: _FID,
    Message.OPEN: Struct("fid" / Int32ul, "flags" / Int32ul),
    Message.READLINK: _FID,
    Message.GETATTR: Struct("fid" / Int32ul, "mask" / Int64ul),
    Message.READDIR: Struct("fid" / Int32ul, "offset" / Int64ul, "count" / Int32ul),
    Message.FSYNC: _FID,
    Message.VERSION: Struct("msize" / Int32ul, "version" / _STRING),
    Message.ATTACH: Struct("fid" / Int32ul, "afid" / Int32ul, "user" / _STRING, "tree" / _STRING),
    Message.FLUSH: Struct("oldtag" / Int16ul),
    Message.WALK: Struct(
        "fid" / Int32ul, "newfid" / Int32ul, "names" / PrefixedArray(Int16ul, _STRING)
    ),
    Message.READ: Struct("fid" / Int32ul, "offset" / Int64ul, "count" / Int32ul),
    Message.CLUNK: _FID,
    Message.REMOVE: _FID,
}
_STATFS = Struct(
    "type" / Int32ul,
    "bsize" / Int32ul,
    "counts" / Array(6, Int64ul),
    "namelen" / Int32ul,
)
_GETATTR = Struct(
    "valid" / Int64ul,
    "qid" / _QID,
    "mode" / Int32ul,
    "uid" / Int32ul,
    "gid" / Int32ul,
    "nlink" / Int64ul,
    "rdev" / Int64ul,
    "size" / Int64ul,
    "blksize" / Int64ul,
    "blocks" / Int64ul,
    "times" / Array(4, _TIME),
    "generation" / Int64ul,
    "data_version" / Int64ul,
)
_ENTRY = Struct("qid" / _QID, "offset" / Int64ul, "type" / Int8ul, "name" / _STRING)
_VALID = 0x7FF  # all but birth time, generation and version of the data
_MAGIC = 0x0102_1997  # V9FS_MAGIC, as the type of the file system


class _File:
    """A file that the client holds, by its names from the folder down. It costs no descriptor
    unless it is open."""

    def __init__(self, names: tuple[bytes, ...]) -> None:
        self.names = names
        self.opened: int | None = None
        self.entries: list[bytes] = []  # of an opened folder

    def __del__(self) -> None:
        if self.opened is not None:
            os.close(self.opened)


def _qid(status: os.stat_result) -> dict[str, int]:
    kind = {stat.S_IFDIR: 0x80, stat.S_IFLNK: 0x02}.get(stat.S_IFMT(status.st_mode), 0)
    path = (status.st_ino ^ status.st_dev << 48) & 0xFFFF_FFFF_FFFF_FFFF
    return {"type": kind, "version": status.st_mtime_ns & 0xFFFF_FFFF, "path": path}


class Share:
    """Serves a folder. Raises `RvemuError` where there is none, or the host is not Linux."""

    def __init__(self, path: str) -> None:
        if not _LINUX:
            raise RvemuError("--share: only a Linux host can share folders safely")
        try:
            self._root = os.open(path, _NAMED | os.O_DIRECTORY)
        except OSError as error:
            raise RvemuError(f"--share {path}: {error.strerror}") from error
        self.reset()

    def close(self) -> None:
        """Stop serving."""
        self.reset()
        os.close(self._root)

    def reset(self) -> None:
        """Forget the client."""
        self._fids: dict[int, _File] = {}
        self._limit = MAX_MESSAGE

    def answer(self, message: bytes, room: int) -> bytes:
        """The answer to a message: at most `room` bytes, which must hold an error."""
        header = _HEADER.parse(message.ljust(_HEADER.sizeof(), b"\0"))
        try:
            body = self._answer(header.type, message[_HEADER.sizeof() :], min(room, self._limit))
            kind = header.type + 1
            if _HEADER.sizeof() + len(body) > room:
                raise OSError(errno.EMSGSIZE, "room")
        except OSError as error:
            kind, body = Message.ERROR + 1, Int32ul.build(error.errno or errno.EIO)
        except (ConstructError, UnicodeError, ValueError):
            kind, body = Message.ERROR + 1, Int32ul.build(errno.EPROTO)
        size = _HEADER.sizeof() + len(body)
        return bytes(_HEADER.build({"size": size, "type": kind, "tag": header.tag}) + body)

    def _answer(self, kind: int, data: bytes, room: int) -> bytes:
        """The body of an answer; `room` is that for the whole of it."""
        if kind in _CHANGES:
            raise OSError(errno.EROFS, "read-only")
        if kind not in _REQUESTS:
            raise OSError(errno.EOPNOTSUPP, "unknown")
        request = _REQUESTS[Message(kind)].parse(data)
        match kind:
            case Message.VERSION:
                return self._version(request)
            case Message.ATTACH:
                self._hold(request.fid, _File(()))
                return bytes(_QID.build(_qid(os.fstat(self._root))))
            case Message.FLUSH:
                return b""  # Every request has been answered before the next is seen.
            case Message.WALK:
                return self._walk(request)
            case Message.CLUNK:
                del self._fids[self._known(request.fid)]
                return b""
            case Message.REMOVE:  # it forgets the file in any case
                del self._fids[self._known(request.fid)]
                raise OSError(errno.EROFS, "read-only")
        return self._ask(kind, self._fids[self._known(request.fid)], request, room)

    def _ask(self, kind: int, file: _File, request: Any, room: int) -> bytes:
        """Answer a request about a file."""
        match kind:
            case Message.READ:
                return _read(file, request, room)
            case Message.READDIR:
                return self._read_folder(file, request, room)
        with self._reached(file.names) as descriptor:
            match kind:
                case Message.OPEN:
                    return self._open(file, descriptor, request.flags)
                case Message.GETATTR:
                    return _attributes(os.fstat(descriptor))
                case Message.READLINK:
                    if not stat.S_ISLNK(os.fstat(descriptor).st_mode):
                        raise OSError(errno.EINVAL, "no link")
                    return bytes(_STRING.build(os.readlink(b"", dir_fd=descriptor)))
                case Message.STATFS:
                    return _file_system(os.fstatvfs(descriptor))
        return b""  # FSYNC

    @contextlib.contextmanager
    def _reached(self, names: tuple[bytes, ...]) -> Iterator[int]:
        """A descriptor that names a file."""
        descriptor = os.dup(self._root)
        try:
            for name in names:
                below = os.open(name, _NAMED, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)

    def _status(self, names: tuple[bytes, ...]) -> os.stat_result:
        with self._reached(names) as descriptor:
            return os.fstat(descriptor)

    def _known(self, fid: int) -> int:
        if fid not in self._fids:
            raise OSError(errno.EBADF, "fid")
        return fid

    def _hold(self, fid: int, file: _File) -> None:
        if fid in self._fids:
            raise OSError(errno.EBADF, "fid")
        if len(self._fids) >= MAX_FIDS:
            raise OSError(errno.EMFILE, "fids")
        self._fids[fid] = file

    def _version(self, request: Any) -> bytes:
        self.reset()
        if request.msize < MIN_MESSAGE:
            raise OSError(errno.EMSGSIZE, "msize")
        self._limit = min(request.msize, MAX_MESSAGE)
        version = VERSION if request.version == VERSION else b"unknown"
        return bytes(_REQUESTS[Message.VERSION].build({"msize": self._limit, "version": version}))

    def _walk(self, request: Any) -> bytes:
        file = self._fids[self._known(request.fid)]
        if len(request.names) > _MAX_NAMES or (file.opened is not None and request.names):
            raise OSError(errno.EINVAL, "walk")
        qids: list[dict[str, int]] = []
        names = file.names
        for name in request.names:
            try:
                names = _step(names, name)
                qids.append(_qid(self._status(names)))
            except OSError:
                if not qids:
                    raise
                break
        if len(qids) == len(request.names):
            if request.newfid == request.fid:
                del self._fids[request.fid]
            self._hold(request.newfid, _File(names))
        return bytes(PrefixedArray(Int16ul, _QID).build(qids))

    def _open(self, file: _File, descriptor: int, flags: int) -> bytes:
        if flags & os.O_ACCMODE != os.O_RDONLY or flags & os.O_TRUNC:
            raise OSError(errno.EROFS, "read-only")
        status = os.fstat(descriptor)
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise OSError(errno.EACCES, "no regular file")
        if file.opened is not None:
            raise OSError(errno.EBADF, "open")
        if sum(each.opened is not None for each in self._fids.values()) >= MAX_OPEN:
            raise OSError(errno.EMFILE, "open files")
        file.opened = os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)
        return bytes(_QID.build(_qid(status)) + Int32ul.build(0))

    def _read_folder(self, file: _File, request: Any, room: int) -> bytes:
        """Entries from a number on: their order is that of their names."""
        if file.opened is None:
            raise OSError(errno.EBADF, "not open")
        if request.offset == 0:
            with os.scandir(file.opened) as found:
                names = sorted(os.fsencode(each.name) for each in found)
            file.entries = [b".", b"..", *names]
        count = min(request.count, room - _HEADER.sizeof() - 4)
        data = bytearray()
        for n in range(min(request.offset, len(file.entries)), len(file.entries)):
            entry = self._entry(file, n)
            if len(data) + len(entry) > count:
                break
            data += entry
        return bytes(Int32ul.build(len(data)) + data)

    def _entry(self, folder: _File, number: int) -> bytes:
        """An entry of a folder's list; nothing if the file has gone since."""
        name = folder.entries[number]
        assert folder.opened is not None
        try:
            if name == b"..":
                status = self._status(folder.names[:-1])
            else:
                status = os.stat(name, dir_fd=folder.opened, follow_symlinks=False)
        except OSError:
            return b""
        fields = {
            "qid": _qid(status),
            "offset": number + 1,
            "type": stat.S_IFMT(status.st_mode) >> 12,
            "name": name,
        }
        return bytes(_ENTRY.build(fields))


def _step(names: tuple[bytes, ...], name: bytes) -> tuple[bytes, ...]:
    """Where a name leads from a folder; never above the one that is shared."""
    if name == b"..":
        return names[:-1]
    if b"/" in name or b"\0" in name or name in (b"", b"."):
        raise OSError(errno.EINVAL, "name")
    if len(names) >= MAX_DEPTH:
        raise OSError(errno.ENAMETOOLONG, "depth")
    return (*names, name)


def _read(file: _File, request: Any, room: int) -> bytes:
    if file.opened is None:
        raise OSError(errno.EBADF, "not open")
    count = min(request.count, room - _HEADER.sizeof() - 4)
    data = os.pread(file.opened, count, min(request.offset, (1 << 63) - 1 - count))
    return bytes(Int32ul.build(len(data)) + data)


def _attributes(status: os.stat_result) -> bytes:
    times = (status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns, 0)
    fields = {
        "valid": _VALID,
        "qid": _qid(status),
        "mode": status.st_mode,
        "uid": status.st_uid,
        "gid": status.st_gid,
        "nlink": status.st_nlink,
        "rdev": 0,
        "size": status.st_size,
        "blksize": status.st_blksize,
        "blocks": status.st_blocks,
        "times": [
            {"seconds": time // 10**9 & (1 << 64) - 1, "nanoseconds": time % 10**9}
            for time in times
        ],
        "generation": 0,
        "data_version": 0,
    }
    return bytes(_GETATTR.build(fields))


def _file_system(found: os.statvfs_result) -> bytes:
    counts = [found.f_blocks, found.f_bfree, found.f_bavail, found.f_files, found.f_ffree, 0]
    fields = {
        "type": _MAGIC,
        "bsize": found.f_bsize,
        "counts": counts,
        "namelen": found.f_namemax,
    }
    return bytes(_STATFS.build(fields))
