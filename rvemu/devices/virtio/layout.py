"""Binary layouts of virtio, as they stand in guest memory and in configuration spaces.

They are declared once, with construct. Rings are too hot for construct's interpreter (some 16 us
for a descriptor), so `packed` makes a `struct.Struct` of the same declaration (0.2 us).
"""

# construct is not typed.
# mypy: allow-untyped-calls

from __future__ import annotations

import struct
from typing import Any

from construct import (
    Array,
    Bytes,
    FormatField,
    Int8ul,
    Int16ul,
    Int32ul,
    Int64ul,
    Renamed,
    Struct,
    this,
)

# virtio: Split Virtqueues

DESCRIPTOR = Struct(
    "address" / Int64ul,
    "length" / Int32ul,
    "flags" / Int16ul,
    "next" / Int16ul,
)
#: The head of both rings. Entries follow, and after them an event index of 16 bits.
RING = Struct("flags" / Int16ul, "index" / Int16ul)
AVAILABLE_ELEMENT = Struct("head" / Int16ul)
USED_ELEMENT = Struct("head" / Int32ul, "length" / Int32ul)

# virtio: Block Device

BLOCK_CONFIG = Struct(
    "capacity" / Int64ul,  # sectors of 512 bytes
    "size_max" / Int32ul,
    "seg_max" / Int32ul,
    "cylinders" / Int16ul,
    "heads" / Int8ul,
    "sectors" / Int8ul,
    "blk_size" / Int32ul,  # bytes
    "physical_block_exp" / Int8ul,
    "alignment_offset" / Int8ul,
    "min_io_size" / Int16ul,
    "opt_io_size" / Int32ul,
    "writeback" / Int8ul,
    "unused0" / Int8ul,
    "num_queues" / Int16ul,
    "max_discard_sectors" / Int32ul,
    "max_discard_seg" / Int32ul,
    "discard_sector_alignment" / Int32ul,
    "max_write_zeroes_sectors" / Int32ul,
    "max_write_zeroes_seg" / Int32ul,
    "write_zeroes_may_unmap" / Int8ul,
    "unused1" / Bytes(3),
    "max_secure_erase_sectors" / Int32ul,
    "max_secure_erase_seg" / Int32ul,
    "secure_erase_sector_alignment" / Int32ul,
)
BLOCK_REQUEST = Struct("type" / Int32ul, "reserved" / Int32ul, "sector" / Int64ul)
BLOCK_RANGE = Struct("sector" / Int64ul, "num_sectors" / Int32ul, "flags" / Int32ul)

# virtio: Network Device

NET_CONFIG = Struct(
    "mac" / Bytes(6),
    "status" / Int16ul,
    "max_virtqueue_pairs" / Int16ul,
    "mtu" / Int16ul,
)
#: Without `num_buffers` where neither VERSION_1 nor MRG_RXBUF was negotiated.
NET_HEADER = Struct(
    "flags" / Int8ul,
    "gso_type" / Int8ul,
    "hdr_len" / Int16ul,
    "gso_size" / Int16ul,
    "csum_start" / Int16ul,
    "csum_offset" / Int16ul,
    "num_buffers" / Int16ul,
)

# virtio: Console Device

CONSOLE_CONFIG = Struct(
    "cols" / Int16ul,
    "rows" / Int16ul,
    "max_nr_ports" / Int32ul,
    "emerg_wr" / Int32ul,
)

# The configuration space of the 9P transport, of variable length

P9_CONFIG = Struct("tag_len" / Int16ul, "tag" / Bytes(this.tag_len))


def packed(layout: Any) -> struct.Struct:
    """A `struct.Struct` for a declaration of integers, `Bytes` and arrays of these, all
    little-endian. Array elements become values of their own."""
    return struct.Struct("<" + _code(layout))


def _code(part: Any) -> str:
    if isinstance(part, Renamed):
        return _code(part.subcon)
    if isinstance(part, Struct):
        return "".join(_code(field) for field in part.subcons)
    if isinstance(part, Array):
        return _code(part.subcon) * int(part.count)
    if isinstance(part, Bytes):
        return f"{int(part.length)}s"
    assert isinstance(part, FormatField), f"{part} has no struct code"
    order, code = part.fmtstr
    assert order == "<" or part.length == 1, f"{part} is not little-endian"
    return str(code)
