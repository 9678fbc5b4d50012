"""The command `rvemu run --linux` at a terminal: a shell that answers, and that costs nothing
while nobody types."""

import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator

import pytest

from rvemu.linux import Linux

pytestmark = pytest.mark.slow


class Shell:
    """The command on a terminal, of which this is the user's side."""

    def __init__(self, *options: str) -> None:
        self.keys, terminal = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rvemu", "run", "--linux", "--append", "quiet", *options],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(terminal)
        self.seen = b""

    def type(self, text: str) -> None:
        os.write(self.keys, text.encode())

    def expect(self, text: str, seconds: float = 90) -> None:
        """Read until some text has come."""
        end = time.monotonic() + seconds
        while text.encode() not in self.seen:
            left = end - time.monotonic()
            assert left > 0, f"no {text!r} in {self.seen[-2000:]!r}"
            if select.select([self.keys], [], [], left)[0]:
                self.seen += os.read(self.keys, 65536)
        self.seen = self.seen.partition(text.encode())[2]

    def processor_seconds(self) -> float:
        """What the process has used so far."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:  # noqa: PTH123
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture(params=["1", "4"])
def shell(request: pytest.FixtureRequest, linux: Linux) -> Iterator[Shell]:
    del linux  # it is there: nothing has to be fetched
    shell = Shell("--smp", request.param)
    try:
        yield shell
    finally:
        shell.process.kill()
        shell.process.wait()
        os.close(shell.keys)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_shell(shell: Shell) -> None:
    shell.expect("built-in commands")
    shell.expect("# ")
    shell.type("echo $((6 * 7)) is the answer\n")
    shell.expect("\n42 is the answer\r")

    before = shell.processor_seconds()
    time.sleep(4)
    assert shell.processor_seconds() - before < 2, "an idle shell keeps the host busy"

    pasted = "cat <<END | wc -c\n" + "0123456789\n" * 200 + "END\n"
    shell.type(pasted)
    shell.expect("\n2200\r")

    shell.type("exit\n")
    shell.expect("Power down")
    assert shell.process.wait(30) == 0
