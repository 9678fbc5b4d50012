"""Locks that a client takes on files of a shared folder.

They are locks of the host's, of ranges of bytes, so that its programs and other machines respect
them, too. Each belongs to the open file by which it was taken: which of the client's processes may
have it, the client's kernel has settled before.
"""

from __future__ import annotations

import errno
import fcntl
import os
from typing import Any

from rvemu.host_files import RangeLock, find_lock, set_lock
from rvemu.p9_messages import LockStatus
from rvemu.share_changes import check_writable, path_of

#: The most ranges that may be locked by one open file.
MAX_RANGES = 1024

_LARGEST = (1 << 63) - 1  # offset in a file
_KINDS = (fcntl.F_RDLCK, fcntl.F_WRLCK, fcntl.F_UNLCK)  # by the protocol's numbers


class Locks:
    """What is locked by one open file, of which they take a descriptor of their own: `flock` locks
    for writing what is open only for reading, and a lock of the host's does not."""

    def __init__(self, descriptor: int) -> None:
        path = path_of(descriptor)
        try:
            check_writable(os.fstat(descriptor))
            self._descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except (PermissionError, IsADirectoryError):
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._ranges: list[range] = []

    def take(self, request: Any) -> LockStatus:
        """Lock or unlock bytes. Never waits."""
        lock = _lock(request)
        stop = lock.start + lock.length if lock.length else _LARGEST + 1
        ranges = [
            part
            for each in self._ranges
            for part in (
                range(each.start, min(each.stop, lock.start)),
                range(max(each.start, stop), each.stop),
            )
            if part
        ]
        if lock.kind != fcntl.F_UNLCK:
            ranges.append(range(lock.start, stop))
        if len(ranges) > MAX_RANGES:
            raise OSError(errno.ENOLCK, "ranges")
        if not set_lock(self._descriptor, lock):
            return LockStatus.BLOCKED
        self._ranges = ranges
        return LockStatus.SUCCESS

    def find(self, request: Any) -> dict[str, Any]:
        """What would forbid a lock, in the fields of the answer to GETLOCK."""
        found = find_lock(self._descriptor, _lock(request))
        return {
            "type": _KINDS.index(found.kind),
            "start": found.start,
            "length": found.length,
            "process": max(found.process, 0),
            "client": b"",
        }

    def close(self) -> None:
        """Unlock everything."""
        os.close(self._descriptor)


def _lock(request: Any) -> RangeLock:
    if request.type >= len(_KINDS) or request.start > _LARGEST - request.length:
        raise OSError(errno.EINVAL, "lock")
    return RangeLock(_KINDS[request.type], request.start, request.length)
