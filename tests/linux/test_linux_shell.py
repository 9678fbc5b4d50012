"""The command `rvemu run --linux` at a terminal: a shell that answers, and that costs nothing
while nobody types."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator

import pytest

from rvemu.linux import Linux

pytestmark = pytest.mark.slow


class Shell:
    """The command on a terminal, of which this is the user's side."""

    def __init__(self, *options: str) -> None:
        self.keys, terminal = pty.openpty()
        self.resize(30, 100)
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
        #: What came before the text that was expected last.
        self.passed = b""

    def type(self, text: str) -> None:
        os.write(self.keys, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.keys, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def expect(self, text: str, seconds: float = 90) -> None:
        """Read until some text has come."""
        end = time.monotonic() + seconds
        while text.encode() not in self.seen:
            left = end - time.monotonic()
            assert left > 0, f"no {text!r} in {self.seen[-2000:]!r}"
            if select.select([self.keys], [], [], left)[0]:
                self.seen += os.read(self.keys, 65536)
        self.passed, _, self.seen = self.seen.partition(text.encode())

    def processor_seconds(self) -> float:
        """What the process has used so far."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:  # noqa: PTH123
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


Start = Callable[..., Shell]


@pytest.fixture
def start(linux: Linux) -> Iterator[Start]:
    """Starts the command with options, and ends it."""
    del linux  # it is there: nothing has to be fetched
    shells: list[Shell] = []

    def started(*options: str) -> Shell:
        shells.append(Shell(*options))
        shells[-1].expect("built-in commands")
        shells[-1].expect("# ")
        return shells[-1]

    yield started
    for shell in shells:
        shell.process.kill()
        shell.process.wait()
        os.close(shell.keys)


@pytest.mark.parametrize("harts", ["1", "4"])
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_shell(start: Start, harts: str) -> None:
    shell = start("--smp", harts)
    shell.type("stty size\n")
    shell.expect("\n30 100\r")
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


def test_a_shell_on_the_virtio_console(start: Start) -> None:
    """Where the input goes, the shell is; it knows the terminal's size and follows it. By the wall
    clock the date is the host's."""
    began = int(time.time())
    shell = start("--virtio-console", "--clock", "wall")
    shell.type("tty; stty size\n")
    shell.expect("\n/dev/hvc0\r")
    shell.expect("\n30 100\r")
    shell.resize(50, 132)
    shell.type("until [ $(stty size | tr -d ' ') = 50132 ]; do :; done; echo it fo''llows\n")
    shell.expect("it follows")

    # What says that it waits is in the foreground already; a shell that had not started its command
    # yet could miss the key.
    shell.type("sh -c 'echo wai\"\"ting; exec sleep 100000'\n")
    shell.expect("waiting")
    shell.type("\x03")
    shell.expect("# ")

    shell.type("echo the date is $(date +%s)\n")
    shell.expect("\nthe date is ")
    shell.expect("# ")
    date = re.match(rb"\d+", shell.passed)
    assert date is not None
    # Linux takes whole seconds from the clock when it boots, and half a second more.
    assert began - 1 <= int(date[0]) <= time.time() + 1

    pasted = "cat <<END | wc -c\n" + "0123456789\n" * 200 + "END\n"
    shell.type(pasted)
    shell.expect("\n2200\r")

    shell.type("\x01x")
    assert shell.process.wait(30) == 0
