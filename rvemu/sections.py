"""The sections of an ELF file that hold code, for the disassembler. An image that is to run needs
none, and `rvemu.loader` does not look at them."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from elftools.elf.constants import SH_FLAGS
from elftools.elf.elffile import ELFFile

from rvemu.errors import RvemuError


@dataclass(frozen=True)
class Section:
    """Some bytes with a name, and their virtual address."""

    name: str
    address: int
    data: bytes | memoryview


def code_sections(path: Path, name: str | None = None) -> list[Section]:
    """The sections of an ELF file that may be executed, or the one with a name. Raises `RvemuError`
    if there is none of that name, or what it says is not in the file."""
    content = path.read_bytes()
    found = []
    with _malformed(path):
        for section in ELFFile(io.BytesIO(content)).iter_sections():
            header = section.header
            if header["sh_type"] != "SHT_PROGBITS":
                continue
            wanted = header["sh_flags"] & SH_FLAGS.SHF_EXECINSTR if name is None else False
            if wanted or section.name == name:
                found.append(_section(content, section.name, header))
    if name is not None and not found:
        raise RvemuError(f"{path}: has no section {name} with content")
    return found


def _section(content: bytes, name: str, header: Any) -> Section:
    start, end = header["sh_offset"], header["sh_offset"] + header["sh_size"]
    if end > len(content):
        raise RvemuError(f"section {name} ends at byte {end:#x}, the file at {len(content):#x}")
    return Section(name, header["sh_addr"], content[start:end])


@contextmanager
def _malformed(path: Path) -> Iterator[None]:
    """Around calls into pyelftools, which on bad input raises almost anything."""
    try:
        yield
    except Exception as error:
        detail = (str(error) or type(error).__name__).splitlines()[0]
        raise RvemuError(f"{path}: malformed sections: {detail}") from error
