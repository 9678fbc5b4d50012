"""A real gdb attached to the toy machine over TCP."""

import shutil
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from gdbstub import Server
from tests.gdbstub.fake import CODE, DATA, FakeTarget

GDB = shutil.which("gdb-multiarch") or shutil.which("riscv64-unknown-elf-gdb")

pytestmark = pytest.mark.skipif(GDB is None, reason="no gdb for RISC-V is installed")


@pytest.fixture
def served() -> Iterator[tuple[FakeTarget, Server]]:
    target = FakeTarget(threads=2)
    target.exec_file = None  # there is no such ELF
    with Server(target, ":0") as server:
        thread = threading.Thread(target=server.serve, args=(target.run_slice,), daemon=True)
        thread.start()
        yield target, server
        server.finished = True
        thread.join(1)


def gdb(server: Server, *commands: str, before: tuple[str, ...] = (), limit: float = 30) -> str:
    assert GDB is not None
    arguments = [GDB, "-nx", "-q", "-batch", "-iex", "set auto-load no"]
    for command in (*before, f"target extended-remote {server.address}", *commands):
        arguments += ["-ex", command]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=limit, check=False)
    text = done.stdout + done.stderr
    assert "Remote failure" not in text and "rror" not in text, text
    return text


def test_registers_memory_steps(served: tuple[FakeTarget, Server]) -> None:
    _, server = served
    text = gdb(
        server,
        "info threads",
        "set $t0 = 0x1234",
        "p/x $t0",
        f"set {{long}}{DATA + 64} = 0x5566",
        f"x/gx {DATA + 64}",
        "stepi",
        "p/x $pc",
        "thread 2",
        "p/x $pc",
        "info mem",
        "monitor hello",
        f"find {CODE}, +0x2000, (short)0x5566",
    )
    assert 'Thread 1.2 "hart <1>" (M-mode & running)' in text
    assert "$1 = 0x1234" in text
    assert "0x0000000000005566" in text
    assert f"$2 = {CODE + 4:#x}" in text
    assert "hello on 1.1" in text or "hello on 1.2" in text
    assert "0x0000000080010000 rw" in text
    assert "1 pattern found" in text


def test_breakpoints(served: tuple[FakeTarget, Server]) -> None:
    target, server = served
    text = gdb(
        server,
        f"break *{CODE + 4} if $a0 == 5",
        "continue",
        "p $a0",
        "delete",
        f"hbreak *{CODE + 8}",
        "continue",
        "delete",
        f"watch *(long*){DATA}",
        "continue",
        "continue",
        "delete",
        f"rwatch *(long*){DATA}",
        "continue",
        "delete",
        f"tbreak *{CODE}",
        "continue",
        f'dprintf *{CODE + 12},"a0 is %d\\n", $a0',
        f"tbreak *{CODE + 16}",
        "continue",
        "detach",
        before=("set breakpoint condition-evaluation target", "set dprintf-style agent"),
    )
    assert "$1 = 5" in text
    assert "Old value" in text and "New value" in text
    assert "Value = " in text
    assert "a0 is " in text
    time.sleep(0.05)
    assert len(target.running()) == 2
    assert not target.breaks.points


def test_non_stop(served: tuple[FakeTarget, Server]) -> None:
    """From standard input: with -batch, gdb does not look at notifications."""
    _, server = served
    assert GDB is not None
    script = [
        "set pagination off",
        "set non-stop on",
        f"target extended-remote {server.address}",
        "shell sleep 0.2",
        "echo first\\n",
        "continue -a &",
        "info threads",
        "interrupt -a",
        "shell sleep 0.2",
        "echo second\\n",
        "thread 2",
        f"break *{CODE + 8}",
        "continue",
        "info threads",
        "detach",
    ]
    text = subprocess.run(
        [GDB, "-nx", "-q"],
        input="\n".join(script),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    ).stdout
    assert "internal-error" not in text
    assert text.count("(running)") >= 2, text
    assert 'Thread 2 "hart <1>" stopped.' in text
    assert 'Thread 2 "hart <1>" hit Breakpoint 1' in text
    assert "detached" in text


def test_disconnect_and_reattach(served: tuple[FakeTarget, Server]) -> None:
    target, server = served
    gdb(server, "stepi", "disconnect")
    assert "0x" in gdb(server, "p/x $pc", "detach")
    gdb(server, "kill")
    for _ in range(100):
        if target.life.killed:
            break
        time.sleep(0.02)
    assert target.life.killed == [1]
