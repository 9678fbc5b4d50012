"""Archives in cpio's "newc" format, from which Linux fills its initial file system.

Source: Documentation/driver-api/early-userspace/buffer-format.rst of Linux.
"""

# construct is not typed.
# mypy: allow-untyped-calls

from __future__ import annotations

import stat
from collections.abc import Iterable
from dataclasses import dataclass

from construct import Bytes, Const, Struct

_FIELDS = (
    *("ino", "mode", "uid", "gid", "nlink", "mtime", "filesize"),
    *("devmajor", "devminor", "rdevmajor", "rdevminor", "namesize", "check"),
)
_HEADER = Struct("magic" / Const(b"070701"), *(name / Bytes(8) for name in _FIELDS))
_END = "TRAILER!!!"


@dataclass(frozen=True)
class Entry:
    """A file to be, owned by root. `mode` is as in stat(2), its type included."""

    path: str
    mode: int
    content: bytes = b""
    #: Of a device file: major and minor number.
    device: tuple[int, int] = (0, 0)


def directory(path: str) -> Entry:
    """A directory; those above it come first."""
    return Entry(path, stat.S_IFDIR | 0o755)


def program(path: str, content: bytes) -> Entry:
    """A file that everybody may execute."""
    return Entry(path, stat.S_IFREG | 0o755, content)


def plain_file(path: str, content: bytes) -> Entry:
    """A file that everybody may read."""
    return Entry(path, stat.S_IFREG | 0o644, content)


def link(path: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(path, stat.S_IFLNK | 0o777, target.encode())


def character_device(path: str, major: int, minor: int) -> Entry:
    """A character device that only root may use."""
    return Entry(path, stat.S_IFCHR | 0o600, device=(major, minor))


def archive(entries: Iterable[Entry]) -> bytes:
    """The archive: the same bytes for the same entries."""
    made = bytearray()
    for number, entry in enumerate([*entries, Entry(_END, 0)], start=1):
        name = entry.path.encode() + b"\0"
        values = {
            "ino": number,
            "mode": entry.mode,
            "nlink": 1,
            "filesize": len(entry.content),
            "rdevmajor": entry.device[0],
            "rdevminor": entry.device[1],
            "namesize": len(name),
        }
        fields = {field: b"%08X" % values.get(field, 0) for field in _FIELDS}
        made += _HEADER.build(fields) + name
        made += b"\0" * (-len(made) % 4)
        made += entry.content
        made += b"\0" * (-len(made) % 4)
    return bytes(made)
