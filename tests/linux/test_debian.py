"""A Debian system on a virtio disk, as scripts/debian-disk makes it by debootstrap."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rvemu.user_cache import cache_folder
from tests.linux import file_system
from tests.linux.guest import Guest

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "scripts" / "debian-disk"


@pytest.fixture(scope="session")
def debian() -> Path:
    """The disk's image. It is kept, as long as the script is the same."""
    if shutil.which("debootstrap") is None and not os.environ.get("RVEMU_NEED_LINUX"):
        pytest.skip("debootstrap is not installed")
    folder = cache_folder() / "linux"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    version = hashlib.sha256(SCRIPT.read_bytes()).hexdigest()[:16]
    image = folder / f"debian-{version}.img"
    with (folder / "debian.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not image.exists():
            for stale in folder.glob("debian-*.img"):
                stale.unlink()
            done = subprocess.run(
                [sys.executable, SCRIPT, image],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
            text = done.stdout.decode(errors="replace")
            if done.returncode and not os.environ.get("RVEMU_NEED_LINUX"):
                pytest.skip(f"there is no disk: {text.splitlines()[-1]}")
            assert done.returncode == 0, text[-3000:]
    return image


def regular_files(tree: Path) -> list[Path]:
    return [path for path in tree.rglob("*") if path.is_file() and not path.is_symlink()]


def test_a_debian_system(debian: Path, tmp_path: Path) -> None:
    """Log in, list and read files, lock shared ones, power off; the host finds in the image what
    the guest found."""
    image, shared = tmp_path / "disk.img", tmp_path / "shared"
    subprocess.run(["cp", "--sparse=always", debian, image], check=True)
    shared.mkdir()
    with (
        (shared / "mine").open("w") as mine,
        Guest(
            *("--drive", f"file={image},format=raw", "--append", "quiet root=/dev/vda"),
            *("--share", f"{shared},writable=on"),
        ) as guest,
    ):
        fcntl.lockf(mine, fcntl.LOCK_EX)
        guest.expect("Checking root file system")
        guest.expect("debian login: ")
        guest.type("root\n")
        guest.expect("root@debian:~# ")
        guest.type(
            "ls -lR /usr > list; find /usr/bin /usr/lib -xdev -type f | xargs sha256sum > sums\n"
        )
        guest.expect("root@debian:~# ")
        guest.type("dpkg --audit && dpkg -s sysvinit-core | grep Status; cat /etc/debian_version\n")
        guest.expect("Status: install ok installed\n13.")
        guest.type("mount -t 9p -o trans=virtio,version=9p2000.L share0 /mnt\n")
        guest.type("flock -n /mnt/mine true; echo mine$?; flock -n /mnt/yours true; echo yours$?\n")
        guest.expect("mine1\n")
        guest.expect("yours0\n")
        guest.type("poweroff\n")
        guest.expect("reboot: Power down")
        assert guest.process.wait(60) == 0
    for word in ("Oops", "Kernel panic", "WARNING:", "BUG:", "I/O error", "EXT4-fs error"):
        assert word not in guest.text
    file_system.check(image)

    file_system.unpack(debian, "/usr", tmp_path)
    files = regular_files(tmp_path / "usr")
    listing = file_system.read(image, "/root/list").decode()
    sizes = re.findall(r"^-\S+ +\d+ +\S+ +\S+ +(\d+) ", listing, re.MULTILINE)
    assert len(sizes) > 1000
    assert sorted(map(int, sizes)) == sorted(path.stat().st_size for path in files)
    sums = file_system.read(image, "/root/sums").decode().splitlines()
    assert sorted(sums) == sorted(
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  /{path.relative_to(tmp_path)}"
        for path in files
        if path.is_relative_to(tmp_path / "usr" / "bin")
        or path.is_relative_to(tmp_path / "usr" / "lib")
    )
