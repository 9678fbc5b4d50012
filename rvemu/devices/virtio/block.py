"""The virtio block device: a disk.

Source: virtio: Block Device
"""

from __future__ import annotations

import contextlib
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING

from rvemu.devices.virtio.device import VirtioDevice
from rvemu.devices.virtio.layout import BLOCK_CONFIG, BLOCK_RANGE, BLOCK_REQUEST, packed
from rvemu.devices.virtio.queue import Chain, QueueError

if TYPE_CHECKING:
    from rvemu.drives import Drive

SECTOR = 512
QUEUE_SIZE = 256
#: The most descriptors with data in a request: a whole queue, but for header and status.
SEG_MAX = QUEUE_SIZE - 2
#: The most sectors of one range to discard or to zero, and the most ranges in a request.
MAX_RANGE = 1 << 19
MAX_RANGES = 16

_CHUNK = 1 << 20
#: What a flush counts for, where the time that a driver takes from the host is limited.
_FLUSH_WORK = 1 << 20
_REQUEST = packed(BLOCK_REQUEST)
_RANGE = packed(BLOCK_RANGE)
_ID_LENGTH = 20
_WRITEBACK_AT = 32  # in the configuration space


class Feature(IntFlag):
    """Feature bits. (virtio: Block Device, Feature bits)"""

    SEG_MAX = 1 << 2
    RO = 1 << 5
    BLK_SIZE = 1 << 6
    FLUSH = 1 << 9
    TOPOLOGY = 1 << 10
    CONFIG_WCE = 1 << 11
    DISCARD = 1 << 13
    WRITE_ZEROES = 1 << 14


class Request(IntEnum):
    """What is asked for."""

    IN = 0
    OUT = 1
    FLUSH = 4
    GET_ID = 8
    DISCARD = 11
    WRITE_ZEROES = 13


class Status(IntEnum):
    """What became of it."""

    OK = 0
    IOERR = 1
    UNSUPP = 2


_UNMAP = 1  # flag of a range


class Block(VirtioDevice):
    """A disk for a drive of the host's.

    A request is done before the driver's notification returns. Its data must not be more than the
    guest has memory.
    """

    device_id = 2
    name = "virtio-blk"
    queue_sizes = (QUEUE_SIZE,)

    def __init__(self, drive: Drive) -> None:
        super().__init__()
        self.drive = drive
        self._work = 0
        self.features = Feature.SEG_MAX | Feature.BLK_SIZE | Feature.FLUSH | Feature.TOPOLOGY
        if drive.read_only:
            self.features |= Feature.RO
        else:
            self.features |= Feature.CONFIG_WCE | Feature.DISCARD | Feature.WRITE_ZEROES
        self.reset()

    def reset(self) -> None:
        """Forget the driver."""
        #: What the driver chose in the configuration space, if it did.
        self.wanted_writeback: bool | None = None

    @property
    def writeback(self) -> bool:
        """Whether a write may be acknowledged before it is on the disk. (A driver that knows no
        flush needs every write there: virtio: Block Device, Device Operation.)"""
        if self.negotiated & Feature.CONFIG_WCE and self.wanted_writeback is not None:
            return self.wanted_writeback
        return bool(self.negotiated & Feature.FLUSH)

    def config(self) -> bytes:
        """See `BLOCK_CONFIG`."""
        writable = not self.drive.read_only
        fields = {
            **dict.fromkeys((field.name for field in BLOCK_CONFIG.subcons), 0),
            "capacity": self.drive.size // SECTOR,
            "seg_max": SEG_MAX,
            "blk_size": SECTOR,
            "physical_block_exp": 3,  # 4 KiB, as the host's file systems have it
            "writeback": self.writeback,
            "num_queues": 1,
            "unused1": bytes(3),
        }
        if writable:
            fields |= {
                "max_discard_sectors": MAX_RANGE,
                "max_discard_seg": MAX_RANGES,
                "discard_sector_alignment": 8,
                "max_write_zeroes_sectors": MAX_RANGE,
                "max_write_zeroes_seg": MAX_RANGES,
                "write_zeroes_may_unmap": 1,
            }
        return bytes(BLOCK_CONFIG.build(fields))

    def write_config(self, offset: int, data: bytes) -> None:
        """Only `writeback` may be written, and only where that was negotiated."""
        if (offset, len(data)) == (_WRITEBACK_AT, 1) and self.negotiated & Feature.CONFIG_WCE:
            self.wanted_writeback = bool(data[0] & 1)
            if not self.wanted_writeback:
                with contextlib.suppress(OSError):  # the next write will see it
                    self._flush()

    def request(self, index: int, chain: Chain) -> int:
        """Do a request: a header, data, and room for a status in its last byte."""
        del index
        self._work = 0
        header = chain.read(_REQUEST.size)
        if len(header) < _REQUEST.size or not chain.to_write:
            raise QueueError("a block request without a header, or without room for its status")
        kind, _, sector = _REQUEST.unpack(header)
        try:
            status = self._do(kind, sector, chain)
        except OSError:  # the host's disk is full, or broken
            status = Status.IOERR
        chain.skip(chain.to_write - 1)
        chain.write(bytes((status,)))
        return self._work

    def _do(self, kind: int, sector: int, chain: Chain) -> Status:
        match kind:
            case Request.IN:
                return self._read(sector, chain)
            case Request.OUT:
                return self._write(sector, chain)
            case Request.FLUSH:
                return self._flush()
            case Request.GET_ID:
                return self._identify(chain)
            case Request.DISCARD | Request.WRITE_ZEROES if not self.drive.read_only:
                return self._ranges(kind, chain)
        return Status.UNSUPP

    def _read(self, sector: int, chain: Chain) -> Status:
        length = chain.to_write - 1
        if not self._fits(sector, length, chain):
            return Status.IOERR
        offset = sector * SECTOR
        end = offset + length
        while offset < end:
            count = min(end - offset, _CHUNK)
            chain.write(self.drive.read(offset, count))
            offset += count
        return Status.OK

    def _write(self, sector: int, chain: Chain) -> Status:
        length = chain.to_read
        if self.drive.read_only or not self._fits(sector, length, chain):
            return Status.IOERR
        offset = sector * SECTOR
        end = offset + length
        while offset < end:
            count = min(end - offset, _CHUNK)
            self.drive.write(offset, chain.read(count))
            offset += count
        return self._settle()

    def _fits(self, sector: int, length: int, chain: Chain) -> bool:
        """Whether whole sectors of the disk are asked for, and no more than there is memory."""
        if length % SECTOR or length > chain.limit:
            return False
        return sector * SECTOR + length <= self.drive.size

    def _settle(self) -> Status:
        """End a change of the disk."""
        return Status.OK if self.writeback else self._flush()

    def _flush(self) -> Status:
        self._work += _FLUSH_WORK
        self.drive.flush()
        return Status.OK

    def _identify(self, chain: Chain) -> Status:
        """The serial number, which ends with a zero byte only if it is shorter than the field."""
        if chain.to_write - 1 < _ID_LENGTH:
            return Status.IOERR
        chain.write(self.drive.name.encode()[:_ID_LENGTH].ljust(_ID_LENGTH, b"\0"))
        return Status.OK

    def _ranges(self, kind: int, chain: Chain) -> Status:
        """Discard, or fill with zeros. (virtio: Block Device, Device Requirements)"""
        data = chain.read(chain.to_read if chain.to_read <= MAX_RANGES * _RANGE.size else 0)
        if not data or len(data) % _RANGE.size:
            return Status.IOERR
        ranges = list(_RANGE.iter_unpack(data))
        for sector, count, flags in ranges:
            if flags & ~_UNMAP or (kind == Request.DISCARD and flags):
                return Status.UNSUPP
            if count > MAX_RANGE or (sector + count) * SECTOR > self.drive.size:
                return Status.IOERR
        for sector, count, flags in ranges:
            self._work += count * SECTOR
            if kind == Request.DISCARD:
                self.drive.discard(sector * SECTOR, count * SECTOR)
            else:
                self.drive.zero(sector * SECTOR, count * SECTOR, unmap=bool(flags & _UNMAP))
        return self._settle()
