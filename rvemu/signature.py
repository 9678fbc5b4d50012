"""Signatures: the memory in which an architecture test leaves its results, as text.

A test marks it with the symbols `begin_signature` and `end_signature`. The file is what Spike
writes with `+signature=FILE +signature-granularity=N`: a line for each N bytes, the highest
address first, in lower-case hexadecimal; zeros fill up the last line.
"""

import os
from pathlib import Path

from rvemu.errors import RvemuError
from rvemu.machine import Machine

# Spike's, where it is not told.
DEFAULT_GRANULARITY = 16

_MAX_SIZE = 64 << 20


def format_signature(content: bytes, granularity: int) -> str:
    """The text for a signature's bytes, in lines of `granularity` bytes."""
    lines = []
    for start in range(0, len(content), granularity):
        line = content[start : start + granularity].ljust(granularity, b"\0")
        lines.append(line[::-1].hex() + "\n")
    return "".join(lines)


def read_signature(machine: Machine) -> bytes:
    """The signature of the guest that a machine has loaded, as it stands in memory now. Raises
    `RvemuError` if the guest marks none, or none that is in memory."""
    image = machine.image
    name = image.name if image is not None else "the machine"
    begin = image.begin_signature if image is not None else None
    end = image.end_signature if image is not None else None
    if begin is None or end is None:
        raise RvemuError(f"{name}: has no signature (symbols begin_signature and end_signature)")
    if not 0 <= end - begin <= _MAX_SIZE:
        raise RvemuError(f"{name}: no signature can lie between {begin:#x} and {end:#x}")
    return machine.read_physical(begin, end - begin) if end > begin else b""


def write_signature(
    machine: Machine, file: Path | str, granularity: int = DEFAULT_GRANULARITY
) -> None:
    """Write the guest's signature to a file, in lines of `granularity` bytes. Raises `RvemuError`
    if there is no signature (before the file is opened), or the file can't be written."""
    if granularity < 1:
        raise RvemuError(f"a signature can't have lines of {granularity} bytes")
    text = format_signature(read_signature(machine), granularity)
    try:
        # Not by renaming: the file may be /dev/stdout, or a pipe.
        Path(file).write_text(text, encoding="ascii")
    except OSError as error:
        reason = error.strerror or str(error)
        raise RvemuError(f"{os.fspath(file)}: cannot be written: {reason}") from error


__all__ = ["DEFAULT_GRANULARITY", "format_signature", "read_signature", "write_signature"]
