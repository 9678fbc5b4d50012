"""Debian's U-Boot for S-mode, fetched by apt: it reaches its prompt, lists the virtio devices, and
boots Linux from one of them."""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from rvemu import slirp
from rvemu.apt import Apt, read_member
from rvemu.errors import RvemuError
from rvemu.initramfs import GREETING
from rvemu.linux import SUITE, Linux

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def uboot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ELF file."""
    work = Path(tempfile.mkdtemp(prefix="rvemu-uboot-"))
    try:
        apt = Apt(work, SUITE, "riscv64")
        apt.update()
        package = apt.download("u-boot-qemu")
        _, content = read_member(package, r"\./usr/lib/u-boot/qemu-riscv64_smode/uboot\.elf")
    except RvemuError as error:
        if os.environ.get("RVEMU_NEED_LINUX"):
            raise
        pytest.skip(str(error))
    finally:
        shutil.rmtree(work, ignore_errors=True)
    path = tmp_path_factory.mktemp("uboot") / "uboot.elf"
    path.write_bytes(content)
    return path


def run(uboot: Path, text: str, *options: str) -> str:
    """Run U-Boot with some input to the end; what was printed."""
    # The first key stops it from booting what it would find by itself.
    done = subprocess.run(
        [sys.executable, "-m", "rvemu", "run", "--kernel", uboot, "-m", "256M", *options],
        input=f"\n{text}".encode(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    printed = done.stdout.decode("utf-8", "replace").replace("\r\n", "\n")
    assert done.returncode == 0, printed
    return printed


def test_it_lists_the_virtio_devices(uboot: Path, tmp_path: Path) -> None:
    try:
        slirp._find_library()
    except RvemuError as error:
        pytest.skip(str(error))
    options = ["--netdev", "user"]
    for megabytes in (3, 5):
        image = tmp_path / f"{megabytes}.img"
        with image.open("wb") as file:
            file.truncate(megabytes << 20)
        options += ["--drive", f"file={image},format=raw"]
    text = run(uboot, "virtio scan; virtio info\nnet list\npoweroff\n", *options)
    assert "\nU-Boot 20" in text
    assert "Model: riscv-virtio,rvemu" in text
    assert "\n=> virtio scan; virtio info\n" in text, "the prompt"
    assert "Device 0: QEMU VirtIO Block Device" in text
    assert "Capacity: 3.0 MB" in text
    assert "Device 1: QEMU VirtIO Block Device" in text
    assert "Capacity: 5.0 MB" in text
    assert "virtio-net#2 52:54:00:12:34:56" in text


def test_it_boots_linux_from_a_disk(uboot: Path, linux: Linux, tmp_path: Path) -> None:
    """With the device tree that it was given, to which it adds in place."""
    files = [linux.kernel.read_bytes(), linux.initrd.read_bytes()]
    files = [content + bytes(-len(content) % 512) for content in files]
    blocks = [len(content) // 512 for content in files]
    image = tmp_path / "disk.img"
    image.write_bytes(b"".join(files))
    text = run(
        uboot,
        f"virtio scan; virtio read ${{kernel_addr_r}} 0 {blocks[0]:x}\n"
        f"virtio read ${{ramdisk_addr_r}} {blocks[0]:x} {blocks[1]:x}\n"
        f"setenv bootargs console=ttyS0 quiet run=nproc {'x' * 500}\n"
        f"booti ${{kernel_addr_r}} ${{ramdisk_addr_r}}:{len(files[1]):x} ${{fdtcontroladdr}}\n",
        *("--smp", "2", "--drive", f"file={image},format=raw"),
    )
    assert GREETING in text
    assert "\n2\n" in text
