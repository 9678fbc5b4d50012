"""`rvemu run --gdb` and `rvemu debug`, as commands."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from rvemu.guests import find_guest
from tests.debug.gdb import GDB, needs_gdb, wait_for
from tests.debug.small import ADDI_T0, WFI, jump

ROOT = Path(__file__).parents[2]


def rvemu(*words: str, stdin: int = subprocess.DEVNULL) -> "subprocess.Popen[str]":
    paths = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    return subprocess.Popen(
        [sys.executable, "-m", "rvemu", *words],
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )


def gdb(address: str, *commands: str) -> str:
    assert GDB is not None
    words = [word for line in commands for word in ("-ex", line)]
    before = ["-nx", "-q", "-batch", "-iex", "set auto-load no"]
    done = subprocess.run(
        [GDB, *before, "-ex", f"target extended-remote {address}", *words],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def waiting(path: Path) -> None:
    wait_for(path.exists, 60)


@needs_gdb
def test_a_guest_waits_for_gdb_and_ends_as_ever(tmp_path: Path) -> None:
    place = tmp_path / "gdb"
    process = rvemu("run", "--guest", "hello", "--gdb", f"unix:{place}", "--gdb-wait")
    waiting(place)
    text = gdb(str(place), "break main", "continue", "bt", "delete", "continue")
    assert "main" in text and "exited normally" in text
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert "hello" in out.lower() and f"gdb: waiting at unix:{place}" in err
    assert not place.exists()


def test_without_wait_the_guest_runs_at_once(tmp_path: Path) -> None:
    process = rvemu("run", str(find_guest("hello")), "--gdb", f"unix:{tmp_path}/gdb")
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0 and "hello" in out.lower(), err


@needs_gdb
def test_kill_from_gdb_ends_the_command(tmp_path: Path) -> None:
    place = tmp_path / "gdb"
    process = rvemu("run", "--guest", "hello", "--gdb", f"unix:{place}", "-S")
    waiting(place)
    assert "killed" in gdb(str(place), "kill")
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0 and out == ""


@needs_gdb
def test_what_has_ended_is_run_again_for_as_long_as_gdb_stays(tmp_path: Path) -> None:
    place = tmp_path / "gdb"
    process = rvemu("run", "--guest", "hello", "--gdb", f"unix:{place}", "-S")
    waiting(place)
    wait = "shell sleep 1.2"  # longer than a gdb that can't run anything gets to leave
    text = gdb(str(place), "run", wait, "break main", "run", "kill", wait, "delete", "run")
    assert "Breakpoint 1, main" in text and text.count("exited normally") == 2, text
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert out.lower().count("hello") == 2


@needs_gdb
@pytest.mark.parametrize("piped", [False, True])
def test_a_guest_that_waits_for_ever_is_seen_and_stopped(tmp_path: Path, piped: bool) -> None:
    """Nothing will wake it, with or without console input that may come; gdb is heard."""
    image, place = tmp_path / "image", tmp_path / "gdb"
    image.write_bytes(b"".join(word.to_bytes(4, "little") for word in (WFI, jump(-4))))
    words = ["run", "--load-address", "0x80000000", str(image), "--gdb", f"unix:{place}"]
    process = rvemu(*words, stdin=subprocess.PIPE if piped else subprocess.DEVNULL)
    waiting(place)
    time.sleep(0.5)
    text = gdb(str(place), "info threads", "kill")
    assert "M-mode, waiting (WFI)" in text, text
    process.communicate(timeout=20)
    assert process.returncode == 0


# Asks the board for a reset: lui t0, 0x100; lui t1, 7; addi t1, t1, 0x777; sw t1, 0(t0).
RESET = (0x0010_02B7, 0x0000_7337, 0x7773_0313, 0x0062_A023, jump(0))


def image(folder: Path, program: Sequence[int]) -> list[str]:
    """What has `rvemu run` run a program."""
    path = folder / "image"
    path.write_bytes(b"".join(word.to_bytes(4, "little") for word in program))
    return ["run", "--load-address", "0x80000000", str(path), "--gdb", f"unix:{folder}/gdb"]


def test_max_instructions_without_a_debugger_attached(tmp_path: Path) -> None:
    process = rvemu(*image(tmp_path, [jump(0)]), "--max-instructions", "50k")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 124, err
    assert "stopped by --max-instructions after 50000 clocks" in err


@needs_gdb
def test_max_instructions_end_what_a_debugger_runs(tmp_path: Path) -> None:
    """Steps count, and so does what runs at full speed; a stop on the way changes nothing."""
    place = tmp_path / "gdb"
    words = image(tmp_path, [ADDI_T0, jump(-4)])
    process = rvemu(*words, "--gdb-wait", "--max-instructions", "1000")
    waiting(place)
    commands = ("stepi 3", "break *0x80000004 if $t0 == 100", "continue", "p $t0", "delete")
    text = gdb(str(place), *commands, "continue")
    assert "= 100" in text and "SIGXCPU" in text, text
    _, err = process.communicate(timeout=20)
    assert process.returncode == 124, err
    assert "stopped by --max-instructions after 1000 clocks" in err


def test_no_reboot_without_a_debugger_attached(tmp_path: Path) -> None:
    process = rvemu(*image(tmp_path, RESET), "--no-reboot")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err


@needs_gdb
def test_no_reboot_ends_what_a_debugger_runs(tmp_path: Path) -> None:
    place = tmp_path / "gdb"
    process = rvemu(*image(tmp_path, RESET), "--gdb-wait", "--no-reboot")
    waiting(place)
    text = gdb(str(place), "continue")
    assert "reset the machine" in text and "exited normally" in text, text
    _, err = process.communicate(timeout=20)
    assert process.returncode == 0, err


def test_a_port_in_use_is_one_clear_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = rvemu("run", "--guest", "hello", "--gdb", f":{port}")
        _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert [line for line in err.splitlines() if "already in use" in line] == err.splitlines()[-1:]
    assert "Traceback" not in err


@pytest.mark.parametrize("address", ["nonsense", ":99999", "unix:", "unix:/nonexistent/gdb"])
def test_an_address_that_cannot_be(address: str) -> None:
    process = rvemu("run", "--guest", "hello", "--gdb", address)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2 and "gdb" in err and "Traceback" not in err


@needs_gdb
def test_pipe(tmp_path: Path) -> None:
    """`target remote | rvemu run --gdb - ...`: what the guest prints is not in the protocol."""
    command = f"{sys.executable} -m rvemu run --guest hello --gdb - --gdb-wait"
    del tmp_path
    words = [GDB or "", "-nx", "-q", "-batch", "-iex", "set auto-load no", "-ex",
             f"target remote | {command}", "-ex", "break main", "-ex", "continue", "-ex", "bt",
             "-ex", "delete", "-ex", "continue"]  # fmt: skip
    paths = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=30, check=False,
        env={**os.environ, "PYTHONPATH": paths}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert "exited normally" in done.stdout, done.stdout + done.stderr


@needs_gdb
def test_one_command_starts_the_machine_and_gdb() -> None:
    words = ("-nx", "-batch", "-ex", "break main", "-ex", "continue", "-ex", "list", "-ex", "kill")
    process = rvemu("debug", "--guest", "hello", "--", *words)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert "Breakpoint 1, main" in out and "killed" in out


def test_a_gdb_that_is_not_there() -> None:
    process = rvemu("debug", "--guest", "hello", "--gdb-program", "no-such-gdb")
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2 and "there is no program no-such-gdb" in err
