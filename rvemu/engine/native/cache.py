"""Machine code kept on disk, for the user alone.

A file's name is a digest of the model's source and of the host CPU, so a wrong one is never found.
Machine code is executed, so an entry is used only if it is the user's own, nobody else may write
to it, and it is whole. Anything else is ignored, and replaced.
"""

import contextlib
import hashlib
import os
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rvemu.user_cache import cache_folder

_DIGEST_BYTES = 32

# Files that are being written, and how old they are, in seconds, when nobody will finish them.
_UNFINISHED = ".new-"
_ABANDONED_AFTER = 3600


def _is_private(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _read(path: Path) -> bytes | None:
    """A whole entry of the user's own, or None."""
    try:
        if not _is_private(path.parent.stat()):
            return None
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(path, flags)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode) or not _is_private(status):
                return None
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                content = file.read()
        finally:
            os.close(descriptor)
    except OSError:
        return None
    digest, code = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    return code if code and hashlib.sha256(code).digest() == digest else None


def _write(path: Path, code: bytes) -> None:
    """Write an entry, all at once. A cache that can't be written only costs time."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _is_private(path.parent.stat()):
            return
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=_UNFINISHED)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(code).digest() + code)
            os.replace(temporary, path)  # noqa: PTH105 - a descriptor's name, not a Path
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)  # noqa: PTH108
            raise
        _forget_others(path)


def _forget_others(path: Path, keep: int = 8) -> None:
    """Remove the oldest entries of earlier versions, and what was never finished."""
    entries = sorted(path.parent.glob("*" + path.suffix), key=lambda p: p.stat().st_mtime)
    for old in entries[:-keep]:
        old.unlink(missing_ok=True)
    for unfinished in path.parent.glob(_UNFINISHED + "*"):
        if time.time() - unfinished.stat().st_mtime > _ABANDONED_AFTER:
            unfinished.unlink(missing_ok=True)


def cached(key: str, make: Callable[[], bytes]) -> bytes:
    """The machine code for a key: from disk, or made anew and kept there."""
    name = hashlib.sha256(key.encode()).hexdigest()
    try:
        path = cache_folder() / "native" / f"{name[:32]}.o"
    except RuntimeError:  # the user has no home
        return make()
    code = _read(path)
    if code is None:
        code = make()
        _write(path, code)
    return code
