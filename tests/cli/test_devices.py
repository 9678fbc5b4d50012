"""Virtio devices from the command line, with a guest that drives a disk on the bare machine."""

import argparse
import os
import signal
import socket
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from rvemu.cli.device_options import add_device_options, devices
from rvemu.devices.virtio.mmio import Register
from rvemu.machine import Machine
from tests.cli.command import Run
from tests.elf_builder import Elf, Load
from tests.small_programs import BASE, FINISHER, SPIN, exit_with, li, op

SLOT = 0x1000_1000
RINGS, REQUEST, DATA, DONE = BASE + 0x10000, BASE + 0x14000, BASE + 0x15000, BASE + 0x16000
AVAILABLE, USED = RINGS + 0x1000, RINGS + 0x2000


def disk_guest(kind: int = 0, data: bytes = bytes(512), features: int = 0) -> bytes:
    """A guest that asks the disk in the first slot for one request, on its first sector. It ends
    with the first byte of the data afterwards, or with 100 and the request's status."""
    chain = [(REQUEST, 16, 1, 1), (DATA, 512, 3 if kind == 0 else 1, 2), (DONE, 1, 2, 0)]
    rings = b"".join(struct.pack("<QIHH", *each) for each in chain).ljust(0x1000, b"\0")
    rings += struct.pack("<HHH", 0, 1, 0)
    code = li("t0", SLOT)
    for register, value in (
        (Register.STATUS, 3),
        (Register.DRIVER_FEATURES_SEL, 0),
        (Register.DRIVER_FEATURES, features),
        (Register.DRIVER_FEATURES_SEL, 1),
        (Register.DRIVER_FEATURES, 1),
        (Register.STATUS, 11),
        (Register.QUEUE_SEL, 0),
        (Register.QUEUE_NUM, 4),
        (Register.QUEUE_DESC_LOW, RINGS),
        (Register.QUEUE_DRIVER_LOW, AVAILABLE),
        (Register.QUEUE_DEVICE_LOW, USED),
        (Register.QUEUE_READY, 1),
        (Register.STATUS, 15),
        (Register.QUEUE_NOTIFY, 0),
    ):
        code += li("t1", value) + op("sw", rs1="t0", rs2="t1", imm=int(register))
    code += li("t3", BASE) + op("slli", rd="t3", rs1="t3", shamt=32)
    code += op("srli", rd="t3", rs1="t3", shamt=32)
    # The status first: 100 more than it is the exit code, unless it is 0.
    for address, more in ((DONE, 100), (DATA, 0)):
        code += li("t4", address - BASE) + op("add", rd="t4", rs1="t3", rs2="t4")
        code += op("lbu", rd="a0", rs1="t4", imm=0)
        end = op("addi", rd="a0", rs1="a0", imm=more) + op("slli", rd="a0", rs1="a0", shamt=16)
        end += li("t6", 0x3333) + op("or", rd="a0", rs1="a0", rs2="t6")
        end += li("t5", FINISHER) + op("sw", rs1="t5", rs2="a0", imm=0) + SPIN
        if more:
            code += op("beq", rs1="a0", rs2="zero", imm=4 + len(end))
        code += end
    request = struct.pack("<IIQ", kind, 0, 0)
    parts = ((BASE, code), (REQUEST, request), (DATA, data), (DONE, b"\xff"))
    loads = [Load(address, content) for address, content in parts]
    return Elf(loads=[*loads, Load(RINGS, rings, memsz=0x3000)]).build()


READ, WRITE = 0, 1


@pytest.fixture
def image(tmp_path: Path) -> Path:
    file = tmp_path / "disk.img"
    file.write_bytes(b"\x2a" + bytes(8191))
    return file


def run_guest(rvemu: Run, folder: Path, content: bytes, *arguments: str, engine: str = "reference"):
    (folder / "guest.elf").write_bytes(content)
    return rvemu("run", "--engine", engine, *arguments, "guest.elf")


def test_a_disk_is_read(rvemu: Run, tmp_path: Path, image: Path, engine: str) -> None:
    done = run_guest(rvemu, tmp_path, disk_guest(), "--drive", f"file={image}", engine=engine)
    assert (done.returncode, done.stderr) == (42, "")


@pytest.mark.parametrize(
    ("arguments", "status", "first"),
    [
        ([], 77, 77),
        (["--snapshot"], 77, 42),
        ([",snapshot=on"], 77, 42),
        ([",readonly=on"], 101, 42),
    ],
)
def test_a_disk_is_written(
    rvemu: Run, tmp_path: Path, image: Path, arguments: list[str], status: int, first: int
) -> None:
    drive = f"file={image}" + "".join(each for each in arguments if each.startswith(","))
    others = [each for each in arguments if each.startswith("-")]
    guest = disk_guest(WRITE, b"\x4d".ljust(512, b"\0"))
    done = run_guest(rvemu, tmp_path, guest, "--drive", drive, *others)
    assert (done.returncode, done.stderr) == (status, "")
    assert image.read_bytes() == bytes((first,)) + bytes(8191)


def test_a_disk_is_a_slice_of_an_image(rvemu: Run, tmp_path: Path, image: Path) -> None:
    guest = disk_guest(WRITE, b"\x4d".ljust(512, b"\0"))
    done = run_guest(rvemu, tmp_path, guest, "--drive", f"file={image},offset=1K,size=1K")
    assert (done.returncode, done.stderr) == (77, "")
    assert image.read_bytes() == b"\x2a".ljust(1024, b"\0") + b"\x4d".ljust(7168, b"\0")


def test_every_option_together(rvemu: Run, tmp_path: Path, image: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "cable"))
        server.listen()
        arguments = ["--drive", f"file={image}", "--rng", "--rng=seed=3", "--virtio-console"]
        arguments += ["--share", "."]
        arguments += ["--netdev", "stream,addr.type=unix,addr.path=cable"]
        done = run_guest(rvemu, tmp_path, disk_guest(), *arguments)
        assert (done.returncode, done.stderr) == (42, "")


def test_a_kernel_has_random_numbers_from_the_source_that_is_asked_for() -> None:
    def seed(*options: str) -> bytes:
        parser = argparse.ArgumentParser()
        add_device_options(parser)
        machine = Machine()
        with devices(parser.parse_args(options), machine):
            chosen = machine.board.device_tree().find("/chosen")
        assert chosen is not None
        return chosen.props["rng-seed"]

    assert seed("--rng", "seed=1") == seed("--rng", "seed=1") != seed("--rng", "seed=2")
    assert seed("--rng", "host") != seed("--rng", "host")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--drive", "file=missing.img"], "drive missing.img: cannot be opened: No such file"),
        (["--drive", "disk.img"], "it names no file; file=disk.img,format=raw would do"),
        (["--drive", "file=disk.img,format=qcow2"], "qemu-img convert"),
        (["--drive", "file=disk.img", "--drive", "file=disk.img"], "two drives have its bytes"),
        (["--netdev", "bridge"], "there is no network 'bridge'"),
        (["--netdev", "user,hostfwd=80"], "hostfwd=80 is not understood"),
        (["--netdev", "stream,addr.type=unix,addr.path=s"], "no connection to s: No such file"),
        (["--share", "nowhere"], "--share nowhere: No such file or directory"),
        (["--rng", "dice"], "neither `host` nor a seed"),
        (["--drive", "file=disk.img,readonly=on"] * 9, "8 virtio slots, all taken"),
    ],
)
def test_mistakes(
    rvemu: Run, tmp_path: Path, image: Path, arguments: list[str], words: str
) -> None:
    assert image.name == "disk.img"
    done = run_guest(rvemu, tmp_path, Elf(loads=[Load(BASE, exit_with(0))]).build(), *arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


WRITER = """
import sys
from tests.devices.virtio.test_block import FLUSH, OUT, Disk
from rvemu.drives import DriveOptions, open_drive
disk = Disk(open_drive(DriveOptions(sys.argv[1])))
for n in range(1, 1 << 20):
    assert disk.request(OUT, n % 1024, out=n.to_bytes(8, "little") * 64) == 0
    assert disk.request(FLUSH) == 0
    print(n, flush=True)
"""


def test_what_was_flushed_survives_sigkill(tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(1024 * 512))
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(image)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    last = 0
    for line in process.stdout:
        last = int(line)
        if last == 40:
            os.kill(process.pid, signal.SIGKILL)
    process.wait()
    data = image.read_bytes()
    assert last >= 40
    for n in range(max(1, last - 1000), last + 1):
        assert data[n % 1024 * 512 :][:512] == n.to_bytes(8, "little") * 64
