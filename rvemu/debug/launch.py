"""gdb itself: started for a machine, attached, and with the terminal to itself."""

import contextlib
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from gdbstub import Server
from rvemu import guests
from rvemu.debug.process import Process
from rvemu.debug.pump import serve_once
from rvemu.debug.target import DebugTarget
from rvemu.errors import RvemuError
from rvemu.machine import Machine

# Those that know RISC-V, the usual names first.
PROGRAMS = (
    "gdb-multiarch",
    "riscv64-unknown-elf-gdb",
    "riscv64-elf-gdb",
    "riscv64-linux-gnu-gdb",
    "riscv64-unknown-linux-gnu-gdb",
)


def find_gdb(program: str | None = None) -> str:
    """The path of a gdb for RISC-V: the one that is named, or the first that is installed."""
    for name in (program,) if program is not None else PROGRAMS:
        found = shutil.which(name)
        if found is not None:
            return found
    if program is not None:
        raise RvemuError(f"there is no program {program}")
    raise RvemuError(f"no gdb for RISC-V is installed: {', '.join(PROGRAMS)}; say --gdb-program")


def debug(
    machine: Machine, path: Path, program: str | None = None, arguments: Sequence[str] = ()
) -> int:
    """Run gdb, attached to a machine whose guest has been loaded from `path`, until it ends; its
    exit status. The guest prints on standard output, and has no input."""
    gdb = find_gdb(program)
    target = DebugTarget(Process(machine, path), existed=False)
    with (
        tempfile.TemporaryDirectory(prefix="rvemu-gdb-") as folder,
        Server(target, f"unix:{folder}/gdb", wait=True, on_loss="kill") as server,
        _no_interrupts(),
    ):
        command = [gdb, "-q", *_commands(f"{folder}/gdb"), *arguments, str(path)]
        with subprocess.Popen(command, preexec_fn=_default_interrupts) as process:
            while process.poll() is None:
                serve_once(server, target)
            return process.returncode & 0xFF
    raise AssertionError


def _commands(socket: str) -> list[str]:
    """What gdb is to do first."""
    first = [f"directory {guests.SOURCES}"] if guests.SOURCES.is_dir() else []
    first += ["set sysroot /", f"target extended-remote {socket}"]
    return [word for command in first for word in ("-ex", command)]


@contextlib.contextmanager
def _no_interrupts() -> Iterator[None]:
    """Ctrl-C is gdb's."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _default_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
