"""Back ends of the paravirtual console and disk: the VMM's side of rings in the guest's memory.

The guest is not trusted. Counts and requests are read once, and checked; data goes only to ordinary
frames of the guest's own (`DirectPaging.is_ordinary`).
"""

import struct
from collections.abc import Callable

from rvemu.devices.virtio.layout import packed
from rvemu.drives import SECTOR, Drive
from rvemu.vmm.direct_paging import DirectPaging
from rvemu.vmm.hypercalls import (
    BLOCK_COUNTS,
    BLOCK_REQUEST,
    BLOCK_SLOTS,
    CONSOLE_COUNTS,
    CONSOLE_INPUT,
    CONSOLE_OUTPUT,
    BlockStatus,
    Operation,
)

_COUNTS, _DISK_COUNTS, _REQUEST = (
    packed(layout) for layout in (CONSOLE_COUNTS, BLOCK_COUNTS, BLOCK_REQUEST)
)
_WRAP = 1 << 32  # counts are of 32 bits
_OUTPUT_AT = CONSOLE_INPUT
_COUNTS_AT = CONSOLE_INPUT + CONSOLE_OUTPUT
_REQUESTS_AT = _DISK_COUNTS.size
_STATUS_AT = 4  # in a request
#: Bytes of one request for the disk.
LONGEST_REQUEST = 1 << 20

# To move so many bytes takes the host as long as a device access; and a flush, as so many accesses.
_BYTES = 1 << 16
_FLUSH_WORK = 16


class ConsoleRing:
    """send: takes what the guest prints. receive: takes how many bytes there is room for, and
    gives what was typed."""

    def __init__(
        self,
        paging: DirectPaging,
        page: int,
        send: Callable[[bytes], None],
        receive: Callable[[int], bytes],
    ) -> None:
        self._paging = paging
        self._page = page
        self._send = send
        self._receive = receive

    def _counts(self) -> tuple[int, int, int, int]:
        data = self._paging.read(self._page + _COUNTS_AT, _COUNTS.size)
        consumed, produced, sent, printed = _COUNTS.unpack(data)
        return consumed, produced, sent, printed

    def _set_count(self, number: int, value: int) -> None:
        self._paging.store(self._page + _COUNTS_AT + 4 * number, struct.pack("<I", value % _WRAP))

    def print_output(self) -> None:
        """Take what the guest has put into the ring."""
        _, _, consumed, produced = self._counts()
        length = min((produced - consumed) % _WRAP, CONSOLE_OUTPUT)
        ring = self._paging.read(self._page + _OUTPUT_AT, CONSOLE_OUTPUT)
        start = consumed % CONSOLE_OUTPUT
        if length:
            self._send((ring + ring)[start : start + length])
        self._set_count(2, produced)

    def take_input(self) -> bool:
        """Put what was typed into the ring, as far as there is room; whether there was any."""
        consumed, produced, _, _ = self._counts()
        room = CONSOLE_INPUT - (produced - consumed) % _WRAP
        data = self._receive(room) if room > 0 else b""
        for n, byte in enumerate(data):
            at = self._page + (produced + n) % CONSOLE_INPUT
            self._paging.store(at, bytes((byte,)))
        if data:
            self._set_count(1, produced + len(data))
        return bool(data)


class BlockRing:
    """drive: what the guest's disk is."""

    def __init__(self, paging: DirectPaging, page: int, drive: Drive) -> None:
        self._paging = paging
        self._page = page
        self._drive = drive

    def answer(self) -> int:
        """Do what the guest has put into the ring, in order; how many device accesses that is
        worth, 0 if there was nothing."""
        data = self._paging.read(self._page, _DISK_COUNTS.size)
        consumed, produced, _ = _DISK_COUNTS.unpack(data)
        waiting: int = min((produced - consumed) % _WRAP, BLOCK_SLOTS)
        work = 0
        for n in range(waiting):
            slot = self._page + _REQUESTS_AT + (consumed + n) % BLOCK_SLOTS * _REQUEST.size
            operation, _, *what = _REQUEST.unpack(self._paging.read(slot, _REQUEST.size))
            status = self._answer(operation, *what)
            self._paging.store(slot + _STATUS_AT, struct.pack("<I", status))
            work += 1
            if status == BlockStatus.DONE:
                work += _FLUSH_WORK if operation == Operation.FLUSH else what[2] // _BYTES
        self._paging.store(self._page, struct.pack("<I", (consumed + waiting) % _WRAP))
        return work

    def _answer(self, operation: int, sector: int, address: int, length: int) -> BlockStatus:
        try:
            if operation == Operation.FLUSH:
                self._drive.flush()
            elif self._is_allowed(operation, sector, address, length):
                self._do(operation, sector * SECTOR, address, length)
            else:
                return BlockStatus.REFUSED
        except OSError:
            return BlockStatus.FAILED
        return BlockStatus.DONE

    def _is_allowed(self, operation: int, sector: int, address: int, length: int) -> bool:
        if length % SECTOR or not 0 < length <= LONGEST_REQUEST:
            return False
        if sector * SECTOR + length > self._drive.size:
            return False
        if operation != Operation.READ and self._drive.read_only:
            return False
        if operation in (Operation.READ, Operation.WRITE):
            return self._paging.is_ordinary(address, length)
        return operation in (Operation.CLEAR, Operation.DISCARD)

    def _do(self, operation: int, start: int, address: int, length: int) -> None:
        drive = self._drive
        if operation == Operation.READ:
            self._paging.store(address, drive.read(start, length))
        elif operation == Operation.WRITE:
            drive.write(start, self._paging.read(address, length))
        elif operation == Operation.CLEAR:
            drive.zero(start, length)
        else:
            drive.discard(start, length)
