"""C's printf, for the `printf` bytecode of agent expressions (GDB's `dprintf`).

Source: GDB manual, "Bytecode Descriptions" (`printf`) and "Dynamic Printf". The format still has
its backslash escapes, as it stood in the user's command. No floating point.
"""

import re
from collections.abc import Callable, Sequence

MAX_STRING = 4096  # bytes that %s takes from memory at most
MAX_WIDTH = 1024  # columns that a width or precision may ask for at most

_PIECE = re.compile(
    rb"%(?P<flags>[-+ #0]*)(?P<width>\d*)(?:\.(?P<precision>\d*))?"
    rb"(?P<size>hh|h|ll|l|z|j|t)?(?P<conversion>.)"
    rb"|\\(?P<octal>[0-7]{1,3})|\\(?P<escape>.)",
    re.DOTALL,
)
_ESCAPES = {
    b"a": b"\a", b"b": b"\b", b"e": b"\x1b", b"f": b"\f", b"n": b"\n", b"r": b"\r",
    b"t": b"\t", b"v": b"\v",
}  # fmt: skip
_BITS = {b"hh": 8, b"h": 16, None: 32}

Read = Callable[[int, int], bytes]


class FormatError(Exception):
    """The format asks for something that is not there or not supported."""


def c_format(text: bytes, arguments: Sequence[int], read: Read) -> bytes:
    """The formatted text; `read(address, length)` gives the memory for `%s`."""
    rest = iter(arguments)

    def piece(found: re.Match[bytes]) -> bytes:
        if found["octal"]:
            return bytes([int(found["octal"], 8) & 0xFF])
        if found["escape"]:
            return _ESCAPES.get(found["escape"], found["escape"])
        if found["conversion"] == b"%":
            return b"%"
        value = next(rest, None)
        if value is None:
            raise FormatError("a printf format has more conversions than arguments")
        return _convert(found, value, read)

    return _PIECE.sub(piece, text)


def _convert(found: re.Match[bytes], value: int, read: Read) -> bytes:
    flags = found["flags"].decode()
    width = _bounded(found["width"])
    precision = None if found["precision"] is None else _bounded(found["precision"])
    conversion = found["conversion"]
    zeros = width if "0" in flags and "-" not in flags and precision is None else 0
    if conversion in b"di":
        body = _digits(flags, precision, zeros, _signed(value, found["size"]), "d")
    elif conversion in b"uoxX":
        bits = _BITS.get(found["size"], 64)
        letter = conversion.decode().replace("u", "d")
        body = _digits(flags, precision, zeros, value & ((1 << bits) - 1), letter)
    elif conversion == b"p":
        body = b"0x%x" % value
    elif conversion == b"c":
        body = bytes([value & 0xFF])
    elif conversion == b"s":
        body = _string(value, MAX_STRING if precision is None else precision, read)
    else:
        raise FormatError(f"printf cannot convert %{conversion.decode('latin-1')}")
    return body.ljust(width) if "-" in flags else body.rjust(width)


def _bounded(digits: bytes) -> int:
    """A width or precision; int() of a very long number would be slow."""
    return min(int(digits[:6] or b"0"), MAX_WIDTH)


def _signed(value: int, size: bytes | None) -> int:
    bits = _BITS.get(size, 64)
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def _digits(flags: str, precision: int | None, zeros: int, value: int, letter: str) -> bytes:
    """A number's text; `zeros` is the width that leading zeros are to fill."""
    prefix = "-" if value < 0 else "+" if "+" in flags else " " if " " in flags else ""
    if "#" in flags and letter in "oxX" and value:
        prefix += {"o": "0", "x": "0x", "X": "0X"}[letter]
    digits = format(abs(value), letter).zfill(max(precision or 0, zeros - len(prefix)))
    return (prefix + digits).encode()


def _string(address: int, limit: int, read: Read) -> bytes:
    """The zero-terminated string at `address`, read in pieces that end at 64-byte boundaries."""
    parts: list[bytes] = []
    limit = min(limit, MAX_STRING)
    while limit > 0:
        piece = read(address, min(limit, 64 - address % 64))
        end = piece.find(b"\0")
        if end >= 0 or not piece:
            parts.append(piece[: max(end, 0)])
            break
        parts.append(piece)
        address = (address + len(piece)) & 0xFFFF_FFFF_FFFF_FFFF
        limit -= len(piece)
    return b"".join(parts)
