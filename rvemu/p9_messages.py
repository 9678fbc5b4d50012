"""The messages of the 9P2000.L protocol, declared with construct.

Source: the protocol's description in diod, and Linux's include/net/9p/9p.h.
"""

# construct is not typed.
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import stat
from enum import IntEnum, IntFlag

from construct import (
    Array,
    GreedyBytes,
    Int8ul,
    Int16ul,
    Int32ul,
    Int64ul,
    Prefixed,
    PrefixedArray,
    Struct,
)

from rvemu.devices.virtio.layout import packed

VERSION = b"9P2000.L"


class Message(IntEnum):
    """Requests. An answer's type is one more."""

    ERROR = 6  # only its answer exists
    STATFS = 8
    OPEN = 12
    CREATE = 14
    SYMLINK = 16
    MKNOD = 18
    RENAME = 20
    READLINK = 22
    GETATTR = 24
    SETATTR = 26
    XATTRCREATE = 32
    READDIR = 40
    FSYNC = 50
    LOCK = 52
    GETLOCK = 54
    LINK = 70
    MKDIR = 72
    RENAMEAT = 74
    UNLINKAT = 76
    VERSION = 100
    ATTACH = 104
    FLUSH = 108
    WALK = 110
    READ = 116
    WRITE = 118
    CLUNK = 120
    REMOVE = 122


#: Requests that change something, if only what others may do.
CHANGES = frozenset(
    [
        *(Message.CREATE, Message.SYMLINK, Message.MKNOD, Message.RENAME, Message.SETATTR),
        *(Message.XATTRCREATE, Message.LINK, Message.MKDIR, Message.RENAMEAT, Message.UNLINKAT),
        *(Message.WRITE, Message.LOCK, Message.GETLOCK),
    ]
)


class Valid(IntFlag):
    """What a SETATTR is to set. A time is the host's, unless it says which."""

    MODE = 1 << 0
    UID = 1 << 1
    GID = 1 << 2
    SIZE = 1 << 3
    ATIME = 1 << 4
    MTIME = 1 << 5
    ATIME_SET = 1 << 7
    MTIME_SET = 1 << 8


class LockStatus(IntEnum):
    """What became of a LOCK."""

    SUCCESS = 0
    BLOCKED = 1  # somebody else has it


REMOVE_FOLDER = 0x200  # of UNLINKAT

STRING = Prefixed(Int16ul, GreedyBytes)
HEADER = packed(Struct("size" / Int32ul, "type" / Int8ul, "tag" / Int16ul))
QID = Struct("type" / Int8ul, "version" / Int32ul, "path" / Int64ul)
ENTRY = Struct("qid" / QID, "offset" / Int64ul, "type" / Int8ul, "name" / STRING)
_TIME = Struct("seconds" / Int64ul, "nanoseconds" / Int64ul)

_FID = Struct("fid" / Int32ul)
_LOCK = (
    *("type" / Int8ul, "start" / Int64ul, "length" / Int64ul),
    *("process" / Int32ul, "client" / STRING),
)
REQUESTS = {
    Message.STATFS: _FID,
    Message.OPEN: Struct("fid" / Int32ul, "flags" / Int32ul),
    Message.CREATE: Struct(
        "fid" / Int32ul, "name" / STRING, "flags" / Int32ul, "mode" / Int32ul, "gid" / Int32ul
    ),
    Message.SYMLINK: Struct("fid" / Int32ul, "name" / STRING, "target" / STRING, "gid" / Int32ul),
    Message.RENAME: Struct("fid" / Int32ul, "folder" / Int32ul, "name" / STRING),
    Message.READLINK: _FID,
    Message.GETATTR: Struct("fid" / Int32ul, "mask" / Int64ul),
    Message.SETATTR: Struct(
        "fid" / Int32ul,
        "valid" / Int32ul,
        "mode" / Int32ul,
        "uid" / Int32ul,
        "gid" / Int32ul,
        "size" / Int64ul,
        "atime" / _TIME,
        "mtime" / _TIME,
    ),
    Message.READDIR: Struct("fid" / Int32ul, "offset" / Int64ul, "count" / Int32ul),
    Message.FSYNC: _FID,
    Message.LOCK: Struct(
        "fid" / Int32ul, "type" / Int8ul, "flags" / Int32ul, "start" / Int64ul, "length" / Int64ul
    ),
    Message.GETLOCK: Struct("fid" / Int32ul, *_LOCK),
    Message.MKDIR: Struct("fid" / Int32ul, "name" / STRING, "mode" / Int32ul, "gid" / Int32ul),
    Message.RENAMEAT: Struct(
        "fid" / Int32ul, "name" / STRING, "new_folder" / Int32ul, "new_name" / STRING
    ),
    Message.UNLINKAT: Struct("fid" / Int32ul, "name" / STRING, "flags" / Int32ul),
    Message.VERSION: Struct("msize" / Int32ul, "version" / STRING),
    Message.ATTACH: Struct("fid" / Int32ul, "afid" / Int32ul, "user" / STRING, "tree" / STRING),
    Message.FLUSH: Struct("oldtag" / Int16ul),
    Message.WALK: Struct(
        "fid" / Int32ul, "newfid" / Int32ul, "names" / PrefixedArray(Int16ul, STRING)
    ),
    Message.READ: Struct("fid" / Int32ul, "offset" / Int64ul, "count" / Int32ul),
    Message.WRITE: Struct(
        "fid" / Int32ul, "offset" / Int64ul, "data" / Prefixed(Int32ul, GreedyBytes)
    ),
    Message.CLUNK: _FID,
    Message.REMOVE: _FID,
}
LOCK_ANSWER = Int8ul
GETLOCK_ANSWER = Struct(*_LOCK)
_STATFS = Struct(
    "type" / Int32ul,
    "bsize" / Int32ul,
    "counts" / Array(6, Int64ul),
    "namelen" / Int32ul,
)
_GETATTR = Struct(
    "valid" / Int64ul,
    "qid" / QID,
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
_VALID = 0x7FF  # all but birth time, generation and version of the data
_MAGIC = 0x0102_1997  # V9FS_MAGIC, as the type of the file system


def qid(status: os.stat_result) -> dict[str, int]:
    """What the protocol knows a file by."""
    kind = {stat.S_IFDIR: 0x80, stat.S_IFLNK: 0x02}.get(stat.S_IFMT(status.st_mode), 0)
    path = (status.st_ino ^ status.st_dev << 48) & 0xFFFF_FFFF_FFFF_FFFF
    return {"type": kind, "version": status.st_mtime_ns & 0xFFFF_FFFF, "path": path}


def attributes(status: os.stat_result) -> bytes:
    """The answer to GETATTR."""
    times = (status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns, 0)
    fields = {
        "valid": _VALID,
        "qid": qid(status),
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


def file_system(found: os.statvfs_result) -> bytes:
    """The answer to STATFS."""
    counts = [found.f_blocks, found.f_bfree, found.f_bavail, found.f_files, found.f_ffree, 0]
    fields = {
        "type": _MAGIC,
        "bsize": found.f_bsize,
        "counts": counts,
        "namelen": found.f_namemax,
    }
    return bytes(_STATFS.build(fields))
