"""What a client may change in a folder that is shared for writing, by descriptors and single names.

It makes files, folders, and links that lead down from where they are; no devices, and nothing that
runs with its owner's rights: setuid and setgid bits stay as they are, and a file that has one is
not written. Owners stay, too.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from typing import Any

from rvemu.p9_messages import REMOVE_FOLDER, Valid

_PERMISSIONS = 0o777
_LARGEST = (1 << 63) - 1  # offset in a file
_SECOND = 10**9


def path_of(descriptor: int) -> str:
    """A path of exactly what a descriptor names: no link is followed to it."""
    return f"/proc/self/fd/{descriptor}"


def check_writable(status: os.stat_result) -> None:
    """Refuse to write a file that runs with its owner's rights."""
    if stat.S_ISREG(status.st_mode) and status.st_mode & (stat.S_ISUID | stat.S_ISGID):
        raise OSError(errno.EPERM, "setuid")


def create(folder: int, name: bytes, access: int, mode: int) -> int:
    """Make a file, which was not there, and open it."""
    flags = os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    opened = os.open(name, access | flags, 0o600, dir_fd=folder)
    _set_mode(opened, mode)  # whatever this process's umask is
    return opened


def make_folder(folder: int, name: bytes, mode: int) -> None:
    """Make a folder."""
    os.mkdir(name, 0o700, dir_fd=folder)
    made = os.open(name, os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        _set_mode(made, mode)
    finally:
        os.close(made)


def make_link(folder: int, name: bytes, target: bytes) -> None:
    """Make a symbolic link. Programs of the host's may follow it: it must not lead out."""
    if not target or target.startswith(b"/") or b".." in target.split(b"/"):
        raise OSError(errno.EPERM, "target")
    os.symlink(target, name, dir_fd=folder)


def remove(folder: int, name: bytes, flags: int) -> None:
    """Remove a file, or a folder that is empty."""
    if flags & REMOVE_FOLDER:
        os.rmdir(name, dir_fd=folder)
    else:
        os.unlink(name, dir_fd=folder)


def write(opened: int | None, offset: int, data: bytes) -> int:
    """Write to a file; how many bytes were written."""
    if opened is None:
        raise OSError(errno.EBADF, "not open")
    if offset > _LARGEST - len(data):
        raise OSError(errno.EFBIG, "offset")
    return os.pwrite(opened, data, offset)


def set_attributes(descriptor: int, request: Any) -> None:
    """Change a file's size, permissions and times."""
    status = os.fstat(descriptor)
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise OSError(errno.EOPNOTSUPP, "no regular file")
    valid = request.valid
    if (valid & Valid.UID and request.uid != status.st_uid) or (
        valid & Valid.GID and request.gid != status.st_gid
    ):
        raise OSError(errno.EPERM, "owner")
    if valid & Valid.SIZE:
        _set_size(descriptor, status, request.size)
    if valid & Valid.MODE:
        _set_mode(descriptor, request.mode)
    if valid & (Valid.ATIME | Valid.MTIME):
        _set_times(descriptor, request)


def _set_mode(descriptor: int, mode: int) -> None:
    special = stat.S_IMODE(os.fstat(descriptor).st_mode) & ~_PERMISSIONS
    os.chmod(path_of(descriptor), special | mode & _PERMISSIONS)  # noqa: PTH101


def _set_size(descriptor: int, status: os.stat_result, size: int) -> None:
    check_writable(status)
    if size > _LARGEST:
        raise OSError(errno.EFBIG, "size")
    opened = os.open(path_of(descriptor), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.ftruncate(opened, size)
    finally:
        os.close(opened)


def _set_times(descriptor: int, request: Any) -> None:
    status = os.fstat(descriptor)  # with the times that a change of size has left
    accessed, modified = status.st_atime_ns, status.st_mtime_ns
    if request.valid & Valid.ATIME:
        accessed = _nanoseconds(request.atime if request.valid & Valid.ATIME_SET else None)
    if request.valid & Valid.MTIME:
        modified = _nanoseconds(request.mtime if request.valid & Valid.MTIME_SET else None)
    os.utime(path_of(descriptor), ns=(accessed, modified))


def _nanoseconds(given: Any) -> int:
    """A time since 1970: what is given, or now."""
    if given is None:
        return time.time_ns()
    if given.nanoseconds >= _SECOND:
        raise OSError(errno.EINVAL, "time")
    seconds = (int(given.seconds) ^ 1 << 63) - (1 << 63)  # signed
    return seconds * _SECOND + int(given.nanoseconds)
