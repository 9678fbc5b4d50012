"""Operating-system kernels as they are distributed, as images that can be loaded.

`Image` files of Linux (plain, compressed with gzip, or as the payload of an EFI "zboot" program)
and ELF executables. A file says what it is by its first bytes; its name does not count.

Sources: Documentation/arch/riscv/boot-image-header.rst of Linux, and its
drivers/firmware/efi/libstub/zboot-header.S.
"""

# construct is not typed.
# mypy: allow-untyped-calls

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import NamedTuple

from construct import Bytes, Const, ConstructError, Int32ul, Int64ul, Struct

from rvemu.errors import RvemuError
from rvemu.loader import Image, Segment, load_elf

#: A kernel's place in RAM that no header chooses: after the firmware, on a large page.
KERNEL_OFFSET = 2 << 20

#: No kernel is larger, whatever it claims to decompress to.
MAX_KERNEL = 1 << 30

_MIB = 1 << 20

_IMAGE_HEADER = Struct(
    "code0" / Int32ul,
    "code1" / Int32ul,
    "text_offset" / Int64ul,
    "image_size" / Int64ul,
    "flags" / Int64ul,
    "version" / Int32ul,
    "res1" / Int32ul,
    "res2" / Int64ul,
    "magic" / Bytes(8),
    "magic2" / Bytes(4),
    "res3" / Int32ul,
)
_RISCV_MAGIC = b"RSC\x05"
_ARM64_MAGIC = b"ARMd"
_BIG_ENDIAN = 1  # of flags

_ZBOOT_HEADER = Struct(
    Const(b"MZ\0\0"),
    Const(b"zimg"),
    "payload_offset" / Int32ul,
    "payload_size" / Int32ul,
    "reserved" / Bytes(8),
    "compression" / Bytes(32),
)

_ELF, _GZIP = b"\x7fELF", b"\x1f\x8b"

# Files that people pass by mistake, by what they begin with.
_OTHERS = (
    (b"070701", "an initramfs (cpio): pass it with --initrd"),
    (b"\xd0\x0d\xfe\xed", "a device tree"),
    (b"\x27\x05\x19\x56", "a U-Boot image: unpack it first (dumpimage)"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd: unpack it first (zstd -d)"),
    (b"\xfd7zXZ\0", "compressed with xz: unpack it first (xz -d)"),
    (b"BZh", "compressed with bzip2: unpack it first (bzip2 -d)"),
    (b"!<arch>\n", "a package or library (ar): unpack it first (dpkg-deb -x)"),
)


class Kernel(NamedTuple):
    """A kernel, ready to be loaded."""

    image: Image
    #: What kind of file it came from, for people.
    kind: str

    @property
    def is_linux(self) -> bool:
        """Whether it is a Linux `Image`, packed or not."""
        return self.kind.endswith("Image")


def load_kernel(path: Path | str, ram_base: int) -> Kernel:
    """Read a kernel for RAM at a physical address. Raises `RvemuError`, one line, where the file
    is no RISC-V kernel of a known kind."""
    name = os.fspath(path)
    return parse_kernel(name, read_file(name), ram_base)


def parse_kernel(name: str, content: bytes, ram_base: int) -> Kernel:
    """The same for a file's content; `name` is for messages."""
    kind = ""
    if _is_zboot(content):
        content = _zboot_payload(name, content)
        kind = "zboot "
    elif content.startswith(_GZIP):
        content = _unzip(name, content)
        kind = "gzip "
    if content.startswith(_ELF):
        return Kernel(load_elf(content, name), kind + "ELF")
    return Kernel(_load_image(name, content, ram_base), kind + "Image")


def read_file(name: str, largest: int = MAX_KERNEL) -> bytes:
    """A regular file's content; `RvemuError` in one line where there is none, or where it is
    larger than so many bytes."""
    path = Path(name)
    try:
        if path.is_dir():
            raise RvemuError(f"{name}: a directory, not a file")
        if path.exists() and not path.is_file():
            raise RvemuError(f"{name}: not a regular file")
        if path.stat().st_size > largest:
            raise RvemuError(
                f"{name}: {path.stat().st_size:#x} bytes are too many; it may have {largest:#x}"
            )
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise RvemuError(f"{name}: cannot be read: {reason}") from error


def _load_image(name: str, content: bytes, ram_base: int) -> Image:
    """An `Image`: it is loaded as it is, at an offset in RAM that its header names."""
    try:
        header = _IMAGE_HEADER.parse(content[: _IMAGE_HEADER.sizeof()])
    except ConstructError:
        raise _no_kernel(name, content) from None
    if header.magic2 == _ARM64_MAGIC:
        raise RvemuError(f"{name}: a Linux kernel for arm64, not for RISC-V")
    if header.magic2 != _RISCV_MAGIC:
        raise _no_kernel(name, content)
    if header.flags & _BIG_ENDIAN:
        raise RvemuError(f"{name}: a big-endian kernel; only little-endian ones are supported")
    size = header.image_size or len(content)
    if len(content) > size or size > MAX_KERNEL:
        raise RvemuError(
            f"{name}: its header says that the kernel needs {size:#x} bytes, but the file has "
            f"{len(content):#x}"
        )
    if header.text_offset % 2 or header.text_offset > 1 << 40:
        raise RvemuError(f"{name}: its header asks for offset {header.text_offset:#x} in RAM")
    start = ram_base + (header.text_offset or KERNEL_OFFSET)
    return Image(name, start, (Segment("kernel", start, start, content, size),))


def _no_kernel(name: str, content: bytes) -> RvemuError:
    for start, what in _OTHERS:
        if content.startswith(start):
            return RvemuError(f"{name}: {what}, not a kernel")
    if content[:2] == b"MZ":
        return RvemuError(f"{name}: an EFI program, but not a RISC-V kernel")
    found = f"begins with {content[:4].hex(' ')}" if content else "is empty"
    return RvemuError(f"{name}: neither a Linux Image (plain or gzip) nor an ELF file (it {found})")


def _is_zboot(content: bytes) -> bool:
    return content[:2] == b"MZ" and content[4:8] == b"zimg"


def _zboot_payload(name: str, content: bytes) -> bytes:
    """The kernel in an EFI program that decompresses itself."""
    try:
        header = _ZBOOT_HEADER.parse(content)
    except ConstructError:
        raise RvemuError(f"{name}: truncated: {len(content)} bytes hold no zboot header") from None
    method = header.compression.split(b"\0")[0].decode("ascii", "replace")
    start, end = header.payload_offset, header.payload_offset + header.payload_size
    if end > len(content):
        raise RvemuError(
            f"{name}: truncated: its payload ends at byte {end:#x}, the file at {len(content):#x}"
        )
    if method != "gzip":
        raise RvemuError(
            f"{name}: its payload is compressed with {method or 'nothing known'}; gzip alone is "
            "supported: pass the plain Image"
        )
    return _unzip(name, content[start:end])


def _unzip(name: str, content: bytes) -> bytes:
    """Decompress gzip, up to the size that a kernel can have."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        plain = unpacker.decompress(content, MAX_KERNEL + 1)
    except zlib.error as error:
        raise RvemuError(f"{name}: damaged gzip data: {error}") from error
    if len(plain) > MAX_KERNEL:
        raise RvemuError(f"{name}: decompresses to more than {MAX_KERNEL // _MIB} MiB")
    if not unpacker.eof:
        raise RvemuError(f"{name}: truncated: its gzip data has no end")
    return plain
