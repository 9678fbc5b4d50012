"""Disassemble an ELF file, a raw image, or words.

Of an ELF file the sections that hold code are shown, or one section, or as many instructions as
--count says from --start on.

examples:
  rvemu disasm guest.elf
  rvemu disasm --section .text.boot guest.elf
  rvemu disasm --start main --count 20 guest.elf
  rvemu disasm --load-address 0x80000000 image.bin
  rvemu disasm --hex 00a50513 8082
"""

import argparse
import re
from collections.abc import Iterator
from pathlib import Path

from rvemu.cli.quantities import count
from rvemu.errors import RvemuError
from rvemu.isa.disassembler import disassemble
from rvemu.loader import Image, load_elf, load_raw
from rvemu.sections import Section, code_sections


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add("file", nargs="?", type=Path, metavar="FILE", help="an ELF file, or a raw image")
    add("--hex", nargs="+", metavar="WORD", help="instructions, 4 or 8 hexadecimal digits each")
    add("--load-address", metavar="ADDR", help="FILE is a raw image, loaded there")
    add("--section", metavar="NAME", help="only this section")
    add("--start", metavar="ADDR", help="the first address, or a symbol")
    add("--count", type=count, metavar="N", help="how many instructions")
    add(
        "--no-aliases",
        action="store_true",
        help="no pseudoinstructions, and compressed instructions under their own names",
    )


def execute(arguments: argparse.Namespace) -> int:
    """Do it; the exit status."""
    if arguments.hex is not None:
        if arguments.file is not None:
            raise RvemuError("give a file or --hex, not both")
        for word in arguments.hex:
            raw = _word(word)
            digits = 8 if raw & 3 == 3 else 4
            print(f"{raw:0{digits}x}  {disassemble(raw, aliases=not arguments.no_aliases)}")
        return 0
    if arguments.file is None:
        raise RvemuError("disassemble what? Give a file, or --hex WORD...")
    if arguments.load_address is not None:
        image = load_raw(arguments.file, _number(arguments.load_address))
    else:
        image = load_elf(arguments.file)
    left = arguments.count
    for section in _parts(image, arguments):
        for line, is_instruction in _lines(image, section, not arguments.no_aliases):
            if is_instruction and left is not None:
                if not left:
                    return 0
                left -= 1
            print(line)
    return 0


def _parts(image: Image, arguments: argparse.Namespace) -> list[Section]:
    """What to show: sections, cut to where it begins."""
    whole = [Section(s.name, s.vaddr, s.data) for s in image.segments]
    sections = whole
    if arguments.load_address is None:
        sections = code_sections(arguments.file, arguments.section) or whole
    if arguments.start is None:
        return sections
    if image.has_symbol(arguments.start):
        start = image.symbols[arguments.start]
    else:
        start = _number(arguments.start)
    # Code may be anywhere in memory, and not only where sections say.
    for section in (*sections, *whole):
        if section.address <= start < section.address + len(section.data):
            return [Section(section.name, start, section.data[start - section.address :])]
    raise RvemuError(f"{image.name}: there is nothing at {start:#x}")


def _lines(image: Image, section: Section, aliases: bool) -> Iterator[tuple[str, bool]]:
    """Lines of text, and whether each is an instruction."""
    yield f"\n{section.name}:", False
    data, at = section.data, 0
    while at + 2 <= len(data):
        address = section.address + at
        found = image.lookup(address)
        if found is not None and found[1] == 0:
            yield f"\n{address:016x} <{found[0]}>:", False
        raw = int.from_bytes(data[at : at + 2], "little")
        length = 2
        if raw & 3 == 3 and at + 4 <= len(data):
            raw = int.from_bytes(data[at : at + 4], "little")
            length = 4
        text = disassemble(raw, address, image, aliases=aliases)
        yield f"{address:16x}:  {raw:0{2 * length}x}{' ' * (8 - 2 * length)}  {text}", True
        at += length


def _word(text: str) -> int:
    digits = text.lower().removeprefix("0x")
    if not re.fullmatch(r"[0-9a-f]{1,8}", digits):
        raise RvemuError(f"{text!r} is no instruction: 4 or 8 hexadecimal digits")
    raw = int(digits, 16)
    if raw & 3 != 3 and raw >> 16:
        raise RvemuError(f"{text!r} is no instruction: compressed ones have 4 digits")
    return raw


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise RvemuError(f"{text!r} is no address, as 0x80000000, nor a symbol") from None
