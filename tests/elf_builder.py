"""Small ELF files made by hand, for tests."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

EHDR = struct.Struct("<4sBBBB8xHHIQQQIHHHHHH")
PHDR = struct.Struct("<IIQQQQQQ")
SHDR = struct.Struct("<IIQQQQIIQQ")
SYM = struct.Struct("<IBBHQQ")

# Byte offsets of header fields that tests overwrite: (offset, width).
E_CLASS, E_DATA, E_TYPE, E_MACHINE = (4, 1), (5, 1), (16, 2), (18, 2)
E_ENTRY, E_PHOFF, E_SHOFF = (24, 8), (32, 8), (40, 8)
E_PHENTSIZE, E_PHNUM, E_SHENTSIZE, E_SHNUM = (54, 2), (56, 2), (58, 2), (60, 2)

RWX = 7


@dataclass
class Load:
    """A PT_LOAD segment to be."""

    address: int
    data: bytes
    memsz: int | None = None
    vaddr: int | None = None
    flags: int = RWX
    type: int = 1


@dataclass
class Elf:
    """An ELF64 file to be. Symbols are (name, value, size, info)."""

    loads: list[Load] = field(default_factory=lambda: [Load(0x8000_0000, b"\x6f\0\0\0" * 4)])
    entry: int = 0x8000_0000
    symbols: list[tuple[str, int, int, int]] = field(default_factory=list)

    def build(self) -> bytes:
        phoff = EHDR.size
        offset = phoff + PHDR.size * len(self.loads)
        phdrs, body = b"", b""
        for load in self.loads:
            memsz = len(load.data) if load.memsz is None else load.memsz
            vaddr = load.address if load.vaddr is None else load.vaddr
            phdrs += PHDR.pack(
                load.type, load.flags, offset, vaddr, load.address, len(load.data), memsz, 4096
            )
            body += load.data
            offset += len(load.data)
        shoff, sections = 0, b""
        if self.symbols:
            strtab, symtab = b"\0", SYM.pack(0, 0, 0, 0, 0, 0)
            for name, value, size, info in self.symbols:
                symtab += SYM.pack(len(strtab), info, 0, 1, value, size)
                strtab += name.encode() + b"\0"
            sections = SHDR.pack(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
            sections += SHDR.pack(0, 2, 0, 0, offset, len(symtab), 2, 1, 8, SYM.size)
            sections += SHDR.pack(0, 3, 0, 0, offset + len(symtab), len(strtab), 0, 0, 1, 0)
            body += symtab + strtab
            shoff = offset + len(symtab) + len(strtab)
        ehdr = EHDR.pack(
            b"\x7fELF", 2, 1, 1, 0, 2, 243, 1, self.entry, phoff, shoff, 0,
            EHDR.size, PHDR.size, len(self.loads), SHDR.size, 3 if shoff else 0, 0,
        )  # fmt: skip
        return ehdr + phdrs + body + sections


def patched(content: bytes, where: tuple[int, int], value: int) -> bytes:
    """The file with a little-endian field overwritten."""
    offset, width = where
    return content[:offset] + value.to_bytes(width, "little") + content[offset + width :]


def phdr_field(index: int, name: str) -> tuple[int, int]:
    """Where a field of a program header stands in a file that `Elf` built."""
    fields = {
        "type": (0, 4), "flags": (4, 4), "offset": (8, 8), "vaddr": (16, 8),
        "paddr": (24, 8), "filesz": (32, 8), "memsz": (40, 8),
    }  # fmt: skip
    offset, width = fields[name]
    return EHDR.size + index * PHDR.size + offset, width
