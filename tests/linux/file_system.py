"""ext4 file systems in images, made, checked and read by the host's e2fsprogs."""

import shutil
import subprocess
from pathlib import Path

import pytest


def tool(name: str) -> str:
    """One of the programs, which users may not have on PATH. Without it the test is skipped."""
    found = shutil.which(name, path="/usr/sbin:/sbin:/usr/bin:/bin")
    if found is None:
        pytest.skip("e2fsprogs is not installed")
    return found


def make(image: Path, size: str, tree: Path | None = None) -> None:
    """Make an image, with the files of a tree."""
    files = [] if tree is None else ["-d", tree]
    subprocess.run([tool("mke2fs"), "-q", "-F", "-t", "ext4", *files, image, size], check=True)


def check(image: Path) -> None:
    """It is clean."""
    done = subprocess.run([tool("e2fsck"), "-fn", image], capture_output=True, check=False)
    assert done.returncode == 0, done.stdout


def recover(image: Path) -> None:
    """Do what a system does when it starts after a crash: replay the journal, no more."""
    done = subprocess.run([tool("e2fsck"), "-p", image], capture_output=True, check=False)
    assert done.returncode in (0, 1), done.stdout


def read(image: Path, path: str) -> bytes:
    """A file's content."""
    command = [tool("debugfs"), "-R", f"cat {path}", str(image)]
    return subprocess.run(command, capture_output=True, check=True).stdout


def unpack(image: Path, path: str, target: Path) -> None:
    """Copy a folder from the image into one of the host's."""
    command = [tool("debugfs"), "-R", f"rdump {path} {target}", str(image)]
    subprocess.run(command, capture_output=True, check=True)
