"""Guest images: ELF executables and raw binaries, from a file or from bytes to guest memory.

An image is untrusted input. pyelftools decodes the headers; every number in them is checked
here before it is used, nothing is allocated at a size that only a header claims, and guest
memory is written only after everything is known to fit.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from stat import S_ISDIR, S_ISREG
from typing import Any, NamedTuple

from elftools.common.utils import struct_parse
from elftools.elf.elffile import ELFFile

from rvemu.errors import RvemuError
from rvemu.memory import Ram
from rvemu.symbols import SymbolTable, parse_symbols

EM_RISCV = 243

_MAGIC = b"\x7fELF"
_PROGRAM_HEADER_SIZE = 56
_SECTION_HEADER_SIZE = 64
_NOTE = struct.Struct("<III")  # lengths of name and description, type
_MAX_SEGMENTS = 1024
_MAX_SECTIONS = 4096
_MAX_FILE = 4 << 30

Source = str | os.PathLike[str] | bytes


@dataclass(frozen=True)
class Segment:
    """A piece of an image: `data` goes to physical address `paddr`, zeros follow it until
    `memsz` bytes are filled. `vaddr` is where the program expects to see it."""

    name: str
    paddr: int
    vaddr: int
    data: bytes | memoryview
    memsz: int

    @property
    def end(self) -> int:
        """The first physical address after it."""
        return self.paddr + self.memsz


class Note(NamedTuple):
    """A note of an ELF file: what its owner says of it."""

    owner: str
    kind: int
    description: bytes


class Reserved(NamedTuple):
    """A range of physical addresses that no segment may touch."""

    name: str
    address: int
    size: int


@dataclass(frozen=True)
class Image:
    """What a loaded file says; nothing of it is in guest memory before `place`."""

    name: str
    #: Physical address of the first instruction.
    entry: int
    #: Not empty, by rising physical address, without overlaps.
    segments: tuple[Segment, ...]
    symbol_table: SymbolTable = field(default_factory=SymbolTable)
    machine: int = EM_RISCV
    xlen: int = 64
    #: What was odd but harmless, one line each, for the user to see.
    warnings: tuple[str, ...] = ()
    notes: tuple[Note, ...] = ()
    #: Where firmware is to go on, in S-mode; None where there is nothing for it to start.
    next_entry: int | None = None
    #: Physical addresses of an initial RAM disk: its first byte and the one after its last.
    initrd: tuple[int, int] | None = None

    @property
    def symbols(self) -> dict[str, int]:
        """Virtual addresses by name."""
        return self.symbol_table.by_name

    def has_symbol(self, name: str) -> bool:
        """Whether the image names such an address."""
        return name in self.symbols

    def lookup(self, address: int) -> tuple[str, int] | None:
        """The symbol that a virtual address belongs to and the offset in it, if the address is
        in the image at all."""
        if not any(s.vaddr <= address < s.vaddr + s.memsz for s in self.segments):
            return None
        return self.symbol_table.lookup(address)

    def physical(self, name: str) -> int | None:
        """Where the named symbol is loaded, or None if there is no such symbol."""
        address = self.symbols.get(name)
        if address is None:
            return None
        for segment in self.segments:
            if segment.vaddr <= address < segment.vaddr + segment.memsz:
                return segment.paddr + address - segment.vaddr
        return address

    @property
    def tohost(self) -> int | None:
        """Physical address of HTIF's word to the host, from the symbol of that name."""
        return self.physical("tohost")

    @property
    def fromhost(self) -> int | None:
        """Physical address of HTIF's word from the host."""
        return self.physical("fromhost")

    @property
    def begin_signature(self) -> int | None:
        """Physical address where an architecture test's results begin."""
        return self.physical("begin_signature")

    @property
    def end_signature(self) -> int | None:
        """Physical address after the last byte of an architecture test's results."""
        return self.physical("end_signature")


def load_elf(source: Source, name: str | None = None) -> Image:
    """Read an ELF64 RISC-V executable from a path, or from the file's bytes.

    Raises `RvemuError`, one line, for anything that cannot run: no such file, no ELF, truncated,
    another machine, class or byte order, headers that contradict themselves or the file.
    """
    name = name or (os.fspath(source) if not isinstance(source, bytes) else "the image")
    content = source if isinstance(source, bytes) else _read_file(name, magic=_MAGIC)
    _check_identification(name, content)
    with _malformed(name):
        elf = ELFFile(io.BytesIO(content))
        header = elf.header
        machine, kind = header["e_machine"], header["e_type"]
    if machine != "EM_RISCV":
        was = machine.removeprefix("EM_") if isinstance(machine, str) else f"number {machine}"
        raise RvemuError(f"{name}: built for another machine ({was}), not for RISC-V")
    if elf.elfclass != 64:
        raise RvemuError(
            f"{name}: RV32 guests are not supported; build it for a 64-bit target (-march=rv64...)"
        )
    if kind not in ("ET_EXEC", "ET_DYN"):
        what = {"ET_REL": "an object file that was not linked", "ET_CORE": "a core dump"}
        raise RvemuError(f"{name}: {what.get(kind, f'of ELF type {kind}')}, not an executable")

    segments = _read_segments(name, content, elf)
    symbols, warnings = _read_symbols(name, content, elf)
    entry = _physical_entry(name, header["e_entry"], segments)
    notes = tuple(_read_notes(name, content, elf))
    return Image(name, entry, segments, symbols, warnings=warnings, notes=notes)


def load_raw(source: Source, address: int, name: str | None = None) -> Image:
    """Take a file as it is, to be loaded and entered at a physical address.

    Raises `RvemuError` when it cannot be read, is empty, or the address is odd.
    """
    name = name or (os.fspath(source) if not isinstance(source, bytes) else "the image")
    content = source if isinstance(source, bytes) else _read_file(name)
    if not content:
        raise RvemuError(f"{name}: the file is empty")
    if address < 0 or address % 2 or address + len(content) > 1 << 64:
        raise RvemuError(f"{name}: {address:#x} is no address to load and enter code at")
    return Image(name, address, (Segment("image", address, address, content, len(content)),))


def check_place(image: Image, ram: Ram, reserved: Sequence[Reserved] = ()) -> None:
    """Raise `RvemuError` when a segment does not lie in `ram` or touches a reserved range."""
    for segment in image.segments:
        where = f"{image.name}: {segment.name} at {_range(segment.paddr, segment.memsz)}"
        if not ram.contains(segment.paddr, segment.memsz):
            raise RvemuError(
                f"{where} is outside RAM, which is {_range(ram.base, ram.size)}; "
                "link it there, or give the machine more memory"
            )
        for taken in reserved:
            if segment.paddr < taken.address + taken.size and taken.address < segment.end:
                raise RvemuError(
                    f"{where} overlaps the {taken.name} at {_range(taken.address, taken.size)}"
                )


def place(image: Image, ram: Ram, reserved: Sequence[Reserved] = ()) -> None:
    """Write an image into memory, its zero-filled parts included. Raises as `check_place`, with
    nothing written."""
    check_place(image, ram, reserved)
    for segment in image.segments:
        ram.write(segment.paddr, segment.data)
        ram.zero(segment.paddr + len(segment.data), segment.memsz - len(segment.data))


def _read_file(name: str, magic: bytes = b"") -> bytes:
    """A regular file's content. Looks at the first bytes before it reads the rest."""
    try:
        # Opened without blocking and checked afterwards: a FIFO must not hang, and the file
        # that was checked must be the one that is read.
        descriptor = os.open(name, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        try:
            status = os.fstat(descriptor)
            if S_ISDIR(status.st_mode):
                raise RvemuError(f"{name}: a directory, not a guest image")
            if not S_ISREG(status.st_mode):
                raise RvemuError(f"{name}: not a regular file")
            with os.fdopen(descriptor, "rb", closefd=False) as stream:
                start = stream.read(len(magic))
                if start != magic:
                    raise RvemuError(_not_elf(name, start))
                if status.st_size > _MAX_FILE:
                    raise RvemuError(f"{name}: {status.st_size} bytes are too many for an image")
                return start + stream.read(status.st_size)
        finally:
            os.close(descriptor)
    except (OSError, ValueError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "out of memory"
        raise RvemuError(f"{name}: cannot be read: {reason}") from error


def _check_identification(name: str, content: bytes) -> None:
    """Refuse what pyelftools could not even be asked about."""
    if content[:4] != _MAGIC:
        raise RvemuError(_not_elf(name, content[:4]))
    if len(content) < 20 or len(content) < (52 if content[4] == 1 else 64):
        raise RvemuError(f"{name}: truncated: {len(content)} bytes hold no ELF header")
    if content[4] not in (1, 2) or content[5] not in (1, 2):
        raise RvemuError(
            f"{name}: malformed ELF: class {content[4]}, byte order {content[5]}, neither 1 nor 2"
        )
    if content[5] != 1 and content[18:20] == EM_RISCV.to_bytes(2, "big"):
        raise RvemuError(f"{name}: big-endian; only little-endian RISC-V guests are supported")


def _not_elf(name: str, start: bytes) -> str:
    found = f"begins with {start.hex(' ')}" if start else "is empty"
    return f"{name}: not an ELF file (it {found}); a raw binary needs a load address"


def _read_segments(name: str, content: bytes, elf: ELFFile) -> tuple[Segment, ...]:
    """All non-empty `PT_LOAD` segments, checked against the file and each other."""
    header = elf.header
    count, offset = header["e_phnum"], header["e_phoff"]
    if not count:
        raise RvemuError(f"{name}: has no program headers: nothing to load")
    if count > _MAX_SEGMENTS:
        raise RvemuError(f"{name}: {count} program headers; at most {_MAX_SEGMENTS} make sense")
    if header["e_phentsize"] != _PROGRAM_HEADER_SIZE:
        raise RvemuError(f"{name}: malformed ELF: program headers of {header['e_phentsize']} bytes")
    _check_within(name, "the program header table", offset, count * _PROGRAM_HEADER_SIZE, content)

    whole = memoryview(content)
    segments = []
    for index, entry in enumerate(_program_headers(name, elf)):
        if entry["p_type"] == "PT_INTERP":
            raise RvemuError(
                f"{name}: a program for an operating system (it asks for a dynamic linker), "
                "not for a bare machine"
            )
        if entry["p_type"] == "PT_LOAD" and entry["p_memsz"]:
            segments.append(_check_segment(name, index, entry, whole))
    if not segments:
        raise RvemuError(f"{name}: has no segment to load")
    segments.sort(key=lambda segment: segment.paddr)
    for low, high in pairwise(segments):
        if high.paddr < low.end:
            raise RvemuError(
                f"{name}: {low.name} at {_range(low.paddr, low.memsz)} overlaps "
                f"{high.name} at {_range(high.paddr, high.memsz)}"
            )
    return tuple(segments)


def _program_headers(name: str, elf: ELFFile) -> Iterator[Any]:
    """The program headers, which are known to be in the file."""
    header = elf.header
    for index in range(header["e_phnum"]):
        at = header["e_phoff"] + index * _PROGRAM_HEADER_SIZE
        with _malformed(name):
            entry = struct_parse(elf.structs.Elf_Phdr, elf.stream, at)
        yield entry


def _read_notes(name: str, content: bytes, elf: ELFFile) -> Iterator[Note]:
    """The notes of all `PT_NOTE` segments, as far as they make sense: nothing needs them to run."""
    for segment in _program_headers(name, elf):
        if segment["p_type"] != "PT_NOTE":
            continue
        start, size = segment["p_offset"], segment["p_filesz"]
        part = content[start : start + size]
        while len(part) >= _NOTE.size:
            name_size, size, kind = _NOTE.unpack_from(part)
            described = _NOTE.size + (name_size + 3 & ~3)
            owner = part[_NOTE.size : _NOTE.size + name_size].rstrip(b"\0")
            description = part[described : described + size]
            if len(description) < size:
                break
            yield Note(owner.decode("latin-1"), kind, description)
            part = part[described + (size + 3 & ~3) :]


def _check_segment(name: str, index: int, entry: Any, whole: memoryview) -> Segment:
    label = f"segment {index}"
    offset, filesz, memsz = entry["p_offset"], entry["p_filesz"], entry["p_memsz"]
    paddr, vaddr = entry["p_paddr"], entry["p_vaddr"]
    if filesz > memsz:
        raise RvemuError(
            f"{name}: {label} has {filesz:#x} bytes in the file for {memsz:#x} bytes of memory"
        )
    _check_within(name, f"{label}'s data", offset, filesz, whole)
    if paddr + memsz > 1 << 64 or vaddr + memsz > 1 << 64:
        raise RvemuError(f"{name}: {label} of {memsz:#x} bytes goes past the last address")
    return Segment(label, paddr, vaddr, whole[offset : offset + filesz], memsz)


def _physical_entry(name: str, entry: int, segments: Iterable[Segment]) -> int:
    """Where execution starts, before any translation.

    A kernel linked to run at high virtual addresses gives its entry there as well; as in QEMU,
    the segment that holds it says which physical address that is.
    """
    if entry % 2:
        raise RvemuError(f"{name}: entry {entry:#x} is odd, and no instruction can be there")
    for segment in segments:
        for start in (segment.vaddr, segment.paddr):
            if start <= entry < start + len(segment.data):
                return segment.paddr + entry - start
    raise RvemuError(f"{name}: entry {entry:#x} is not in any segment's code")


def _read_symbols(name: str, content: bytes, elf: ELFFile) -> tuple[SymbolTable, tuple[str, ...]]:
    """The image's symbols. Whatever is wrong with them is a warning."""
    try:
        table, names = _symbol_sections(name, content, elf)
    except RvemuError as error:
        return SymbolTable(), (f"{error}: its symbols are ignored",)
    symbols, warnings = parse_symbols(table, names)
    return SymbolTable(symbols), tuple(f"{name}: {warning}" for warning in warnings)


def _symbol_sections(name: str, content: bytes, elf: ELFFile) -> tuple[memoryview, memoryview]:
    """The bytes of the symbol table and of its string table, both empty if there is none."""
    offset, count = elf.header["e_shoff"], elf.header["e_shnum"]
    nothing = memoryview(b"")
    if not offset or not count:
        return nothing, nothing
    if count > _MAX_SECTIONS or elf.header["e_shentsize"] != _SECTION_HEADER_SIZE:
        raise RvemuError(f"{name}: malformed section header table")
    _check_within(name, "the section header table", offset, count * _SECTION_HEADER_SIZE, content)
    with _malformed(name):
        sections = [
            struct_parse(elf.structs.Elf_Shdr, elf.stream, offset + i * _SECTION_HEADER_SIZE)
            for i in range(count)
        ]
    for section in sections:
        if section["sh_type"] == "SHT_SYMTAB":
            link = section["sh_link"]
            if link >= count or sections[link]["sh_type"] != "SHT_STRTAB":
                raise RvemuError(f"{name}: the symbol table has no string table")
            return (
                _section_bytes(name, "the symbol table", section, content),
                _section_bytes(name, "the string table", sections[link], content),
            )
    return nothing, nothing


def _section_bytes(name: str, what: str, section: Any, content: bytes) -> memoryview:
    offset, size = section["sh_offset"], section["sh_size"]
    _check_within(name, what, offset, size, content)
    return memoryview(content)[offset : offset + size]


def _check_within(
    name: str, what: str, offset: int, size: int, content: bytes | memoryview
) -> None:
    if offset + size > len(content):
        raise RvemuError(
            f"{name}: truncated: {what} ends at byte {offset + size:#x}, "
            f"the file at {len(content):#x}"
        )


@contextmanager
def _malformed(name: str) -> Iterator[None]:
    """Around calls into pyelftools, which on bad input raises almost anything."""
    try:
        yield
    except Exception as error:
        detail = (str(error) or type(error).__name__).splitlines()[0]
        raise RvemuError(f"{name}: malformed ELF: {detail}") from error


def _range(address: int, size: int) -> str:
    return f"{address:#x}..{address + size - 1:#x}"
