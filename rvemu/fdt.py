"""Flattened device trees: how a machine describes itself to its guest.

Source: Devicetree Specification 0.4, chapter 5, version 17 of the format. A tree is made of
`Node`s whose properties are bytes, as in the format; `cells`, `cells64` and `strings` make them.
"""

# construct is not typed.
# mypy: allow-untyped-calls

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field

from construct import (
    Aligned,
    Bytes,
    ConstructError,
    GreedyBytes,
    Int32ub,
    Int64ub,
    NullTerminated,
    Struct,
    this,
)

from rvemu.errors import RvemuError

_MAGIC = 0xD00D_FEED
_VERSION = 17
_OLDEST_COMPATIBLE = 16
_BEGIN_NODE, _END_NODE, _PROPERTY, _NOP, _END = 1, 2, 3, 4, 9
_MAX_BLOB = 16 << 20
_MAX_DEPTH = 64
_MAX_NAME = 256

_HEADER = Struct(
    "magic" / Int32ub,
    "totalsize" / Int32ub,
    "off_dt_struct" / Int32ub,
    "off_dt_strings" / Int32ub,
    "off_mem_rsvmap" / Int32ub,
    "version" / Int32ub,
    "last_comp_version" / Int32ub,
    "boot_cpuid_phys" / Int32ub,
    "size_dt_strings" / Int32ub,
    "size_dt_struct" / Int32ub,
)
_RESERVATION = Struct("address" / Int64ub, "size" / Int64ub)
_NODE_NAME = Aligned(4, NullTerminated(GreedyBytes))
_VALUE = Struct(
    "length" / Int32ub, "name_offset" / Int32ub, "data" / Aligned(4, Bytes(this.length))
)


@dataclass
class Node:
    """A node of the tree: its name with the unit address, its properties, its children."""

    name: str
    props: dict[str, bytes] = field(default_factory=dict)
    children: list[Node] = field(default_factory=list)

    def add(self, name: str, props: dict[str, bytes] | None = None) -> Node:
        """Append a new child and return it."""
        child = Node(name, props or {})
        self.children.append(child)
        return child

    def find(self, path: str) -> Node | None:
        """The node at a path such as "/soc/serial@10000000", seen from this one."""
        node: Node | None = self
        for part in path.split("/"):
            if part and node is not None:
                node = next((child for child in node.children if child.name == part), None)
        return node


def cells(*values: int) -> bytes:
    """A property of 32-bit cells; a phandle is one such cell."""
    return struct.pack(f">{len(values)}I", *values)


def cells64(*values: int) -> bytes:
    """A property of 64-bit numbers, two cells each."""
    return struct.pack(f">{len(values)}Q", *values)


def strings(*values: str) -> bytes:
    """A property of one string or a list of them."""
    return b"".join(value.encode("ascii") + b"\0" for value in values)


def to_dtb(root: Node, reservations: Iterable[tuple[int, int]] = ()) -> bytes:
    """The tree as a blob, with reserved memory as (physical address, size in bytes)."""
    names = bytearray()
    offsets: dict[str, int] = {}
    body = bytearray()

    def emit(node: Node) -> None:
        body.extend(Int32ub.build(_BEGIN_NODE) + _NODE_NAME.build(node.name.encode("ascii")))
        for name, value in node.props.items():
            if name not in offsets:
                offsets[name] = len(names)
                names.extend(name.encode("ascii") + b"\0")
            header = {"length": len(value), "name_offset": offsets[name], "data": value}
            body.extend(Int32ub.build(_PROPERTY) + _VALUE.build(header))
        for child in node.children:
            emit(child)
        body.extend(Int32ub.build(_END_NODE))

    emit(root)
    body.extend(Int32ub.build(_END))
    reserved = b"".join(
        _RESERVATION.build({"address": address, "size": size})
        for address, size in [*reservations, (0, 0)]
    )
    reserved_at = _HEADER.sizeof()
    body_at = reserved_at + len(reserved)
    names_at = body_at + len(body)
    header = _HEADER.build(
        {
            "magic": _MAGIC,
            "totalsize": names_at + len(names),
            "off_dt_struct": body_at,
            "off_dt_strings": names_at,
            "off_mem_rsvmap": reserved_at,
            "version": _VERSION,
            "last_comp_version": _OLDEST_COMPATIBLE,
            "boot_cpuid_phys": 0,
            "size_dt_strings": len(names),
            "size_dt_struct": len(body),
        }
    )
    return bytes(header + reserved + body + names)


def from_dtb(blob: bytes) -> Node:
    """The tree in a blob, which is not trusted; `RvemuError` says what is malformed."""
    try:
        header = _HEADER.parse(blob[: _HEADER.sizeof()])
    except ConstructError as error:
        raise RvemuError(f"device tree: {len(blob)} bytes hold no header") from error
    if header.magic != _MAGIC:
        raise RvemuError(f"not a device tree: it begins with {header.magic:#010x}")
    if header.last_comp_version > _VERSION or header.version < _VERSION:
        raise RvemuError(f"device tree: version {header.version} is not supported, only {_VERSION}")
    if header.totalsize > min(len(blob), _MAX_BLOB):
        raise RvemuError(
            f"device tree: says it is {header.totalsize} bytes long, but {len(blob)} are there"
        )
    body = _block(blob, header.totalsize, header.off_dt_struct, header.size_dt_struct)
    names = _block(blob, header.totalsize, header.off_dt_strings, header.size_dt_strings)
    try:
        return _parse_nodes(io.BytesIO(body), names)
    except (ConstructError, UnicodeDecodeError) as error:
        raise RvemuError("device tree: its structure block is truncated or garbled") from error


def _block(blob: bytes, total: int, offset: int, size: int) -> bytes:
    if offset + size > total:
        raise RvemuError(f"device tree: a block of {size} bytes at {offset} is outside of it")
    return blob[offset : offset + size]


def _parse_nodes(stream: io.BytesIO, names: bytes) -> Node:
    """Read tokens up to the end of the root node."""
    above: list[Node] = []
    while True:
        token = Int32ub.parse_stream(stream)
        if token == _BEGIN_NODE:
            node = Node(_NODE_NAME.parse_stream(stream).decode("ascii"))
            if above:
                above[-1].children.append(node)
            elif node.name:
                raise RvemuError("device tree: its root has a name")
            above.append(node)
            if len(above) > _MAX_DEPTH:
                raise RvemuError(f"device tree: more than {_MAX_DEPTH} levels")
        elif token == _PROPERTY and above:
            value = _VALUE.parse_stream(stream)
            above[-1].props[_property_name(names, value.name_offset)] = value.data
        elif token == _END_NODE and above:
            node = above.pop()
            if not above:
                return node
        elif token != _NOP:
            raise RvemuError(f"device tree: unexpected token {token:#x}")


def _property_name(names: bytes, offset: int) -> str:
    end = names.find(b"\0", offset, offset + _MAX_NAME)
    if end <= offset:
        raise RvemuError(f"device tree: no property name at {offset} of its strings")
    return names[offset:end].decode("ascii")


def to_dts(root: Node) -> str:
    """The tree as source text that dtc accepts.

    The format does not keep the types of properties: printable text is shown as strings, whole
    words as cells, anything else as bytes.
    """
    lines = ["/dts-v1/;", ""]

    def emit(node: Node, indent: str) -> None:
        lines.append(f"{indent}{node.name or '/'} {{")
        for name, value in node.props.items():
            lines.append(f"{indent}\t{name}{_value_text(value)};")
        for child in node.children:
            lines.append("")
            emit(child, indent + "\t")
        lines.append(f"{indent}}};")

    emit(root, "")
    return "\n".join(lines) + "\n"


def _value_text(value: bytes) -> str:
    if not value:
        return ""
    texts = value[:-1].split(b"\0")
    if value[-1] == 0 and all(text and all(32 <= c < 127 for c in text) for text in texts):
        quoted = (text.decode().replace("\\", r"\\").replace('"', r"\"") for text in texts)
        return " = " + ", ".join(f'"{text}"' for text in quoted)
    if len(value) % 4 == 0:
        words = struct.unpack(f">{len(value) // 4}I", value)
        return f" = <{' '.join(f'{word:#x}' for word in words)}>"
    return f" = [{value.hex(' ')}]"
