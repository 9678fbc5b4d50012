"""QEMU's stub, to compare with."""

import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from rvemu.guests import find_guest
from tests.debug.gdb import QEMU


@pytest.fixture
def qemu() -> Iterator[str]:
    """A QEMU with the same guest, halted; where its stub is."""
    assert QEMU is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    guest = str(find_guest("bench-int"))
    words = ["-M", "virt", "-bios", "none", "-nographic", "-m", "128M", "-kernel", guest]
    process = subprocess.Popen(
        [QEMU, *words, "-S", "-gdb", f"tcp:{address}"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(1)
        yield address
    finally:
        process.kill()
        process.wait()
