"""The fields that packets are made of: numbers, hexadecimal data, thread ids.

Source: GDB manual, "Packets" (thread-id syntax) and "Remote Protocol: Overview".
"""

import re
from binascii import Error as BadHex
from binascii import unhexlify

from gdbstub.errors import PacketError
from gdbstub.target import ThreadId

ALL = -1
ANY = 0

_NUMBER = re.compile(rb"[0-9a-fA-F]{1,16}\Z")
_THREAD = re.compile(
    rb"(?:p(-1|[0-9a-fA-F]{1,8})(?:\.(-1|[0-9a-fA-F]{1,8}))?"
    rb"|(-1|[0-9a-fA-F]{1,8}))\Z"
)


def number(text: bytes) -> int:
    """A hexadecimal number of up to 64 bits. Raises PacketError for anything else."""
    # int() alone would also take signs, spaces, underscores and "0x".
    if _NUMBER.match(text) is None:
        raise PacketError(f"{_shown(text)} is not a hexadecimal number")
    return int(text, 16)


def numbers(text: bytes, separator: bytes, count: int) -> list[int]:
    """Exactly `count` hexadecimal numbers with `separator` between them."""
    fields = text.split(separator)
    if len(fields) != count:
        raise PacketError(f"{_shown(text)} is not {count} numbers")
    return [number(field) for field in fields]


def data(text: bytes) -> bytes:
    """Bytes that are written as two hexadecimal digits each."""
    try:
        return unhexlify(text)
    except (BadHex, ValueError):
        raise PacketError(f"{_shown(text)} is not hexadecimal data") from None


def string(text: bytes) -> str:
    """A UTF-8 string that is written as hexadecimal data; bad bytes become U+FFFD."""
    return data(text).decode("utf-8", "replace")


def split(text: bytes, separator: bytes) -> tuple[bytes, bytes]:
    """The two parts around the first `separator`, which must be there."""
    head, found, tail = text.partition(separator)
    if not found:
        raise PacketError(f"{_shown(text)} lacks a {separator.decode()!r}")
    return head, tail


def thread_pattern(text: bytes) -> tuple[int | None, int]:
    """A thread-id as (process, thread); each may be ALL or ANY; process None when not said."""
    found = _THREAD.match(text)
    if found is None:
        raise PacketError(f"{_shown(text)} is not a thread-id")
    process, thread, alone = found.groups()
    if process is None:
        return None, int(alone, 16)
    if thread is None:
        thread = b"-1"
    if process == b"-1" and thread not in (b"-1", b"0"):
        raise PacketError(f"{_shown(text)} names one thread of every process")
    return int(process, 16), int(thread, 16)


def matches(pattern: tuple[int | None, int], thread: ThreadId) -> bool:
    """Whether `thread` is one of those that `pattern` means; ANY matches as ALL does."""
    process, number_ = pattern
    return (process in (None, ALL, ANY) or process == thread.process) and (
        number_ in (ALL, ANY) or number_ == thread.thread
    )


def _shown(text: bytes) -> str:
    return repr(text if len(text) <= 40 else text[:40] + b"...")[1:]
