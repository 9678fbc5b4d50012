"""ELF files: what simulators load."""

from construct import Array, Bytes, Const, Int8ul, Int16ul, Int32ul, Int64ul, Struct

_EM_RISCV, _PT_LOAD, _SHT_SYMTAB, _SHT_STRTAB, _RWX = 243, 1, 2, 3, 7

_HEADER = Struct(
    "magic" / Const(b"\x7fELF\x02\x01\x01" + bytes(9)),
    "type" / Const(2, Int16ul),
    "machine" / Const(_EM_RISCV, Int16ul),
    "version" / Const(1, Int32ul),
    "entry" / Int64ul,
    "phoff" / Const(64, Int64ul),
    "shoff" / Int64ul,
    "flags" / Const(0, Int32ul),
    "ehsize" / Const(64, Int16ul),
    "phentsize" / Const(56, Int16ul),
    "phnum" / Int16ul,
    "shentsize" / Const(64, Int16ul),
    "shnum" / Const(3, Int16ul),
    "shstrndx" / Const(2, Int16ul),
)
_SEGMENT = Struct(
    "type" / Const(_PT_LOAD, Int32ul),
    "flags" / Const(_RWX, Int32ul),
    "offset" / Int64ul,
    "vaddr" / Int64ul,
    "paddr" / Int64ul,
    "filesz" / Int64ul,
    "memsz" / Int64ul,
    "align" / Const(1, Int64ul),
)
_SECTION = Struct(
    "name" / Int32ul,
    "type" / Int32ul,
    "flags" / Const(0, Int64ul),
    "addr" / Const(0, Int64ul),
    "offset" / Int64ul,
    "size" / Int64ul,
    "link" / Int32ul,
    "info" / Int32ul,
    "addralign" / Const(1, Int64ul),
    "entsize" / Int64ul,
)
_SYMBOL = Struct(
    "name" / Int32ul,
    "info" / Const(0x10, Int8ul),  # global
    "other" / Const(0, Int8ul),
    "section" / Const(0xFFF1, Int16ul),  # absolute
    "value" / Int64ul,
    "size" / Const(8, Int64ul),
)
_NO_SYMBOL = Bytes(24)

_NOTHING = {"name": 0, "type": 0, "offset": 0, "size": 0, "link": 0, "info": 0, "entsize": 0}

# The names of sections, by which Spike finds symbols, come before those of symbols.
_SECTION_NAMES = b"\0.symtab\0.strtab\0"


def write_elf(entry: int, segments: dict[int, bytes], symbols: dict[str, int]) -> bytes:
    """A bare-metal ELF file. segments: by physical address; symbols: addresses by name."""
    names = _SECTION_NAMES
    table = _NO_SYMBOL.build(bytes(24))
    for name, value in symbols.items():
        table += _SYMBOL.build({"name": len(names), "value": value})
        names += name.encode() + b"\0"
    offset = _HEADER.sizeof() + _SEGMENT.sizeof() * len(segments)
    headers = []
    for address, data in segments.items():
        size = len(data)
        where = {"vaddr": address, "paddr": address, "filesz": size, "memsz": size}
        headers.append({"offset": offset, **where})
        offset += size
    table_section = {
        "name": _SECTION_NAMES.index(b".symtab"),
        "type": _SHT_SYMTAB,
        "offset": offset,
        "size": len(table),
        "link": 2,
        "info": 1,
        "entsize": 24,
    }
    offset += len(table)
    names_section = {
        **_NOTHING,
        "name": _SECTION_NAMES.index(b".strtab"),
        "type": _SHT_STRTAB,
        "offset": offset,
        "size": len(names),
    }
    offset += len(names)
    return b"".join(
        [
            _HEADER.build({"entry": entry, "shoff": offset, "phnum": len(segments)}),
            Array(len(segments), _SEGMENT).build(headers),
            *segments.values(),
            table,
            names,
            Array(3, _SECTION).build([_NOTHING, table_section, names_section]),
        ]
    )
