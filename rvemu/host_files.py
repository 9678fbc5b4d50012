"""What Python's own modules lack of files on the host: holes, locks that belong to an open file,
and those of disk images, which QEMU respects."""

from __future__ import annotations

import ctypes
import errno
import struct
from functools import cache
from typing import Any, NamedTuple

try:
    import fcntl
except ImportError:  # a host without them
    fcntl = None  # type: ignore[assignment]

_KEEP_SIZE, _PUNCH_HOLE, _ZERO_RANGE = 1, 2, 16

# QEMU's locks of image files: a byte for each permission that the process uses, and one for each
# that it does not share with others. Locks are shared ones, so that anybody can see them.
_USED_BASE, _UNSHARED_BASE = 100, 200
_READ, _WRITE, _RESIZE = 0, 1, 3
_FLOCK = struct.Struct("hhqqi4x")  # struct flock where off_t has 64 bits


class RangeLock(NamedTuple):
    """A lock of bytes of a file."""

    kind: int  # fcntl's F_RDLCK, F_WRLCK, or F_UNLCK for none
    start: int
    length: int  # 0: to the file's end, wherever that will be
    process: int = 0  # who has it, if it was found; -1 if it belongs to an open file


def punch_hole(descriptor: int, offset: int, length: int) -> bool:
    """Make bytes of a file 0 by freeing the space that they take. False if the host cannot."""
    return _fallocate(descriptor, _KEEP_SIZE | _PUNCH_HOLE, offset, length)


def zero_range(descriptor: int, offset: int, length: int) -> bool:
    """Make bytes of a file 0, without writing them all. False if the host cannot."""
    return _fallocate(descriptor, _ZERO_RANGE, offset, length)


def lock_image(descriptor: int, *, writable: bool) -> bool:
    """Keep others (rvemu and QEMU) from writing to a disk image, and, if it is to be written, from
    reading it, until the descriptor is closed. False if one of them has it already.

    Where there are no such locks, as on some network file systems, nothing is locked.
    """
    if fcntl is None or not hasattr(fcntl, "F_OFD_SETLK"):
        return True
    used = [_READ, _WRITE, _RESIZE] if writable else [_READ]
    unshared = [_WRITE, _RESIZE]
    mine = [_USED_BASE + n for n in used] + [_UNSHARED_BASE + n for n in unshared]
    others = [_UNSHARED_BASE + n for n in used] + [_USED_BASE + n for n in unshared]
    try:
        for byte in mine:
            # One that is taken has been locked by someone who does not follow the protocol.
            if not set_lock(descriptor, RangeLock(fcntl.F_RDLCK, byte, 1)):
                return False
        for byte in others:
            found = find_lock(descriptor, RangeLock(fcntl.F_WRLCK, byte, 1))
            if found.kind != fcntl.F_UNLCK:
                return False
    except OSError:
        return True
    return True


def set_lock(descriptor: int, lock: RangeLock) -> bool:
    """Lock or unlock bytes for an open file; others that it has locked stay as they are. False if
    somebody else has one of them."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _packed(lock))
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        return False
    return True


def find_lock(descriptor: int, lock: RangeLock) -> RangeLock:
    """A lock of somebody else's that forbids one; of the kind F_UNLCK if there is none."""
    answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _packed(lock))
    kind, _, start, length, process = _FLOCK.unpack(answer)
    return RangeLock(kind, start, length, process)


def _packed(lock: RangeLock) -> bytes:
    return _FLOCK.pack(lock.kind, 0, lock.start, lock.length, 0)


def _fallocate(descriptor: int, mode: int, offset: int, length: int) -> bool:
    function = _find_fallocate()
    if function is None:
        return False
    while True:
        if function(descriptor, mode, offset, length) == 0:
            return True
        reason = ctypes.get_errno()
        if reason in (errno.ENOSPC, errno.EIO, errno.EFBIG):
            raise OSError(reason, "fallocate")
        if reason != errno.EINTR:
            return False


@cache
def _find_fallocate() -> Any:
    """The C library's fallocate with offsets of 64 bits; None if it has none."""
    library = ctypes.CDLL(None, use_errno=True)
    for name in ("fallocate64", "fallocate"):
        function = getattr(library, name, None)
        if function is not None:
            function.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64]
            function.restype = ctypes.c_int
            return function
    return None
