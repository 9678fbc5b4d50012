"""Names of addresses: a guest image's symbol table, both ways.

Also the reader of ELF's binary symbol table. An image is not trusted, and one without symbols
is still a good image, so whatever is wrong with the table costs a warning and never the load.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

#: Elf64_Sym, little-endian: st_name, st_info, st_other, st_shndx, st_value, st_size.
_ENTRY = struct.Struct("<IBBHQQ")

_MAX_SYMBOLS = 4_000_000
_MAX_NAME = 1 << 16

_SHN_UNDEF = 0
_STT_NOTYPE, _STT_OBJECT, _STT_FUNC, _STT_SECTION, _STT_FILE = range(5)
_STB_LOCAL = 0


class Symbol(NamedTuple):
    """A named address. `size` is in bytes, 0 when the image does not tell."""

    name: str
    address: int
    size: int = 0
    is_local: bool = False
    is_typed: bool = False


class SymbolTable:
    """Symbols by name and by address."""

    def __init__(self, symbols: Iterable[Symbol] = ()) -> None:
        #: Addresses by name. A global symbol wins over a local one of the same name.
        self.by_name: dict[str, int] = {}
        # What an address is called: the last of equals, so a function wins over a bare label,
        # and a global name over a local one.
        ranked = sorted(symbols, key=lambda s: (s.address, s.is_typed, not s.is_local))
        for symbol in sorted(ranked, key=lambda s: not s.is_local):
            self.by_name[symbol.name] = symbol.address
        self._sorted = [s for s in ranked if not s.name.startswith(("$", ".L"))]
        self._addresses = [s.address for s in self._sorted]

    def __len__(self) -> int:
        return len(self.by_name)

    def lookup(self, address: int) -> tuple[str, int] | None:
        """The symbol at or below an address, and the distance from it in bytes.

        None below the first symbol, and past the end of a symbol whose size is known.
        """
        index = bisect_right(self._addresses, address) - 1
        if index < 0:
            return None
        symbol = self._sorted[index]
        offset = address - symbol.address
        if symbol.size and offset >= symbol.size:
            return None
        return symbol.name, offset


def parse_symbols(table: memoryview, names: memoryview) -> tuple[list[Symbol], list[str]]:
    """The symbols of an ELF64 `SHT_SYMTAB` section with its string table, and warnings.

    Time and memory are bounded by the sizes of the two sections, whatever they hold.
    """
    warnings: list[str] = []
    count = len(table) // _ENTRY.size
    if count > _MAX_SYMBOLS:
        return [], [f"{count} symbols are more than the {_MAX_SYMBOLS} that rvemu reads: ignored"]
    if len(table) % _ENTRY.size:
        warnings.append("the symbol table's size is no multiple of an entry's")
    text = bytes(names)
    # Names may share their tails, but a table whose names add up to far more than the string
    # table holds was made to exhaust the host's memory.
    budget = 4 * len(text) + _MAX_NAME
    symbols: list[Symbol] = []
    broken = 0
    entries = _ENTRY.iter_unpack(table[: count * _ENTRY.size])
    for name_offset, info, _other, section, value, size in entries:
        kind = info & 0xF
        if section == _SHN_UNDEF or kind in (_STT_SECTION, _STT_FILE) or not name_offset:
            continue
        end = text.find(b"\0", name_offset, name_offset + _MAX_NAME)
        if end < 0:
            broken += 1
            continue
        budget -= end - name_offset
        if budget < 0:
            warnings.append("the symbols' names overlap too much: the rest is ignored")
            break
        name = text[name_offset:end].decode("utf-8", "backslashreplace")
        if name:
            is_typed = kind in (_STT_OBJECT, _STT_FUNC)
            symbols.append(Symbol(name, value, size, info >> 4 == _STB_LOCAL, is_typed))
    if broken:
        warnings.append(f"{broken} symbols have a name outside the string table: ignored")
    return symbols, warnings
