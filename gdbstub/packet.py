"""Framing of the GDB remote protocol: `$payload#checksum`, acknowledgements, escapes, runs.

Source: GDB manual, "Remote Protocol: Overview" and "Interrupts". Nothing here loops over single
bytes: the work is done by `bytes.find`, `replace`, `sum` and compiled patterns.
"""

import re
import zlib
from enum import Enum

from gdbstub.errors import PacketError


class Signal(Enum):
    """What may stand between packets. (A packet itself is handed out as `bytes`.)"""

    ACK = "+"
    NAK = "-"
    INTERRUPT = "\x03"
    DAMAGED = "damaged"  # a packet with a wrong checksum
    OVERSIZE = "oversize"  # a packet longer than the decoder accepts; its bytes are dropped


Item = bytes | Signal

_OUT_OF_BAND = re.compile(rb"[+\-\x03]")
_ESCAPED = re.compile(rb"\}(.?)", re.DOTALL)
_UNESCAPED = [bytes([byte ^ 0x20]) for byte in range(256)]
_RUN = re.compile(rb"([^}*])\1{3,}", re.DOTALL)
_RUN_MARK = re.compile(rb"(.)\*(.)", re.DOTALL)

# The longest run that one mark can say: the byte itself and 97 more ('~' is 97 + 29).
_LONGEST_RUN = 98


def _sendable(repeats: int) -> int:
    """The largest count up to `repeats` whose character may stand in a packet."""
    while chr(repeats + 29) in "#$+-":
        repeats -= 1
    return repeats


_COUNT = [_sendable(max(repeats, 3)) for repeats in range(_LONGEST_RUN)]


def escape(data: bytes) -> bytes:
    """Binary data as a payload may carry it: `#`, `$`, `}` and `*` are escaped."""
    return (
        data.replace(b"}", b"}]")
        .replace(b"#", b"}\x03")
        .replace(b"$", b"}\x04")
        .replace(b"*", b"}\n")
    )


def unescape(data: bytes) -> bytes:
    """The binary data that a payload carries. A dangling escape at the end is dropped."""
    if b"}" not in data:
        return data
    return _ESCAPED.sub(lambda found: _UNESCAPED[found[1][0]] if found[1] else b"", data)


def checksum(payload: bytes) -> int:
    """The sum of all bytes modulo 256."""
    if len(payload) < 1024:
        return sum(payload) & 0xFF
    # Adler-32's low half is a plain sum modulo 65521, which 256 bytes cannot reach; this is
    # five times as fast as sum() on a memory dump.
    view = memoryview(payload)
    adler = zlib.adler32
    return sum([adler(view[at : at + 256], 0) & 0xFFFF for at in range(0, len(view), 256)]) & 0xFF


def frame(payload: bytes) -> bytes:
    """The packet that carries `payload`, which must already be escaped."""
    return b"$%b#%02x" % (payload, checksum(payload))


def notification(payload: bytes) -> bytes:
    """The notification that carries `payload` (GDB manual, "Notification Packets")."""
    return b"%%%b#%02x" % (payload, checksum(payload))


def encode_runs(payload: bytes) -> bytes:
    """`payload` with runs of four or more equal bytes as `c*n` (Overview, "run-length")."""
    return _RUN.sub(_shorten, payload)


def _shorten(found: re.Match[bytes]) -> bytes:
    byte, left = found[1], len(found[0])
    parts = []
    while left > 3:
        repeats = _COUNT[min(left, _LONGEST_RUN) - 1]
        parts.append(b"%b*%c" % (byte, repeats + 29))
        left -= repeats + 1
    return b"".join(parts) + byte * left


def shorten_zeros(payload: bytes) -> bytes:
    """`payload`, which holds hexadecimal text only, with its longest runs of "0" encoded.

    Empty guest memory is by far the commonest long run. This pass costs almost nothing on other
    data, unlike `encode_runs`.
    """
    return payload.replace(b"0" * _LONGEST_RUN, b"0*~")


def decode_runs(payload: bytes) -> bytes:
    """The inverse of `encode_runs`, for the client's end.

    Raises PacketError for a count that is no count.
    """

    def repeat(found: re.Match[bytes]) -> bytes:
        count = found[2][0] - 29
        if not 3 <= count <= 97:
            raise PacketError(f"run-length count {found[2]!r} is not printable")
        return found[1] * (count + 1)

    return _RUN_MARK.sub(repeat, payload)


class Decoder:
    """Turns the byte stream from one peer into packets and out-of-band signals.

    `limit` is the longest payload accepted, in bytes as they stand on the wire.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buffer = bytearray()
        self._dropping = False  # inside an oversize packet, up to its '#'

    def feed(self, data: bytes) -> None:
        """Adds what arrived. Nothing is decoded before `next` asks."""
        self._buffer += data

    @property
    def empty(self) -> bool:
        """Whether no byte waits to be decoded."""
        return not self._buffer

    def next(self) -> Item | None:
        """The next item of the stream; None when more bytes are needed."""
        if self._dropping:
            return self._drop()
        buffer = self._buffer
        start = buffer.find(b"$")
        signal = _OUT_OF_BAND.search(buffer, 0, start if start >= 0 else len(buffer))
        if signal:
            return self._signal(signal)
        if start < 0:
            buffer.clear()  # noise between packets
            return None
        end = buffer.find(b"#", start)
        if end < 0 or len(buffer) < end + 3:
            if (end if end >= 0 else len(buffer)) - start - 1 > self.limit:
                self._dropping = True
                return self._drop()
            del buffer[:start]
            return None
        # A '$' within a packet means that the one before was cut short: start again there.
        start = buffer.rfind(b"$", start, end)
        payload = bytes(buffer[start + 1 : end])
        try:
            good = checksum(payload) == int(buffer[end + 1 : end + 3], 16)
        except ValueError:
            good = False
        del buffer[: end + 3]
        if len(payload) > self.limit:
            return Signal.OVERSIZE
        return payload if good else Signal.DAMAGED

    def _signal(self, first: re.Match[bytes]) -> Signal:
        """Takes one signal and all equal ones that follow it directly: a run means no more."""
        buffer, at = self._buffer, first.start()
        byte = first[0]
        end = at + 1
        while buffer[end : end + 64] == byte * 64:
            end += 64
        while buffer[end : end + 1] == byte:
            end += 1
        del buffer[:end]
        return Signal(byte.decode())

    def _drop(self) -> Signal | None:
        end = self._buffer.find(b"#")
        if end < 0:
            self._buffer.clear()
            return None
        if len(self._buffer) < end + 3:
            del self._buffer[:end]
            return None
        del self._buffer[: end + 3]
        self._dropping = False
        return Signal.OVERSIZE
