"""QEMU's stub, to compare with."""

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

QEMU = shutil.which("qemu-system-riscv64")

needs_qemu = pytest.mark.skipif(QEMU is None, reason="QEMU is not installed, to compare with")

_LIMIT = 20.0  # seconds to start


class Qemu:
    """A QEMU with a guest, halted; its stub is at `address`, a Unix-domain socket."""

    def __init__(self, guest: Path, *options: str) -> None:
        assert QEMU is not None
        self._folder = tempfile.TemporaryDirectory(prefix="rvemu-qemu-")
        self.address = f"{self._folder.name}/gdb"
        words = ["-M", "virt", "-cpu", "rv64,h=true", "-m", "128M", "-bios", "none", "-nographic"]
        where = f"unix:{self.address},server=on,wait=off"
        self.process = subprocess.Popen(
            [QEMU, *words, "-kernel", str(guest), "-S", "-gdb", where, *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def connect(self) -> socket.socket:
        """A connection to the stub, once it listens."""
        until = time.monotonic() + _LIMIT
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(self.address)
                return connection
            except OSError:
                connection.close()
                assert time.monotonic() < until and self.process.poll() is None
                time.sleep(0.02)

    def __enter__(self) -> "Qemu":
        try:
            self.connect().close()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._folder.cleanup()
