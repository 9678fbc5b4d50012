"""A real gdb, driven through its machine interface, beside a machine in a thread of its own."""

import contextlib
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pygdbmi.gdbcontroller import GdbController

from gdbstub import CONTINUE, Server
from rvemu.debug.process import Process
from rvemu.debug.pump import serve_once
from rvemu.debug.target import DebugTarget
from rvemu.guests import SOURCES, find_guest
from rvemu.machine import Machine

GDB = shutil.which("gdb-multiarch") or shutil.which("riscv64-unknown-elf-gdb")

needs_gdb = pytest.mark.skipif(GDB is None, reason="no gdb for RISC-V is installed")

LIMIT = 20.0  # seconds for one command, or for the guest to stop


class Served:
    """A target that waits for a debugger at `address`, and runs in a thread."""

    def __init__(self, target: DebugTarget, **options: Any) -> None:
        self.target = target
        self.machine = target.processes[0].machine
        self.server = Server(self.target, "127.0.0.1:0", wait=True, **options)
        self.target.resume(dict.fromkeys(self.target.threads(), CONTINUE))
        self.failure: BaseException | None = None
        self._closing = False
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        return str(self.server.address)

    def _serve(self) -> None:
        try:
            while not self._closing:
                serve_once(self.server, self.target)
        except BaseException as error:
            self.failure = error
            raise

    def close(self) -> None:
        self._closing = True
        self._thread.join(LIMIT)
        self.server.close()
        self.target.close()
        assert self.failure is None and not self._thread.is_alive()


@contextlib.contextmanager
def serving(target: DebugTarget, **options: Any) -> Iterator[Served]:
    running = Served(target, **options)
    try:
        yield running
    finally:
        running.close()


@contextlib.contextmanager
def served(machine: Machine, path: Path | None = None) -> Iterator[Served]:
    with serving(DebugTarget(Process(machine, path))) as running:
        yield running


@contextlib.contextmanager
def serve_guest(name: str, harts: int = 1, engine: str = "native") -> Iterator[Served]:
    """A guest of rvemu's, about to start."""
    printed = bytearray()
    machine = Machine(memory=64 << 20, harts=harts, engine=engine, output=printed.extend)
    path = find_guest(name)
    machine.load(path)
    with served(machine, path) as running:
        yield running


def wait_for(condition: Callable[[], bool], seconds: float = LIMIT) -> None:
    """Wait until something is so, as it must be soon."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


class Gdb:
    """A gdb. `command` gives what it printed; `go` a command after which the guest runs, and how
    that stopped. Both have a time limit."""

    def __init__(self, *before: str) -> None:
        assert GDB is not None
        self._mi = GdbController([GDB, "-nx", "-q", "--interpreter=mi3"], 0.02)
        self.stops: list[dict[str, Any]] = []
        for line in (
            "set pagination off", "set confirm off", "set width 0", "set auto-load no",
            f"directory {SOURCES}", *before,
        ):  # fmt: skip
            self.command(line)

    def attach(self, running: Served, path: Path | str | None = None) -> str:
        if path is not None:
            self.command(f"file {path}")
        return self.command(f"target extended-remote {running.address}")

    def command(self, line: str, *, error: bool = False) -> str:
        """What gdb prints for a command. One that fails fails the test, unless `error`."""
        return self._run(line, error)[0]

    def go(self, line: str) -> str:
        """A command that lets the guest run, until it stops: what gdb prints meanwhile."""
        count = len(self.stops)
        text, _ = self._run(line, False)
        return text + self.wait(count + 1)

    def wait(self, count: int) -> str:
        """Wait until there were so many stops in all."""
        text = ""
        until = time.monotonic() + LIMIT
        while len(self.stops) < count:
            assert time.monotonic() < until, f"the guest does not stop: {text}"
            text += self._take(self._mi.get_gdb_response(0.02, raise_error_on_timeout=False))
        return text

    @property
    def reason(self) -> str:
        """Why the guest stopped last (the MI's `reason`); empty if gdb says none."""
        return str(self.stops[-1].get("reason", ""))

    def value(self, expression: str) -> int:
        """An expression's value."""
        found = re.search(r"= (-?(?:0x[0-9a-f]+|\d+))", self.command(f"p/d {expression}"))
        assert found is not None, expression
        return int(found[1], 0)

    def pc(self) -> int:
        return self.value("(unsigned long)$pc") & (1 << 64) - 1

    def _run(self, line: str, error: bool) -> tuple[str, bool]:
        quoted = line.replace("\\", "\\\\").replace('"', '\\"')
        self._mi.write(f'777-interpreter-exec console "{quoted}"', read_response=False)
        text = ""
        until = time.monotonic() + LIMIT
        while True:
            assert time.monotonic() < until, f"gdb does not answer {line!r}: {text}"
            responses = self._mi.get_gdb_response(0.02, raise_error_on_timeout=False)
            text += self._take(responses)
            for response in responses:
                if response["type"] == "result" and response["token"] == 777:
                    if response["message"] == "error":
                        message = str(response["payload"]["msg"])
                        assert error, f"{line}: {message}"
                        return text + message, False
                    return text, True

    def _take(self, responses: list[dict[str, Any]]) -> str:
        text = ""
        for response in responses:
            if response["type"] in ("console", "target", "output", "log"):
                text += str(response["payload"])
            if response["type"] == "notify" and response["message"] == "stopped":
                self.stops.append(response["payload"] or {})
        return text.replace("\\n", "\n").replace("\\t", "\t")

    def vanish(self) -> None:
        """Go without a word."""
        self._mi.gdb_process.kill()
        self._mi.gdb_process.wait()

    def close(self) -> None:
        self._mi.exit()


@contextlib.contextmanager
def attached(running: Served, *before: str, path: Path | str | None = None) -> Iterator[Gdb]:
    """A gdb that is attached to a machine."""
    gdb = Gdb(*before)
    try:
        gdb.attach(running, path)
        yield gdb
    finally:
        gdb.close()
