"""A Linux to boot: Debian's riscv64 kernel, and an initial file system with busybox.

They are fetched once, by the system's own apt (`rvemu.apt`), and kept in the user's cache. What the
initial file system does is in `rvemu.initramfs`.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from rvemu import initramfs
from rvemu.apt import Apt, AptError, read_member, read_members
from rvemu.cpio import archive, directory, plain_file
from rvemu.errors import RvemuError

SUITE, ARCHITECTURE = "trixie", "riscv64"

#: What the kernel is told, before whatever the user adds.
COMMAND_LINE = "console=ttyS0"

#: RAM that this kernel has room in, in bytes.
MEMORY = 1 << 30

# What is kept: the modules as an archive, decompressed. The initial RAM disk is made from them and
# busybox again by each version of rvemu; and if it wants other modules, all is fetched again.
_KERNEL, _BUSYBOX = "Image", "busybox"
_KEPT_MODULES = f"modules-{hashlib.sha256(repr(initramfs.MODULES).encode()).hexdigest()[:8]}"


class Linux(NamedTuple):
    """The files that a machine boots."""

    kernel: Path
    #: For a machine without virtio devices: unpacking modules would slow its boot.
    initrd: Path
    #: The same, with the modules for virtio devices.
    initrd_with_modules: Path


def find_linux(cache: Path) -> Linux:
    """Kernel and initial RAM disk from the user's cache, fetched first if need be. Raises
    `RvemuError`, which says what to pass instead, where they can't be had."""
    folder = cache / "linux" / SUITE
    kernel, busybox, modules = (folder / name for name in (_KERNEL, _BUSYBOX, _KEPT_MODULES))
    initrd = folder / f"initrd-{initramfs.digest()}"
    initrd_with_modules = initrd.with_name(f"{initrd.name}-modules")
    try:
        if not all(map(_is_ours, (kernel, busybox, modules))):
            _say(f"fetching Debian's {ARCHITECTURE} kernel ({SUITE}) and busybox, once ...")
            _fetch(folder)
        if not _is_ours(initrd):
            for made in folder.glob("initrd-*"):
                made.unlink()  # by another version
            _put(initrd, initramfs.build(busybox.read_bytes()))
        if not _is_ours(initrd_with_modules):
            with_modules = initramfs.build(busybox.read_bytes(), modules.read_bytes())
            _put(initrd_with_modules, with_modules)
    except AptError as error:
        raise RvemuError(
            f"--linux fetches a kernel and busybox from Debian by way of apt: {error}. "
            "Give them yourself: --kernel Image --initrd FILE --append console=ttyS0"
        ) from error
    except OSError as error:
        raise RvemuError(f"{folder}: cannot be used: {error.strerror}") from error
    return Linux(kernel, initrd, initrd_with_modules)


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
        name, kernel, modules = _unpack(apt.download(package))
        _, busybox = read_member(apt.download("busybox-static"), r"\./(usr/)?bin/busybox")
        # The modules are this kernel's: they go first and come last.
        for made in (*folder.glob("modules*"), *folder.glob("initrd-*")):
            made.unlink()
        _put(folder / _BUSYBOX, busybox)
        _put(folder / _KERNEL, kernel)
        _put(folder / _KEPT_MODULES, modules)
        _say(f"kept in {folder}: {name}")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _unpack(package: Path) -> tuple[str, bytes, bytes]:
    """The kernel's name, the kernel and an archive of the modules that are wanted."""
    names = "|".join(map(re.escape, initramfs.MODULES))
    pattern = rf"\./boot/vmlinu[xz]-.*|\./(?:usr/)?lib/modules/.*/({names})\.ko(?:\.xz)?"
    name, kernel = "", b""
    modules = []
    for path, content in read_members(package, pattern):
        found = re.fullmatch(pattern, path)
        assert found is not None
        if found[1] is None:
            name, kernel = Path(path).name, content
            continue
        try:
            module = lzma.decompress(content) if path.endswith(".xz") else content
        except lzma.LZMAError as error:
            raise AptError(f"{package.name}: {path}: {error}") from error
        modules.append(plain_file(f"lib/modules/{found[1]}.ko", module))
    if not kernel:
        raise AptError(f"{package.name} has no kernel")
    return name, kernel, archive([directory("lib"), directory("lib/modules"), *modules])


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
