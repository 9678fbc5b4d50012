"""A Linux to boot: Debian's riscv64 kernel, and an initial file system with busybox.

They are fetched once, by the system's own apt (`rvemu.apt`), and kept in the user's cache.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from rvemu.apt import Apt, AptError, read_member
from rvemu.cpio import archive, character_device, directory, link, program
from rvemu.errors import RvemuError

SUITE, ARCHITECTURE = "trixie", "riscv64"

#: What the kernel is told, before whatever the user adds.
COMMAND_LINE = "console=ttyS0"

#: RAM that this kernel has room in, in bytes.
MEMORY = 1 << 30

#: What the first process prints when it has mounted what it needs, before the shell starts.
GREETING = "rvemu: this is busybox on Linux"

# The kernel passes what it does not know on its command line, as run="uname -a", to the first
# process, as a variable.
_INIT = f"""\
#!/bin/busybox sh
export PATH=/bin HOME=/ TERM=${{TERM:-linux}}
/bin/busybox --install -s /bin
mount -t devtmpfs none /dev
mount -t proc none /proc
mount -t sysfs none /sys
echo "{GREETING} $(uname -r)"
if [ -n "$run" ]; then
    sh -c "$run"
else
    setsid cttyhack sh
fi
poweroff -f
"""

# What is kept. The initial RAM disk is made from busybox again by each version of rvemu.
_KERNEL, _BUSYBOX = "Image", "busybox"


class Linux(NamedTuple):
    """The files that a machine boots."""

    kernel: Path
    initrd: Path


def find_linux(cache: Path) -> Linux:
    """Kernel and initial RAM disk from the user's cache, fetched first if need be. Raises
    `RvemuError`, which says what to pass instead, where they can't be had."""
    folder = cache / "linux" / SUITE
    kernel, busybox = folder / _KERNEL, folder / _BUSYBOX
    initrd = folder / f"initrd-{hashlib.sha256(_INIT.encode()).hexdigest()[:16]}"
    try:
        if not (_is_ours(kernel) and _is_ours(busybox)):
            _say(f"fetching Debian's {ARCHITECTURE} kernel ({SUITE}) and busybox, once ...")
            _fetch(folder)
        if not _is_ours(initrd):
            _put(initrd, initial_file_system(busybox.read_bytes()))
    except AptError as error:
        raise RvemuError(
            f"--linux fetches a kernel and busybox from Debian by way of apt: {error}. "
            "Give them yourself: --kernel Image --initrd FILE --append console=ttyS0"
        ) from error
    except OSError as error:
        raise RvemuError(f"{folder}: cannot be used: {error.strerror}") from error
    return Linux(kernel, initrd)


def _fetch(folder: Path) -> None:
    """Fill the cache's folder; what is there is whole."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix="rvemu-linux-"))
    try:
        apt = Apt(work, SUITE, ARCHITECTURE)
        apt.update()
        for package in apt.depends(f"linux-image-{ARCHITECTURE}"):
            if package.startswith("linux-image-"):
                break
        else:
            raise AptError(f"{SUITE} has no kernel for {ARCHITECTURE}")
        name, kernel = read_member(apt.download(package), r"\./boot/vmlinu[xz]-.*")
        _, busybox = read_member(apt.download("busybox-static"), r"\./(usr/)?bin/busybox")
        _put(folder / _BUSYBOX, busybox)
        _put(folder / _KERNEL, kernel)
        _say(f"kept in {folder}: {Path(name).name}")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def initial_file_system(busybox: bytes) -> bytes:
    """An initial RAM disk in which busybox is everything."""
    folders = ("bin", "dev", "proc", "sys", "tmp", "root", "etc", "mnt")
    return archive(
        [
            *(directory(path) for path in folders),
            character_device("dev/console", 5, 1),
            character_device("dev/null", 1, 3),
            program("bin/busybox", busybox),
            link("bin/sh", "busybox"),
            program("init", _INIT.encode()),
        ]
    )


def _is_ours(path: Path) -> bool:
    """Whether a cached file is this user's, and no link."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return path.is_file() and not path.is_symlink() and status.st_uid == os.geteuid()


def _put(path: Path, content: bytes) -> None:
    """Write a file, all at once."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _say(text: str) -> None:
    print(f"rvemu: {text}", file=sys.stderr, flush=True)
