"""`m`, `M`, `x`, `X`, `qSearch:memory`, `qCRC`: memory as the selected thread sees it.

Source: GDB manual, "Packets" and "General Query Packets". Lengths that a client could not take in
one packet are cut short, which `m` and `x` allow; no access wraps around at 2**64.
"""

import zlib
from binascii import hexlify
from collections.abc import Iterator

from gdbstub import fields
from gdbstub.errors import PacketError, TargetError
from gdbstub.packet import escape, shorten_zeros, unescape
from gdbstub.state import State

_SPACE = 1 << 64
_PIECE = 1 << 16  # bytes that long operations read at a time
# A search or checksum keeps the guest from running; so much is done in one packet at most. (gdb 13
# takes the error for "not found", and waits some seconds: this is what a search does in one.)
MAX_SWEEP = 1 << 30

_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def read_hex(state: State, rest: bytes) -> bytes:
    """`m addr,length`."""
    return shorten_zeros(hexlify(_read(state, rest, state.packet_size // 2)))


def read_binary(state: State, rest: bytes) -> bytes:
    """`x addr,length`: the data after a `b`."""
    _address, length = fields.numbers(rest, b",", 2)
    if length == 0:
        return b"b"
    return b"b" + escape(_read(state, rest, (state.packet_size - 1) // 2))


def write_hex(state: State, rest: bytes) -> bytes:
    """`M addr,length:XX...`."""
    place, values = fields.split(rest, b":")
    return _write(state, place, fields.data(values))


def write_binary(state: State, rest: bytes) -> bytes:
    """`X addr,length:data`; with length 0 a client finds out whether the packet exists."""
    place, values = fields.split(rest, b":")
    return _write(state, place, unescape(values))


def search(state: State, rest: bytes) -> bytes:
    """`qSearch:memory:address;length;pattern` (a `find` in gdb)."""
    what, _, place = rest[1:].partition(b":")
    if not rest.startswith(b":") or what != b"memory":
        return b""
    start, _, place = place.partition(b";")
    text, found, pattern = place.partition(b";")
    if not found:
        raise PacketError("a search takes an address, a length and a pattern")
    pattern = unescape(pattern)
    address = fields.number(start)
    if not pattern:
        raise PacketError("the pattern to search for is empty")
    kept = b""
    for piece in _sweep(state, address, fields.number(text)):
        window = kept + piece
        at = window.find(pattern)
        if at >= 0:
            return b"1,%x" % (address - len(kept) + at)
        address += len(piece)
        kept = window[len(window) - len(pattern) + 1 :] if len(pattern) > 1 else b""
    return b"0"


def crc(state: State, rest: bytes) -> bytes:
    """`qCRC:addr,length` (`compare-sections`): CRC-32, most significant bit first.

    It is zlib's with the bits of every byte, and of the result, reversed.
    """
    if not rest.startswith(b":"):
        return b""
    address, length = fields.numbers(rest[1:], b",", 2)
    value = 0
    for piece in _sweep(state, address, length):
        value = zlib.crc32(piece.translate(_REVERSED), value)
    return b"C%x" % int(f"{value ^ 0xFFFF_FFFF:032b}"[::-1], 2)


def _read(state: State, rest: bytes, limit: int) -> bytes:
    address, length = fields.numbers(rest, b",", 2)
    length = min(length, limit, _SPACE - address)
    if length == 0:
        raise PacketError("a read of no bytes")
    data = state.target.read_memory(state.current(), address, length)
    if not data:
        raise TargetError(f"cannot read memory at {address:#x}", 14)
    return data[:length]


def _write(state: State, place: bytes, data: bytes) -> bytes:
    address, length = fields.numbers(place, b",", 2)
    if length != len(data):
        raise PacketError(f"{len(data)} bytes were sent, not {length}")
    if address + length > _SPACE:
        raise PacketError("the write wraps around at the end of the address space")
    if length:
        state.target.write_memory(state.current(), address, data)
    return b"OK"


def _sweep(state: State, address: int, length: int) -> Iterator[bytes]:
    """Memory piece by piece. Raises TargetError where some of it cannot be read."""
    if length > MAX_SWEEP:
        raise TargetError(f"{length:#x} bytes are too many; at most {MAX_SWEEP:#x} at a time")
    if address + length > _SPACE:
        raise PacketError("the range wraps around at the end of the address space")
    thread = state.current()
    end = address + length
    while address < end:
        piece = state.target.read_memory(thread, address, min(_PIECE, end - address))
        if not piece:
            raise TargetError(f"cannot read memory at {address:#x}", 14)
        yield piece
        address += len(piece)
