"""Disk images: files, overlays, locks, options."""

import os
import random
import shutil
import subprocess
import sys

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rvemu import host_files
from rvemu.drives import CLUSTER, SECTOR, DriveOptions, open_drive, open_drives
from rvemu.errors import RvemuError


@pytest.fixture
def image(tmp_path):
    file = tmp_path / "disk.img"
    file.write_bytes(random.Random(1).randbytes(10 * CLUSTER + 700))
    return file


def opened(file, **options):
    return open_drive(DriveOptions(str(file), **options))


def test_options():
    assert DriveOptions.parse("file=a.img") == DriveOptions("a.img")
    assert DriveOptions.parse(
        "file=a,,b=c.img,format=raw,if=virtio,id=d0,readonly=on,snapshot=on,serial=S1"
    ) == DriveOptions("a,b=c.img", True, True, "S1")
    assert DriveOptions.parse("file=a.img,read-only,snapshot=off").read_only
    slice_ = DriveOptions.parse("file=a.img,offset=1M,size=4096")
    assert (slice_.offset, slice_.size) == (1 << 20, 4096)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("format=raw", "names no file"),
        ("file=,format=raw", "names no file"),
        ("disk.img", "names no file"),
        ("file=a.img,format=qcow2", "qemu-img convert"),
        ("file=a.img,if=ide", "no interface ide"),
        ("file=a.img,readonly=maybe", "neither on nor off"),
        ("file=a.img,cache=none", "no option 'cache'"),
        ("file=a.img,file=b.img", "stands there 2 times"),
        ("file=a.img,serial=123456789012345678901", "at most 20 bytes"),
        ("file=a.img,offset=1000", "no multiple of 512; offset=1024 would do"),
        ("file=a.img,size=1000", "no multiple of 512; size=1024 would do"),
        ("file=a.img,size=0", "no bytes"),
        ("file=a.img,size=-512", "is no size in bytes"),
        ("file=a.img,offset=1M,offset=2M", "stands there 2 times"),
    ],
)
def test_bad_options(text, message):
    with pytest.raises(RvemuError, match=message) as caught:
        DriveOptions.parse(text)
    assert "\n" not in str(caught.value)


def test_a_file_is_changed(image):
    drive = opened(image)
    before = image.read_bytes()
    assert drive.size == 10 * CLUSTER + 1024
    assert drive.read(100, 1000) == before[100:1100]
    drive.write(CLUSTER, b"abc")
    drive.flush()
    assert image.read_bytes() == before[:CLUSTER] + b"abc" + before[CLUSTER + 3 :]
    drive.close()


def test_the_last_sector_is_filled_up(image):
    before = image.read_bytes()
    drive = opened(image)
    assert drive.read(10 * CLUSTER, 1024) == before[10 * CLUSTER :] + bytes(324)
    drive.write(10 * CLUSTER + 512, b"x" * 512)
    assert image.stat().st_size == drive.size
    drive.close()


@pytest.mark.parametrize("unmap", [False, True])
@pytest.mark.parametrize("works", [False, True])
def test_zeros(image, monkeypatch, unmap, works):
    if not works:
        monkeypatch.setattr(host_files, "_find_fallocate", lambda: None)
    before = image.read_bytes()
    drive = opened(image)
    drive.zero(300, 3 * CLUSTER, unmap=unmap)
    assert (
        drive.read(0, len(before))
        == before[:300] + bytes(3 * CLUSTER) + before[300 + 3 * CLUSTER :]
    )
    drive.zero(10 * CLUSTER + 512, 512, unmap=unmap)
    assert drive.read(10 * CLUSTER + 512, 512) == bytes(512)
    drive.close()


def test_discard_frees_space(tmp_path):
    file = tmp_path / "disk.img"
    file.write_bytes(b"x" * (1 << 20))
    os.sync()
    blocks = file.stat().st_blocks
    drive = opened(file)
    drive.discard(0, 1 << 20)
    assert file.stat().st_size == 1 << 20
    if host_files.punch_hole(os.open(file, os.O_RDWR), 0, 4096):
        assert file.stat().st_blocks < blocks
    drive.close()


def test_flush_reaches_the_disk(image, monkeypatch):
    synced = []
    monkeypatch.setattr("rvemu.drives._sync", synced.append)
    drive = opened(image)
    drive.flush()
    assert len(synced) == 1
    drive.close()
    drive = opened(image, read_only=True)
    drive.flush()
    assert len(synced) == 1
    drive.close()


@pytest.mark.parametrize("seed", range(4))
def test_an_overlay_is_a_disk(image, seed):
    """Compare random changes of an overlay with those of bytes."""
    before = image.read_bytes()
    drive = opened(image, snapshot=True)
    model = bytearray(before.ljust(drive.size, b"\0"))
    chance = random.Random(seed)
    for _ in range(300):
        offset = chance.randrange(drive.size)
        length = min(chance.choice([0, 1, 512, CLUSTER, 3 * CLUSTER]), drive.size - offset)
        if chance.random() < 0.5:
            offset = offset // CLUSTER * CLUSTER
        kind = chance.randrange(4)
        if kind == 0:
            data = chance.randbytes(length)
            drive.write(offset, data)
            model[offset : offset + length] = data
        elif kind == 1:
            drive.zero(offset, length, unmap=True)
            model[offset : offset + length] = bytes(length)
        elif kind == 2:
            assert drive.read(offset, length) == model[offset : offset + length]
        else:
            drive.flush()
    assert drive.read(0, drive.size) == model
    drive.close()
    assert image.read_bytes() == before


def test_an_overlay_needs_no_permission_to_write(image):
    image.chmod(0o444)
    opened(image, snapshot=True).close()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_file_that_cannot_be_written(image):
    image.chmod(0o444)
    with pytest.raises(RvemuError, match="readonly=on or snapshot=on"):
        opened(image)


def test_images_that_are_none(tmp_path):
    with pytest.raises(RvemuError, match="cannot be opened: No such file"):
        opened(tmp_path / "missing.img")
    with pytest.raises(RvemuError, match=r"cannot be opened|neither a file nor"):
        opened(tmp_path)
    with pytest.raises(RvemuError, match="neither a file nor"):
        opened("/dev/null")
    empty = tmp_path / "empty.img"
    empty.touch()
    with pytest.raises(RvemuError, match="is empty"):
        opened(empty)
    foreign = tmp_path / "disk.qcow2"
    foreign.write_bytes(b"QFI\xfb" + bytes(1000))
    with pytest.raises(RvemuError, match=r"is a qcow2 file.*`qemu-img convert -O raw"):
        opened(foreign)


needs_locks = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux has them")


@needs_locks
@pytest.mark.parametrize(
    ("first", "second", "works"),
    [
        ({}, {}, False),
        ({}, {"read_only": True}, False),
        ({}, {"snapshot": True}, False),
        ({"read_only": True}, {}, False),
        ({"snapshot": True}, {}, False),
        ({"read_only": True}, {"read_only": True}, True),
        ({"read_only": True}, {"snapshot": True}, True),
    ],
)
def test_locks(image, first, second, works):
    drive = opened(image, **first)
    if works:
        opened(image, **second).close()
    else:
        with pytest.raises(RvemuError, match=r"is (in use|used for writing) by another machine"):
            opened(image, **second)
    drive.close()
    opened(image).close()


@needs_locks
def test_qemu_sees_our_locks_and_we_see_qemus(image):
    qemu = shutil.which("qemu-io")
    if qemu is None:
        pytest.skip("qemu-io is not installed (Debian package qemu-utils)")
    command = [qemu, "-f", "raw", str(image)]
    drive = opened(image)
    refused = subprocess.run([*command, "-c", "read 0 512"], capture_output=True, check=False)
    assert b"lock" in refused.stderr
    drive.close()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"read 0 512\n")
        process.stdin.flush()
        process.stdout.readline()
        with pytest.raises(RvemuError, match="in use"):
            opened(image)
        process.communicate(b"quit\n")
    opened(image).close()


# --- Slices --------------------------------------------------------------------------------------


def slices(file, *each, **options):
    """Drives of one image: where each begins, and its size."""
    return open_drives(
        [DriveOptions(str(file), offset=at, size=size, **options) for at, size in each]
    )


def test_slices_of_one_image(image):
    before = image.read_bytes()
    first, second, rest = slices(image, (0, CLUSTER), (CLUSTER, 2 * CLUSTER), (3 * CLUSTER, None))
    assert [drive.size for drive in (first, second, rest)] == [
        CLUSTER,
        2 * CLUSTER,
        7 * CLUSTER + 1024,
    ]
    assert second.read(100, 50) == before[CLUSTER + 100 : CLUSTER + 150]
    second.write(2 * CLUSTER - 2, b"ab")
    rest.write(0, b"cd")
    first.zero(0, 10)
    at = 3 * CLUSTER
    assert image.read_bytes() == bytes(10) + before[10 : at - 2] + b"abcd" + before[at + 2 :]
    for drive in (first, second, rest):
        drive.close()


@needs_locks
def test_slices_share_a_lock(image):
    """Another process is kept away until the last of them is closed."""
    first, second = slices(image, (0, CLUSTER), (CLUSTER, CLUSTER))
    for drive in (first, second):
        with pytest.raises(RvemuError, match="is in use by another machine"):
            opened(image, offset=4 * CLUSTER)
        drive.close()
    opened(image).close()


@pytest.mark.parametrize(
    ("first", "second", "works"),
    [
        ({}, {}, False),
        ({}, {"read_only": True}, False),
        ({"snapshot": True}, {}, False),
        ({"read_only": True}, {"read_only": True}, True),
        ({"read_only": True}, {"snapshot": True}, True),
    ],
)
def test_slices_that_overlap(image, tmp_path, first, second, works):
    """Even where the image goes by two names."""
    link = tmp_path / "link.img"
    link.symlink_to(image)
    wanted = [
        DriveOptions(str(image), offset=CLUSTER, size=2 * CLUSTER, **first),
        DriveOptions(str(link), offset=2 * CLUSTER, size=2 * CLUSTER, **second),
    ]
    if works:
        for drive in open_drives(wanted):
            drive.close()
    else:
        with pytest.raises(RvemuError, match=r"two drives have its bytes 8192 to 12287") as caught:
            open_drives(wanted)
        assert "\n" not in str(caught.value)
    opened(image).close()  # nothing is left open


def test_a_slice_that_is_not_written_stays(image):
    """One guest writes, and another has its own slice read-only, and a third in a snapshot."""
    before = image.read_bytes()
    written, kept, snapshot = open_drives(
        [
            DriveOptions(str(image), offset=0, size=CLUSTER),
            DriveOptions(str(image), read_only=True, offset=CLUSTER, size=CLUSTER),
            DriveOptions(str(image), snapshot=True, offset=2 * CLUSTER, size=CLUSTER),
        ]
    )
    written.write(0, b"w")
    snapshot.write(0, b"s")
    assert snapshot.read(0, 2) == b"s" + before[2 * CLUSTER + 1 : 2 * CLUSTER + 2]
    for change in (
        lambda: kept.write(0, b"k"),
        lambda: kept.zero(0, SECTOR),
        lambda: kept.discard(0, SECTOR),
    ):
        with pytest.raises(OSError, match="Read-only"):
            change()
    assert image.read_bytes() == b"w" + before[1:]
    for drive in (written, kept, snapshot):
        drive.close()


def test_a_slice_that_looks_like_another_format(image):
    """A guest can't make an image unusable for those that have other slices of it."""
    for _ in range(2):
        first, second = slices(image, (0, CLUSTER), (CLUSTER, CLUSTER))
        first.write(0, b"QFI\xfb")
        first.close()
        second.close()
    with pytest.raises(RvemuError, match="is a qcow2 file"):
        opened(image)


@pytest.mark.parametrize(
    ("offset", "size"), [(11 * CLUSTER, None), (0, 11 * CLUSTER), (10 * CLUSTER, CLUSTER)]
)
def test_a_slice_beyond_the_end(image, offset, size):
    with pytest.raises(RvemuError, match="beyond its end: it has 41984 bytes"):
        opened(image, offset=offset, size=size)


SIZE, START, STOP = 12 * SECTOR, 4 * SECTOR, 9 * SECTOR
number = st.integers(-2 * SECTOR, SIZE + SECTOR) | st.integers(-(1 << 64), 1 << 64)


@pytest.mark.parametrize("snapshot", [False, True])
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(st.sampled_from(["read", "write", "zero", "unmap", "discard"]), number, number),
        max_size=12,
    )
)
def test_nothing_outside_of_a_slice(tmp_path, snapshot, changes):
    """Whatever is asked of a slice, its neighbours are neither read nor changed."""
    file = tmp_path / "disk.img"
    before = b"<" * START + b"." * (STOP - START) + b">" * (SIZE - STOP)
    file.write_bytes(before)
    (drive,) = slices(file, (START, STOP - START), snapshot=snapshot)
    for kind, offset, length in changes:
        inside = 0 <= offset <= offset + length <= drive.size
        if not inside and (kind == "write" or snapshot):
            length = max(0, min(length, SIZE))  # as many bytes as there may be to write
            inside = 0 <= offset <= offset + length <= drive.size
            if not inside and snapshot:
                continue  # an overlay's borders are its base's, and its caller's business
        try:
            if kind == "read":
                assert set(drive.read(offset, length)) <= set(b".w\0")
            elif kind == "write":
                drive.write(offset, b"w" * length)
            elif kind == "discard":
                drive.discard(offset, length)
            else:
                drive.zero(offset, length, unmap=kind == "unmap")
            assert inside
        except ValueError:
            assert not inside
    drive.close()
    after = file.read_bytes()
    assert after[:START] == before[:START]
    assert after[STOP:] == before[STOP:]
    assert not snapshot or after == before
