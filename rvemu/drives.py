"""Disk images: raw files and block devices, opened to be written, read-only, or under an overlay;
whole, or a slice of one for each of several machines (a *minidisk*, as VM/370 called it).

Data that was written is in the host's page cache when `write` returns, so it outlives this process,
and on the disk when `flush` returns.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
import stat
import tempfile
from collections.abc import Sequence
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

# How images of other formats begin, and what makes raw ones of them.
_CONVERT = "qemu-img convert -O raw {0} disk.img"
_FOREIGN = {
    b"QFI\xfb": ("qcow2", _CONVERT),
    b"KDMV": ("vmdk", _CONVERT),
    b"vhdxfile": ("vhdx", _CONVERT),
    b"conectix": ("vpc", _CONVERT),
    b"\x1f\x8b": ("gzip", "gzip -dc {0} > disk.img"),
    b"\xfd7zXZ": ("xz", "xz -dc {0} > disk.img"),
    b"\x28\xb5\x2f\xfd": ("zstd", "zstd -dc {0} > disk.img"),
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
    #: The slice of the image that is the disk, in bytes: where it begins, and how long it is
    #: (None: to the end of the image).
    offset: int = 0
    size: int | None = None

    @property
    def writable(self) -> bool:
        """Whether the image is written."""
        return not self.read_only and not self.snapshot

    @property
    def whole(self) -> bool:
        """Whether the disk is the whole image."""
        return not self.offset and self.size is None

    @staticmethod
    def parse(text: str) -> DriveOptions:
        """Options in QEMU's spelling, as `file=disk.img,format=raw,readonly=on`. Raises
        `RvemuError`."""
        return DriveOptions.of(Options.parse("--drive", text))

    @staticmethod
    def of(options: Options) -> DriveOptions:
        """The same, of what is left of the options."""
        file = options.take("file")
        if not file:
            raise options.error("it names no file", "file=disk.img,format=raw")
        image_format = options.take("format", "raw")
        if image_format != "raw":
            raise options.error(
                f"format={image_format} is not supported",
                f"{_CONVERT.format(shlex.quote(file))}, and format=raw",
            )
        interface = options.take("if", "virtio")
        if interface not in ("virtio", "none"):
            raise options.error(f"there is no interface {interface}", "if=virtio")
        options.take("id")
        read_only = options.switch("readonly") | options.switch("read-only")
        parsed = DriveOptions(
            file,
            read_only,
            options.switch("snapshot"),
            options.take("serial", "") or "",
            options.size("offset") or 0,
            options.size("size"),
        )
        options.finish()
        if len(parsed.serial.encode()) > 20:
            raise options.error("a serial number has at most 20 bytes", "a shorter one")
        for key, value in (("offset", parsed.offset), ("size", parsed.size or 0)):
            if value % SECTOR:
                raise options.error(
                    f"{key}={value} is no multiple of {SECTOR}",
                    f"{key}={-(-value // SECTOR) * SECTOR}",
                )
        if parsed.size == 0:
            raise options.error("a disk of no bytes", "size=1M")
        return parsed


def open_drive(options: DriveOptions) -> Drive:
    """Open an image. Raises `RvemuError` where it cannot be used, or is in use."""
    return open_drives([options])[0]


def open_drives(wanted: Sequence[DriveOptions]) -> list[Drive]:
    """Open images. What is wanted of one image is opened together, under one lock, so that several
    may have slices of it; a byte that one of them writes is no other's.

    Raises `RvemuError`, with nothing opened, where that is not so, where an image cannot be used,
    or where another process uses it."""
    by_image: dict[tuple[int, int], list[int]] = {}
    for n, options in enumerate(wanted):
        by_image.setdefault(_identity(options), []).append(n)
    drives: dict[int, Drive] = {}
    with contextlib.ExitStack() as failed:
        for numbers in by_image.values():
            sharing = [wanted[n] for n in numbers]
            with _open_image(sharing) as image:
                spans = [_span(options, image.size) for options in sharing]
                _check_apart(sharing, spans)
                for n, options, span in zip(numbers, sharing, spans, strict=True):
                    drives[n] = _open_span(image, options, span)
                    failed.callback(drives[n].close)
        failed.pop_all()
    return [drives[n] for n in range(len(wanted))]


_CLOEXEC = getattr(os, "O_CLOEXEC", 0)


@dataclass(frozen=True)
class _Image:
    """A raw image, open and locked. The lock holds until all duplicates of the descriptor are
    closed: each drive has one."""

    descriptor: int
    #: Bytes, in whole sectors.
    size: int

    def __enter__(self) -> _Image:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)


def _identity(options: DriveOptions) -> tuple[int, int]:
    """What tells the image's file from all others, by whatever path."""
    try:
        status = Path(options.file).stat()
    except OSError as error:
        raise _cannot_open(options.file, error) from error
    if stat.S_ISBLK(status.st_mode):
        return status.st_rdev, -1
    return status.st_dev, status.st_ino


def _cannot_open(file: str, error: OSError, hint: str = "") -> RvemuError:
    return RvemuError(f"drive {file}: cannot be opened: {error.strerror}{hint}")


def _open_image(sharing: Sequence[DriveOptions]) -> _Image:
    """Open the image that some drives are of, to be written if one of them does so."""
    file = sharing[0].file
    writable = any(options.writable for options in sharing)
    try:
        descriptor = os.open(Path(file), (os.O_RDWR if writable else os.O_RDONLY) | _CLOEXEC)
    except OSError as error:
        refused = writable and error.errno in (errno.EACCES, errno.EROFS, errno.EPERM)
        hint = " (readonly=on or snapshot=on leaves it as it is)" if refused else ""
        raise _cannot_open(file, error, hint) from error
    try:
        size = _check_image(descriptor, file)
        if all(options.whole for options in sharing):
            # (What stands at the start of a slice is its guest's affair, and not the others'.)
            _check_format(descriptor, file)
        if not lock_image(descriptor, writable=writable):
            user = "is in use" if writable else "is used for writing"
            raise RvemuError(f"drive {file}: {user} by another machine")
        return _Image(descriptor, size)
    except BaseException:
        os.close(descriptor)
        raise


def _check_image(descriptor: int, file: str) -> int:
    """The image's size, in whole sectors."""
    mode = os.fstat(descriptor).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
        raise RvemuError(f"drive {file}: is neither a file nor a block device")
    size = os.lseek(descriptor, 0, os.SEEK_END)
    if not size:
        raise RvemuError(f"drive {file}: is empty; `truncate -s 1G` makes a disk of a gigabyte")
    return -(-size // SECTOR) * SECTOR


def _check_format(descriptor: int, file: str) -> None:
    """Refuse images that are not raw."""
    start = os.pread(descriptor, 8, 0)
    for magic, (name, convert) in _FOREIGN.items():
        if start.startswith(magic):
            raise RvemuError(
                f"drive {file}: is a {name} file, and only raw images are supported: "
                f"`{convert.format(shlex.quote(file))}` makes one"
            )


def _span(options: DriveOptions, image_size: int) -> range:
    """The bytes of the image that are the drive's."""
    end = image_size if options.size is None else options.offset + options.size
    if options.offset >= end or end > image_size:
        length = "" if options.size is None else f" and size={options.size}"
        raise RvemuError(
            f"drive {options.file}: offset={options.offset}{length} lie beyond its end: it has "
            f"{image_size} bytes"
        )
    return range(options.offset, end)


def _check_apart(sharing: Sequence[DriveOptions], spans: Sequence[range]) -> None:
    """Refuse drives of one image if one writes what is another's as well."""
    for n, (options, span) in enumerate(zip(sharing, spans, strict=True)):
        for other, its in zip(sharing[:n], spans[:n], strict=True):
            common = range(max(span.start, its.start), min(span.stop, its.stop))
            if common and (options.writable or other.writable):
                raise RvemuError(
                    f"drive {options.file}: two drives have its bytes {common[0]} to {common[-1]}, "
                    "and one writes them; give each a slice of its own, by offset= and size="
                )


def _open_span(image: _Image, options: DriveOptions, span: range) -> Drive:
    file = FileDrive(
        os.dup(image.descriptor), span, name=options.serial, read_only=not options.writable
    )
    if not options.snapshot:
        return file
    try:
        return OverlayDrive(file, read_only=options.read_only)
    except BaseException:
        file.close()
        raise


class FileDrive:
    """A raw image, or a slice of it: the bytes `span` of a descriptor's file, which it takes over.
    The last sector of a file that is no whole number of sectors is filled up with zeros, and the
    file grows by them when the guest writes there.
    """

    def __init__(self, descriptor: int, span: range, *, name: str, read_only: bool) -> None:
        self.name = name
        self.size = len(span)
        self.read_only = read_only
        self._descriptor = descriptor
        self._start = span.start

    def _at(self, offset: int, length: int, *, change: bool = False) -> int:
        """Where bytes of the drive are in the file. All accesses come by here: what is outside of
        the slice is somebody else's."""
        if not 0 <= offset <= offset + length <= self.size:
            raise ValueError(f"{length} bytes at {offset} of a drive of {self.size}")
        if change and self.read_only:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return self._start + offset

    def read(self, offset: int, length: int) -> bytes:
        """See `Drive`."""
        offset = self._at(offset, length)
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
        _write_all(self._descriptor, self._at(offset, len(data), change=True), data)

    def zero(self, offset: int, length: int, *, unmap: bool = False) -> None:
        """See `Drive`."""
        at = self._at(offset, length, change=True)
        if unmap and punch_hole(self._descriptor, at, length):
            return
        if not zero_range(self._descriptor, at, length):
            write_zeros(self, offset, length)

    def discard(self, offset: int, length: int) -> None:
        """See `Drive`."""
        punch_hole(self._descriptor, self._at(offset, length, change=True), length)

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
        _write_all(self._descriptor, offset, data)


def _write_all(descriptor: int, offset: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(descriptor, view, offset)
        offset += count
        view = view[count:]


def write_zeros(drive: Drive, offset: int, length: int) -> None:
    """Make bytes of a drive 0 the slow way."""
    end = offset + length
    while offset < end:
        count = min(end - offset, _CHUNK)
        drive.write(offset, _ZEROS[:count])
        offset += count
