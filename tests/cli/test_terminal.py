"""`rvemu run` on a terminal: Ctrl-A, the monitor, and the terminal given back in any case."""

import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.small_programs import (
    SPIN,
    WFI,
    echo_guest,
    elf,
    exit_with,
    li,
    op,
    put,
    sleepy_echo_guest,
)


class OnTerminal:
    """The command on a terminal of its own, of which this is the user's side."""

    def __init__(
        self,
        folder: Path,
        code: bytes,
        *options: str,
        hangup: bool = True,
        stderr: int | None = None,
    ) -> None:
        (folder / "guest.elf").write_bytes(elf(code, start=0))
        self.keys, terminal = pty.openpty()
        self.before = termios.tcgetattr(terminal)
        self.terminal = terminal
        self.seen = b""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rvemu", "run", *options, "guest.elf"],
            cwd=folder,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal if stderr is None else stderr,
            start_new_session=True,
            preexec_fn=_take_terminal if hangup else _take_terminal_for_good,
        )

    def type(self, text: bytes) -> None:
        os.write(self.keys, text)

    def expect(self, text: bytes, seconds: float = 20) -> None:
        """Read until some text has come, which is then behind us."""
        end = time.monotonic() + seconds
        while text not in self.seen:
            ready, _, _ = select.select([self.keys], [], [], max(0, end - time.monotonic()))
            assert ready, f"no {text!r}, only {self.seen!r}"
            self.seen += os.read(self.keys, 4096)
        self.seen = self.seen.partition(text)[2]

    def status(self) -> int:
        """Wait for the end; the exit status, with the terminal as it was."""
        status = self.process.wait(20)
        assert termios.tcgetattr(self.terminal) == self.before
        return status

    def is_raw(self) -> bool:
        return not termios.tcgetattr(self.terminal)[3] & (termios.ICANON | termios.ECHO)

    def wait_until_raw(self) -> None:
        end = time.monotonic() + 20
        while not self.is_raw():
            assert time.monotonic() < end
            time.sleep(0.01)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for descriptor in (self.keys, self.terminal):
            if descriptor >= 0:
                os.close(descriptor)


def _take_terminal() -> None:
    import fcntl

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _take_terminal_for_good() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    _take_terminal()


Start = Callable[..., OnTerminal]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    running: list[OnTerminal] = []

    def on_terminal(code: bytes, **options: Any) -> OnTerminal:
        running.append(OnTerminal(tmp_path, code, **options))
        return running[-1]

    yield on_terminal
    for found in running:
        found.close()


READY = put("ready\n")


def test_keys_go_to_the_guest(start: Start) -> None:
    user = start(READY + echo_guest())
    user.expect(b"ready\r\n")
    assert user.is_raw()
    user.type(b"ab\x03\x04\x1a\x01\x01q")  # Ctrl-C, Ctrl-D and Ctrl-Z are the guest's
    user.expect(b"ab\x03\x04\x1a\x01q")
    assert user.status() == 0


def test_the_guests_status(start: Start) -> None:
    user = start(READY + exit_with(17))
    user.expect(b"ready")
    assert user.status() == 17


@pytest.mark.parametrize("code", [echo_guest(), sleepy_echo_guest(), SPIN])
def test_quitting(start: Start, code: bytes) -> None:
    user = start(READY + code)
    user.expect(b"ready")
    user.type(b"\x01x")
    assert user.status() == 0


def test_help(start: Start) -> None:
    user = start(READY + sleepy_echo_guest())
    user.expect(b"ready")
    user.type(b"\x01h")
    user.expect(b"Ctrl-A x  quit rvemu")
    user.type(b"q")
    assert user.status() == 0


def test_the_monitor(start: Start) -> None:
    user = start(READY + sleepy_echo_guest())
    user.expect(b"ready")
    user.type(b"\x01c")
    user.expect(b"(rvemu) ")
    assert not user.is_raw()
    user.type(b"harts\n")
    user.expect(b"* hart 0: M-mode, waiting (WFI), pc 0x8000")
    user.expect(b"(rvemu) ")
    user.type(b"nonsense\n")
    user.expect(b"error: no command 'nonsense'")
    user.type(b"csr mie\n")
    user.expect(b"MEIE     0x1")
    user.expect(b"(rvemu) ")
    user.type(b"continue\n")
    user.wait_until_raw()
    user.type(b"z")
    user.expect(b"z")
    user.type(b"\x01c")
    user.expect(b"(rvemu) ")
    user.type(b"quit\n")
    assert user.status() == 0


def test_a_stuck_guest_waits_for_its_user(start: Start) -> None:
    user = start(READY + SPIN)
    user.expect(b"the guest is stuck: hart 0 loops forever")
    assert user.process.poll() is None
    user.type(b"\x01x")
    assert user.status() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("code", [echo_guest(), sleepy_echo_guest()])
def test_signals(start: Start, number: signal.Signals, code: bytes) -> None:
    user = start(READY + code)
    user.expect(b"ready")
    user.process.send_signal(number)
    assert user.status() == 128 + number


def test_in_the_background_it_leaves_the_terminal_alone(start: Start) -> None:
    user = start(READY + sleepy_echo_guest())
    user.expect(b"ready")
    os.kill(user.process.pid, signal.SIGTSTP)
    os.waitid(os.P_PID, user.process.pid, os.WSTOPPED | os.WNOWAIT)
    assert termios.tcgetattr(user.terminal) == user.before
    os.kill(user.process.pid, signal.SIGCONT)
    user.wait_until_raw()
    user.type(b"q")
    assert user.status() == 0


@pytest.mark.parametrize("code", [echo_guest(), sleepy_echo_guest()])
@pytest.mark.parametrize("hangup", [True, False])
def test_the_terminal_goes_away(start: Start, code: bytes, hangup: bool) -> None:
    """Whether the hangup ends it, or (under nohup) what it then reads."""
    reader, writer = os.pipe()
    user = start(READY + code, hangup=hangup, stderr=writer)
    os.close(writer)
    user.expect(b"ready")
    os.close(user.terminal)
    os.close(user.keys)
    user.keys = user.terminal = -1
    assert user.process.wait(20) == (128 + signal.SIGHUP if hangup else 2)
    said = os.read(reader, 4096)
    os.close(reader)
    assert said == (b"" if hangup else b"rvemu: the terminal is gone\n")


def test_an_idle_guest_takes_no_time(start: Start) -> None:
    """A guest whose timer ticks, and which only waits: on a terminal time passes as on a clock."""
    ticking = li("t0", 0x200_4000) + li("t3", 128) + op("csrrw", rd="zero", csr=0x304, rs1="t3")
    ticking += op("csrrs", rd="t1", csr=0xC01, rs1="zero") + li("t2", 100_000)  # 10 ms
    ticking += op("add", rd="t1", rs1="t1", rs2="t2") + op("sd", rs1="t0", rs2="t1", imm=0)
    ticking += WFI + op("jal", rd="zero", imm=-24)
    user = start(READY + ticking)
    user.expect(b"ready")
    time.sleep(1)
    used = _cpu_seconds(user.process.pid)
    time.sleep(1)
    assert _cpu_seconds(user.process.pid) - used < 0.3
    user.type(b"\x01x")
    assert user.status() == 0


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
