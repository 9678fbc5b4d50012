"""A folder of the host's, served by the 9P2000.L protocol, read-only or for writing.

The client is not trusted. Files are reached from the folder's own descriptor, one name at a time
and without following links, so that nothing outside of it can be; only regular files and folders
are opened. What may be changed is in `rvemu.share_changes`; read-only, all of it fails with EROFS.
"""

# construct is not typed.
# mypy: allow-untyped-calls

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import Any, NamedTuple

from construct import ConstructError, Int16ul, Int32ul, PrefixedArray

from rvemu import share_changes as changes
from rvemu.errors import RvemuError
from rvemu.keyvalues import Options
from rvemu.p9_messages import (
    CHANGES,
    ENTRY,
    GETLOCK_ANSWER,
    HEADER,
    LOCK_ANSWER,
    QID,
    REMOVE_FOLDER,
    REQUESTS,
    STRING,
    VERSION,
    Message,
    attributes,
    file_system,
    qid,
)
from rvemu.share_locks import Locks

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

_Names = tuple[bytes, ...]


class ShareOptions(NamedTuple):
    """What a user says of a folder."""

    path: str
    writable: bool = False

    @staticmethod
    def parse(text: str) -> ShareOptions:
        """Options such as `FOLDER,writable=on`. Raises `RvemuError`."""
        options = Options.parse("--share", text, first="path")
        path = options.take("path")
        if not path:
            raise options.error("it names no folder", "--share FOLDER")
        parsed = ShareOptions(path, options.switch("writable"))
        options.finish()
        return parsed


class _File:
    """A file that the client holds, by its names from the folder down. It costs no descriptor
    unless it is open."""

    def __init__(self, names: _Names) -> None:
        self.names = names
        self.opened: int | None = None
        self.entries: list[bytes] = []  # of an opened folder
        self._locks: Locks | None = None

    @property
    def locks(self) -> Locks:
        """What is locked by it."""
        if self.opened is None:
            raise OSError(errno.EBADF, "not open")
        if self._locks is None:
            self._locks = Locks(self.opened)
        return self._locks

    def __del__(self) -> None:
        if self._locks is not None:
            self._locks.close()
        if self.opened is not None:
            os.close(self.opened)


class Share:
    """Serves a folder. Raises `RvemuError` where there is none, or the host is not Linux."""

    def __init__(self, path: str, *, writable: bool = False) -> None:
        self.writable = writable
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
        _, asked, tag = HEADER.unpack(message[: HEADER.size].ljust(HEADER.size, b"\0"))
        try:
            body = self._answer(asked, message[HEADER.size :], min(room, self._limit))
            kind = asked + 1
            if HEADER.size + len(body) > room:
                raise OSError(errno.EMSGSIZE, "room")
        except OSError as error:
            kind, body = Message.ERROR + 1, Int32ul.build(error.errno or errno.EIO)
        except (ConstructError, UnicodeError, ValueError):
            kind, body = Message.ERROR + 1, Int32ul.build(errno.EPROTO)
        return HEADER.pack(HEADER.size + len(body), kind, tag) + body

    def _answer(self, kind: int, data: bytes, room: int) -> bytes:
        """The body of an answer; `room` is that for the whole of it."""
        if kind in CHANGES and not self.writable:
            raise OSError(errno.EROFS, "read-only")
        if kind in (Message.MKNOD, Message.LINK):
            raise OSError(errno.EPERM, "not here")
        if kind not in REQUESTS:
            raise OSError(errno.EOPNOTSUPP, "unknown")
        request = REQUESTS[Message(kind)].parse(data)
        match kind:
            case Message.VERSION:
                return self._version(request)
            case Message.ATTACH:
                self._hold(request.fid, _File(()))
                return bytes(QID.build(qid(os.fstat(self._root))))
            case Message.FLUSH:
                return b""  # Every request has been answered before the next is seen.
            case Message.WALK:
                return self._walk(request)
            case Message.CLUNK:
                del self._fids[self._known(request.fid)]
                return b""
            case Message.REMOVE:
                return self._remove(self._fids.pop(self._known(request.fid)))
        file = self._fids[self._known(request.fid)]
        if kind in CHANGES:
            return self._change(kind, file, request)
        return self._ask(kind, file, request, room)

    def _ask(self, kind: int, file: _File, request: Any, room: int) -> bytes:
        """Answer a request about a file."""
        match kind:
            case Message.READ:
                return _read(file, request, room)
            case Message.READDIR:
                return self._read_folder(file, request, room)
            case Message.FSYNC:
                if self.writable and file.opened is not None:
                    os.fsync(file.opened)
                return b""
        with self._descriptor(file) as descriptor:
            match kind:
                case Message.OPEN:
                    return self._open(file, descriptor, request.flags)
                case Message.GETATTR:
                    return attributes(os.fstat(descriptor))
                case Message.READLINK:
                    if not stat.S_ISLNK(os.fstat(descriptor).st_mode):
                        raise OSError(errno.EINVAL, "no link")
                    return bytes(STRING.build(os.readlink(b"", dir_fd=descriptor)))
                case _:
                    assert kind == Message.STATFS
                    return file_system(os.fstatvfs(descriptor))

    def _change(self, kind: int, file: _File, request: Any) -> bytes:
        """Do what changes something: in a folder, or to a file."""
        match kind:
            case Message.WRITE:
                count = changes.write(file.opened, request.offset, request.data)
                return bytes(Int32ul.build(count))
            case Message.SETATTR:
                with self._descriptor(file) as descriptor:
                    changes.set_attributes(descriptor, request)
                return b""
            case Message.LOCK:
                return bytes(LOCK_ANSWER.build(file.locks.take(request)))
            case Message.GETLOCK:
                return bytes(GETLOCK_ANSWER.build(file.locks.find(request)))
            case Message.CREATE:
                return self._create(file, request)
            case Message.RENAME:
                target = self._fids[self._known(request.folder)]
                return self._rename(file.names, _below(target, request.name))
            case Message.RENAMEAT:
                target = self._fids[self._known(request.new_folder)]
                return self._rename(_below(file, request.name), _below(target, request.new_name))
        names = _below(file, request.name)
        with self._reached(file.names) as folder:
            match kind:
                case Message.UNLINKAT:
                    changes.remove(folder, request.name, request.flags)
                    return b""
                case Message.MKDIR:
                    changes.make_folder(folder, request.name, request.mode)
                case _:
                    assert kind == Message.SYMLINK
                    changes.make_link(folder, request.name, request.target)
        return bytes(QID.build(qid(self._status(names))))

    @contextlib.contextmanager
    def _descriptor(self, file: _File) -> Iterator[int]:
        """A descriptor of a file: an open one need not have its name any more."""
        if file.opened is not None:
            yield file.opened
            return
        with self._reached(file.names) as descriptor:
            yield descriptor

    @contextlib.contextmanager
    def _reached(self, names: _Names) -> Iterator[int]:
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

    def _status(self, names: _Names) -> os.stat_result:
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
        return bytes(REQUESTS[Message.VERSION].build({"msize": self._limit, "version": version}))

    def _walk(self, request: Any) -> bytes:
        file = self._fids[self._known(request.fid)]
        if len(request.names) > _MAX_NAMES or (file.opened is not None and request.names):
            raise OSError(errno.EINVAL, "walk")
        qids: list[dict[str, int]] = []
        names = file.names
        for name in request.names:
            try:
                names = _step(names, name)
                qids.append(qid(self._status(names)))
            except OSError:
                if not qids:
                    raise
                break
        if len(qids) == len(request.names):
            if request.newfid == request.fid:
                del self._fids[request.fid]
            self._hold(request.newfid, _File(names))
        return bytes(PrefixedArray(Int16ul, QID).build(qids))

    def _open(self, file: _File, descriptor: int, flags: int) -> bytes:
        status = os.fstat(descriptor)
        if flags & os.O_ACCMODE != os.O_RDONLY or flags & os.O_TRUNC:
            if not self.writable:
                raise OSError(errno.EROFS, "read-only")
            changes.check_writable(status)
        if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
            raise OSError(errno.EACCES, "no regular file")
        self._check_open(file)
        access = flags & (os.O_ACCMODE | os.O_TRUNC)
        file.opened = os.open(changes.path_of(descriptor), access | os.O_CLOEXEC)
        return bytes(QID.build(qid(status)) + Int32ul.build(0))

    def _check_open(self, file: _File) -> None:
        """Refuse to open a file that is open, or one too many."""
        if file.opened is not None:
            raise OSError(errno.EBADF, "open")
        if sum(each.opened is not None for each in self._fids.values()) >= MAX_OPEN:
            raise OSError(errno.EMFILE, "open files")

    def _create(self, file: _File, request: Any) -> bytes:
        """Make a file in a folder, which is then what the client holds, and open it. One that is
        there already is opened, unless the client forbids it."""
        names = _below(file, request.name)
        self._check_open(file)
        try:
            with self._reached(file.names) as folder:
                access = request.flags & os.O_ACCMODE
                file.opened = changes.create(folder, request.name, access, request.mode)
        except FileExistsError:
            if request.flags & os.O_EXCL:
                raise
            with self._reached(names) as descriptor:
                self._open(file, descriptor, request.flags)
        file.names = names
        assert file.opened is not None
        return bytes(QID.build(qid(os.fstat(file.opened))) + Int32ul.build(0))

    def _remove(self, file: _File) -> bytes:
        """Remove a file that the client held until now."""
        if not self.writable:
            raise OSError(errno.EROFS, "read-only")
        with self._reached(file.names[:-1]) as folder:
            is_folder = stat.S_ISDIR(self._status(file.names).st_mode)
            name = _name_of(file.names)
            changes.remove(folder, name, REMOVE_FOLDER if is_folder else 0)
        return b""

    def _rename(self, old: _Names, new: _Names) -> bytes:
        """Move a file. What the client holds of it moves along."""
        with self._reached(old[:-1]) as source, self._reached(new[:-1]) as target:
            os.rename(_name_of(old), _name_of(new), src_dir_fd=source, dst_dir_fd=target)
        for file in self._fids.values():
            moved = (*new, *file.names[len(old) :])
            if file.names[: len(old)] == old and len(moved) <= MAX_DEPTH:
                file.names = moved
        return b""

    def _read_folder(self, file: _File, request: Any, room: int) -> bytes:
        """Entries from a number on: their order is that of their names."""
        if file.opened is None:
            raise OSError(errno.EBADF, "not open")
        if request.offset == 0:
            with os.scandir(file.opened) as found:
                names = sorted(os.fsencode(each.name) for each in found)
            file.entries = [b".", b"..", *names]
        count = min(request.count, room - HEADER.size - 4)
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
            "qid": qid(status),
            "offset": number + 1,
            "type": stat.S_IFMT(status.st_mode) >> 12,
            "name": name,
        }
        return bytes(ENTRY.build(fields))


def _step(names: _Names, name: bytes) -> _Names:
    """Where a name leads from a folder; never above the one that is shared."""
    if name == b"..":
        return names[:-1]
    if b"/" in name or b"\0" in name or name in (b"", b"."):
        raise OSError(errno.EINVAL, "name")
    if len(names) >= MAX_DEPTH:
        raise OSError(errno.ENAMETOOLONG, "depth")
    return (*names, name)


def _below(folder: _File, name: bytes) -> _Names:
    """The names of something in a folder."""
    if name == b"..":
        raise OSError(errno.EINVAL, "name")
    return _step(folder.names, name)


def _name_of(names: _Names) -> bytes:
    """A file's name in its folder. The folder that is shared has none."""
    if not names:
        raise OSError(errno.EBUSY, "the folder itself")
    return names[-1]


def _read(file: _File, request: Any, room: int) -> bytes:
    if file.opened is None:
        raise OSError(errno.EBADF, "not open")
    count = min(request.count, room - HEADER.size - 4)
    data = os.pread(file.opened, count, min(request.offset, (1 << 63) - 1 - count))
    return bytes(Int32ul.build(len(data)) + data)
