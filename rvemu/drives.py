"""Disk images: raw files and block devices, opened to be written, read-only, or under an overlay.

Data that was written is in the host's page cache when `write` returns, so it outlives this process,
and on the disk when `flush` returns.
"""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rvemu.errors import RvemuError
from rvemu.host_files import lock_image, punch_hole, zero_range
from rvemu.keyvalues import Options

SECTOR = 512

_CHUNK = 1 << 20
_ZEROS = bytes(_CHUNK)
#: How an overlay is divided.
CLUSTER = 4096

# How images of other formats begin.
_FOREIGN = {
    b"QFI\xfb": "qcow2",
    b"KDMV": "vmdk",
    b"vhdxfile": "vhdx",
    b"conectix": "vpc",
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
}


class Drive(Protocol):
    """A disk. Offsets and lengths are in bytes, any of them; what lies beyond the end is the
    caller's mistake. All methods raise `OSError` where the host cannot do it."""

    #: What the disk is called, for its serial number.
    name: str
    #: Bytes, a multiple of `SECTOR`.
    size: int
    read_only: bool

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the disk."""

    def write(self, offset: int, data: bytes) -> None:
        """Change bytes of the disk."""

    def zero(self, offset: int, length: int, *, unmap: bool = False) -> None:
        """Make bytes of the disk 0. unmap: and free the space that they took, if possible."""

    def discard(self, offset: int, length: int) -> None:
        """What these bytes hold does not matter any more."""

    def flush(self) -> None:
        """Return when all that was written is where a power failure does not reach it."""

    def close(self) -> None:
        """Give the image back."""


@dataclass(frozen=True)
class DriveOptions:
    """What `--drive` says."""

    file: str
    read_only: bool = False
    snapshot: bool = False
    #: The serial number that the guest sees, up to 20 bytes; empty for none.
    serial: str = ""

    @staticmethod
    def parse(text: str) -> DriveOptions:
        """Options in QEMU's spelling, as `file=disk.img,format=raw,readonly=on`. Raises
        `RvemuError`."""
        options = Options.parse("--drive", text)
        file = options.take("file")
        if not file:
            raise options.error("it names no file", "file=disk.img,format=raw")
        image_format = options.take("format", "raw")
        if image_format != "raw":
            raise options.error(
                f"format={image_format} is not supported",
                f"qemu-img convert -O raw {file} disk.img, and format=raw",
            )
        interface = options.take("if", "virtio")
        if interface not in ("virtio", "none"):
            raise options.error(f"there is no interface {interface}", "if=virtio")
        options.take("id")
        read_only = options.switch("readonly") | options.switch("read-only")
        parsed = DriveOptions(
            file, read_only, options.switch("snapshot"), options.take("serial", "") or ""
        )
        options.finish()
        if len(parsed.serial.encode()) > 20:
            raise options.error("a serial number has at most 20 bytes", "a shorter one")
        return parsed


def open_drive(options: DriveOptions) -> Drive:
    """Open an image. Raises `RvemuError` where it cannot be used, or is in use."""
    writable = not options.read_only and not options.snapshot
    path = Path(options.file)
    try:
        descriptor = os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | _CLOEXEC)
    except OSError as error:
        hint = ""
        if writable and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
            hint = " (readonly=on or snapshot=on leaves it as it is)"
        raise RvemuError(f"drive {path}: cannot be opened: {error.strerror}{hint}") from error
    try:
        image = FileDrive(descriptor, options, read_only=not writable)
        if not options.snapshot:
            return image
        return OverlayDrive(image, read_only=options.read_only)
    except BaseException:
        os.close(descriptor)
        raise


_CLOEXEC = getattr(os, "O_CLOEXEC", 0)


class FileDrive:
    """A raw image. The last sector of a file that is no whole number of sectors is filled up with
    zeros, and the file grows by them when the guest writes there.

    Takes over the descriptor, unless it raises `RvemuError`.
    """

    def __init__(self, descriptor: int, options: DriveOptions, *, read_only: bool) -> None:
        self.name = options.serial
        self.path = options.file
        self.read_only = read_only
        self._descriptor = descriptor
        mode = os.fstat(descriptor).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            raise RvemuError(f"drive {self.path}: is neither a file nor a block device")
        size = os.lseek(descriptor, 0, os.SEEK_END)
        if not size:
            raise RvemuError(
                f"drive {self.path}: is empty; `truncate -s 1G` makes a disk of a gigabyte"
            )
        self.size = -(-size // SECTOR) * SECTOR
        start = os.pread(descriptor, 8, 0)
        for magic, name in _FOREIGN.items():
            if start.startswith(magic):
                raise RvemuError(
                    f"drive {self.path}: is a {name} file, and only raw images are supported"
                )
        if not lock_image(descriptor, writable=not read_only):
            user = "is used for writing" if read_only else "is in use"
            raise RvemuError(f"drive {self.path}: {user} by another machine")

    def read(self, offset: int, length: int) -> bytes:
        """See `Drive`."""
        data = os.pread(self._descriptor, length, offset)
        if len(data) == length:
            return data
        parts = [data]
        got = len(data)
        while data and got < length:
            data = os.pread(self._descriptor, length - got, offset + got)
            parts.append(data)
            got += len(data)
        return b"".join(parts).ljust(length, b"\0")  # the last, partial sector

    def write(self, offset: int, data: bytes) -> None:
        """See `Drive`."""
        view = memoryview(data)
        while view:
            count = os.pwrite(self._descriptor, view, offset)
            offset += count
            view = view[count:]

    def zero(self, offset: int, length: int, *, unmap: bool = False) -> None:
        """See `Drive`."""
        if unmap and punch_hole(self._descriptor, offset, length):
            return
        if not zero_range(self._descriptor, offset, length):
            write_zeros(self, offset, length)

    def discard(self, offset: int, length: int) -> None:
        """See `Drive`."""
        punch_hole(self._descriptor, offset, length)

    def flush(self) -> None:
        """See `Drive`."""
        if not self.read_only:
            _sync(self._descriptor)

    def close(self) -> None:
        """See `Drive`."""
        os.close(self._descriptor)


_sync = getattr(os, "fdatasync", os.fsync)

# What stands for a cluster of an overlay.
_BASE, _CHANGED, _ZERO = 0, 1, 2


class OverlayDrive:
    """What the guest changes of another drive, in a temporary file that nobody else sees and that
    ends with this object: the drive itself stays as it is."""

    def __init__(self, base: Drive, *, read_only: bool = False) -> None:
        self.base = base
        self.name = base.name
        self.size = base.size
        self.read_only = read_only
        self._states = bytearray(-(-base.size // CLUSTER))
        try:
            self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives with self
        except OSError as error:
            raise RvemuError(
                f"no temporary file for a snapshot: {error.strerror} ({tempfile.gettempdir()})"
            ) from error
        self._descriptor = self._file.fileno()

    def read(self, offset: int, length: int) -> bytes:
        """See `Drive`."""
        parts = []
        end = offset + length
        while offset < end:
            state, stop = self._run(offset, end)
            parts.append(self._read_run(state, offset, stop - offset))
            offset = stop
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def write(self, offset: int, data: bytes) -> None:
        """See `Drive`."""
        if not data:
            return
        end = offset + len(data)
        first, last = offset // CLUSTER, -(-end // CLUSTER)
        # Clusters that are changed in part have to be completed first.
        for cluster in {first, last - 1}:
            low, high = cluster * CLUSTER, min((cluster + 1) * CLUSTER, self.size)
            if (offset > low or end < high) and self._states[cluster] != _CHANGED:
                self._store(low, self.read(low, high - low))
        self._store(offset, data)
        self._states[first:last] = bytes((_CHANGED,)) * (last - first)

    def zero(self, offset: int, length: int, *, unmap: bool = False) -> None:
        """See `Drive`."""
        del unmap  # clusters of zeros take no space anyway
        end = offset + length
        low = min(-(-offset // CLUSTER) * CLUSTER, end)
        high = max(end // CLUSTER * CLUSTER, low)
        if offset < low:
            self.write(offset, bytes(low - offset))
        if low < high:
            self._states[low // CLUSTER : high // CLUSTER] = bytes((_ZERO,)) * (
                (high - low) // CLUSTER
            )
            punch_hole(self._descriptor, low, high - low)
        if high < end:
            self.write(high, bytes(end - high))

    def discard(self, offset: int, length: int) -> None:
        """See `Drive`."""
        self.zero(offset, length)

    def flush(self) -> None:
        """See `Drive`: nothing of an overlay outlives the machine."""

    def close(self) -> None:
        """See `Drive`."""
        self._file.close()
        self.base.close()

    def _run(self, offset: int, end: int) -> tuple[int, int]:
        """The state of the cluster at an offset, and where clusters of that state end."""
        first, last = offset // CLUSTER, -(-end // CLUSTER)
        states = self._states[first:last]
        state = states[0]
        same = len(states) - len(states.lstrip(bytes((state,))))
        return state, min((first + same) * CLUSTER, end)

    def _read_run(self, state: int, offset: int, length: int) -> bytes:
        if state == _BASE:
            return self.base.read(offset, length)
        if state == _ZERO:
            return bytes(length)
        parts = []
        while length:
            data = os.pread(self._descriptor, length, offset)
            if not data:
                raise OSError(errno.EIO, "the snapshot's temporary file was cut")
            parts.append(data)
            offset += len(data)
            length -= len(data)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _store(self, offset: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            count = os.pwrite(self._descriptor, view, offset)
            offset += count
            view = view[count:]


def write_zeros(drive: Drive, offset: int, length: int) -> None:
    """Make bytes of a drive 0 the slow way."""
    end = offset + length
    while offset < end:
        count = min(end - offset, _CHUNK)
        drive.write(offset, _ZEROS[:count])
        offset += count
