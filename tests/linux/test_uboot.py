"""Debian's U-Boot for S-mode, fetched by apt, reaches its prompt and lists the virtio devices."""

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
from rvemu.linux import SUITE

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
    # The first key stops it from booting what it would find by itself.
    done = subprocess.run(
        [sys.executable, "-m", "rvemu", "run", "--kernel", uboot, "-m", "256M", *options],
        input=b"\nvirtio scan; virtio info\nnet list\npoweroff\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    text = done.stdout.decode("utf-8", "replace").replace("\r\n", "\n")
    assert done.returncode == 0, text
    assert "\nU-Boot 20" in text
    assert "Model: riscv-virtio,rvemu" in text
    assert "\n=> virtio scan; virtio info\n" in text, "the prompt"
    assert "Device 0: QEMU VirtIO Block Device" in text
    assert "Capacity: 3.0 MB" in text
    assert "Device 1: QEMU VirtIO Block Device" in text
    assert "Capacity: 5.0 MB" in text
    assert "virtio-net#2 52:54:00:12:34:56" in text
