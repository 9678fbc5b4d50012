"""The guests that come with rvemu: their names, their ELF files, what they must print.

An installed rvemu carries its guests ready built, in ``rvemu/_guests``. In a source tree they are
built when first asked for, and kept in the user's cache directory.
"""

from __future__ import annotations

import atexit
import os
import shutil
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from rvemu import guest_build
from rvemu.errors import RvemuError

INSTALLED = Path(__file__).parent / "_guests"
SOURCES = Path(__file__).parent.parent / "guests"


@dataclass(frozen=True)
class GuestInfo:
    """What there is to know about a guest before it runs."""

    name: str
    description: str
    harts: int = 1
    """How many harts to show it with; every guest also runs on one."""
    max_instructions: int = 0
    """More instructions, over all harts, than it needs to end: beyond this it hangs."""
    needs_sbi: bool = False
    """Starts in S-mode and needs SBI firmware; the others start in M-mode with no firmware."""
    paravirt: str = ""
    """Another guest: the same kernel, built to make hypercalls in a paravirtual machine."""
    needs_h: bool = False
    """Needs harts with the hypervisor extension."""
    disk: int = 0
    """The bytes of the empty virtio disk that it is run with; 0 if it uses none."""
    benchmark: bool = False
    """Has a 64-bit word `bench_iterations` in .data. Its output is the same for any count >= 1."""

    @classmethod
    def load(cls, name: str, path: Path) -> GuestInfo:
        """Reads a guest's description from its ``guest.toml``."""
        table = guest_build.load_toml(path)
        fields = {key: table[key] for key in cls.__dataclass_fields__ if key in table}
        return cls(**{"name": name, **fields})


def list_guests() -> list[GuestInfo]:
    """All guests, by name."""
    if INSTALLED.is_dir():
        paths = {path.stem: path for path in INSTALLED.glob("*.toml")}
    else:
        paths = {path.parent.name: path for path in SOURCES.glob("*/guest.toml")}
    return [GuestInfo.load(name, paths[name]) for name in sorted(paths)]


def find_guest(name: str) -> Path:
    """The ELF file of a guest, built first if need be.

    Raises `RvemuError` for an unknown name, or when there is neither a built guest nor a compiler.
    """
    _check_name(name)
    if INSTALLED.is_dir():
        return INSTALLED / f"{name}.elf"

    return built(guest_build.Recipe.load(SOURCES / name), f"guest {name}")


def built(recipe: guest_build.Recipe, what: str) -> Path:
    """The ELF file of a recipe in the user's cache, built first if need be; `what` is its name for
    people. Raises `RvemuError` when there is no compiler, or it fails."""
    toolchain = guest_build.find_toolchain()
    path = _cache_directory(recipe.digest(toolchain)) / f"{recipe.name}.elf"
    if not _is_our_elf(path):
        print(f"rvemu: building {what} with {toolchain.name}", file=sys.stderr)
        guest_build.build(recipe, toolchain, path)
    return path


def expected_output(name: str) -> bytes:
    """The exact bytes that a guest writes to the console.

    Firmware, where a guest needs it, prints before these. Raises `RvemuError` for an unknown name.
    """
    _check_name(name)
    if INSTALLED.is_dir():
        return (INSTALLED / f"{name}.txt").read_bytes()
    return (SOURCES / name / "expected.txt").read_bytes()


def _check_name(name: str) -> None:
    names = [guest.name for guest in list_guests()]
    if name not in names:
        known = ", ".join(names) or f"none, and no sources at {SOURCES}"
        raise RvemuError(f"there is no guest {name!r}; there are: {known}")


def _cache_directory(digest: str) -> Path:
    """A directory that only this user can write, the same one for the same digest."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    root = Path(home) / "rvemu" / "guests"
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not _is_private(root):
            raise PermissionError
        folder = root / digest
        folder.mkdir(exist_ok=True, mode=0o700)
        if not _is_private(folder):
            raise PermissionError
        return folder
    except OSError:
        # No cache is to be had: build for this process alone.
        folder = Path(tempfile.mkdtemp(prefix="rvemu-guests-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return folder


def _is_private(folder: Path) -> bool:
    """Whether a directory is ours, is no link, and nobody else can write to it."""
    status = folder.lstat()
    others_write = stat.S_IWGRP | stat.S_IWOTH
    return (
        stat.S_ISDIR(status.st_mode)
        and status.st_uid == os.geteuid()
        and not status.st_mode & others_write
    )


def _is_our_elf(path: Path) -> bool:
    """Whether a cached file is a whole ELF64 file that this user made."""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            return False
        with path.open("rb") as file:
            header = file.read(64)
    except OSError:
        return False
    if len(header) < 64 or header[:5] != b"\x7fELF\x02":
        return False
    # The section headers come last: a truncated file ends before them.
    table = int.from_bytes(header[40:48], "little")
    entry_size = int.from_bytes(header[58:60], "little")
    entries = int.from_bytes(header[60:62], "little")
    return status.st_size >= table + entry_size * entries
