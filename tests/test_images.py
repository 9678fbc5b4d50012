"""Kernels: which files are taken, where they go, and what is said of the others."""

import gzip
import struct
from pathlib import Path

import pytest

from rvemu.errors import RvemuError
from rvemu.images import load_kernel, parse_kernel

BASE = 0x8000_0000


def image(
    *, text_offset: int = 0x20_0000, size: int = 0x3000, flags: int = 0, magic2: bytes = b"RSC\x05"
) -> bytes:
    """A Linux Image of 0x1000 bytes."""
    header = struct.pack(
        "<IIQQQIIQ8s4sI",
        *(0x13, 0x13, text_offset, size, flags, 2, 0, 0, b"RISCV\0\0\0", magic2, 0),
    )
    return header + bytes(0x1000 - len(header))


def gzipped(data: bytes) -> bytes:
    """The same each time: tests are named by their data, and must be by all workers alike."""
    return gzip.compress(data, mtime=0)


def zboot(payload: bytes, method: bytes = b"gzip") -> bytes:
    """An EFI program around a compressed kernel."""
    header = struct.pack("<4s4sII8s32s", b"MZ\0\0", b"zimg", 64, len(payload), b"", method)
    return header.ljust(64, b"\0") + payload


def test_image_goes_where_its_header_says() -> None:
    kernel = parse_kernel("Image", image(text_offset=0x40_0000), BASE)
    (segment,) = kernel.image.segments
    assert kernel.kind == "Image"
    assert kernel.image.entry == segment.paddr == BASE + 0x40_0000
    assert bytes(segment.data) == image(text_offset=0x40_0000)
    assert segment.memsz == 0x3000, "its .bss is cleared and kept free"


def test_image_without_a_size() -> None:
    (segment,) = parse_kernel("Image", image(size=0), BASE).image.segments
    assert segment.memsz == 0x1000


def test_offset_zero_is_the_customary_place() -> None:
    assert parse_kernel("Image", image(text_offset=0), BASE).image.entry == BASE + 0x20_0000


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (gzipped(image()), "gzip Image"),
        (zboot(gzipped(image())), "zboot Image"),
    ],
)
def test_compressed_image(content: bytes, kind: str) -> None:
    kernel = parse_kernel("vmlinuz", content, BASE)
    assert kernel.kind == kind
    assert bytes(kernel.image.segments[0].data) == image()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "it is empty"),
        (b"hello", "begins with 68 65 6c 6c"),
        (bytes(4096), "neither a Linux Image"),
        (b"070701" + bytes(100), "--initrd"),
        (b"\xd0\x0d\xfe\xed" + bytes(100), "a device tree, not a kernel"),
        (b"\x28\xb5\x2f\xfd" + bytes(100), "zstd"),
        (b"MZ" + bytes(100), "EFI program, but not a RISC-V kernel"),
        (image(magic2=b"ARMd"), "for arm64, not for RISC-V"),
        (image(flags=1), "big-endian"),
        (image(size=0x800), "needs 0x800 bytes"),
        (image(size=1 << 50), "needs 0x4000000000000 bytes"),
        (image(text_offset=1), "offset 0x1"),
        (gzipped(image())[:-9], "its gzip data has no end"),
        (b"\x1f\x8b" + bytes(100), "damaged gzip"),
        (zboot(b"x", b"zstd"), "compressed with zstd"),
        (zboot(gzipped(image()))[:70], "truncated: its payload"),
        (b"MZ\0\0zimg", "no zboot header"),
    ],
)
def test_what_is_no_kernel(content: bytes, complaint: str) -> None:
    with pytest.raises(RvemuError, match="FILE: ") as error:
        parse_kernel("FILE", content, BASE)
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


def test_files(tmp_path: Path) -> None:
    (tmp_path / "Image").write_bytes(image())
    assert load_kernel(tmp_path / "Image", BASE).image.name == str(tmp_path / "Image")
    with pytest.raises(RvemuError, match="No such file"):
        load_kernel(tmp_path / "missing", BASE)
    with pytest.raises(RvemuError, match="a directory"):
        load_kernel(tmp_path, BASE)
