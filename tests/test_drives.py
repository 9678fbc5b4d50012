"""Disk images: files, overlays, locks, options."""

import os
import random
import shutil
import subprocess
import sys

import pytest

from rvemu import host_files
from rvemu.drives import CLUSTER, DriveOptions, open_drive
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
    with pytest.raises(RvemuError, match="is a qcow2 file"):
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
