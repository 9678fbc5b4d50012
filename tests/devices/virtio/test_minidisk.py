"""Minidisks, slices of one image: whatever a driver asks of its own, it sees and changes nothing of
its neighbours'."""

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rvemu.drives import SECTOR, DriveOptions, open_drives
from tests.devices.virtio.test_block import (
    DATA,
    DISCARD,
    FLUSH,
    IN,
    IOERR,
    OK,
    OUT,
    WRITE_ZEROES,
    Disk,
)

SECTORS = 16  # of each slice
NAMES = b"abc"

# Sectors inside and around the slice, where a product with 512 wraps around, and anything.
sector = (
    st.integers(0, SECTORS + 2)
    | st.sampled_from([1 << 55, (1 << 55) - 1, (1 << 64) - 1, (1 << 64) - SECTORS])
    | st.integers(0, (1 << 64) - 1)
)
count = st.integers(0, SECTORS + 2) | st.integers(0, (1 << 32) - 1)
ranges = st.lists(st.tuples(sector, count, st.integers(0, 1)), min_size=1, max_size=3)
request = (
    st.tuples(st.sampled_from([IN, OUT]), sector, st.integers(0, (SECTORS + 2) * SECTOR))
    | st.tuples(st.sampled_from([DISCARD, WRITE_ZEROES]), ranges)
    | st.tuples(st.just(FLUSH))
)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    file = tmp_path / "disk.img"
    file.write_bytes(b"".join(bytes([name]) * SECTORS * SECTOR for name in NAMES))
    return file


def disks(image: Path) -> list[Disk]:
    size = SECTORS * SECTOR
    wanted = [DriveOptions(str(image), offset=n * size, size=size) for n in range(len(NAMES))]
    return [Disk(drive) for drive in open_drives(wanted)]


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(request, min_size=1, max_size=8))
def test_a_driver_stays_in_its_slice(image: Path, requests: list[tuple]) -> None:
    size = SECTORS * SECTOR
    image.write_bytes(b"".join(bytes([name]) * size for name in NAMES))
    first, attacker, last = disks(image)
    for kind, *what in requests:
        if kind == FLUSH:
            assert attacker.request(FLUSH) == OK
        elif kind in (IN, OUT):
            at, length = what
            data = b"w" * length if kind == OUT else b""
            status = attacker.request(kind, at, out=data, room=0 if kind == OUT else length)
            fits = at * SECTOR + length <= size and length % SECTOR == 0
            assert status == (OK if fits else IOERR)
            if kind == IN and fits:
                assert set(attacker.ram.read(DATA, length)) <= set(b"bw\0")
        else:
            attacker.ranges(kind, *what[0])
    for name, disk in ((NAMES[:1], first), (NAMES[2:], last)):
        assert disk.request(IN, 0, room=size) == OK
        assert disk.ram.read(DATA, size) == name * size
    for disk in (first, attacker, last):
        disk.drive.close()


def test_the_capacity_is_the_slice_s(image: Path) -> None:
    opened = disks(image)
    for disk in opened:
        assert struct.unpack("<Q", disk.block.config()[:8]) == (SECTORS,)
        disk.drive.close()


def test_the_last_sector_of_a_slice_and_the_next(image: Path) -> None:
    opened = disks(image)
    disk = opened[1]
    assert disk.request(OUT, SECTORS - 1, out=b"w" * SECTOR) == OK
    assert disk.request(OUT, SECTORS, out=b"w" * SECTOR) == IOERR
    assert disk.request(OUT, SECTORS - 1, out=b"w" * 2 * SECTOR) == IOERR
    end = 2 * SECTORS * SECTOR
    assert image.read_bytes()[end - SECTOR : end + 1] == b"w" * SECTOR + b"c"
    assert disk.request(IN, SECTORS - 1, room=SECTOR) == OK
    for each in opened:
        each.drive.close()
