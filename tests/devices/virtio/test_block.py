"""The virtio block device, on drives in memory and on files."""

import errno
import struct

import pytest

from rvemu.devices.virtio.block import MAX_RANGE, MAX_RANGES, Block, Feature
from rvemu.devices.virtio.layout import BLOCK_CONFIG
from rvemu.devices.virtio.mmio import Register
from rvemu.drives import DriveOptions, open_drive
from tests.devices.virtio.driver import BUFFERS, VERSION_1, WRITE, Driver, Ring

OK, IOERR, UNSUPP = 0, 1, 2
IN, OUT, FLUSH, GET_ID, DISCARD, WRITE_ZEROES = 0, 1, 4, 8, 11, 13
DATA, STATUS = BUFFERS + 0x1000, BUFFERS + 0x800


class MemoryDrive:
    """A drive that remembers what was done to it."""

    def __init__(self, sectors: int = 64, read_only: bool = False) -> None:
        self.name = "SERIAL"
        self.data = bytearray(bytes(range(256)) * 2 * sectors)
        self.size = len(self.data)
        self.read_only = read_only
        self.log: list[tuple] = []
        self.error: OSError | None = None

    def _note(self, *what) -> None:
        self.log.append(what)
        if self.error is not None:
            raise self.error

    def read(self, offset: int, length: int) -> bytes:
        self._note("read", offset, length)
        return bytes(self.data[offset : offset + length])

    def write(self, offset: int, data: bytes) -> None:
        self._note("write", offset, len(data))
        self.data[offset : offset + len(data)] = data

    def zero(self, offset: int, length: int, *, unmap: bool = False) -> None:
        self._note("zero", offset, length, unmap)

    def discard(self, offset: int, length: int) -> None:
        self._note("discard", offset, length)

    def flush(self) -> None:
        self._note("flush")

    def close(self) -> None: ...


class Disk(Driver):
    """A driver of a block device, started."""

    def __init__(self, drive=None, features: int | None = None, **options) -> None:
        self.drive = drive or MemoryDrive(**options)
        self.block = Block(self.drive)
        super().__init__(self.block)
        self.start(features=self.offered() if features is None else features)

    @property
    def ring(self) -> Ring:
        return self.rings[0]

    def request(self, kind: int, sector: int = 0, out: bytes = b"", room: int = 0) -> int:
        """Do a request and return its status."""
        self.ram.write(BUFFERS, struct.pack("<IIQ", kind, 0, sector))
        self.ram.write(DATA, out)
        self.ram.write(STATUS, b"\xff")
        buffers = [(BUFFERS, 16, 0)]
        if out:
            buffers.append((DATA, len(out), 0))
        if room:
            buffers.append((DATA, room, WRITE))
        self.ring.submit(*buffers, (STATUS, 1, WRITE))
        (done,) = self.ring.taken()
        self.length = done[1]
        return self.ram.read(STATUS, 1)[0]

    def ranges(self, kind: int, *ranges: tuple[int, int, int]) -> int:
        return self.request(kind, out=b"".join(struct.pack("<QII", *each) for each in ranges))


@pytest.fixture
def disk() -> Disk:
    return Disk()


def test_configuration(disk):
    config = BLOCK_CONFIG.parse(disk.block.config())
    assert config.capacity == 64
    assert config.blk_size == 512
    assert config.seg_max == 254
    assert config.writeback == 1
    assert config.max_discard_sectors == config.max_write_zeroes_sectors == MAX_RANGE
    assert disk.transport.read(0x100, 8) == 64


def test_read(disk):
    assert disk.request(IN, 2, room=1024) == OK
    assert disk.ram.read(DATA, 1024) == bytes(disk.drive.data[1024:2048])
    assert disk.length == 1025


def test_write(disk):
    assert disk.request(OUT, 3, out=b"x" * 512) == OK
    assert disk.drive.data[3 * 512 : 4 * 512] == b"x" * 512
    assert disk.drive.data[4 * 512] == 0
    assert disk.length == 1


def test_header_and_data_in_one_buffer(disk):
    disk.ram.write(BUFFERS, struct.pack("<IIQ", OUT, 0, 1) + b"y" * 512)
    disk.ring.submit((BUFFERS, 7, 0), (BUFFERS + 7, 16 + 505, 0), (STATUS, 1, WRITE))
    assert disk.drive.data[512:1024] == b"y" * 512
    disk.ram.write(BUFFERS, struct.pack("<IIQ", IN, 0, 1))
    disk.ring.submit((BUFFERS, 16, 0), (DATA, 513, WRITE))
    assert disk.ram.read(DATA, 513) == b"y" * 512 + b"\0"


@pytest.mark.parametrize("kind", [IN, OUT])
@pytest.mark.parametrize(
    ("sector", "length"),
    [(0, 511), (0, 513), (64, 512), (63, 1024), ((1 << 64) - 1, 512), (1 << 55, 512)],
)
def test_what_the_disk_has_not(disk, kind, sector, length):
    before = bytes(disk.drive.data)
    options = {"room": length} if kind == IN else {"out": bytes(length)}
    assert disk.request(kind, sector, **options) == IOERR
    assert disk.drive.data == before
    assert disk.drive.log == []


def test_nothing_at_the_very_end(disk):
    assert disk.request(IN, 64) == OK
    assert disk.request(IN, 65) == IOERR


def test_flush(disk):
    assert disk.request(FLUSH) == OK
    assert disk.drive.log == [("flush",)]


def test_a_write_is_cached_if_the_driver_can_flush(disk):
    disk.request(OUT, 0, out=bytes(512))
    assert disk.drive.log == [("write", 0, 512)]


def test_a_driver_that_cannot_flush_has_every_write_flushed():
    disk = Disk(features=VERSION_1)
    assert disk.request(OUT, 0, out=bytes(512)) == OK
    assert disk.drive.log == [("write", 0, 512), ("flush",)]


def test_the_driver_may_choose_to_write_through(disk):
    assert disk.transport.read(0x120, 1) == 1
    disk.transport.write(0x120, 1, 0)
    assert disk.transport.read(0x120, 1) == 0
    disk.drive.log.clear()
    disk.request(OUT, 0, out=bytes(512))
    assert disk.drive.log == [("write", 0, 512), ("flush",)]
    disk.put(Register.STATUS, 0)
    disk.start(features=VERSION_1 | Feature.FLUSH)
    disk.transport.write(0x120, 1, 0)  # not negotiated
    assert disk.transport.read(0x120, 1) == 1


def test_serial_number(disk):
    assert disk.request(GET_ID, room=20) == OK
    assert disk.ram.read(DATA, 20) == b"SERIAL".ljust(20, b"\0")
    assert disk.request(GET_ID, room=19) == IOERR


def test_discard_and_zeros(disk):
    assert disk.ranges(DISCARD, (8, 8, 0), (32, 1, 0)) == OK
    assert disk.ranges(WRITE_ZEROES, (0, 4, 0), (60, 4, 1)) == OK
    assert disk.drive.log == [
        ("discard", 4096, 4096),
        ("discard", 16384, 512),
        ("zero", 0, 2048, False),
        ("zero", 30720, 2048, True),
    ]


@pytest.mark.parametrize(
    ("kind", "ranges", "status"),
    [
        (DISCARD, [(0, 8, 1)], UNSUPP),
        (DISCARD, [(0, 8, 2)], UNSUPP),
        (WRITE_ZEROES, [(0, 8, 3)], UNSUPP),
        (DISCARD, [(60, 5, 0)], IOERR),
        (WRITE_ZEROES, [(60, 5, 0)], IOERR),
        (DISCARD, [(0, MAX_RANGE + 1, 0)], IOERR),
        (DISCARD, [((1 << 64) - 1, 1, 0)], IOERR),
        (DISCARD, [], IOERR),
        (DISCARD, [(0, 1, 0)] * (MAX_RANGES + 1), IOERR),
        (DISCARD, [(0, 1, 0), (64, 1, 0)], IOERR),
    ],
)
def test_bad_ranges_do_nothing(disk, kind, ranges, status):
    assert disk.ranges(kind, *ranges) == status
    assert disk.drive.log == []


@pytest.mark.parametrize("kind", [DISCARD, WRITE_ZEROES])
def test_a_range_that_is_too_long(disk, kind):
    disk.drive.size = 4 * MAX_RANGE * 512
    assert disk.ranges(kind, (0, MAX_RANGE + 1, 0)) == IOERR
    assert disk.ranges(kind, (0, MAX_RANGE, 0)) == OK


def test_a_range_that_is_cut(disk):
    assert disk.request(DISCARD, out=bytes(15)) == IOERR


def test_read_only():
    disk = Disk(read_only=True)
    assert disk.offered() & Feature.RO
    assert not disk.offered() & (Feature.DISCARD | Feature.WRITE_ZEROES)
    assert disk.request(IN, room=512) == OK
    assert disk.request(OUT, out=bytes(512)) == IOERR
    assert disk.ranges(DISCARD, (0, 8, 0)) == UNSUPP
    assert disk.ranges(WRITE_ZEROES, (0, 8, 0)) == UNSUPP
    assert [each[0] for each in disk.drive.log] == ["read"]


@pytest.mark.parametrize("kind", [IN, OUT, FLUSH, DISCARD, WRITE_ZEROES])
def test_an_error_of_the_hosts(disk, kind):
    disk.drive.error = OSError(errno.ENOSPC, "full")
    if kind in (DISCARD, WRITE_ZEROES):
        assert disk.ranges(kind, (0, 8, 0)) == IOERR
    else:
        assert disk.request(kind, out=bytes(512 * (kind == OUT)), room=512 * (kind == IN)) == IOERR
    assert not disk.broken
    disk.transport.write(0x120, 1, 0)


def test_unknown_requests(disk):
    for kind in (2, 3, 10, 12, 14, 0xFFFF_FFFF):
        assert disk.request(kind, room=512) == UNSUPP
    assert disk.length == 0  # the status stands behind data that was not written


@pytest.mark.parametrize(
    "buffers",
    [
        [(BUFFERS, 15, 0), (STATUS, 1, WRITE)],
        [(BUFFERS, 16, 0)],
        [(STATUS, 1, WRITE)],
        [(BUFFERS, 16, 0), (STATUS, 0, WRITE)],
    ],
)
def test_requests_without_header_or_status_break_the_device(disk, buffers):
    disk.ring.submit(*buffers)
    assert disk.broken


def test_more_data_than_memory(disk):
    size = disk.ram.size
    drive = disk.drive
    drive.size = 4 * size
    disk.ram.write(BUFFERS, struct.pack("<IIQ", IN, 0, 0))
    base = disk.ram.base
    disk.ring.submit((BUFFERS, 16, 0), (base, size, WRITE), (base, 512, WRITE), (STATUS, 1, WRITE))
    assert drive.log == []
    assert disk.ram.read(STATUS, 1)[0] == IOERR


def test_a_file(tmp_path):
    file = tmp_path / "disk.img"
    file.write_bytes(bytes(8192))
    disk = Disk(open_drive(DriveOptions(str(file))))
    assert disk.request(OUT, 1, out=b"z" * 512) == OK
    assert file.read_bytes()[512:1024] == b"z" * 512
    assert disk.request(IN, 0, room=1024) == OK
    assert disk.ram.read(DATA, 1024) == bytes(512) + b"z" * 512
    assert disk.ranges(WRITE_ZEROES, (0, 8, 1)) == OK
    assert file.read_bytes() == bytes(8192)
    assert disk.request(FLUSH) == OK
    disk.drive.close()
